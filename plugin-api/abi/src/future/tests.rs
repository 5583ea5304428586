use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use super::*;

struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[track_caller]
fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[test]
fn a_value_arrives() {
    assert_eq!(poll_once(&mut PFuture::ready(7)), Poll::Ready(Ok(7)));
}

#[test]
fn a_panic_keeps_its_text() {
    let mut future = PFuture::<u8>::new(async { panic!("no {}", 7) });
    assert_eq!(poll_once(&mut future), Poll::Ready(Err(PollPanicked("no 7".into()))));
}

#[test]
fn a_poll_after_the_end_is_an_error() {
    let mut future = PFuture::ready(7);
    assert!(poll_once(&mut future).is_ready());
    assert!(matches!(poll_once(&mut future), Poll::Ready(Err(PollPanicked(_)))));
}

#[test]
fn a_panic_in_drop_stays_inside() {
    drop(LocalPFuture::<()>::new(async {
        let _bomb = Bomb;
        std::future::pending::<()>().await;
    }));
    let mut polled = LocalPFuture::<()>::new(async {
        let _bomb = Bomb;
        std::future::pending::<()>().await;
    });
    assert!(poll_once(&mut polled).is_pending());
    drop(polled);
}

#[test]
fn a_payload_that_panics_is_survived() {
    let mut future = PFuture::<u8>::new(async { std::panic::panic_any(Bomb) });
    assert_eq!(
        poll_once(&mut future),
        Poll::Ready(Err(PollPanicked("a panic without text".into())))
    );
}

#[test]
fn clones_of_the_waker_reach_its_maker() {
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    let waker = Waker::from(counter.clone());
    let kept = Arc::new(std::sync::Mutex::new(Vec::new()));
    let store = kept.clone();
    let mut future = PFuture::<()>::new(poll_fn(move |context| {
        context.waker().wake_by_ref();
        store.lock().unwrap().push(context.waker().clone());
        Poll::Pending
    }));
    assert!(pin!(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
    let clone = kept.lock().unwrap().pop().unwrap();
    let second = clone.clone();
    second.wake_by_ref();
    second.wake();
    drop(clone);
    assert_eq!(counter.0.load(Ordering::SeqCst), 3);
    drop(future);
    drop(waker);
    assert_eq!(Arc::strong_count(&counter), 1);
}
