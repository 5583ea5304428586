//! Jobs whose process died.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, Text},
};
use powernode_plugin_api::db::HostConnection;

use super::{
    Ended, Fence, State,
    claim::count,
    finish::{Verdict, apply, remembered},
};
use crate::db::{Sql, Twin};

/// How often a process may die while it runs a job, until the job is dead.
pub const MOST_DEATHS: u32 = 3;
/// How many are rescued at once.
const MOST: i64 = 1_000;

/// A node that did not count up for too long, as [`Watch`](super::Watch) saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    /// Its id.
    pub node: String,
    /// What it counted last.
    pub beat: i64,
}

/// Gives back what `dead` nodes ran, and what nodes ran that are gone. Of a node that counted on meanwhile nothing is
/// taken. Answers what became of the jobs, up to a thousand: as long as there are some, call it again, in another
/// transaction.
///
/// A rescued job is ready again, and its attempt counts. It is dead once its attempts are used up, or once its process
/// died [`MOST_DEATHS`] times.
///
/// # Errors
///
/// The database's.
pub fn rescue(
    conn: &mut HostConnection,
    dead: &[Dead],
    now: DateTime<Utc>,
) -> QueryResult<Vec<Ended>> {
    const BURY: &str = "DELETE FROM core_nodes WHERE id = $1 AND beat = $2";
    for Dead { node, beat } in dead {
        Sql::<()>::both(BURY).text(node.as_str()).number(*beat).execute(conn)?;
    }
    give_back(conn, ORPHANS, now)
}

/// Gives back whatever runs, as [`rescue`] does: for the start of the only process that runs jobs, as on SQLite, when it
/// holds the lock that no other can hold.
///
/// # Errors
///
/// The database's.
pub fn rescue_all(conn: &mut HostConnection, now: DateTime<Utc>) -> QueryResult<Vec<Ended>> {
    Sql::<()>::both("DELETE FROM core_nodes").execute(conn)?;
    let mut all = Vec::new();
    loop {
        let some = give_back(conn, ORPHANS, now)?;
        if some.is_empty() {
            return Ok(all);
        }
        all.extend(some);
    }
}

pub(super) const ORPHANS: Twin = Twin {
    sqlite: "SELECT id, attempt, token, max_attempts, deaths, errors, node_id FROM core_jobs \
        WHERE state = 2 AND NOT EXISTS (SELECT 1 FROM core_nodes n WHERE n.id = core_jobs.node_id) LIMIT $1",
    postgres: "SELECT id, attempt, token, max_attempts, deaths, errors, node_id FROM core_jobs \
        WHERE state = 2 AND NOT EXISTS (SELECT 1 FROM core_nodes n WHERE n.id = core_jobs.node_id) LIMIT $1 \
        FOR NO KEY UPDATE SKIP LOCKED",
};

type OrphanSql = (BigInt, BigInt, BigInt, BigInt, BigInt, Nullable<Text>, Text);
type Orphan = (i64, i64, i64, i64, i64, Option<String>, String);

fn give_back(
    conn: &mut HostConnection,
    orphans: Twin,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Ended>> {
    let orphans = Sql::<OrphanSql>::new(orphans).number(MOST).load::<Orphan>(conn)?;
    let verdicts: Vec<_> = orphans.into_iter().map(|orphan| verdict(orphan, now)).collect();
    apply(conn, &verdicts, now)
}

fn verdict(orphan: Orphan, now: DateTime<Utc>) -> Verdict {
    let (id, attempt, token, max_attempts, deaths, errors, node) = orphan;
    let (attempt, max_attempts, deaths) = (count(attempt), count(max_attempts), count(deaths) + 1);
    let reason = if deaths >= MOST_DEATHS {
        Some(format!("it took its process down {deaths} times"))
    } else if attempt >= max_attempts {
        Some(format!("all {max_attempts} attempts failed: its process died during the last"))
    } else {
        None
    };
    let error = format!("the process died that ran it (node {node})");
    Verdict {
        fence: Fence { id, attempt, token },
        state: if reason.is_some() { State::Dead } else { State::Ready },
        run_at: None,
        attempts: attempt,
        deaths: 1,
        errors: Some(remembered(errors.as_deref(), attempt, &error, now)),
        reason,
    }
}

/// Gives back what `node` still runs, and no attempt counts: for its end.
pub(super) fn release(
    conn: &mut HostConnection,
    node: &str,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Ended>> {
    release_but(conn, node, &[], now)
}

/// Gives back what the tables say `node` runs and the node does not `hold`, and no attempt counts: for a node that does
/// not know whether a claim of its was committed. Call it in a transaction.
///
/// # Errors
///
/// The database's.
pub fn give_back_strays(
    conn: &mut HostConnection,
    node: &str,
    held: &[Fence],
    now: DateTime<Utc>,
) -> QueryResult<Vec<Ended>> {
    release_but(conn, node, held, now)
}

fn release_but(
    conn: &mut HostConnection,
    node: &str,
    held: &[Fence],
    now: DateTime<Utc>,
) -> QueryResult<Vec<Ended>> {
    const RUNNING: &str =
        "SELECT id, attempt, token FROM core_jobs WHERE state = 2 AND node_id = $1";
    let running =
        Sql::<(BigInt, BigInt, BigInt)>::both(RUNNING).text(node).load::<(i64, i64, i64)>(conn)?;
    let stray = |(id, attempt, token): &(i64, i64, i64)| {
        !held.contains(&Fence { id: *id, attempt: count(*attempt), token: *token })
    };
    let verdict = |(id, attempt, token)| {
        let attempt = count(attempt);
        Verdict {
            fence: Fence { id, attempt, token },
            state: State::Ready,
            run_at: None,
            attempts: attempt.saturating_sub(1),
            deaths: 0,
            errors: None,
            reason: None,
        }
    };
    let verdicts: Vec<_> = running.into_iter().filter(stray).map(verdict).collect();
    apply(conn, &verdicts, now)
}
