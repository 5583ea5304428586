//! What an operator may choose about running jobs.

use std::time::Duration;

/// How a worker works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSettings {
    /// How many jobs run at once in this process, whatever their queues.
    pub concurrency: u32,
    /// How long one attempt may take, where neither the job nor its handler says.
    pub timeout: Duration,
    /// How long what runs may take to end when the worker stops.
    pub grace: Duration,
    /// How long events are kept.
    pub keep_events: Duration,
    /// How long after a process died, on PostgreSQL, its jobs run elsewhere at the latest.
    pub rescue_after: Duration,
    /// How long something may go unnoticed that nobody told of.
    pub poll: Duration,
    /// The machine's name, for people.
    pub host: String,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            concurrency: 64,
            timeout: Duration::from_secs(1_800),
            grace: Duration::from_secs(25),
            keep_events: Duration::from_secs(30 * 86_400),
            rescue_after: Duration::from_secs(20),
            poll: Duration::from_secs(1),
            host: "localhost".to_owned(),
        }
    }
}

impl WorkerSettings {
    /// How many threads handlers run on: they wait more than they reckon.
    pub(super) fn threads(&self) -> usize {
        std::thread::available_parallelism().map_or(2, usize::from).max(2)
    }

    /// How often a node counts up, and looks whether the others do.
    pub(super) fn beat(&self) -> Duration {
        (self.rescue_after / 10).clamp(Duration::from_millis(50), Duration::from_secs(5))
    }

    /// How long another may not count up: with a beat before and a look after it is no longer than a rescue may take.
    pub(super) fn patience(&self) -> Duration {
        self.rescue_after * 7 / 10
    }
}
