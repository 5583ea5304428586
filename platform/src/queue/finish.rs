//! How runs end: many at once, each fenced.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, Text},
};
use powernode_plugin_api::db::HostConnection;
use serde::{Deserialize, Serialize};

use super::{
    BadJob, Claimed, Fence, QueueError, State, backoff::retry_delay, job::MOST_META, millis, span,
    stage::promote,
};
use crate::db::{Sql, Twin, json};

/// How many errors a job keeps: the last ones.
const MOST_ERRORS: usize = 10;
/// Longest text of an error, in characters.
const LONGEST_ERROR: usize = 2_000;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Done,
    /// It failed: again after a while, or dead where its attempts are used up.
    Retry(String),
    /// It failed: again after this span, or dead where its attempts are used up.
    RetryIn(Duration, String),
    /// Nobody needs it any more, for this reason.
    Discard(String),
    /// It failed, and trying again would not help.
    Dead(String),
    /// Not yet: again after this span, and the attempt does not count.
    Snooze(Duration),
    /// It did not run, or was stopped by the node: again at once, and the attempt does not count.
    Release,
}

/// The end of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    fence: Fence,
    max_attempts: u32,
    errors: Option<String>,
    outcome: Outcome,
}

impl Finish {
    /// `job` ended so.
    pub fn new(job: &Claimed, outcome: Outcome) -> Self {
        Self {
            fence: job.fence,
            max_attempts: job.max_attempts,
            errors: job.errors.clone(),
            outcome,
        }
    }

    /// Which run ended.
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// What becomes of the job, in a word, unless somebody cancels it.
    pub fn word(&self) -> &'static str {
        match &self.outcome {
            Outcome::Done => "done",
            Outcome::Retry(_) | Outcome::RetryIn(..) if self.fence.attempt < self.max_attempts => {
                "retried"
            }
            Outcome::Retry(_) | Outcome::RetryIn(..) | Outcome::Dead(_) => "dead",
            Outcome::Discard(_) => "discarded",
            Outcome::Snooze(_) => "snoozed",
            Outcome::Release => "released",
        }
    }

    /// How.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }
}

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its number.
    pub id: i64,
    /// Where it stands now.
    pub state: State,
}

/// Books how runs ended, and answers those that were still theirs to end: a run that is not among them was given up
/// before, and what it did may be done again.
///
/// Whoever asked to cancel a job gets his way where it did not end by itself. `roll` answers a number below the one
/// that it is given, for the jitter of retries. Call it in a transaction, for many at once.
///
/// # Errors
///
/// The database's.
pub fn finish(
    conn: &mut HostConnection,
    finishes: &[Finish],
    now: DateTime<Utc>,
    roll: &mut dyn FnMut(u64) -> u64,
) -> QueryResult<Vec<Ended>> {
    let verdicts: Vec<Verdict> = finishes.iter().map(|it| it.verdict(now, roll)).collect();
    apply(conn, &verdicts, now)
}

/// Where a run is, as JSON text, for who watches; a run that was given up says nothing more.
///
/// # Errors
///
/// [`QueueError::Job`] for a text that is too long; [`QueueError::Database`].
pub fn progress(
    conn: &mut HostConnection,
    fence: Fence,
    progress: &str,
) -> Result<bool, QueueError> {
    if progress.len() > MOST_META {
        return Err(BadJob::progress(progress.len()).into());
    }
    const PROGRESS: &str = "UPDATE core_jobs SET progress = $1 \
        WHERE id = $2 AND state = 2 AND attempt = $3 AND token = $4";
    let touched = Sql::<()>::both(PROGRESS)
        .text(progress)
        .number(fence.id)
        .number(i64::from(fence.attempt))
        .number(fence.token)
        .execute(conn)?;
    Ok(touched > 0)
}

/// What a job remembers of an attempt that failed.
#[derive(Debug, Serialize, Deserialize)]
struct Failure {
    attempt: u32,
    at: DateTime<Utc>,
    error: String,
}

/// What a handler said, as it is kept: PostgreSQL's text holds no NUL.
fn text(said: &str) -> String {
    said.chars().filter(|it| *it != '\0').take(LONGEST_ERROR).collect()
}

/// `errors`, and one more.
pub(super) fn remembered(
    errors: Option<&str>,
    attempt: u32,
    error: &str,
    now: DateTime<Utc>,
) -> String {
    let mut all: Vec<Failure> =
        errors.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    all.push(Failure { attempt, at: now, error: text(error) });
    all.drain(..all.len().saturating_sub(MOST_ERRORS));
    serde_json::to_string(&all).unwrap_or_default()
}

/// What is written of one run.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) fence: Fence,
    pub(super) state: State,
    pub(super) run_at: Option<i64>,
    /// How many attempts count from now on.
    pub(super) attempts: u32,
    pub(super) deaths: i64,
    pub(super) errors: Option<String>,
    pub(super) reason: Option<String>,
}

impl Finish {
    fn verdict(&self, now: DateTime<Utc>, roll: &mut dyn FnMut(u64) -> u64) -> Verdict {
        let Fence { attempt, .. } = self.fence;
        let verdict = |state| Verdict {
            fence: self.fence,
            state,
            run_at: None,
            attempts: attempt,
            deaths: 0,
            errors: None,
            reason: None,
        };
        let later = |delay: Duration| Some(millis(now).saturating_add(span(delay)));
        let failed = |delay: Duration, error: &str| {
            let errors = Some(remembered(self.errors.as_deref(), attempt, error, now));
            if attempt >= self.max_attempts {
                let reason = Some(format!("all {} attempts failed", self.max_attempts));
                return Verdict { errors, reason, ..verdict(State::Dead) };
            }
            Verdict { run_at: later(delay), errors, ..verdict(State::Scheduled) }
        };
        match &self.outcome {
            Outcome::Done => verdict(State::Done),
            Outcome::Retry(error) => failed(retry_delay(attempt.saturating_sub(1), roll), error),
            Outcome::RetryIn(delay, error) => failed(*delay, error),
            Outcome::Discard(reason) => {
                Verdict { reason: Some(text(reason)), ..verdict(State::Cancelled) }
            }
            Outcome::Dead(error) => Verdict {
                errors: Some(remembered(self.errors.as_deref(), attempt, error, now)),
                reason: Some("its handler gave it up".to_owned()),
                ..verdict(State::Dead)
            },
            Outcome::Snooze(delay) => Verdict {
                run_at: later(*delay),
                attempts: attempt.saturating_sub(1),
                ..verdict(State::Scheduled)
            },
            Outcome::Release => {
                Verdict { attempts: attempt.saturating_sub(1), ..verdict(State::Ready) }
            }
        }
    }
}

/// A job that somebody cancelled ends where it would otherwise run again. What ended keeps its unique key where that
/// is taken for a period, and is kept for as long.
macro_rules! apply {
    ($max:literal, $from:literal, $is:literal) => {
        concat!(
            "UPDATE core_jobs SET \
            state = CASE WHEN f.state < 4 AND cancel_at IS NOT NULL THEN 6 ELSE f.state END, \
            run_at = coalesce(f.run_at, core_jobs.run_at), attempt = f.attempts, \
            deaths = core_jobs.deaths + f.deaths, node_id = NULL, \
            errors = coalesce(f.errors, core_jobs.errors), \
            reason = CASE WHEN f.state < 4 AND cancel_at IS NOT NULL THEN 'cancelled' ELSE f.reason END, \
            unique_key = CASE WHEN (f.state >= 4 OR cancel_at IS NOT NULL) AND unique_scope <> 2 \
            THEN NULL ELSE unique_key END, \
            finished_at = CASE WHEN f.state >= 4 OR cancel_at IS NOT NULL THEN $2 END, \
            prune_at = CASE WHEN f.state >= 4 OR cancel_at IS NOT NULL THEN ",
            $max,
            "(coalesce(unique_until, 0), $2 + coalesce((SELECT CASE WHEN f.state = 5 THEN q.retain_dead_ms \
            ELSE q.retain_done_ms END FROM core_queues q WHERE q.name = core_jobs.queue), 86400000)) END \
            FROM ",
            $from,
            " WHERE ",
            $is,
            " AND core_jobs.state = 2 AND core_jobs.id = f.id AND core_jobs.attempt = f.attempt \
            AND core_jobs.token = f.token \
            RETURNING core_jobs.id, core_jobs.state, core_jobs.serial_key"
        )
    };
}

pub(super) const APPLY: Twin = Twin {
    sqlite: apply!(
        "max",
        "(SELECT value ->> 0 AS id, value ->> 1 AS attempt, value ->> 2 AS token, value ->> 3 AS state, \
        value ->> 4 AS run_at, value ->> 5 AS attempts, value ->> 6 AS deaths, value ->> 7 AS errors, \
        value ->> 8 AS reason FROM json_each($1)) AS f",
        "true"
    ),
    postgres: apply!(
        "greatest",
        "(SELECT (value ->> 0)::bigint AS id, (value ->> 1)::bigint AS attempt, (value ->> 2)::bigint AS token, \
        (value ->> 3)::bigint AS state, (value ->> 4)::bigint AS run_at, (value ->> 5)::bigint AS attempts, \
        (value ->> 6)::bigint AS deaths, value ->> 7 AS errors, value ->> 8 AS reason \
        FROM json_array_elements($1::json)) AS f",
        // The list keeps the planner from reading the whole table.
        "core_jobs.id = ANY(ARRAY(SELECT (value ->> 0)::bigint FROM json_array_elements($1::json)))"
    ),
};

/// Writes verdicts, and lets what waited for the serial keys of the ended go on.
pub(super) fn apply(
    conn: &mut HostConnection,
    verdicts: &[Verdict],
    now: DateTime<Utc>,
) -> QueryResult<Vec<Ended>> {
    if verdicts.is_empty() {
        return Ok(Vec::new());
    }
    let row = |it: &Verdict| {
        let Fence { id, attempt, token } = it.fence;
        let Verdict { run_at, attempts, deaths, errors, reason, .. } = it;
        serde_json::json!([
            id,
            attempt,
            token,
            it.state.number(),
            run_at,
            attempts,
            deaths,
            errors,
            reason
        ])
    };
    let rows: Vec<_> = verdicts.iter().map(row).collect();
    let written = Sql::<(BigInt, BigInt, Nullable<Text>)>::new(APPLY)
        .text(json(&rows)?)
        .number(millis(now))
        .load::<(i64, i64, Option<String>)>(conn)?;
    let mut keys = Vec::new();
    let mut ended = Vec::new();
    for (id, state, serial_key) in written {
        let Some(state) = State::of_number(state) else { continue };
        keys.extend(serial_key.filter(|_| state.is_final()));
        ended.push(Ended { id, state });
    }
    if !keys.is_empty() {
        promote(conn, Some(&keys), now)?;
    }
    Ok(ended)
}
