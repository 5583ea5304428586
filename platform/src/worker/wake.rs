//! Something may be there to do.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// A bell that wakes this process's dispatcher: rung after a commit that wrote jobs, or changed what may run.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Bell>);

#[derive(Debug, Default)]
struct Bell {
    here: Notify,
    /// Whether other nodes are to be told.
    elsewhere: AtomicBool,
}

impl Wake {
    /// Wakes the dispatcher, once however often this is called until it wakes; other nodes are told soon.
    pub fn ring(&self) {
        self.0.elsewhere.store(true, Ordering::Release);
        self.0.here.notify_one();
    }

    /// Wakes the dispatcher of this process alone.
    pub(super) fn ring_here(&self) {
        self.0.here.notify_one();
    }

    /// Waits until somebody rings, or rang since the last time.
    pub(super) async fn rung(&self) {
        self.0.here.notified().await;
    }

    /// Whether others are to be told, since this was asked last.
    pub(super) fn take_elsewhere(&self) -> bool {
        self.0.elsewhere.swap(false, Ordering::AcqRel)
    }
}
