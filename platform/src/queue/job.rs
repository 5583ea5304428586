//! A job as it is asked for.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{millis, moment};

/// How often a job is tried unless it says otherwise: once, and 25 times again.
pub const DEFAULT_ATTEMPTS: u32 = 26;
/// The priority in the middle; 0 runs first, 9 last.
pub const DEFAULT_PRIORITY: u8 = 5;

/// Longest name of a handler, of a queue's second part, in bytes.
const LONGEST_NAME: usize = 100;
/// Longest key, in bytes.
const LONGEST_KEY: usize = 255;
/// Most bytes of arguments.
const MOST_ARGS: usize = 256 << 10;
/// Most bytes of what goes with a job unread.
pub(super) const MOST_META: usize = 16 << 10;
/// Most attempts.
const MOST_ATTEMPTS: u32 = 1_000;

/// A job that somebody asks for. Its JSON is what crosses from an extension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    /// The handler's name.
    pub handler: String,
    /// JSON text, which the queue does not look into.
    pub args: String,
    /// The second part of the queue's name, `mail` of `shop:mail`; none: the extension's own queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// From 0, which runs first, to 9.
    #[serde(default = "default_priority")]
    pub priority: u8,
    /// Not before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<DateTime<Utc>>,
    /// How long one attempt may take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How often it is tried, the first time included.
    #[serde(default = "default_attempts")]
    pub max_attempts: u32,
    /// Not written where another holds the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<Unique>,
    /// Of jobs with the same key one runs after the other, in the order in which they were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Text that goes with it unread: the trace, the account, the actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<String>,
}

/// A key that one job holds at a time, among those of its extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        /// The span, in milliseconds.
        period_ms: u64,
    },
}

/// Where a job stands.
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
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for its time.
    Scheduled,
    /// Waits for a node.
    Ready,
    /// A node runs it.
    Running,
    /// Waits for those before it with the same serial key.
    Blocked,
    /// Ended well.
    Done,
    /// Failed for good; an operator may try it again.
    Dead,
    /// Nobody wants it any more.
    Cancelled,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Ready,
        Self::Running,
        Self::Blocked,
        Self::Done,
        Self::Dead,
        Self::Cancelled,
    ];

    /// Its number in the tables.
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Scheduled => 0,
            Self::Ready => 1,
            Self::Running => 2,
            Self::Blocked => 3,
            Self::Done => 4,
            Self::Dead => 5,
            Self::Cancelled => 6,
        }
    }

    pub(super) fn of_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// Whether nothing more happens to the job by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Cancelled)
    }
}

/// What is wrong with a job that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("job `{handler}`: {fault}")]
pub struct BadJob {
    handler: String,
    fault: String,
}

fn default_priority() -> u8 {
    DEFAULT_PRIORITY
}

fn default_attempts() -> u32 {
    DEFAULT_ATTEMPTS
}

impl NewJob {
    /// A job for `handler` with `args`, JSON text, all else as by default.
    pub fn new(handler: impl Into<String>, args: impl Into<String>) -> Self {
        Self {
            handler: handler.into(),
            args: args.into(),
            queue: None,
            priority: DEFAULT_PRIORITY,
            run_at: None,
            timeout_ms: None,
            max_attempts: DEFAULT_ATTEMPTS,
            unique: None,
            serial: None,
            meta: None,
        }
    }

    /// In the queue `<slug>:<name>`.
    #[must_use]
    pub fn in_queue(self, name: impl Into<String>) -> Self {
        Self { queue: Some(name.into()), ..self }
    }

    /// With this priority, from 0, which runs first, to 9.
    #[must_use]
    pub fn with_priority(self, priority: u8) -> Self {
        Self { priority, ..self }
    }

    /// Not before `run_at`.
    #[must_use]
    pub fn at(self, run_at: DateTime<Utc>) -> Self {
        Self { run_at: Some(run_at), ..self }
    }

    /// An attempt may take this long.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout_ms: Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)), ..self }
    }

    /// Tried so often, the first time included.
    #[must_use]
    pub fn with_attempts(self, max_attempts: u32) -> Self {
        Self { max_attempts, ..self }
    }

    /// Not written where another holds the key.
    #[must_use]
    pub fn unique(self, unique: Unique) -> Self {
        Self { unique: Some(unique), ..self }
    }

    /// After those before it with the same key.
    #[must_use]
    pub fn serial(self, key: impl Into<String>) -> Self {
        Self { serial: Some(key.into()), ..self }
    }

    /// With text that goes along unread.
    #[must_use]
    pub fn with_meta(self, meta: impl Into<String>) -> Self {
        Self { meta: Some(meta.into()), ..self }
    }

    /// How much it says, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.args.len() + self.meta.as_ref().map_or(0, String::len)
    }

    /// The row that this makes in a queue of `slug`.
    pub(super) fn row(&self, slug: &str, now: DateTime<Utc>) -> Result<Row, BadJob> {
        self.check()?;
        let (key, scope, until) = match &self.unique {
            None => (None, 0, None),
            Some(Unique::UntilDone(key)) => (Some(key.clone()), 0, None),
            Some(Unique::UntilStart(key)) => (Some(key.clone()), 1, None),
            Some(Unique::Period { key, period_ms }) => {
                let period = i64::try_from(*period_ms).unwrap_or(i64::MAX).max(1);
                let number = millis(now).div_euclid(period);
                let until = number.saturating_add(1).saturating_mul(period);
                (Some(format!("{key}@{number}")), 2, Some(until))
            }
        };
        Ok(Row {
            queue: match &self.queue {
                Some(name) => format!("{slug}:{name}"),
                None => slug.to_owned(),
            },
            handler: self.handler.clone(),
            args: self.args.clone(),
            priority: self.priority,
            run_at: self.run_at.map_or(millis(now), millis),
            max_attempts: self.max_attempts,
            timeout_ms: self.timeout_ms,
            unique_key: key,
            unique_scope: scope,
            unique_until: until,
            serial_key: self.serial.clone(),
            meta: self.meta.clone(),
        })
    }

    fn check(&self) -> Result<(), BadJob> {
        let fault = |fault: String| {
            let handler: String = self.handler.chars().take(LONGEST_NAME).collect();
            Err(BadJob { handler, fault })
        };
        let printable = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        if !printable(&self.handler) || self.handler.len() > LONGEST_NAME {
            return fault(format!(
                "a handler's name has 1 to {LONGEST_NAME} bytes that can be printed"
            ));
        }
        let plain = |letter: u8| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, b'_' | b'-')
        };
        if let Some(queue) = &self.queue
            && (queue.is_empty() || queue.len() > LONGEST_NAME || !queue.bytes().all(plain))
        {
            return fault(format!(
                "queue `{}`: its name has 1 to {LONGEST_NAME} of `a-z`, `0-9`, `_` and `-`",
                queue.escape_debug()
            ));
        }
        if self.args.len() > MOST_ARGS {
            return fault(format!(
                "its arguments have {} bytes, and {MOST_ARGS} are allowed: keep the data in a table, and pass its id",
                self.args.len()
            ));
        }
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&self.args) {
            return fault(format!("its arguments are no JSON: {error}"));
        }
        if self.meta.as_ref().is_some_and(|meta| meta.len() > MOST_META) {
            return fault(format!("what goes with it has more than {MOST_META} bytes"));
        }
        if self.priority > 9 {
            return fault(format!("priority {}: from 0, which runs first, to 9", self.priority));
        }
        if !(1..=MOST_ATTEMPTS).contains(&self.max_attempts) {
            return fault(format!("{} attempts: from 1 to {MOST_ATTEMPTS}", self.max_attempts));
        }
        if self.timeout_ms.is_some_and(|it| it == 0 || i64::try_from(it).is_err()) {
            return fault("a timeout of no or endless length".to_owned());
        }
        if matches!(self.unique, Some(Unique::Period { period_ms: 0, .. })) {
            return fault("a period of no length".to_owned());
        }
        // PostgreSQL's text holds no NUL, and neither may these.
        let texts = [Some(&self.args), self.meta.as_ref()];
        if texts.into_iter().flatten().any(|text| text.contains('\0')) {
            return fault("a NUL in its text".to_owned());
        }
        let keys = [self.unique.as_ref().map(Unique::key), self.serial.as_deref()];
        for key in keys.into_iter().flatten() {
            if !printable(key) || key.len() > LONGEST_KEY {
                return fault(format!("a key has 1 to {LONGEST_KEY} bytes that can be printed"));
            }
        }
        // What a calendar can hold, a sum with a span can hold too.
        if self.run_at.is_some_and(|it| moment(millis(it)).timestamp_millis() != millis(it)) {
            return fault("a moment that no calendar has".to_owned());
        }
        Ok(())
    }
}

impl BadJob {
    pub(super) fn too_large(bytes: usize, most: usize) -> Self {
        Self {
            handler: "…".to_owned(),
            fault: format!("{bytes} bytes at once, and {most} are allowed: enqueue in parts"),
        }
    }

    pub(super) fn progress(bytes: usize) -> Self {
        let fault = format!("a progress of {bytes} bytes, and {MOST_META} are allowed");
        Self { handler: "…".to_owned(), fault }
    }

    pub(super) fn too_many(count: usize, most: usize) -> Self {
        Self {
            handler: "…".to_owned(),
            fault: format!("{count} jobs at once, and {most} are allowed"),
        }
    }
}

impl Unique {
    fn key(&self) -> &str {
        match self {
            Self::UntilDone(key) | Self::UntilStart(key) | Self::Period { key, .. } => key,
        }
    }
}

/// A job as the statement that writes it takes it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) queue: String,
    handler: String,
    args: String,
    priority: u8,
    run_at: i64,
    max_attempts: u32,
    timeout_ms: Option<u64>,
    pub(super) unique_key: Option<String>,
    unique_scope: u8,
    unique_until: Option<i64>,
    serial_key: Option<String>,
    meta: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(job: NewJob, fault: &str) {
        let answer = job.row("shop", DateTime::UNIX_EPOCH).map(drop);
        assert_eq!(answer.err().map(|it| it.to_string()).as_deref().unwrap_or(""), fault);
    }

    #[test]
    fn what_cannot_be_is_named() {
        let job = || NewJob::new("send", "{}");
        check(job(), "");
        check(
            NewJob::new("", "{}"),
            "job ``: a handler's name has 1 to 100 bytes that can be printed",
        );
        check(
            NewJob::new("a\nb", "{}"),
            "job `a\nb`: a handler's name has 1 to 100 bytes that can be printed",
        );
        check(
            NewJob::new("send", "{"),
            "job `send`: its arguments are no JSON: EOF while parsing an object at line 1 column 1",
        );
        check(
            job().in_queue("Mail"),
            "job `send`: queue `Mail`: its name has 1 to 100 of `a-z`, `0-9`, `_` and `-`",
        );
        check(job().with_priority(10), "job `send`: priority 10: from 0, which runs first, to 9");
        check(job().with_attempts(0), "job `send`: 0 attempts: from 1 to 1000");
        check(job().with_timeout(Duration::ZERO), "job `send`: a timeout of no or endless length");
        check(job().serial(""), "job `send`: a key has 1 to 255 bytes that can be printed");
        check(job().with_meta("\0"), "job `send`: a NUL in its text");
        check(
            job().unique(Unique::Period { key: "x".into(), period_ms: 0 }),
            "job `send`: a period of no length",
        );
    }

    #[test]
    fn states_have_the_numbers_of_the_tables() {
        for state in State::ALL {
            assert_eq!(State::of_number(state.number()), Some(state));
        }
        assert_eq!(State::of_number(7), None);
    }
}
