//! Names the extension that blocks a worker thread.
//!
//! Each worker says in one word which extension it polls. A thread looks at these
//! words from time to time: one that stays the same for too long is a poll that
//! does not return. So a request pays two stores and no clock.

use std::{
    cell::Cell,
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Bits of the word that hold the extension's index, plus one.
const INDEX_BITS: u32 = 16;

static SLOTS: Mutex<Vec<Arc<AtomicU64>>> = Mutex::new(Vec::new());

thread_local! {
    static SLOT: Arc<AtomicU64> = {
        let slot = Arc::new(AtomicU64::new(0));
        SLOTS.lock().unwrap_or_else(PoisonError::into_inner).push(slot.clone());
        slot
    };
    static POLLS: Cell<u64> = const { Cell::new(0) };
}

/// Runs one poll of the extension with that index.
pub(crate) fn watched<T>(index: usize, poll: impl FnOnce() -> T) -> T {
    let number = POLLS.with(|it| {
        it.set(it.get().wrapping_add(1));
        it.get()
    });
    let word = (number << INDEX_BITS) | (index as u64 + 1);
    SLOT.with(|slot| {
        slot.store(word, Ordering::Relaxed);
        let answer = poll();
        slot.store(0, Ordering::Relaxed);
        answer
    })
}

/// Watches all workers until the process ends; calls `blocked` once for each poll that lasts longer than `limit`.
///
/// # Errors
///
/// When there is no thread for it.
pub fn start(
    limit: Duration,
    blocked: impl Fn(usize, Duration) + Send + 'static,
) -> std::io::Result<()> {
    let rest = (limit / 4).max(Duration::from_millis(5));
    let watch = move || {
        let mut seen: HashMap<usize, (u64, Instant, bool)> = HashMap::new();
        loop {
            thread::sleep(rest);
            let now = Instant::now();
            let slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for (at, slot) in slots.iter().enumerate() {
                let word = slot.load(Ordering::Relaxed);
                let known = seen.entry(at).or_insert((0, now, false));
                if known.0 != word {
                    *known = (word, now, false);
                } else if word != 0 && !known.2 && now.duration_since(known.1) >= limit {
                    known.2 = true;
                    let index = (word & ((1 << INDEX_BITS) - 1)).saturating_sub(1);
                    blocked(usize::try_from(index).unwrap_or(0), now.duration_since(known.1));
                }
            }
        }
    };
    thread::Builder::new().name("watchdog".to_owned()).spawn(watch).map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_poll_that_does_not_return_is_named() {
        let (named, names) = mpsc::channel();
        start(Duration::from_millis(20), move |index, _| {
            let _ = named.send(index);
        })
        .unwrap();
        let release = Arc::new(std::sync::Barrier::new(2));
        let held = release.clone();
        let worker = thread::spawn(move || {
            watched(3, || ());
            watched(7, || held.wait());
        });
        assert_eq!(names.recv_timeout(Duration::from_secs(5)), Ok(7));
        release.wait();
        worker.join().unwrap();
    }
}
