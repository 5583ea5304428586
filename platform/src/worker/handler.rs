//! What runs a job.

use std::{fmt, pin::Pin, time::Duration};

use super::{Cancel, Progress};
use crate::{
    gate::Pass,
    queue::{Claimed, Outcome},
};

/// Runs the jobs that name it.
///
/// A run ends when its future does. One that takes too long, whose job was lost, or whose grace is over is dropped, at
/// a point where it waits. One that panics, in the call or later, is an attempt that failed.
pub trait Handler: Send + Sync + 'static {
    /// Runs one job.
    fn run(&self, task: Task) -> Pin<Box<dyn Future<Output = Outcome> + Send>>;
}

/// A closure is one.
impl<F, R> Handler for F
where
    F: Fn(Task) -> R + Send + Sync + 'static,
    R: Future<Output = Outcome> + Send + 'static,
{
    fn run(&self, task: Task) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        Box::pin(self(task))
    }
}

/// How a handler wants to be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How long one attempt may take, where the job does not say; none: the setting `worker.timeout`.
    pub timeout: Option<Duration>,
}

/// One run of a job. Only the worker makes one, when the gates of the extension let it through.
pub struct Task {
    /// The job, with the fence of this run.
    pub job: Claimed,
    /// Proof that the gates were open; none for the core's own jobs.
    pub pass: Option<Pass>,
    /// Whether the run should end.
    pub cancel: Cancel,
    /// Where the run is, for who watches.
    pub progress: Progress,
    /// How long it may take.
    pub timeout: Duration,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("job", &self.job).finish_non_exhaustive()
    }
}
