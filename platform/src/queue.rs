//! Jobs: written in the transaction of what they belong to, claimed by nodes, finished once.
//!
//! Data in and data out: nothing here runs a handler, and whoever calls says what time it is. A job whose extension is
//! off, paused or absent, or whose handler nobody here knows, is not claimed, and so waits as it is. What runs is
//! told from all other runs by its [`Fence`]: a run that was given up by a rescue can finish nothing.
//!
//! Every function takes a connection of the core's; those that claim, finish or rescue must be called in a transaction,
//! and may share one.

mod backoff;
mod bulk;
mod claim;
mod enqueue;
mod finish;
mod job;
mod list;
mod node;
mod open;
mod operate;
mod prune;
mod queues;
mod rescue;
mod schedule;
mod stage;
mod times;

pub use self::{
    backoff::retry_delay,
    bulk::{cancel, discard, retry},
    claim::{Claimed, Fence, Want, claim},
    enqueue::{enqueue, serve},
    finish::{Ended, Finish, Outcome, finish, progress},
    job::{BadJob, DEFAULT_ATTEMPTS, DEFAULT_PRIORITY, NewJob, State, Unique},
    list::{Filter, Job, find, list},
    node::{Beat, NewNode, Node, Watch, beat, join, leave, nodes},
    open::{Handlers, wants},
    operate::{
        Action, JobSeen, NewLimits, QueueSeen, ScheduleSeen, change, limit, run_now, see_job,
        see_jobs, see_nodes, see_queues, see_schedules, set_paused,
    },
    prune::prune,
    queues::{
        Limits, MOST_COUNTED, Queue, Size, ensure, pause, queues, resume, set_limits, sizes,
        suggest,
    },
    rescue::{Dead, MOST_DEATHS, give_back_strays, rescue, rescue_all},
    schedule::{Missed, Schedule, Synced, Tick, schedules, sync, tick},
    stage::{next_due, stage},
    times::{BadTimes, MOST_MISSED, Times},
};

/// Why a job was not written, or the database did not answer.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The job cannot be.
    #[error(transparent)]
    Job(#[from] BadJob),
    /// The database.
    #[error("the database of jobs did not answer")]
    Database(#[from] diesel::result::Error),
    /// The job's way to the database.
    #[error("the database of jobs could not be reached")]
    Run(#[from] powernode_plugin_api::db::RunError),
}

/// Milliseconds since 1970, as the tables hold moments.
fn millis(moment: chrono::DateTime<chrono::Utc>) -> i64 {
    moment.timestamp_millis()
}

/// The moment of what a table holds; one that no calendar has is 1970.
fn moment(millis: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

/// A span as the tables hold it.
fn span(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests;
