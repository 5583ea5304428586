//! The list itself.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, Text},
};
use powernode_plugin_api::db::HostConnection;
use serde_json::Value;
use uuid::Uuid;

use crate::db::{Sql, epoch};

/// The topic of what operators do to queues.
pub const QUEUES: &str = "queues";
/// The topic of what becomes of jobs.
pub const JOBS: &str = "jobs";
/// Most bytes of what a change says.
pub const LARGEST: usize = 16 << 10;
/// How long changes are kept.
const KEPT: Duration = Duration::from_secs(3_600);
/// What counts them.
const COUNTER: &str = "changes";

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number; later ones have higher ones.
    pub id: i64,
    /// What it is about: [`QUEUES`], [`JOBS`], or a channel, `<slug>.<name>`.
    pub topic: String,
    /// Whose followers see it; none: all.
    pub account: Option<Uuid>,
    /// What it says: JSON text.
    pub data: String,
}

/// Writes a change, and answers its number. Call it in the transaction that makes it, as late as may be: until the commit
/// nobody else writes one.
///
/// # Errors
///
/// The database's.
pub fn write(
    conn: &mut HostConnection,
    topic: &str,
    account: Option<Uuid>,
    data: &Value,
    now: DateTime<Utc>,
) -> QueryResult<i64> {
    const WRITE: &str = "INSERT INTO core_changes (id, topic, account_id, data, created_at) \
        VALUES ($1, $2, nullif($3, ''), $4, $5)";
    let id = epoch::bump(conn, COUNTER)?;
    Sql::<()>::both(WRITE)
        .number(id)
        .text(topic)
        .text(account.map(|it| it.to_string()).unwrap_or_default())
        .text(data.to_string())
        .number(now.timestamp_millis())
        .execute(conn)?;
    Ok(id)
}

/// Up to `most` changes after the one of that number, in their order.
///
/// # Errors
///
/// The database's.
pub fn since(conn: &mut HostConnection, after: i64, most: u32) -> QueryResult<Vec<Change>> {
    const SINCE: &str = "SELECT id, topic, account_id, data FROM core_changes WHERE id > $1 \
        ORDER BY id LIMIT $2";
    type Row = (i64, String, Option<String>, String);
    let found = Sql::<(BigInt, Text, Nullable<Text>, Text)>::both(SINCE)
        .number(after)
        .number(i64::from(most))
        .load::<Row>(conn)?;
    let change = |(id, topic, account, data): Row| {
        let account = account.and_then(|it| it.parse().ok());
        Change { id, topic, account, data }
    };
    Ok(found.into_iter().map(change).collect())
}

/// The number of the last change; 0 before the first.
///
/// # Errors
///
/// The database's.
pub fn current(conn: &mut HostConnection) -> QueryResult<i64> {
    epoch::read(conn, COUNTER)
}

/// The number of the oldest change that is kept; none where none is.
///
/// # Errors
///
/// The database's.
pub fn oldest(conn: &mut HostConnection) -> QueryResult<Option<i64>> {
    const OLDEST: &str = "SELECT id FROM core_changes ORDER BY id LIMIT 1";
    Ok(Sql::<(BigInt,)>::both(OLDEST).load::<(i64,)>(conn)?.first().map(|it| it.0))
}

/// Deletes what is older than an hour.
///
/// # Errors
///
/// The database's.
pub(super) fn prune(conn: &mut HostConnection, now: DateTime<Utc>) -> QueryResult<usize> {
    const PRUNE: &str = "DELETE FROM core_changes WHERE created_at < $1";
    let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
    Sql::<()>::both(PRUNE).number(now.timestamp_millis().saturating_sub(kept)).execute(conn)
}
