//! Who hears what.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, Text},
};
use powernode_plugin_api::db::HostConnection;
use schemars::JsonSchema;
use serde::Serialize;

use super::Pattern;
use crate::db::Sql;

/// A subscription as an extension names it: how its deliveries are run, its handler says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSubscription {
    /// The handler that runs them.
    pub handler: String,
    /// What it hears.
    pub pattern: Pattern,
    /// Whether events with the same key come one after the other.
    pub ordered: bool,
    /// The queue, `<slug>` or `<slug>:<name>`.
    pub queue: String,
    /// From 0, which runs first, to 9.
    pub priority: u8,
    /// How often a delivery is tried.
    pub max_attempts: u32,
    /// How long one attempt may take.
    pub timeout_ms: Option<u64>,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Subscription {
    /// Whose it is.
    pub extension: String,
    /// The handler that runs the deliveries.
    pub handler: String,
    /// What it hears: a part may be `*`, which is any.
    pub pattern: String,
    /// Whether events with the same key come one after the other.
    pub ordered: bool,
    /// The queue of its deliveries.
    pub queue: String,
    /// Since when its extension no longer names it: nothing is delivered since.
    pub vanished_at: Option<DateTime<Utc>>,
}

type Types = (Text, Text, Text, Text, Text, BigInt, Text, Nullable<BigInt>);
type Row = (String, String, String, String, String, i64, String, Option<i64>);

/// All subscriptions, by extension and handler.
///
/// # Errors
///
/// The database's.
pub fn subscriptions(conn: &mut HostConnection) -> QueryResult<Vec<Subscription>> {
    const ALL: &str = "SELECT extension, handler, said_by, entity, verb, ordered, queue, vanished_at \
        FROM core_subscriptions ORDER BY extension, handler";
    let seen =
        |(extension, handler, said_by, entity, verb, ordered, queue, vanished): Row| Subscription {
            extension,
            handler,
            pattern: format!("{said_by}.{entity}.{verb}"),
            ordered: ordered == 1,
            queue,
            vanished_at: vanished.and_then(DateTime::from_timestamp_millis),
        };
    Ok(Sql::<Types>::both(ALL).load::<Row>(conn)?.into_iter().map(seen).collect())
}

/// Makes the subscriptions of `extension` those that it names, and answers which vanished. Call it in a transaction.
///
/// # Errors
///
/// The database's.
pub fn sync(
    conn: &mut HostConnection,
    extension: &str,
    named: &[NewSubscription],
    now: DateTime<Utc>,
) -> QueryResult<Vec<String>> {
    const PUT: &str = "INSERT INTO core_subscriptions \
        (extension, handler, said_by, entity, verb, queue, ordered, priority, max_attempts, timeout_ms) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (extension, handler) DO UPDATE SET \
        said_by = excluded.said_by, entity = excluded.entity, verb = excluded.verb, queue = excluded.queue, \
        ordered = excluded.ordered, priority = excluded.priority, max_attempts = excluded.max_attempts, \
        timeout_ms = excluded.timeout_ms, vanished_at = NULL";
    const VANISH: &str = "UPDATE core_subscriptions SET vanished_at = $3 \
        WHERE extension = $1 AND handler = $2 AND vanished_at IS NULL";
    for it in named {
        let parts = it.pattern.parts();
        Sql::<()>::both(PUT)
            .text(extension)
            .text(it.handler.as_str())
            .text(parts.extension.as_str())
            .text(parts.entity.as_str())
            .text(parts.verb.as_str())
            .text(it.queue.as_str())
            .number(i64::from(it.ordered))
            .number(i64::from(it.priority))
            .number(i64::from(it.max_attempts))
            .number(it.timeout_ms.and_then(|it| i64::try_from(it).ok()))
            .execute(conn)?;
    }
    let mut vanished = Vec::new();
    for known in subscriptions(conn)? {
        let gone = known.extension == extension
            && known.vanished_at.is_none()
            && !named.iter().any(|it| it.handler == known.handler);
        if gone {
            let moment = now.timestamp_millis();
            let vanish = Sql::<()>::both(VANISH).text(extension).text(known.handler.as_str());
            vanish.number(moment).execute(conn)?;
            vanished.push(known.handler);
        }
    }
    Ok(vanished)
}
