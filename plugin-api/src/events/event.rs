//! An event, as its handler sees it.

use std::{fmt, ops::Deref};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use super::EventId;
use crate::{
    error::{Error, Result},
    jobs::{Job, Once},
};

/// One delivery of an event: the first argument of each handler. What a [`Job`] can tell, it tells as well.
///
/// An event is delivered at least once; [`once`](Self::once) is for effects that must not happen twice.
pub struct Event<E> {
    job: Job<E>,
    delivered: Delivered,
}

/// An event as it crosses the boundary: the arguments of a delivery's job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivered {
    /// Its number; later events have higher ones.
    pub id: EventId,
    /// The same in every delivery, and in no other event.
    pub uid: String,
    /// `<slug>.<entity>.<verb>`.
    pub topic: String,
    /// What it is about: events with one key may be ordered.
    #[serde(default)]
    pub key: Option<String>,
    /// The account that it belongs to.
    #[serde(default)]
    pub account_id: Option<Uuid>,
    /// The payload's version, from 1.
    pub version: u32,
    /// What it says.
    pub payload: Value,
    /// When it was published.
    pub published_at: DateTime<Utc>,
    /// Whether somebody replays it.
    #[serde(default)]
    pub replayed: bool,
}

impl<E> Event<E> {
    pub(super) fn new(job: Job<E>) -> Result<Self> {
        Ok(Self { delivered: job.args()?, job })
    }

    /// The event's number; later events have higher ones.
    pub fn event_id(&self) -> EventId {
        self.delivered.id
    }

    /// The same in every delivery, and in no other event.
    pub fn uid(&self) -> &str {
        &self.delivered.uid
    }

    /// `<slug>.<entity>.<verb>`.
    pub fn topic(&self) -> &str {
        &self.delivered.topic
    }

    /// What it is about.
    pub fn key(&self) -> Option<&str> {
        self.delivered.key.as_deref()
    }

    /// The account that it belongs to.
    pub fn account(&self) -> Option<Uuid> {
        self.delivered.account_id
    }

    /// The payload's version, from 1.
    pub fn version(&self) -> u32 {
        self.delivered.version
    }

    /// What it says; a handler's second argument is that as well.
    ///
    /// # Errors
    ///
    /// When it is no `P`.
    pub fn payload<P: DeserializeOwned>(&self) -> Result<P> {
        serde_path_to_error::deserialize(&self.delivered.payload).map_err(|error| {
            Error::unfit(format!("the payload of `{}` does not fit: {error}", self.topic()))
        })
    }

    /// When it was published.
    pub fn published_at(&self) -> DateTime<Utc> {
        self.delivered.published_at
    }

    /// Whether somebody replays it.
    pub fn is_replayed(&self) -> bool {
        self.delivered.replayed
    }

    /// For effects in the extension's tables that must not happen twice, though the event may come twice: also where
    /// it is replayed.
    pub fn once(&self) -> Once {
        Once::new(format!("event:{}:{}", self.uid(), self.handler()))
    }
}

impl<E> Deref for Event<E> {
    type Target = Job<E>;

    fn deref(&self) -> &Job<E> {
        &self.job
    }
}

impl<E> fmt::Debug for Event<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {:?}", self.topic(), self.uid(), self.job)
    }
}
