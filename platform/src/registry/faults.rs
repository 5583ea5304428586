//! Counts an extension's panics, and says when they are too many.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How many panics within which time are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultLimit {
    /// That many; 0 never quarantines.
    pub count: u32,
    /// Within that time.
    pub window: Duration,
}

/// The panics of one extension.
#[derive(Debug, Default)]
pub struct Faults {
    recent: Mutex<VecDeque<Instant>>,
    total: AtomicU64,
}

impl Faults {
    /// Counts a panic at `now`; answers whether it is the one too many.
    pub fn record(&self, now: Instant, limit: FaultLimit) -> bool {
        self.total.fetch_add(1, Ordering::Relaxed);
        if limit.count == 0 {
            return false;
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        while recent.front().is_some_and(|it| now.duration_since(*it) > limit.window) {
            recent.pop_front();
        }
        recent.push_back(now);
        let reached = recent.len() >= limit.count as usize;
        if reached {
            recent.clear();
        }
        reached
    }

    /// Panics since the process began.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_within_the_window_is_too_many() {
        let (faults, start) = (Faults::default(), Instant::now());
        let limit = FaultLimit { count: 3, window: Duration::from_secs(10) };
        let at = |seconds| faults.record(start + Duration::from_secs(seconds), limit);
        assert_eq!([at(0), at(5), at(11), at(12), at(13)], [false, false, false, true, false]);
        assert_eq!(faults.total(), 5);
    }

    #[test]
    fn a_count_of_zero_never_quarantines() {
        let limit = FaultLimit { count: 0, window: Duration::from_secs(10) };
        assert!(!Faults::default().record(Instant::now(), limit));
    }
}
