//! Events as an operator sees them, and what becomes of old ones.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, Text},
};
use powernode_plugin_api::db::HostConnection;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Pattern;
use crate::db::{Sql, Twin};

/// Most events of one page.
const MOST: u32 = 100;
/// Effects are remembered for so many times as long as events are kept: an event may be replayed to its last day.
const ONCE_LONGER: u32 = 3;

/// Which events; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Their topics.
    pub pattern: Option<Pattern>,
    /// Older than this one: the last of the page before.
    pub before: Option<i64>,
    /// This one alone.
    pub id: Option<i64>,
}

/// An event that was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Event {
    /// Its number; later events have higher ones.
    pub id: i64,
    /// Its name among all events.
    pub uid: String,
    /// `<slug>.<entity>.<verb>`.
    pub topic: String,
    /// The account that it belongs to.
    pub account_id: Option<String>,
    /// What it is about.
    pub key: Option<String>,
    /// The payload's version.
    pub version: i64,
    /// What it says.
    pub payload: Value,
    /// When it was published.
    pub published_at: DateTime<Utc>,
}

type Types = (BigInt, Text, Text, Nullable<Text>, Nullable<Text>, BigInt, Text, BigInt);
type Row = (i64, String, String, Option<String>, Option<String>, i64, String, i64);

/// Up to `most` events, and never more than 100, that `filter` names, the newest first.
///
/// # Errors
///
/// The database's.
pub fn list(conn: &mut HostConnection, filter: &Filter, most: u32) -> QueryResult<Vec<Event>> {
    let mut conditions = "true".to_owned();
    let (mut texts, mut numbers) = (Vec::new(), Vec::new());
    if let Some(pattern) = &filter.pattern {
        let parts = pattern.parts();
        let named =
            [("extension", &parts.extension), ("entity", &parts.entity), ("verb", &parts.verb)];
        for (column, part) in named.into_iter().filter(|(_, part)| *part != "*") {
            texts.push(part.clone());
            conditions.push_str(&format!(" AND {column} = ${}", texts.len()));
        }
    }
    for (comparison, number) in [("<", filter.before), ("=", filter.id)] {
        if let Some(number) = number {
            numbers.push(number);
            let place = texts.len() + numbers.len();
            conditions.push_str(&format!(" AND id {comparison} ${place}"));
        }
    }
    let most = most.min(MOST);
    let statement = Sql::<Types>::both(format!(
        "SELECT id, uid, extension || '.' || entity || '.' || verb, account_id, key, version, payload, created_at \
        FROM core_events WHERE {conditions} ORDER BY id DESC LIMIT {most}"
    ));
    let statement = texts.into_iter().fold(statement, Sql::text);
    let statement = numbers.into_iter().fold(statement, |statement, it| statement.number(it));
    let event = |(id, uid, topic, account_id, key, version, payload, created): Row| Event {
        id,
        uid,
        topic,
        account_id,
        key,
        version,
        payload: serde_json::from_str(&payload).unwrap_or(Value::String(payload)),
        published_at: DateTime::from_timestamp_millis(created).unwrap_or_default(),
    };
    Ok(statement.load::<Row>(conn)?.into_iter().map(event).collect())
}

/// Deletes up to `most` events that are older than `keep`, and what was remembered of effects for longer; answers how
/// many, so that as long as it is `most`, there may be more.
///
/// # Errors
///
/// The database's.
pub fn prune(
    conn: &mut HostConnection,
    keep: Duration,
    now: DateTime<Utc>,
    most: u32,
) -> QueryResult<usize> {
    const EVENTS: Twin = Twin {
        sqlite: "DELETE FROM core_events WHERE id IN \
            (SELECT id FROM core_events WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
        postgres: "DELETE FROM core_events WHERE id = ANY(ARRAY(\
            SELECT id FROM core_events WHERE created_at < $1 ORDER BY created_at LIMIT $2))",
    };
    const ONCE: Twin = Twin {
        sqlite: "DELETE FROM core_once WHERE rowid IN \
            (SELECT rowid FROM core_once WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
        postgres: "DELETE FROM core_once WHERE ctid = ANY(ARRAY(\
            SELECT ctid FROM core_once WHERE created_at < $1 ORDER BY created_at LIMIT $2))",
    };
    let before = |keep: Duration| {
        let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        now.timestamp_millis().saturating_sub(keep)
    };
    let run = |conn: &mut HostConnection, twin: Twin, keep: Duration| {
        Sql::<()>::new(twin).number(before(keep)).number(i64::from(most)).execute(conn)
    };
    let events = run(conn, EVENTS, keep)?;
    let once = run(conn, ONCE, keep.saturating_mul(ONCE_LONGER))?;
    Ok(events.max(once))
}
