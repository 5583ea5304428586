//! Queues: whose they are, whether they are paused, how many of their jobs may run, how many wait.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, Text},
};
use powernode_plugin_api::db::HostConnection;
use schemars::JsonSchema;
use serde::Serialize;

use super::{claim::count, millis, moment, span};
use crate::db::Sql;

/// How many jobs of a queue run at once on one node, where nobody says; the table's default too.
const DEFAULT_PER_NODE: u32 = 5;
/// How far jobs of one state in one queue are counted.
pub const MOST_COUNTED: u32 = 10_000;

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Queue {
    /// `<slug>`, or `<slug>:<name>`.
    pub name: String,
    /// Whose it is.
    pub extension: String,
    /// Since when nothing is taken from it.
    pub paused_at: Option<DateTime<Utc>>,
    /// How many of its jobs run at once on one node.
    pub max_per_node: u32,
    /// How many on all nodes together, where that is bounded.
    pub max_global: Option<u32>,
    /// How long a job is kept that ended well, or was cancelled.
    #[serde(skip)]
    pub retain_done: Duration,
    /// How long a dead job is kept.
    #[serde(skip)]
    pub retain_dead: Duration,
}

/// What an operator sets of a queue; what is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How many of its jobs run at once on one node.
    pub max_per_node: Option<u32>,
    /// How many on all nodes together; `Some(None)` takes the bound away.
    pub max_global: Option<Option<u32>>,
    /// How long a job is kept that ended well, or was cancelled, from now on.
    pub retain_done: Option<Duration>,
    /// How long a job is kept that dies from now on.
    pub retain_dead: Option<Duration>,
}

/// How much waits in a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    /// The queue.
    pub queue: String,
    /// Jobs that wait for their time; this and the others up to [`MOST_COUNTED`], which means that many or more.
    pub scheduled: u32,
    /// Jobs that wait for a node.
    pub ready: u32,
    /// Jobs that run.
    pub running: u32,
    /// Jobs that wait for others with the same serial key.
    pub blocked: u32,
    /// Dead jobs.
    pub dead: u32,
    /// How long the one waits that is due longest and still ready, in milliseconds.
    pub latency_ms: Option<u64>,
}

/// Makes sure that extension `slug` has its queue, and those that `names` call `<slug>:<name>`: for its registration.
///
/// # Errors
///
/// The database's.
pub fn ensure(conn: &mut HostConnection, slug: &str, names: &[&str]) -> QueryResult<()> {
    const ENSURE: &str =
        "INSERT INTO core_queues (name, extension) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let own = std::iter::once(slug.to_owned());
    for queue in own.chain(names.iter().map(|name| format!("{slug}:{name}"))) {
        Sql::<()>::both(ENSURE).text(queue).text(slug).execute(conn)?;
    }
    Ok(())
}

/// How many jobs of a queue run at once, as its extension wants it: until an operator says otherwise.
///
/// # Errors
///
/// The database's.
pub fn suggest(
    conn: &mut HostConnection,
    queue: &str,
    per_node: Option<u32>,
    global: Option<u32>,
) -> QueryResult<()> {
    const SUGGEST: &str = "UPDATE core_queues SET max_per_node = $2, max_global = $3 \
        WHERE name = $1 AND chosen = 0 AND (max_per_node <> $2 OR coalesce(max_global, -1) <> coalesce($3, -1))";
    let per_node = per_node.unwrap_or(DEFAULT_PER_NODE);
    Sql::<()>::both(SUGGEST)
        .text(queue)
        .number(i64::from(per_node))
        .number(global.map(i64::from))
        .execute(conn)
        .map(drop)
}

/// Pauses a queue on all nodes: when this is committed, no job of its begins, and those that run go on. Answers whether
/// there is such a queue.
///
/// # Errors
///
/// The database's.
pub fn pause(conn: &mut HostConnection, queue: &str, now: DateTime<Utc>) -> QueryResult<bool> {
    const PAUSE: &str =
        "UPDATE core_queues SET paused_at = coalesce(paused_at, $2) WHERE name = $1";
    Ok(Sql::<()>::both(PAUSE).text(queue).number(millis(now)).execute(conn)? > 0)
}

/// Lets a queue go on. Answers whether there is such a queue.
///
/// # Errors
///
/// The database's.
pub fn resume(conn: &mut HostConnection, queue: &str) -> QueryResult<bool> {
    const RESUME: &str = "UPDATE core_queues SET paused_at = NULL WHERE name = $1";
    Ok(Sql::<()>::both(RESUME).text(queue).execute(conn)? > 0)
}

/// Sets what `limits` name. Answers whether there is such a queue.
///
/// # Errors
///
/// The database's.
pub fn set_limits(conn: &mut HostConnection, queue: &str, limits: Limits) -> QueryResult<bool> {
    const SET: &str = "UPDATE core_queues SET max_per_node = coalesce($2, max_per_node), \
        max_global = CASE WHEN $3 = 1 THEN $4 ELSE max_global END, \
        chosen = CASE WHEN $2 IS NOT NULL OR $3 = 1 THEN 1 ELSE chosen END, \
        retain_done_ms = coalesce($5, retain_done_ms), retain_dead_ms = coalesce($6, retain_dead_ms) \
        WHERE name = $1";
    let touched = Sql::<()>::both(SET)
        .text(queue)
        .number(limits.max_per_node.map(i64::from))
        .number(i64::from(limits.max_global.is_some()))
        .number(limits.max_global.flatten().map(i64::from))
        .number(limits.retain_done.map(span))
        .number(limits.retain_dead.map(span))
        .execute(conn)?;
    Ok(touched > 0)
}

/// All queues, by their names.
///
/// # Errors
///
/// The database's.
pub fn queues(conn: &mut HostConnection) -> QueryResult<Vec<Queue>> {
    const ALL: &str = "SELECT name, extension, paused_at, max_per_node, max_global, retain_done_ms, \
        retain_dead_ms FROM core_queues ORDER BY name";
    type Row = (String, String, Option<i64>, i64, Option<i64>, i64, i64);
    let retain = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let queue = |(name, extension, paused_at, per_node, global, done, dead): Row| Queue {
        name,
        extension,
        paused_at: paused_at.map(moment),
        max_per_node: count(per_node),
        max_global: global.map(count),
        retain_done: retain(done),
        retain_dead: retain(dead),
    };
    type Types = (Text, Text, Nullable<BigInt>, BigInt, Nullable<BigInt>, BigInt, BigInt);
    Ok(Sql::<Types>::both(ALL).load::<Row>(conn)?.into_iter().map(queue).collect())
}

/// How many of each state: a search in an index, and never further than `$1`. How long the first of each priority is
/// due: a search for each.
pub(super) const SIZES: &str = "SELECT q.name, \
    (SELECT count(*) FROM (SELECT 1 FROM core_jobs WHERE state = 1 AND deaths = 0 AND queue = q.name LIMIT $1) c), \
    (SELECT count(*) FROM (SELECT 1 FROM core_jobs WHERE state = 1 AND deaths > 0 AND queue = q.name LIMIT $1) c), \
    (SELECT count(*) FROM (SELECT 1 FROM core_jobs WHERE state = 2 AND queue = q.name LIMIT $1) c), \
    (SELECT count(*) FROM (SELECT 1 FROM core_jobs WHERE state >= 4 AND state = 5 AND queue = q.name LIMIT $1) c) \
    FROM core_queues q ORDER BY q.name";

/// What waits for its time or its turn, of all queues together: the indexes lead by time and by key.
pub(super) const WAITING: &str = "SELECT queue, state, count(*) FROM (\
    SELECT * FROM (SELECT queue, state FROM core_jobs WHERE state = 0 ORDER BY run_at LIMIT $1) s UNION ALL \
    SELECT * FROM (SELECT queue, state FROM core_jobs WHERE state = 3 ORDER BY serial_key, id LIMIT $1) b) w \
    GROUP BY queue, state";

/// The handlers that something waits for, by jumping from one to the next in the index, and for each the job that is
/// due longest of each priority.
pub(super) const LATENCY: &str = "WITH RECURSIVE k (queue, handler) AS (\
    SELECT * FROM (SELECT queue, handler FROM core_jobs WHERE state = 1 AND deaths = 0 \
    ORDER BY queue, handler LIMIT 1) AS first \
    UNION ALL SELECT (SELECT queue FROM core_jobs WHERE state = 1 AND deaths = 0 \
    AND (queue, handler) > (k.queue, k.handler) ORDER BY queue, handler LIMIT 1), \
    (SELECT handler FROM core_jobs WHERE state = 1 AND deaths = 0 \
    AND (queue, handler) > (k.queue, k.handler) ORDER BY queue, handler LIMIT 1) FROM k WHERE k.queue IS NOT NULL), \
    p (n) AS (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) \
    SELECT k.queue, min((SELECT run_at FROM core_jobs WHERE state = 1 AND deaths = 0 AND queue = k.queue \
    AND handler = k.handler AND priority = p.n ORDER BY run_at LIMIT 1)) \
    FROM k CROSS JOIN p WHERE k.queue IS NOT NULL GROUP BY k.queue";

/// How much waits in each queue, and how long.
///
/// It costs a search or a bounded count for each queue, however much there is.
///
/// # Errors
///
/// The database's.
pub fn sizes(conn: &mut HostConnection, now: DateTime<Utc>) -> QueryResult<Vec<Size>> {
    let most = i64::from(MOST_COUNTED);
    let counted =
        Sql::<(Text, BigInt, BigInt, BigInt, BigInt)>::both(SIZES).number(most).load::<(
            String,
            i64,
            i64,
            i64,
            i64,
        )>(conn)?;
    let mut sizes: Vec<Size> = counted
        .into_iter()
        .map(|(queue, ready, suspect, running, dead)| Size {
            queue,
            scheduled: 0,
            ready: count(ready.saturating_add(suspect).min(most)),
            running: count(running),
            blocked: 0,
            dead: count(dead),
            latency_ms: None,
        })
        .collect();
    let waiting = Sql::<(Text, BigInt, BigInt)>::both(WAITING)
        .number(most)
        .load::<(String, i64, i64)>(conn)?;
    for (queue, state, waits) in waiting {
        let Some(size) = sizes.iter_mut().find(|it| it.queue == queue) else { continue };
        match state {
            0 => size.scheduled = count(waits),
            _ => size.blocked = count(waits),
        }
    }
    let latency =
        Sql::<(Text, Nullable<BigInt>)>::both(LATENCY).load::<(String, Option<i64>)>(conn)?;
    for (queue, due) in latency {
        let Some(size) = sizes.iter_mut().find(|it| it.queue == queue) else { continue };
        size.latency_ms =
            due.map(|due| u64::try_from(millis(now).saturating_sub(due)).unwrap_or(0));
    }
    Ok(sizes)
}
