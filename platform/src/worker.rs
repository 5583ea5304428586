//! Runs what the queue holds: one dispatcher in each process that works.
//!
//! Data flows claim → gate → handler → outcome → finish. The dispatcher has a thread of its own, so that a handler that
//! blocks its thread keeps nobody from counting up; handlers run on threads of theirs. What ended is booked together
//! with the next claim, in one transaction. Nothing here decides what a job is, what may be claimed, or what becomes of
//! it: the queue does.

mod cancel;
mod crew;
mod dispatcher;
mod duties;
mod handler;
mod library;
mod listen;
mod lock;
mod meters;
mod prepare;
mod progress;
mod report;
mod runs;
mod settings;
mod wake;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
};

use self::{cancel::Canceller, dispatcher::Dispatcher};
pub use self::{
    cancel::{Cancel, Reason},
    crew::{Crew, Known},
    handler::{Handler, Options, Task},
    library::LibraryHandler,
    listen::Listening,
    lock::JobLock,
    meters::JobMeters,
    prepare::{Contribution, NewQueue, NewSchedule, PrepareError, prepare},
    progress::Progress,
    report::report,
    settings::WorkerSettings,
    wake::Wake,
};
use crate::{db::Engine, gate::Gate};

/// Says what time it is.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// What a worker works with.
#[derive(Clone)]
pub struct Workshop {
    /// The database.
    pub engine: Engine,
    /// The gates.
    pub gate: Arc<Gate>,
    /// The handlers that are registered here.
    pub crew: Arc<Crew>,
    /// What time it is.
    pub clock: Clock,
    /// Rung when there may be something to do.
    pub wake: Wake,
    /// Counts what ended.
    pub meters: JobMeters,
    /// The file of the job lock.
    pub lock: PathBuf,
}

/// A dispatcher at work, with the threads of its handlers.
///
/// Dropped without [`Worker::stop`], it ends as a process that was killed does: others rescue its jobs.
#[derive(Debug)]
pub struct Worker {
    stop: watch::Sender<Stop>,
    turns: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
    handlers: Option<Runtime>,
}

/// How a dispatcher is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Not at all yet.
    No,
    /// What runs may end within the grace, what does not is given back.
    Gracefully,
    /// At once, and nothing is booked.
    AtOnce,
}

impl Worker {
    /// Begins to work; until the job lock is free it claims nothing, and rescues nothing.
    ///
    /// # Errors
    ///
    /// The system's, where it starts no threads.
    pub fn start(workshop: Workshop, settings: WorkerSettings) -> io::Result<Self> {
        let handlers = Builder::new_multi_thread()
            .worker_threads(settings.threads())
            .thread_name("powernode-jobs")
            .enable_all()
            .build()?;
        let own = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(Stop::No);
        let turns = Arc::<AtomicU64>::default();
        let dispatcher =
            Dispatcher::new(workshop, settings, handlers.handle().clone(), turns.clone());
        let dispatch = move || {
            own.block_on(dispatcher.work(stopped));
            own.shutdown_timeout(Duration::from_millis(100));
        };
        let thread = thread::Builder::new().name("powernode-work".into()).spawn(dispatch)?;
        Ok(Self { stop, turns, thread: Some(thread), handlers: Some(handlers) })
    }

    /// What tells it to stop, for whoever hears of that first.
    pub fn stopper(&self) -> impl Fn() + Send + 'static {
        let stop = self.stop.clone();
        move || {
            stop.send_replace(Stop::Gracefully);
        }
    }

    /// How often the dispatcher found something to do, or looked whether there is something.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Ends: nothing more is claimed, what runs is told and has the grace to end, and what does not is given back; its
    /// attempt does not count.
    ///
    /// This blocks for the grace at most, and for the database.
    pub fn stop(mut self) {
        self.end(Stop::Gracefully);
    }

    fn end(&mut self, how: Stop) {
        self.stop.send_replace(how);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("The dispatcher of jobs panicked");
        }
        // A handler that blocks its thread is not waited for.
        if let Some(handlers) = self.handlers.take() {
            handlers.shutdown_background();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end(Stop::AtOnce);
        }
    }
}

impl std::fmt::Debug for Workshop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workshop").field("crew", &self.crew).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
