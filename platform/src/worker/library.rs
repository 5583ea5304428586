//! Handlers that an extension's library brings: what crosses the boundary, in the worker's words.

use std::{
    fmt,
    pin::Pin,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use powernode_abi::{
    PFuture, Res,
    abi_stable::{
        sabi_trait::TD_Opaque,
        std_types::{ROption, RResult, RStr},
    },
    jobs::{JobHandlerObject, RawRun, RawRun_TO, RunOutcome, cancelled, ended},
};

use super::{Cancel, Handler, Progress, Reason, Task};
use crate::{
    queue::{Claimed, Outcome},
    services::{ApiOnly, within},
};

/// A handler of a library's.
pub struct LibraryHandler {
    handler: JobHandlerObject,
    /// Whether its jobs reach no database.
    api_only: bool,
}

impl LibraryHandler {
    /// The handler that runs jobs in a library.
    pub fn new(handler: JobHandlerObject) -> Self {
        Self { handler, api_only: false }
    }

    /// Whose jobs reach no database, as the component setting `api_only` says.
    pub fn api_only(self, api_only: bool) -> Self {
        Self { api_only, ..self }
    }
}

impl Handler for LibraryHandler {
    fn run(&self, task: Task) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        let run = Run::new(task);
        let (run, api_only) = (RawRun_TO::from_value(run, TD_Opaque), self.api_only);
        let future = within(api_only, || self.handler.run(run));
        Box::pin(async move {
            match ApiOnly::new(future, api_only).await {
                Ok(RResult::ROk(outcome)) => understood(outcome),
                Ok(RResult::RErr(error)) => Outcome::Retry(error.to_string()),
                Err(panic) => Outcome::Retry(format!("panicked: {}", panic.0)),
            }
        })
    }
}

/// An outcome of a kind that is not known here is an attempt that failed.
fn understood(outcome: RunOutcome) -> Outcome {
    let (span, text) = (Duration::from_millis(outcome.number), outcome.text.into_string());
    match outcome.kind {
        ended::DONE => Outcome::Done,
        ended::RETRY_IN => Outcome::RetryIn(span, text),
        ended::DISCARD => Outcome::Discard(text),
        ended::DEAD => Outcome::Dead(text),
        ended::SNOOZE => Outcome::Snooze(span),
        _ => Outcome::Retry(text),
    }
}

/// One run, as the library sees it.
struct Run {
    job: Claimed,
    key: String,
    cancel: Cancel,
    progress: Progress,
    until: Instant,
}

impl Run {
    fn new(task: Task) -> Self {
        // Its pass is spent: the gates were open when it began.
        let Task { job, pass: _, cancel, progress, timeout } = task;
        let now = Instant::now();
        let until = now.checked_add(timeout).unwrap_or(now);
        let key = job.idempotency_key();
        Self { job, key, cancel, progress, until }
    }
}

impl RawRun for Run {
    fn id(&self) -> i64 {
        self.job.fence.id
    }

    fn handler(&self) -> RStr<'_> {
        self.job.handler.as_str().into()
    }

    fn queue(&self) -> RStr<'_> {
        self.job.queue.as_str().into()
    }

    fn args(&self) -> RStr<'_> {
        self.job.args.as_str().into()
    }

    fn attempt(&self) -> u32 {
        self.job.fence.attempt
    }

    fn max_attempts(&self) -> u32 {
        self.job.max_attempts
    }

    fn idempotency_key(&self) -> RStr<'_> {
        self.key.as_str().into()
    }

    fn meta(&self) -> ROption<RStr<'_>> {
        self.job.meta.as_deref().map(RStr::from).into()
    }

    fn created_at(&self) -> i64 {
        micros(self.job.created_at)
    }

    fn due_at(&self) -> i64 {
        micros(self.job.run_at)
    }

    fn time_left(&self) -> u64 {
        let left = self.until.saturating_duration_since(Instant::now());
        u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
    }

    fn progress(&self, json: RStr<'_>) -> Res<()> {
        self.progress.set(json.as_str());
        RResult::ROk(())
    }

    fn cancelled(&self) -> u32 {
        self.cancel.reason().map_or(cancelled::NO, number)
    }

    fn cancellation(&self) -> PFuture<u32> {
        let mut cancel = self.cancel.clone();
        PFuture::new(async move { number(cancel.cancelled().await) })
    }
}

fn number(reason: Reason) -> u32 {
    match reason {
        Reason::Asked => cancelled::ASKED,
        Reason::Closed => cancelled::CLOSED,
        Reason::Stopping => cancelled::STOPPING,
        Reason::Lost => cancelled::LOST,
    }
}

fn micros(moment: DateTime<Utc>) -> i64 {
    moment.timestamp_micros()
}

impl fmt::Debug for LibraryHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LibraryHandler")
    }
}
