//! What becomes ready: jobs whose time has come, and those whose turn it is.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    result::{DatabaseErrorKind, Error},
    sql_types::{BigInt, Nullable},
};
use powernode_plugin_api::db::HostConnection;

use super::{millis, moment};
use crate::db::{Sql, Twin, json};

pub(super) const DUE: Twin = Twin {
    sqlite: "UPDATE core_jobs SET state = 1 WHERE id IN \
        (SELECT id FROM core_jobs WHERE state = 0 AND run_at <= $1 ORDER BY run_at LIMIT $2)",
    postgres: "UPDATE core_jobs SET state = 1 WHERE id = ANY(ARRAY(\
        SELECT id FROM core_jobs WHERE state = 0 AND run_at <= $1 ORDER BY run_at LIMIT $2 \
        FOR NO KEY UPDATE SKIP LOCKED)) AND state = 0",
};

/// Makes up to `most` jobs ready whose time has come, and the next of each serial key that nobody holds. Answers how
/// many. Any node may do this, as often as it likes; call it in a transaction.
///
/// # Errors
///
/// The database's.
pub fn stage(conn: &mut HostConnection, now: DateTime<Utc>, most: u32) -> QueryResult<usize> {
    let due = Sql::<()>::new(DUE).number(millis(now)).number(i64::from(most)).execute(conn)?;
    const BLOCKED: &str = "SELECT 1 FROM core_jobs WHERE state = 3 LIMIT 1";
    if Sql::<diesel::sql_types::Integer>::both(BLOCKED).load::<i32>(conn)?.is_empty() {
        return Ok(due);
    }
    Ok(due + promote(conn, None, now)?)
}

/// When the next job is due that waits for its time.
///
/// # Errors
///
/// The database's.
pub fn next_due(conn: &mut HostConnection) -> QueryResult<Option<DateTime<Utc>>> {
    const NEXT: &str = "SELECT min(run_at) FROM core_jobs WHERE state = 0";
    let next = Sql::<Nullable<BigInt>>::both(NEXT).get_result::<Option<i64>>(conn)?;
    Ok(next.map(moment))
}

/// All serial keys that somebody waits for, by jumping from one to the next in the index.
macro_rules! all_keys {
    () => {
        "WITH RECURSIVE k (key) AS (\
        SELECT * FROM (SELECT serial_key FROM core_jobs WHERE state = 3 ORDER BY serial_key LIMIT 1) AS first \
        UNION ALL \
        SELECT (SELECT serial_key FROM core_jobs WHERE state = 3 AND serial_key > k.key \
        ORDER BY serial_key LIMIT 1) FROM k WHERE k.key IS NOT NULL) "
    };
}

/// The first that waits for each key which nobody holds.
macro_rules! first {
    () => {
        "SELECT (SELECT id FROM core_jobs j WHERE j.state = 3 AND j.serial_key = k.key ORDER BY id LIMIT 1) \
        FROM k WHERE k.key IS NOT NULL AND NOT EXISTS \
        (SELECT 1 FROM core_jobs l WHERE l.serial_key = k.key AND l.state < 3)"
    };
}

macro_rules! promote {
    ($keys:expr, $open:literal, $close:literal) => {
        concat!(
            "UPDATE core_jobs SET state = CASE WHEN run_at > $1 THEN 0 ELSE 1 END WHERE id ",
            $open,
            $keys,
            first!(),
            $close,
            " AND state = 3"
        )
    };
}

pub(super) const PROMOTE_ALL: Twin = Twin {
    sqlite: promote!(all_keys!(), "IN (", ")"),
    postgres: promote!(all_keys!(), "= ANY(ARRAY(", "))"),
};

pub(super) const PROMOTE: Twin = Twin {
    sqlite: promote!("WITH k (key) AS (SELECT DISTINCT value FROM json_each($2)) ", "IN (", ")"),
    postgres: promote!(
        "WITH k (key) AS (SELECT DISTINCT json_array_elements_text($2::json)) ",
        "= ANY(ARRAY(",
        "))"
    ),
};

/// Lets the next of each of `keys` go on, or of all.
pub(super) fn promote(
    conn: &mut HostConnection,
    keys: Option<&[String]>,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let statement = match keys {
        Some(keys) => Sql::<()>::new(PROMOTE).number(millis(now)).text(json(&keys)?),
        None => Sql::<()>::new(PROMOTE_ALL).number(millis(now)),
    };
    // Two nodes may promote at once, and never two jobs of a key: the index refuses the second, and `stage` of
    // somebody finds what is left.
    match conn.transaction(|conn| statement.execute(conn)) {
        Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Ok(0),
        answer => answer,
    }
}
