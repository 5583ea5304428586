//! Hearing again what was said before.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types::BigInt};
use powernode_plugin_api::{
    Db,
    db::{Dialect, HostConnection, RunError},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{publish::DELIVER, subscriptions};
use crate::{
    audit::{self, By, Entry},
    db::Sql,
};

/// From where on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Since {
    /// This event, and all after it.
    Id(i64),
    /// Events that were published then or later.
    Time(DateTime<Utc>),
}

/// Delivers up to `most` events to a subscription again, the oldest first; those that it does not hear are passed over,
/// and so are those whose delivery still waits. Answers how many were delivered, and the last event that was looked at:
/// none where there is no more. Call it in a transaction.
///
/// # Errors
///
/// The database's.
pub fn replay(
    conn: &mut HostConnection,
    (extension, handler): (&str, &str),
    since: Since,
    most: u32,
    now: DateTime<Utc>,
) -> QueryResult<(usize, Option<i64>)> {
    let (column, from) = match since {
        Since::Id(id) => ("id", id),
        Since::Time(time) => ("created_at", time.timestamp_millis()),
    };
    let events =
        format!("SELECT id FROM core_events WHERE {column} >= $1 ORDER BY id LIMIT {most}");
    let events = Sql::<BigInt>::both(events).number(from).load::<i64>(conn)?;
    let Some(last) = events.last().copied() else { return Ok((0, None)) };
    let numbers = events.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let deliver = Sql::<diesel::sql_types::Text>::new(DELIVER)
        .text(format!("[{numbers}]"))
        .text(extension)
        .text(handler)
        .text("true")
        .text(now.timestamp_millis().to_string());
    let answer = deliver.load::<String>(conn)?;
    // PostgreSQL's function counts.
    let delivered = match conn.dialect() {
        Dialect::Postgres => answer.first().and_then(|it| it.parse().ok()).unwrap_or(0),
        _ => answer.len(),
    };
    Ok((delivered, (events.len() == most as usize).then_some(last)))
}

/// Events that are looked at in one transaction.
const BATCH: u32 = 500;

/// What came of [`replay_all`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// So many events were delivered again.
    Delivered(usize),
    /// Nobody hears with it any more.
    Vanished,
}

/// Delivers all events since then to a subscription again, batch by batch, and writes that down; none where there is no
/// such subscription.
///
/// # Errors
///
/// The database's; the batches before are delivered.
pub async fn replay_all(
    core: &Db,
    extension: &str,
    handler: &str,
    since: Since,
    by: By,
) -> Result<Option<Replayed>, RunError> {
    let (extension, handler) = (extension.to_owned(), handler.to_owned());
    let (slug, name) = (extension.clone(), handler.clone());
    let known = core.transaction(move |conn| {
        let known = subscriptions(conn)?;
        let known = known.into_iter().find(|it| it.extension == slug && it.handler == name);
        if known.as_ref().is_some_and(|it| it.vanished_at.is_none()) {
            let entry = Entry::new("subscription.replay", format!("subscription/{slug}/{name}"));
            audit::append(conn, &by, entry.with_after(json!({ "since": since })))?;
        }
        Ok::<_, RunError>(known)
    });
    match known.await? {
        None => return Ok(None),
        Some(known) if known.vanished_at.is_some() => return Ok(Some(Replayed::Vanished)),
        Some(_) => {}
    }
    let (mut delivered, mut since) = (0, since);
    loop {
        let (slug, name) = (extension.clone(), handler.clone());
        let batch = core.transaction(move |conn| {
            Ok::<_, RunError>(replay(conn, (&slug, &name), since, BATCH, Utc::now())?)
        });
        let (some, last) = batch.await?;
        delivered += some;
        match last {
            Some(last) => since = Since::Id(last.saturating_add(1)),
            None => return Ok(Some(Replayed::Delivered(delivered))),
        }
    }
}
