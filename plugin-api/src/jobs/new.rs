//! A job as it is asked for.

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use diesel::result::{Error as DieselError, QueryResult};
use serde::{Deserialize, Serialize};

use super::{JobOptions, milliseconds};

/// The number of a job.
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
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A job that is asked for: the handler's name and its arguments. What it does not say, its handler says.
#[derive(Clone, Debug)]
pub struct NewJob {
    asked: Asked,
    /// Why the arguments cannot be written.
    fault: Option<String>,
}

/// What crosses: the platform reads it by these names.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Asked {
    pub(super) handler: String,
    args: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique: Option<Unique>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<String>,
}

/// A key that one job of the extension holds at a time: a second one is not written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unique {
    /// Until the job ended, in whatever way.
    UntilDone(String),
    /// Until the job began: one waits while another may run.
    UntilStart(String),
    /// Once in each span of so many milliseconds, counted from 1970.
    Period {
        /// The key.
        key: String,
        /// The span, in milliseconds, at least 1.
        period_ms: u64,
    },
}

impl NewJob {
    /// A job for `handler`, one of this extension's.
    ///
    /// The arguments cross as JSON, in 256 KiB at most: pass ids, and keep the data in a table.
    pub fn new(handler: impl Into<String>, args: &impl Serialize) -> Self {
        let (args, fault) = match serde_json::to_string(args) {
            Ok(args) => (args, None),
            Err(error) => (String::new(), Some(error.to_string())),
        };
        let asked = Asked {
            handler: handler.into(),
            args,
            queue: None,
            priority: None,
            run_at: None,
            timeout_ms: None,
            max_attempts: None,
            unique: None,
            serial: None,
            meta: None,
        };
        Self { asked, fault }
    }

    /// In the queue `<slug>:<name>`.
    #[must_use]
    pub fn queue(mut self, name: impl Into<String>) -> Self {
        self.asked.queue = Some(name.into());
        self
    }

    /// From 0, which runs first, to 9.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.asked.priority = Some(priority);
        self
    }

    /// Not before `moment`.
    #[must_use]
    pub fn at(mut self, moment: DateTime<Utc>) -> Self {
        self.asked.run_at = Some(moment);
        self
    }

    /// One attempt may take this long, to the millisecond.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.asked.timeout_ms = Some(milliseconds(timeout));
        self
    }

    /// Tried so often, the first time included.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.asked.max_attempts = Some(attempts);
        self
    }

    /// Not written where another job holds the key.
    #[must_use]
    pub fn unique(mut self, unique: Unique) -> Self {
        self.asked.unique = Some(unique);
        self
    }

    /// After those before it with the same key, one at a time.
    #[must_use]
    pub fn serial(mut self, key: impl Into<String>) -> Self {
        self.asked.serial = Some(key.into());
        self
    }

    /// With what the handler may ask for by name: a map, or a struct, of 16 KiB at most.
    #[must_use]
    pub fn meta(mut self, meta: &impl Serialize) -> Self {
        match serde_json::to_string(meta) {
            Ok(meta) => self.asked.meta = Some(meta),
            Err(error) => self.fault = Some(error.to_string()),
        }
        self
    }

    /// With what `options` say, where it says nothing itself.
    pub(super) fn with(mut self, options: &JobOptions) -> Self {
        let asked = &mut self.asked;
        asked.queue = asked.queue.take().or_else(|| options.queue.clone());
        asked.priority = asked.priority.or(options.priority);
        asked.timeout_ms = asked.timeout_ms.or(options.timeout_ms);
        asked.max_attempts = asked.max_attempts.or(options.max_attempts);
        self
    }

    pub(super) fn handler(&self) -> &str {
        &self.asked.handler
    }

    /// What crosses of it.
    pub(super) fn into_asked(self) -> QueryResult<Asked> {
        let Some(fault) = self.fault else { return Ok(self.asked) };
        let fault = format!("job `{}` cannot be written as JSON: {fault}", self.asked.handler);
        Err(DieselError::SerializationError(fault.into()))
    }
}

impl Asked {
    /// How much it says, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.args.len() + self.meta.as_ref().map_or(0, String::len)
    }
}

/// A job without arguments.
impl From<&str> for NewJob {
    fn from(handler: &str) -> Self {
        Self::new(handler, &())
    }
}
