//! Taking jobs: the open queues' heads, each queue in turn, fenced.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Bool, Nullable, Text},
};
use powernode_plugin_api::db::{Dialect, HostConnection};
use serde::Serialize;

use super::{millis, moment};
use crate::db::{Sql, Twin, json};

/// Most jobs of one claim: together they are less than one answer may hold.
const MOST: usize = 128;

/// A queue that is open on this node: which handlers run its jobs, and how many may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The queue's name.
    pub queue: String,
    /// The handlers that are registered here; jobs for others are passed over.
    pub handlers: Vec<String>,
    /// How many may begin now.
    pub slots: u32,
}

/// What tells one run of a job from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The job's number.
    pub id: i64,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// How often the job was claimed: it is never counted down.
    pub token: i64,
}

/// A job in a node's hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Which run of it this is.
    pub fence: Fence,
    /// The queue.
    pub queue: String,
    /// Whose it is; `core` for the platform's own.
    pub extension: String,
    /// The handler's name.
    pub handler: String,
    /// JSON text.
    pub args: String,
    /// How often it is tried, the first time included.
    pub max_attempts: u32,
    /// How long this attempt may take.
    pub timeout: Option<Duration>,
    /// What went wrong before: JSON, the last ten.
    pub errors: Option<String>,
    /// What came with it.
    pub meta: Option<String>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was due.
    pub run_at: DateTime<Utc>,
}

impl Claimed {
    /// The same for all runs of this job, and for no other job: a restored database counts on from a lower number.
    pub fn idempotency_key(&self) -> String {
        format!("job:{}:{}", self.fence.id, millis(self.created_at))
    }
}

/// Takes up to `most` jobs, and never more than 128, for `node` out of the queues that are open to it.
///
/// Within a queue the lower priority goes first, then the longer due; among queues each has its turn, so that a flood
/// in one does not keep the others waiting. A job whose process died while it ran is a suspect, and runs when no other
/// suspect runs here: so the one that kills is found, and those beside it are not blamed.
///
/// Call it in a transaction. A queue that was paused before the transaction ends is not claimed from: who paused it
/// waits for this, so that after the pause was acknowledged nothing more begins.
///
/// # Errors
///
/// The database's.
pub fn claim(
    conn: &mut HostConnection,
    node: &str,
    wants: &[Want],
    most: usize,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Claimed>> {
    let most = most.min(MOST);
    let wants: Vec<&Want> =
        wants.iter().filter(|it| it.slots > 0 && !it.handlers.is_empty()).collect();
    if wants.is_empty() || most == 0 {
        return Ok(Vec::new());
    }
    let mut candidates = heads(conn, &wants, most)?;
    candidates.extend(suspect(conn, node, &wants)?);
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let mut slots: BTreeMap<&str, u32> = BTreeMap::new();
    for want in &wants {
        slots.insert(&want.queue, want.slots);
    }
    let queues: BTreeSet<&str> = candidates.iter().map(|it| it.queue.as_str()).collect();
    for (queue, left) in limits(conn, &queues)? {
        if let Some(slots) = slots.get_mut(queue.as_str()) {
            *slots = left.map_or(*slots, |left| left.min(*slots));
        }
    }
    let chosen = choose(candidates, &slots, most);
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    take(conn, node, &chosen, now)
}

/// A job that could be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    id: i64,
    queue: String,
    priority: i64,
    run_at: i64,
}

type Head = (i64, String, i64, i64);

fn candidate((id, queue, priority, run_at): Head) -> Candidate {
    Candidate { id, queue, priority, run_at }
}

/// Which of `candidates` begin: round by round, in each round the next of every queue.
fn choose(mut candidates: Vec<Candidate>, slots: &BTreeMap<&str, u32>, most: usize) -> Vec<i64> {
    let order = |it: &Candidate| (it.priority, it.run_at, it.id);
    candidates.sort_by_key(order);
    let mut rounds: BTreeMap<String, u32> = BTreeMap::new();
    let mut ranked: Vec<(u32, Candidate)> = Vec::new();
    for candidate in candidates {
        let round = rounds.entry(candidate.queue.clone()).or_default();
        if *round < slots.get(candidate.queue.as_str()).copied().unwrap_or(0) {
            ranked.push((*round, candidate));
            *round += 1;
        }
    }
    ranked.sort_by_key(|(round, it)| (*round, order(it)));
    ranked.into_iter().take(most).map(|(_, it)| it.id).collect()
}

/// A queue and one handler: the way to the head of its jobs is one search in an index, whatever else waits.
#[derive(Serialize)]
struct Pair<'w> {
    queue: &'w str,
    handler: &'w str,
    n: u32,
}

fn pairs<'w>(wants: &[&'w Want], most: usize) -> Vec<Pair<'w>> {
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let of = |want: &&'w Want| {
        let want: &'w Want = want;
        let n = want.slots.min(most);
        want.handlers.iter().map(move |handler| Pair { queue: &want.queue, handler, n })
    };
    wants.iter().flat_map(of).collect()
}

pub(super) const HEADS_SQLITE: &str = "SELECT id, queue, priority, run_at FROM core_jobs \
    WHERE state = 1 AND deaths = 0 AND queue = $1 AND handler = $2 ORDER BY priority, run_at, id LIMIT $3";

/// What is taken by another node is passed over.
pub(super) const HEADS_POSTGRES: &str = "SELECT j.id, j.queue, j.priority, j.run_at \
    FROM json_to_recordset($1::json) AS w (queue text, handler text, n bigint) CROSS JOIN LATERAL ( \
    SELECT id, core_jobs.queue, priority, run_at FROM core_jobs \
    WHERE state = 1 AND deaths = 0 AND core_jobs.queue = w.queue AND core_jobs.handler = w.handler \
    ORDER BY priority, run_at, id LIMIT w.n FOR NO KEY UPDATE SKIP LOCKED) j";

fn heads(conn: &mut HostConnection, wants: &[&Want], most: usize) -> QueryResult<Vec<Candidate>> {
    type Row = (BigInt, Text, BigInt, BigInt);
    let pairs = pairs(wants, most);
    let mut found = Vec::new();
    if conn.dialect() == Dialect::Postgres {
        let heads = Sql::<Row>::both(HEADS_POSTGRES).text(json(&pairs)?).load::<Head>(conn)?;
        found.extend(heads.into_iter().map(candidate));
        return Ok(found);
    }
    for pair in pairs {
        let heads = Sql::<Row>::both(HEADS_SQLITE)
            .text(pair.queue)
            .text(pair.handler)
            .number(i64::from(pair.n))
            .load::<Head>(conn)?;
        found.extend(heads.into_iter().map(candidate));
    }
    Ok(found)
}

pub(super) const SUSPECT: Twin = Twin {
    sqlite: "SELECT id, queue, priority, run_at FROM core_jobs WHERE state = 1 AND deaths > 0 \
        AND EXISTS (SELECT 1 FROM json_each($2) w \
        WHERE w.value ->> 'queue' = core_jobs.queue AND w.value ->> 'handler' = core_jobs.handler) \
        AND NOT EXISTS (SELECT 1 FROM core_jobs r WHERE r.state = 2 AND r.node_id = $1 AND r.deaths > 0) \
        ORDER BY priority, run_at, id LIMIT 1",
    postgres: "SELECT id, queue, priority, run_at FROM core_jobs WHERE state = 1 AND deaths > 0 \
        AND EXISTS (SELECT 1 FROM json_to_recordset($2::json) AS w (queue text, handler text) \
        WHERE w.queue = core_jobs.queue AND w.handler = core_jobs.handler) \
        AND NOT EXISTS (SELECT 1 FROM core_jobs r WHERE r.state = 2 AND r.node_id = $1 AND r.deaths > 0) \
        ORDER BY priority, run_at, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED",
};

/// The next suspect, where none runs on `node`.
fn suspect(
    conn: &mut HostConnection,
    node: &str,
    wants: &[&Want],
) -> QueryResult<Option<Candidate>> {
    const ANY: &str = "SELECT 1 FROM core_jobs WHERE state = 1 AND deaths > 0 LIMIT 1";
    // There hardly ever is one.
    if Sql::<diesel::sql_types::Integer>::both(ANY).load::<i32>(conn)?.is_empty() {
        return Ok(None);
    }
    let found = Sql::<(BigInt, Text, BigInt, BigInt)>::new(SUSPECT)
        .text(node)
        .text(json(&pairs(wants, 1))?)
        .get_result::<Head>(conn)
        .optional()?;
    Ok(found.map(candidate))
}

/// On PostgreSQL the queues are locked until the transaction ends: with others, who pauses one waits; alone where there
/// is a bound for all nodes together, so that what runs can be counted.
const LIMITS: [Twin; 2] = [
    Twin {
        sqlite: "SELECT name, paused_at IS NULL, max_global FROM core_queues \
            WHERE name IN (SELECT value FROM json_each($1)) AND max_global IS NULL",
        postgres: "SELECT name, paused_at IS NULL, max_global FROM core_queues \
            WHERE name = ANY(ARRAY(SELECT json_array_elements_text($1::json))) AND max_global IS NULL \
            ORDER BY name FOR SHARE",
    },
    Twin {
        sqlite: "SELECT name, paused_at IS NULL, max_global FROM core_queues \
            WHERE name IN (SELECT value FROM json_each($1)) AND max_global IS NOT NULL",
        postgres: "SELECT name, paused_at IS NULL, max_global FROM core_queues \
            WHERE name = ANY(ARRAY(SELECT json_array_elements_text($1::json))) AND max_global IS NOT NULL \
            ORDER BY name FOR NO KEY UPDATE",
    },
];

/// How many may begin of each queue's jobs, where anything bounds that; none of a queue that is paused.
fn limits(
    conn: &mut HostConnection,
    queues: &BTreeSet<&str>,
) -> QueryResult<Vec<(String, Option<u32>)>> {
    const RUNNING: &str = "SELECT count(*) FROM core_jobs WHERE state = 2 AND queue = $1";
    let names = json(queues)?;
    let mut limits: BTreeMap<String, Option<u32>> =
        queues.iter().map(|queue| ((*queue).to_owned(), Some(0))).collect();
    for twin in LIMITS {
        let rows = Sql::<(Text, Bool, Nullable<BigInt>)>::new(twin).text(names.as_str()).load::<(
            String,
            bool,
            Option<i64>,
        )>(
            conn
        )?;
        for (name, open, most) in rows {
            let left = match (open, most) {
                (false, _) => Some(0),
                (true, None) => None,
                (true, Some(most)) => {
                    // Not in the statement above: what that one counts is older than its lock.
                    let running =
                        Sql::<BigInt>::both(RUNNING).text(&*name).get_result::<i64>(conn)?;
                    Some(u32::try_from(most.saturating_sub(running)).unwrap_or(0))
                }
            };
            limits.insert(name, left);
        }
    }
    Ok(limits.into_iter().collect())
}

pub(super) const TAKE: Twin = Twin {
    sqlite: "UPDATE core_jobs SET state = 2, attempt = attempt + 1, token = token + 1, node_id = $1, \
        started_at = $2, progress = NULL, \
        unique_key = CASE WHEN unique_scope = 1 THEN NULL ELSE unique_key END \
        WHERE id IN (SELECT value FROM json_each($3)) AND state = 1 \
        RETURNING id, attempt, token, queue, extension, handler, args, max_attempts, timeout_ms, errors, meta, \
        created_at, run_at",
    // A list, not a join: the planner cannot guess how many the list has, and would read the whole table.
    postgres: "UPDATE core_jobs SET state = 2, attempt = attempt + 1, token = token + 1, node_id = $1, \
        started_at = $2, progress = NULL, \
        unique_key = CASE WHEN unique_scope = 1 THEN NULL ELSE unique_key END \
        WHERE id = ANY(ARRAY(SELECT json_array_elements_text($3::json)::bigint)) AND state = 1 \
        RETURNING id, attempt, token, queue, extension, handler, args, max_attempts, timeout_ms, errors, meta, \
        created_at, run_at",
};

type TakenSql = (
    BigInt,
    BigInt,
    BigInt,
    Text,
    Text,
    Text,
    Text,
    BigInt,
    Nullable<BigInt>,
    Nullable<Text>,
    Nullable<Text>,
    BigInt,
    BigInt,
);
type Taken = (
    i64,
    i64,
    i64,
    String,
    String,
    String,
    String,
    i64,
    Option<i64>,
    Option<String>,
    Option<String>,
    i64,
    i64,
);

fn take(
    conn: &mut HostConnection,
    node: &str,
    chosen: &[i64],
    now: DateTime<Utc>,
) -> QueryResult<Vec<Claimed>> {
    let rows = Sql::<TakenSql>::new(TAKE)
        .text(node)
        .number(millis(now))
        .text(json(&chosen)?)
        .load::<Taken>(conn)?;
    let mut taken: BTreeMap<i64, Claimed> =
        rows.into_iter().map(claimed).map(|it| (it.fence.id, it)).collect();
    Ok(chosen.iter().filter_map(|id| taken.remove(id)).collect())
}

fn claimed(row: Taken) -> Claimed {
    let (
        id,
        attempt,
        token,
        queue,
        extension,
        handler,
        args,
        max_attempts,
        timeout,
        errors,
        meta,
        created_at,
        run_at,
    ) = row;
    Claimed {
        fence: Fence { id, attempt: count(attempt), token },
        queue,
        extension,
        handler,
        args,
        max_attempts: count(max_attempts),
        timeout: timeout.and_then(|it| u64::try_from(it).ok()).map(Duration::from_millis),
        errors,
        meta,
        created_at: moment(created_at),
        run_at: moment(run_at),
    }
}

/// A count as the table holds it, which is never below zero.
pub(super) fn count(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `queue.priority.run_at` each, numbered from 1; `slots` as `queue=count`.
    #[track_caller]
    fn check(candidates: &str, slots: &str, most: usize, expected: &[i64]) {
        let candidates = candidates.split_whitespace().zip(1..).map(|(text, id)| {
            let parts: Vec<&str> = text.split('.').collect();
            Candidate {
                id,
                queue: parts[0].to_owned(),
                priority: parts[1].parse().unwrap(),
                run_at: parts[2].parse().unwrap(),
            }
        });
        let slots = slots.split_whitespace().map(|text| text.split_once('=').unwrap());
        let slots = slots.map(|(queue, count)| (queue, count.parse().unwrap())).collect();
        assert_eq!(choose(candidates.collect(), &slots, most), expected);
    }

    #[test]
    fn in_a_queue_priority_goes_before_time() {
        check("a.5.3 a.5.1 a.0.9", "a=9", 9, &[3, 2, 1]);
    }

    #[test]
    fn a_flood_in_one_queue_leaves_room_for_the_others() {
        check("a.0.1 a.0.1 a.0.1 b.9.8 b.9.9", "a=9 b=9", 3, &[1, 4, 2]);
    }

    #[test]
    fn no_queue_gets_more_than_its_slots() {
        check("a.5.1 a.5.2 a.5.3 b.5.4", "a=2 b=0", 9, &[1, 2]);
    }
}
