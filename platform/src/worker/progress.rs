//! Where a run is, for who watches.

use std::sync::{Arc, Mutex, PoisonError};

/// Takes what a run says of itself; the last is written within a second, so that saying it often costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<Option<String>>>);

impl Progress {
    /// Says it, as JSON text of 16 KiB at most; what is longer is dropped, and the log says so.
    pub fn set(&self, json: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(json.into());
    }

    /// What was said since this was asked last.
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
