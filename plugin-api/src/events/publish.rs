//! Publishing events in the transaction of what they tell.

use diesel::result::{Error as DieselError, QueryResult};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    db::HostConnection,
    jobs::{call, json},
};

/// Most events of one call to the platform.
const MOST: usize = 1_000;

/// The number of an event.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct EventId(pub i64);

/// An event that is to be published.
#[derive(Clone, Debug)]
pub struct NewEvent {
    said: Said,
    /// Why the payload cannot be written.
    fault: Option<String>,
}

/// What crosses: the platform reads it by these names.
#[derive(Clone, Debug, Serialize)]
struct Said {
    topic: String,
    payload: String,
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
}

impl NewEvent {
    /// An event with a topic of this extension's own, `<slug>.<entity>.<verb>`, and what it says.
    pub fn new(topic: impl Into<String>, payload: &impl Serialize) -> Self {
        let (payload, fault) = match serde_json::to_string(payload) {
            Ok(payload) => (payload, None),
            Err(error) => (String::new(), Some(error.to_string())),
        };
        let said = Said {
            topic: topic.into(),
            payload,
            version: 1,
            key: None,
            account_id: None,
            uid: None,
        };
        Self { said, fault }
    }

    /// What it is about, as an order's id: those who ask for it get events with one key in their order.
    ///
    /// That is the order in which they were published only if whoever publishes for a key holds its row's lock.
    #[must_use]
    pub fn key(mut self, key: impl ToString) -> Self {
        self.said.key = Some(key.to_string());
        self
    }

    /// The account that it belongs to.
    #[must_use]
    pub fn account(mut self, account: Uuid) -> Self {
        self.said.account_id = Some(account);
        self
    }

    /// The payload's version, if not 1.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.said.version = version;
        self
    }

    /// Its name among all events: one that is there already is not published again.
    #[must_use]
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        self.said.uid = Some(uid.into());
        self
    }

    fn into_said(self) -> QueryResult<Said> {
        let Some(fault) = self.fault else { return Ok(self.said) };
        let fault = format!("event `{}` cannot be written as JSON: {fault}", self.said.topic);
        Err(DieselError::SerializationError(fault.into()))
    }
}

/// Publishes an event; answers its number, or none where its uid is there already.
///
/// Whoever hears the topic gets it when the transaction is committed, and never when it is rolled back.
///
/// # Errors
///
/// When the event cannot be: another's topic, a payload that is too large; or the database's.
pub fn publish(conn: &mut HostConnection, event: NewEvent) -> QueryResult<Option<EventId>> {
    Ok(publish_all(conn, [event])?.pop().flatten())
}

/// Publishes events; answers their numbers in their order, none where the uid is there already.
///
/// # Errors
///
/// As [`publish`]. In a transaction all of them are published or none.
pub fn publish_all(
    conn: &mut HostConnection,
    events: impl IntoIterator<Item = NewEvent>,
) -> QueryResult<Vec<Option<EventId>>> {
    let events: Vec<Said> =
        events.into_iter().map(NewEvent::into_said).collect::<QueryResult<_>>()?;
    let mut numbers = Vec::with_capacity(events.len());
    for part in events.chunks(MOST) {
        let part: Vec<Option<EventId>> = call(conn, "SELECT core_publish($1)", &json(&part)?)?;
        numbers.extend(part);
    }
    Ok(numbers)
}
