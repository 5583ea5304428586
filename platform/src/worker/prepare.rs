//! What an extension contributes to the queue, written down at its registration.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use powernode_plugin_api::Db;

use crate::{
    events::{self, NewSubscription},
    queue::{BadTimes, Missed, NewJob, QueueError, Schedule, Synced, Times, ensure, suggest, sync},
};

/// An extension's queues and schedules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contribution {
    /// Whose they are.
    pub slug: String,
    /// Its queues; its own is there also where it is not among them.
    pub queues: Vec<NewQueue>,
    /// Its schedules, all of them: those that it named before and are not here are kept, and tick no more.
    pub schedules: Vec<NewSchedule>,
    /// What it hears, all of it: what it heard before and does not name here is kept, and hears no more.
    pub subscriptions: Vec<NewSubscription>,
}

/// A queue as an extension names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewQueue {
    /// `mail` of `shop:mail`; none: the extension's own queue.
    pub name: Option<String>,
    /// How many of its jobs run at once on one node, until an operator says otherwise.
    pub per_node: Option<u32>,
    /// How many on all nodes together.
    pub global: Option<u32>,
}

/// A schedule as an extension names it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSchedule {
    /// Its name within the extension.
    pub name: String,
    /// Five fields of cron, or `every 5m`.
    pub expression: String,
    /// The IANA zone that this is meant in.
    pub zone: String,
    /// What each tick writes.
    pub job: NewJob,
    /// What becomes of ticks that nobody took in time.
    pub missed: Missed,
}

/// Why a contribution cannot be.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// When a schedule ticks cannot be read.
    #[error("schedule `{slug}/{name}`")]
    Times {
        /// Whose it is.
        slug: String,
        /// Its name.
        name: String,
        /// What is wrong.
        source: BadTimes,
    },
    /// Two schedules of one name.
    #[error("schedule `{slug}/{name}` is named twice: give one of them another name")]
    Twice {
        /// Whose they are.
        slug: String,
        /// Their name.
        name: String,
    },
    /// The database did not take them.
    #[error("cannot write the queues and schedules of `{slug}`")]
    Queue {
        /// Whose they are.
        slug: String,
        /// Why.
        source: QueueError,
    },
}

impl Contribution {
    /// Its schedules with their next ticks after `now`.
    ///
    /// # Errors
    ///
    /// [`PrepareError`]; nothing was written.
    fn timed(&self, now: DateTime<Utc>) -> Result<Vec<Schedule>, PrepareError> {
        let mut names = BTreeSet::new();
        let timed = |it: &NewSchedule| {
            let (slug, name) = (self.slug.clone(), it.name.clone());
            if !names.insert(it.name.clone()) {
                return Err(PrepareError::Twice { slug, name });
            }
            let times = Times::parse(&it.expression, &it.zone)
                .map_err(|source| PrepareError::Times { slug: slug.clone(), name, source })?;
            Ok(Schedule {
                name: format!("{slug}/{}", it.name),
                extension: slug,
                expression: it.expression.clone(),
                zone: it.zone.clone(),
                job: it.job.clone(),
                missed: it.missed,
                next_at: times.next(now).unwrap_or(DateTime::<Utc>::MAX_UTC),
                last_at: None,
                skipped: 0,
                vanished_at: None,
            })
        };
        self.schedules.iter().map(timed).collect()
    }
}

/// Writes down what one extension contributes: its queues are there from now on, and its schedules tick.
///
/// # Errors
///
/// [`PrepareError`]; nothing of this extension was written.
pub async fn prepare(
    core: &Db,
    contribution: Contribution,
    now: DateTime<Utc>,
) -> Result<Synced, PrepareError> {
    let schedules = contribution.timed(now)?;
    let Contribution { slug, queues, subscriptions, .. } = contribution;
    let whose = slug.clone();
    let written = core.transaction(move |conn| {
        let names: Vec<&str> = queues.iter().filter_map(|it| it.name.as_deref()).collect();
        ensure(conn, &slug, &names)?;
        for NewQueue { name, per_node, global } in &queues {
            let queue = name.as_ref().map_or_else(|| slug.clone(), |it| format!("{slug}:{it}"));
            suggest(conn, &queue, *per_node, *global)?;
        }
        let gone = events::sync(conn, &slug, &subscriptions, now)?;
        Ok::<_, QueueError>((sync(conn, &slug, &schedules, now)?, gone))
    });
    let written = written.await;
    let (synced, gone) =
        written.map_err(|source| PrepareError::Queue { slug: whose.clone(), source })?;
    for handler in gone {
        tracing::warn!(
            "The subscription `{handler}` is gone from `{whose}`: it is kept, and hears no more"
        );
    }
    for name in &synced.vanished {
        tracing::warn!(
            "The schedule `{name}` is gone from its extension: it is kept, and ticks no more"
        );
    }
    Ok(synced)
}
