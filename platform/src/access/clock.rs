//! The time, as it is or as a test sets it.

use std::{fmt, sync::Arc, time::Instant};

use chrono::{DateTime, Utc};

/// Tells the time of day, and the time that passes: the system's, or what a function says.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<Read>>);

type Read = dyn Fn() -> (DateTime<Utc>, Instant) + Send + Sync;

impl Clock {
    /// A clock that asks `read` for both.
    pub fn new(read: impl Fn() -> (DateTime<Utc>, Instant) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(read)))
    }

    /// The time of day.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.as_ref().map_or_else(Utc::now, |read| read().0)
    }

    /// What this clock says when the system's says `now`.
    pub fn at(&self, now: Instant) -> Instant {
        self.0.as_ref().map_or(now, |read| read().1)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
