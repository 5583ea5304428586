//! How a run ended, as its handler says.

use std::time::Duration;

use powernode_abi::{RunOutcome, jobs::ended};

use super::{Cancelled, milliseconds};
use crate::error::Result;

/// How a run ended. A handler that has nothing to say answers `()`, which is [`Outcome::Done`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Done,
    /// It failed, for this reason: again after a while that grows with the attempts, as with an error.
    Retry(String),
    /// It failed, for this reason: again after this span, or dead where its attempts are used up.
    RetryIn(Duration, String),
    /// Nobody needs it any more, for this reason.
    Discard(String),
    /// It failed, and trying again would not help; an operator may still do it.
    Dead(String),
    /// Not yet: again after this span, and the attempt does not count.
    Snooze(Duration),
}

impl Outcome {
    /// Nobody needs it any more.
    pub fn discard(reason: impl Into<String>) -> Self {
        Self::Discard(reason.into())
    }

    /// It failed, and trying again would not help.
    pub fn dead(reason: impl Into<String>) -> Self {
        Self::Dead(reason.into())
    }

    /// It failed: again after `span`.
    pub fn retry_in(span: Duration, reason: impl Into<String>) -> Self {
        Self::RetryIn(span, reason.into())
    }

    /// Not yet: again after `span`.
    pub fn snooze(span: Duration) -> Self {
        Self::Snooze(span)
    }

    pub(super) fn of(answer: Result<Self>) -> Self {
        answer.unwrap_or_else(|error| Self::Retry(error.to_string()))
    }

    pub(super) fn into_raw(self) -> RunOutcome {
        let (kind, span, text) = match self {
            Self::Done => (ended::DONE, Duration::ZERO, String::new()),
            Self::Retry(text) => (ended::RETRY, Duration::ZERO, text),
            Self::RetryIn(span, text) => (ended::RETRY_IN, span, text),
            Self::Discard(text) => (ended::DISCARD, Duration::ZERO, text),
            Self::Dead(text) => (ended::DEAD, Duration::ZERO, text),
            Self::Snooze(span) => (ended::SNOOZE, span, String::new()),
        };
        RunOutcome { kind, number: milliseconds(span), text: text.into() }
    }
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Done
    }
}

/// A run that was told to end, and gives up: it runs again as soon as it may, unless somebody cancelled the job.
impl From<Cancelled> for Outcome {
    fn from(_: Cancelled) -> Self {
        Self::Snooze(Duration::ZERO)
    }
}
