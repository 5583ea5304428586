//! What an operator does to jobs: many at once, in batches.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, Text},
};
use powernode_plugin_api::db::HostConnection;

use super::{Filter, State, list::with, millis, stage::promote};
use crate::db::{Sql, Twin, json};

/// Those that `filter` names and are in one of `states`, up to `most`, the oldest first; locked on PostgreSQL.
fn chosen(
    conn: &mut HostConnection,
    filter: &Filter,
    states: &[State],
    most: u32,
) -> QueryResult<Vec<i64>> {
    let mut ids: Vec<i64> = Vec::new();
    for state in states.iter().filter(|it| filter.state.is_none_or(|only| only == **it)) {
        let left = usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(ids.len());
        let filter = Filter { state: Some(*state), ..filter.clone() };
        let (conditions, values) = filter.conditions();
        let select = |lock: &str| {
            format!("SELECT id FROM core_jobs WHERE {conditions} ORDER BY id LIMIT {left}{lock}")
        };
        let lock = match conn.dialect() {
            // One that was named is waited for; of many, those in use are another call's.
            powernode_plugin_api::db::Dialect::Postgres if filter.id.is_some() => " FOR UPDATE",
            powernode_plugin_api::db::Dialect::Postgres => " FOR UPDATE SKIP LOCKED",
            _ => "",
        };
        ids.extend(with(Sql::<BigInt>::both(select(lock)), &values).load::<i64>(conn)?);
    }
    Ok(ids)
}

/// Tries dead and cancelled jobs again, up to `most` that `filter` names, and answers how many: as long as it is
/// `most`, there may be more. Their attempts begin anew. Call it in a transaction.
///
/// # Errors
///
/// The database's.
pub fn retry(
    conn: &mut HostConnection,
    filter: &Filter,
    most: u32,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    const RETRY: Twin = Twin {
        sqlite: "UPDATE core_jobs SET state = CASE WHEN serial_key IS NULL THEN 1 ELSE 3 END, run_at = $1, \
            attempt = 0, deaths = 0, cancel_at = NULL, finished_at = NULL, prune_at = NULL, reason = NULL \
            WHERE id IN (SELECT value FROM json_each($2)) AND state >= 5",
        postgres: "UPDATE core_jobs SET state = CASE WHEN serial_key IS NULL THEN 1 ELSE 3 END, run_at = $1, \
            attempt = 0, deaths = 0, cancel_at = NULL, finished_at = NULL, prune_at = NULL, reason = NULL \
            WHERE id = ANY(ARRAY(SELECT json_array_elements_text($2::json)::bigint)) AND state >= 5",
    };
    let ids = chosen(conn, filter, &[State::Dead, State::Cancelled], most)?;
    Sql::<()>::new(RETRY).number(millis(now)).text(json(&ids)?).execute(conn)
}

/// Deletes dead and cancelled jobs, up to `most` that `filter` names, and answers how many: as long as it is `most`,
/// there may be more. Call it in a transaction.
///
/// # Errors
///
/// The database's.
pub fn discard(conn: &mut HostConnection, filter: &Filter, most: u32) -> QueryResult<usize> {
    const DISCARD: Twin = Twin {
        sqlite: "DELETE FROM core_jobs WHERE id IN (SELECT value FROM json_each($1)) AND state >= 5",
        postgres: "DELETE FROM core_jobs \
            WHERE id = ANY(ARRAY(SELECT json_array_elements_text($1::json)::bigint)) AND state >= 5",
    };
    let ids = chosen(conn, filter, &[State::Dead, State::Cancelled], most)?;
    Sql::<()>::new(DISCARD).text(json(&ids)?).execute(conn)
}

/// Cancels jobs that have not ended, up to `most` that `filter` names, and answers how many. One that does not run ends
/// at once; one that runs is asked to stop, when its node counts up next, and does not run again. Call it in a
/// transaction.
///
/// # Errors
///
/// The database's.
pub fn cancel(
    conn: &mut HostConnection,
    filter: &Filter,
    most: u32,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    macro_rules! cancel {
        ($ids:literal) => {
            concat!(
                "UPDATE core_jobs SET cancel_at = coalesce(cancel_at, $1), \
                state = CASE WHEN state = 2 THEN 2 ELSE 6 END, \
                reason = CASE WHEN state = 2 THEN reason ELSE 'cancelled' END, \
                finished_at = CASE WHEN state = 2 THEN NULL ELSE $1 END, \
                unique_key = CASE WHEN state = 2 OR unique_scope = 2 THEN unique_key END, \
                prune_at = CASE WHEN state = 2 THEN NULL ELSE $1 + coalesce((SELECT q.retain_done_ms \
                FROM core_queues q WHERE q.name = core_jobs.queue), 86400000) END WHERE id ",
                $ids,
                " AND state < 4 RETURNING state, serial_key"
            )
        };
    }
    const CANCEL: Twin = Twin {
        sqlite: cancel!("IN (SELECT value FROM json_each($2))"),
        postgres: cancel!("= ANY(ARRAY(SELECT json_array_elements_text($2::json)::bigint))"),
    };
    let states = [State::Scheduled, State::Ready, State::Blocked, State::Running];
    let ids = chosen(conn, filter, &states, most)?;
    let cancelled = Sql::<(BigInt, Nullable<Text>)>::new(CANCEL)
        .number(millis(now))
        .text(json(&ids)?)
        .load::<(i64, Option<String>)>(conn)?;
    let ended = cancelled.iter().filter(|(state, _)| *state != State::Running.number());
    let keys: Vec<String> = ended.filter_map(|(_, key)| key.clone()).collect();
    if !keys.is_empty() {
        promote(conn, Some(&keys), now)?;
    }
    Ok(cancelled.len())
}
