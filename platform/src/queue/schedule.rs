//! Schedules: each tick once, whatever the number of nodes.
//!
//! When a schedule ticks is worked out elsewhere; here the tick is taken, and its jobs are written with it.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, Text},
};
use powernode_plugin_api::db::HostConnection;
use serde::{Deserialize, Serialize};

use super::{NewJob, QueueError, Unique, claim::count, enqueue, millis, moment};
use crate::db::{Sql, json};

/// What becomes of ticks that nobody took in time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// Nothing.
    Skip,
    /// One run for all of them.
    #[default]
    Once,
    /// A run for each.
    All,
}

impl Missed {
    fn word(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Once => "once",
            Self::All => "all",
        }
    }
}

/// A schedule of an extension's, or of the core's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Schedule {
    /// Its name, unique among all: `<slug>/<name>`.
    pub name: String,
    /// Whose it is.
    pub extension: String,
    /// When it ticks.
    pub expression: String,
    /// The IANA zone that this is meant in.
    pub zone: String,
    /// What each tick writes.
    pub job: NewJob,
    /// What becomes of ticks that nobody took in time.
    pub missed: Missed,
    /// When it ticks next.
    pub next_at: DateTime<Utc>,
    /// The last tick that was taken.
    pub last_at: Option<DateTime<Utc>>,
    /// How many ticks came while the extension was off.
    pub skipped: u32,
    /// Since when its extension no longer names it.
    pub vanished_at: Option<DateTime<Utc>>,
}

/// What [`sync`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// Schedules that were not there, or came back.
    pub added: Vec<String>,
    /// Schedules that tick at other times now.
    pub changed: Vec<String>,
    /// Schedules that the extension no longer names: they are kept, and tick no more.
    pub vanished: Vec<String>,
}

/// A tick that a node takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The schedule's name.
    pub schedule: String,
    /// Its `next_at`, as it was seen.
    pub seen: DateTime<Utc>,
    /// Its `next_at` from now on.
    pub next_at: DateTime<Utc>,
    /// The ticks that a job is written for.
    pub runs: Vec<DateTime<Utc>>,
    /// How many more are only counted, as where the extension is off.
    pub skipped: u32,
}

type Types =
    (Text, Text, Text, Text, Text, Text, BigInt, Nullable<BigInt>, BigInt, Nullable<BigInt>);
type Row = (String, String, String, String, String, String, i64, Option<i64>, i64, Option<i64>);

/// All schedules, by their names; one whose job cannot be read is left out.
///
/// # Errors
///
/// The database's.
pub fn schedules(conn: &mut HostConnection) -> QueryResult<Vec<Schedule>> {
    const ALL: &str = "SELECT name, extension, expression, zone, job, missed, next_at, last_at, skipped, \
        vanished_at FROM core_schedules ORDER BY name";
    let rows = Sql::<Types>::both(ALL).load::<Row>(conn)?;
    Ok(rows.into_iter().filter_map(schedule).collect())
}

fn schedule(row: Row) -> Option<Schedule> {
    let (name, extension, expression, zone, job, missed, next_at, last_at, skipped, vanished_at) =
        row;
    let missed =
        [Missed::Skip, Missed::Once, Missed::All].into_iter().find(|it| it.word() == missed)?;
    Some(Schedule {
        name,
        extension,
        expression,
        zone,
        job: serde_json::from_str(&job).ok()?,
        missed,
        next_at: moment(next_at),
        last_at: last_at.map(moment),
        skipped: count(skipped),
        vanished_at: vanished_at.map(moment),
    })
}

/// Makes the schedules of `extension` those that it names. A new one, one that came back, and one whose expression or
/// zone is another get their `next_at`; all others keep theirs. Call it in a transaction.
///
/// # Errors
///
/// The database's.
pub fn sync(
    conn: &mut HostConnection,
    extension: &str,
    named: &[Schedule],
    now: DateTime<Utc>,
) -> QueryResult<Synced> {
    const PUT: &str = "INSERT INTO core_schedules (name, extension, expression, zone, job, missed, next_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO UPDATE SET extension = excluded.extension, \
        next_at = CASE WHEN core_schedules.vanished_at IS NOT NULL \
        OR core_schedules.expression <> excluded.expression OR core_schedules.zone <> excluded.zone \
        THEN excluded.next_at ELSE core_schedules.next_at END, \
        expression = excluded.expression, zone = excluded.zone, job = excluded.job, missed = excluded.missed, \
        vanished_at = NULL";
    const VANISH: &str =
        "UPDATE core_schedules SET vanished_at = $2 WHERE name = $1 AND vanished_at IS NULL";
    let mut synced = Synced::default();
    let known = schedules(conn)?;
    for it in named {
        match known.iter().find(|known| known.name == it.name) {
            Some(known) if known.vanished_at.is_none() => {
                if (&known.expression, &known.zone) != (&it.expression, &it.zone) {
                    synced.changed.push(it.name.clone());
                }
            }
            _ => synced.added.push(it.name.clone()),
        }
        Sql::<()>::both(PUT)
            .text(it.name.as_str())
            .text(extension)
            .text(it.expression.as_str())
            .text(it.zone.as_str())
            .text(json(&it.job)?)
            .text(it.missed.word())
            .number(millis(it.next_at))
            .execute(conn)?;
    }
    let gone = known.into_iter().filter(|known| {
        known.extension == extension && !named.iter().any(|it| it.name == known.name)
    });
    for known in gone {
        if Sql::<()>::both(VANISH).text(known.name.as_str()).number(millis(now)).execute(conn)? > 0
        {
            synced.vanished.push(known.name);
        }
    }
    Ok(synced)
}

const TAKE: &str = "UPDATE core_schedules SET next_at = $3, \
    last_at = CASE WHEN $4 = 1 THEN $2 ELSE last_at END, skipped = skipped + $5 \
    WHERE name = $1 AND next_at = $2 AND vanished_at IS NULL RETURNING extension, job, missed";

/// Takes a tick, if no other node did, and writes its jobs. Answers whether it was taken. Call it in a transaction.
///
/// Unless each missed tick has its run, one job of the schedule waits at a time: what ticks while its queue is paused
/// does not pile up.
///
/// # Errors
///
/// As [`enqueue`](super::enqueue()).
pub fn tick(
    conn: &mut HostConnection,
    tick: &Tick,
    now: DateTime<Utc>,
) -> Result<bool, QueueError> {
    let taken = Sql::<(Text, Text, Text)>::both(TAKE)
        .text(tick.schedule.as_str())
        .number(millis(tick.seen))
        .number(millis(tick.next_at))
        .number(i64::from(!tick.runs.is_empty()))
        .number(i64::from(tick.skipped))
        .get_result::<(String, String, String)>(conn)
        .optional()?;
    let Some((extension, job, missed)) = taken else { return Ok(false) };
    let job: NewJob = serde_json::from_str(&job)
        .map_err(|error| diesel::result::Error::DeserializationError(error.into()))?;
    let run = |moment: &DateTime<Utc>| {
        let unique = job.unique.clone().or_else(|| {
            (missed != Missed::All.word())
                .then(|| Unique::UntilStart(format!("schedule:{}", tick.schedule)))
        });
        let meta = serde_json::json!({"schedule": tick.schedule, "tick": moment}).to_string();
        NewJob { unique, run_at: None, meta: Some(meta), ..job.clone() }
    };
    let jobs: Vec<NewJob> = tick.runs.iter().map(run).collect();
    enqueue(conn, &extension, &jobs, now)?;
    Ok(true)
}
