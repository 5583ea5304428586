//! Publishing, in the transaction of what is told.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types::Text};
use powernode_abi::{
    DbError,
    data::{SQLITE, kind},
};
use powernode_plugin_api::db::{Dialect, HostConnection};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{BadTopic, Topic, once::Once};
use crate::{
    db::{Engine, Function, Sql, Twin, Within},
    queue::QueueError,
};

/// Most events of one call.
const MOST: usize = 1_000;
/// Most bytes of a payload: each delivery holds it.
const LARGEST: usize = 200 << 10;
/// Most bytes of one call's payloads together.
const MOST_BYTES: usize = 8 << 20;
/// Longest uid, key and account, in bytes.
const LONGEST: usize = 200;

/// An event that somebody publishes. Its JSON is what crosses from an extension.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEvent {
    /// `<slug>.<entity>.<verb>`.
    pub topic: String,
    /// JSON text.
    pub payload: String,
    /// The payload's version.
    pub version: u32,
    /// What it is about: events with one key may be ordered.
    #[serde(default)]
    pub key: Option<String>,
    /// The account that it belongs to.
    #[serde(default)]
    pub account_id: Option<uuid::Uuid>,
    /// Its name among all events; a new one where there is none.
    #[serde(default)]
    pub uid: Option<String>,
}

/// What is wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEvent {
    /// Its topic is none.
    #[error(transparent)]
    Topic(#[from] BadTopic),
    /// Its topic is another's.
    #[error(
        "`{topic}` is a topic of `{owner}`: an extension publishes its own, which begin with `{slug}.`"
    )]
    Foreign {
        /// The topic.
        topic: String,
        /// Whose it is.
        owner: String,
        /// Who published.
        slug: String,
    },
    /// Something of it cannot be kept.
    #[error("event `{topic}`: {fault}")]
    Fault {
        /// The topic.
        topic: String,
        /// What.
        fault: String,
    },
    /// Too many at once.
    #[error(
        "one call publishes {MOST} events and {MOST_BYTES} bytes at most; these are {0} and {1}"
    )]
    Many(usize, usize),
}

/// An event as its statement takes it.
#[derive(Serialize)]
struct Row {
    uid: String,
    entity: String,
    verb: String,
    account_id: Option<uuid::Uuid>,
    key: Option<String>,
    version: u32,
    payload: String,
}

/// Parameters are text, as [`Within`] has them. Answers what was written.
const SAY: Twin = Twin {
    sqlite: "INSERT INTO core_events (uid, extension, entity, verb, account_id, key, version, payload, created_at) \
        SELECT value ->> 'uid', $1, value ->> 'entity', value ->> 'verb', value ->> 'account_id', value ->> 'key', \
        value ->> 'version', value ->> 'payload', CAST($3 AS INTEGER) FROM json_each($2) WHERE true ORDER BY key \
        ON CONFLICT (uid) DO NOTHING RETURNING CAST(id AS TEXT), uid",
    postgres: "SELECT event::text, name FROM core.core_publish($1, $2, $3::bigint)",
};

/// The deliveries of events: `$1` their numbers, `$2` and `$3` whose subscription alone or empty, `$4` whether they are
/// replayed, `$5` the moment. On PostgreSQL publishing does this by itself.
pub(super) const DELIVER: Twin = Twin {
    sqlite: "INSERT INTO core_jobs (queue, extension, handler, args, state, priority, run_at, max_attempts, timeout_ms, \
        unique_key, unique_scope, serial_key, created_at) \
        SELECT s.queue, s.extension, s.handler, json_object('id', e.id, 'uid', e.uid, \
        'topic', e.extension || '.' || e.entity || '.' || e.verb, 'key', e.key, 'account_id', e.account_id, \
        'version', e.version, 'payload', json(e.payload), \
        'published_at', strftime('%Y-%m-%dT%H:%M:%fZ', e.created_at / 1000.0, 'unixepoch'), \
        'replayed', json(CASE WHEN $4 = 'true' THEN 'true' ELSE 'false' END)), \
        CASE WHEN s.ordered = 1 THEN 3 ELSE 1 END, s.priority, CAST($5 AS INTEGER), s.max_attempts, s.timeout_ms, \
        s.extension || '/event:' || e.id || ':' || s.handler, 0, \
        CASE WHEN s.ordered = 1 THEN s.extension || '/' || s.handler || ':' || coalesce(e.key, '') END, \
        CAST($5 AS INTEGER) \
        FROM json_each($1) n JOIN core_events e ON e.id = n.value JOIN core_subscriptions s \
        ON s.said_by IN (e.extension, '*') AND s.entity IN (e.entity, '*') AND s.verb IN (e.verb, '*') \
        WHERE s.vanished_at IS NULL AND ($3 = '' OR (s.extension = $2 AND s.handler = $3)) \
        ORDER BY e.id, s.extension, s.handler \
        ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL DO NOTHING RETURNING CAST(id AS TEXT)",
    postgres: "SELECT core.core_deliver(ARRAY(SELECT json_array_elements_text($1::json)::bigint), \
        nullif($2, ''), nullif($3, ''), $4::boolean, $5::bigint)::text",
};

/// Publishes events of `slug`, or of the core's under `core`, and answers their numbers in their order: none where the
/// uid is there already. Whoever hears them does so when the transaction is committed.
///
/// # Errors
///
/// [`BadEvent`] in a check's words, with nothing written; the database's.
pub fn publish(
    conn: &mut HostConnection,
    slug: &str,
    events: &[NewEvent],
    now: DateTime<Utc>,
) -> Result<Vec<Option<i64>>, PublishError> {
    let rows = rows(slug, events)?;
    let text = json(&rows)?;
    let moment = now.timestamp_millis().to_string();
    let said = Sql::<(Text, Text)>::new(SAY).text(slug).text(text).text(moment.as_str());
    let said = said.load::<(String, String)>(conn)?;
    if conn.dialect() != Dialect::Postgres && !said.is_empty() {
        let deliver = Sql::<Text>::new(DELIVER).text(numbers_of(&said)).text("").text("");
        deliver.text("false").text(moment).load::<String>(conn)?;
    }
    Ok(numbers(&rows, &said))
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The event cannot be.
    #[error(transparent)]
    Event(#[from] BadEvent),
    /// The database.
    #[error("the database of events did not answer")]
    Database(#[from] diesel::result::Error),
}

/// Lets extensions publish, and remember effects, in their own transactions: `SELECT core_publish($1)` takes a JSON
/// list of [`NewEvent`] and answers their numbers; `SELECT core_once($1)` takes `{"key": …}` and answers whether it is
/// the first. `committed` is called when such a transaction has ended well.
pub fn serve(
    engine: &Engine,
    clock: impl Fn() -> DateTime<Utc> + Clone + Send + Sync + 'static,
    committed: impl Fn() + Send + Sync + 'static,
) {
    let publish = Publish { clock: Box::new(clock.clone()), committed: Box::new(committed) };
    engine.serve("core_publish", Arc::new(publish));
    engine.serve("core_once", Arc::new(Once { clock: Box::new(clock) }));
}

struct Publish {
    clock: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    committed: Box<dyn Fn() + Send + Sync>,
}

impl Function for Publish {
    fn call(&self, within: &mut dyn Within, argument: &str) -> Result<String, DbError> {
        let refused = |text: String| DbError::new(kind::CHECK, text);
        let events: Vec<NewEvent> = serde_json::from_str(argument)
            .map_err(|error| refused(format!("events that cannot be read: {error}")))?;
        let slug = within.slug().to_owned();
        let rows = rows(&slug, &events).map_err(|error| refused(error.to_string()))?;
        let other = |error: diesel::result::Error| DbError::new(kind::OTHER, error.to_string());
        let text = json(&rows).map_err(other)?;
        let moment = (self.clock)().timestamp_millis().to_string();
        let said = within.rows(SAY, &[&slug, &text, &moment])?;
        let pair = |row: Vec<String>| {
            let mut row = row.into_iter();
            (row.next().unwrap_or_default(), row.next().unwrap_or_default())
        };
        let said: Vec<_> = said.into_iter().map(pair).collect();
        if within.dialect() == SQLITE && !said.is_empty() {
            within.rows(DELIVER, &[&numbers_of(&said), "", "", "false", &moment])?;
        }
        json(&numbers(&rows, &said)).map_err(other)
    }

    fn committed(&self) {
        (self.committed)();
    }
}

fn rows(slug: &str, events: &[NewEvent]) -> Result<Vec<Row>, BadEvent> {
    let bytes: usize = events.iter().map(|it| it.payload.len()).sum();
    if events.len() > MOST || bytes > MOST_BYTES {
        return Err(BadEvent::Many(events.len(), bytes));
    }
    events.iter().map(|event| row(slug, event)).collect()
}

fn row(slug: &str, event: &NewEvent) -> Result<Row, BadEvent> {
    let NewEvent { topic, payload, version, key, account_id, uid } = event;
    let Topic { extension, entity, verb } = Topic::parse(topic)?;
    if extension != slug {
        let (topic, slug) = (topic.clone(), slug.to_owned());
        return Err(BadEvent::Foreign { topic, owner: extension, slug });
    }
    let fault = |fault: String| BadEvent::Fault { topic: topic.clone(), fault };
    if payload.len() > LARGEST {
        let text =
            format!("its payload has {} bytes, and {LARGEST} at most are kept", payload.len());
        return Err(fault(text));
    }
    if let Err(error) = serde_json::from_str::<IgnoredAny>(payload) {
        return Err(fault(format!("its payload is no JSON: {error}")));
    }
    if *version == 0 {
        return Err(fault("versions begin with 1".to_owned()));
    }
    for (name, text) in [("key", key), ("uid", uid)] {
        if text.as_ref().is_some_and(|it| it.is_empty() || it.len() > LONGEST || it.contains('\0'))
        {
            return Err(fault(format!("its {name} has 1 to {LONGEST} bytes, and no NUL")));
        }
    }
    Ok(Row {
        uid: uid.clone().unwrap_or_else(|| format!("evt_{}", uuid::Uuid::now_v7().simple())),
        entity,
        verb,
        account_id: *account_id,
        key: key.clone(),
        version: *version,
        payload: payload.clone(),
    })
}

/// The numbers alone, as the deliveries' statement takes them.
fn numbers_of(said: &[(String, String)]) -> String {
    let numbers: Vec<&str> = said.iter().map(|(id, _)| id.as_str()).collect();
    format!("[{}]", numbers.join(","))
}

/// Which event got which number.
fn numbers(rows: &[Row], said: &[(String, String)]) -> Vec<Option<i64>> {
    let mut left: std::collections::HashMap<&str, i64> =
        said.iter().filter_map(|(id, uid)| Some((uid.as_str(), id.parse().ok()?))).collect();
    rows.iter().map(|row| left.remove(row.uid.as_str())).collect()
}

fn json(value: &impl Serialize) -> QueryResult<String> {
    serde_json::to_string(value)
        .map_err(|error| diesel::result::Error::SerializationError(error.into()))
}

impl From<PublishError> for QueueError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Event(error) => {
                Self::Database(diesel::result::Error::SerializationError(error.into()))
            }
            PublishError::Database(error) => Self::Database(error),
        }
    }
}
