//! A job, as its handler sees it.

use std::{fmt, pin::pin, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::future::{Either, select};
use powernode_abi::{RunObject, jobs::cancelled};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{JobId, Once};
use crate::{
    Db, Host,
    error::{Error, Result},
    request::Shared,
};

/// One run of a job: the first argument of each handler. Clones are of the same run.
///
/// A job runs at least once: after a crash it runs again, so its effects should bear that.
/// [`idempotency_key`](Self::idempotency_key) is for those who can tell a second time.
pub struct Job<E> {
    run: Arc<RunObject>,
    shared: Arc<Shared<E>>,
}

/// Why a run should end. It is free to go on; only where the platform stops, or the job was lost, it is dropped
/// after a while, at a point where it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cancelled {
    /// Somebody cancelled the job: it ends for good, whatever the handler answers.
    Asked,
    /// The extension was switched off: what gives up waits until it is on again.
    Closed,
    /// The platform stops: what does not end in time is given back, and runs again.
    Stopping,
    /// This process was taken for dead, and another may run the job already.
    Lost,
}

impl Cancelled {
    fn of(reason: u32) -> Option<Self> {
        match reason {
            cancelled::NO => None,
            cancelled::CLOSED => Some(Self::Closed),
            cancelled::STOPPING => Some(Self::Stopping),
            cancelled::LOST => Some(Self::Lost),
            _ => Some(Self::Asked),
        }
    }
}

impl<E> Job<E> {
    pub(crate) fn new(run: RunObject, shared: Arc<Shared<E>>) -> Self {
        Self { run: Arc::new(run), shared }
    }

    /// The extension's own state.
    pub fn extension(&self) -> &E {
        &self.shared.extension
    }

    /// The platform's services.
    pub fn host(&self) -> &Host {
        &self.shared.host
    }

    /// The extension's tables.
    pub fn db(&self) -> &Db {
        self.shared.host.db()
    }

    /// The job's number.
    pub fn id(&self) -> JobId {
        JobId(self.run.id())
    }

    /// The handler's name.
    pub fn handler(&self) -> &str {
        self.run.handler().as_str()
    }

    /// The queue's name: `<slug>`, or `<slug>:<name>`.
    pub fn queue(&self) -> &str {
        self.run.queue().as_str()
    }

    /// The arguments; a handler's second argument is them as well.
    ///
    /// # Errors
    ///
    /// When they are no `A`; names the place.
    pub fn args<A: DeserializeOwned>(&self) -> Result<A> {
        let mut text = serde_json::Deserializer::from_str(self.run.args().as_str());
        serde_path_to_error::deserialize(&mut text)
            .map_err(|error| Error::unfit(format!("the arguments do not fit: {error}")))
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.run.attempt()
    }

    /// How often the job is tried, the first time included.
    pub fn max_attempts(&self) -> u32 {
        self.run.max_attempts()
    }

    /// Whether the job is dead if this attempt fails.
    pub fn is_last_attempt(&self) -> bool {
        self.attempt() >= self.max_attempts()
    }

    /// The same text in each run of this job, and in none of another: for services that tell a second time by a key.
    pub fn idempotency_key(&self) -> &str {
        self.run.idempotency_key().as_str()
    }

    /// For effects in the extension's tables that must not happen twice, whatever becomes of this run.
    pub fn once(&self) -> Once {
        Once::new(self.idempotency_key())
    }

    /// What came with the job, by name.
    pub fn meta<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let meta: Value = serde_json::from_str(self.run.meta().into_option()?.as_str()).ok()?;
        serde_json::from_value(meta.get(name)?.clone()).ok()
    }

    /// The tick that this run is for, if a schedule wrote the job.
    pub fn tick(&self) -> Option<DateTime<Utc>> {
        self.meta("tick")
    }

    /// When the job was written.
    pub fn created_at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.run.created_at()).unwrap_or_default()
    }

    /// When it was due.
    pub fn due_at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.run.due_at()).unwrap_or_default()
    }

    /// How long until the platform gives the run up.
    pub fn time_left(&self) -> Duration {
        Duration::from_millis(self.run.time_left())
    }

    /// Says how far it is, for people who watch. Saying it often costs nothing: the last word in a second is kept.
    ///
    /// # Errors
    ///
    /// When it cannot be written as JSON, or is longer than 16 KiB.
    pub fn progress(&self, progress: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(progress).map_err(Error::internal)?;
        Ok(self.run.progress(text.as_str().into()).into_result()?)
    }

    /// Whether the run should end, and why.
    pub fn cancelled(&self) -> Option<Cancelled> {
        Cancelled::of(self.run.cancelled())
    }

    /// Ends when the run should; never, where nobody says so.
    ///
    /// # Errors
    ///
    /// When the platform's side fails.
    pub async fn cancellation(&self) -> Result<Cancelled> {
        let reason = self.run.cancellation().await.map_err(Error::internal)?;
        Ok(Cancelled::of(reason).unwrap_or(Cancelled::Asked))
    }

    /// What `work` answers, or why the run should end, whichever is first; then `work` is dropped where it waits.
    ///
    /// ```text
    /// match job.unless_cancelled(send(&letter)).await? {
    ///     Ok(sent) => …,
    ///     Err(cancelled) => return Ok(cancelled.into()),
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`cancellation`](Self::cancellation).
    pub async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<std::result::Result<T, Cancelled>> {
        match select(pin!(work), pin!(self.cancellation())).await {
            Either::Left((answer, _)) => Ok(Ok(answer)),
            Either::Right((reason, _)) => reason.map(Err),
        }
    }
}

impl<E> Clone for Job<E> {
    fn clone(&self) -> Self {
        Self { run: self.run.clone(), shared: self.shared.clone() }
    }
}

impl<E> fmt::Debug for Job<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, attempt {}", self.handler(), self.id(), self.attempt())
    }
}
