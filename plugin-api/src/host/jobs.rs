//! Jobs of this extension, outside its transactions.

use std::fmt;

use chrono::{DateTime, Utc};
use powernode_abi::jobs::JobsObject;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    error::{Error, Result},
    jobs::{JobId, NewJob, parts},
};

/// Jobs of this extension, outside its transactions.
///
/// Where rows belong to a job, write it with them: [`enqueue`](crate::jobs::enqueue()).
pub struct HostJobs(JobsObject);

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobState {
    /// Waits for its time.
    Scheduled,
    /// Waits to be run.
    Ready,
    /// Runs.
    Running,
    /// Waits for those before it with the same serial key.
    Blocked,
    /// Ended well.
    Done,
    /// Failed for good; an operator may try it again.
    Dead,
    /// Nobody wants it any more.
    Cancelled,
    /// One that this SDK does not know.
    #[serde(other)]
    Unknown,
}

/// A job, as it stands.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct JobInfo {
    /// Its number.
    pub id: JobId,
    /// The queue's name.
    pub queue: String,
    /// The handler's name.
    pub handler: String,
    /// The arguments, JSON text.
    args: String,
    /// Where it stands.
    pub state: JobState,
    /// Attempts that count.
    pub attempt: u32,
    /// How often it is tried, the first time included.
    pub max_attempts: u32,
    /// When it is or was due.
    pub run_at: DateTime<Utc>,
    /// When it ended.
    #[serde(default)]
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it is dead or cancelled.
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    progress: Option<String>,
}

impl JobInfo {
    /// The arguments.
    ///
    /// # Errors
    ///
    /// When they are no `A`.
    pub fn args<A: DeserializeOwned>(&self) -> Result<A> {
        serde_json::from_str(&self.args).map_err(Error::internal)
    }

    /// How far it is, if its handler said so.
    ///
    /// # Errors
    ///
    /// When that is no `P`.
    pub fn progress<P: DeserializeOwned>(&self) -> Result<Option<P>> {
        let progress = self.progress.as_deref().map(serde_json::from_str);
        progress.transpose().map_err(Error::internal)
    }
}

impl HostJobs {
    pub(crate) fn new(object: JobsObject) -> Self {
        Self(object)
    }

    /// Writes a job; answers its number, or none where another job holds its unique key.
    ///
    /// # Errors
    ///
    /// As [`enqueue`](crate::jobs::enqueue()); also where the platform's interface is 1.0.
    pub async fn enqueue(&self, job: impl Into<NewJob>) -> Result<Option<JobId>> {
        let job = job.into();
        Ok(self.enqueue_all([job]).await?.pop().flatten())
    }

    /// Writes jobs; answers their numbers in their order, none where another job holds the unique key.
    ///
    /// Thousands are written in parts: where a part fails, those before it are there.
    ///
    /// # Errors
    ///
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_all(
        &self,
        jobs: impl IntoIterator<Item = NewJob>,
    ) -> Result<Vec<Option<JobId>>> {
        let mut numbers = Vec::new();
        for part in parts(jobs)? {
            let answer = self.0.enqueue(part.as_str().into()).flat().await?;
            let part: Vec<Option<JobId>> =
                serde_json::from_str(&answer).map_err(Error::internal)?;
            numbers.extend(part);
        }
        Ok(numbers)
    }

    /// A job of this extension's; none where there is no such one, or no longer.
    ///
    /// # Errors
    ///
    /// When the database does not answer; so for each method.
    pub async fn find(&self, job: JobId) -> Result<Option<JobInfo>> {
        let found = self.0.find(job.0).flat().await?.into_option();
        found.map(|it| serde_json::from_str(&it)).transpose().map_err(Error::internal)
    }

    /// Cancels a job of this extension's: one that waits ends at once, one that runs is told. Answers whether it had
    /// not ended before.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find).
    pub async fn cancel(&self, job: JobId) -> Result<bool> {
        Ok(self.0.cancel(job.0).flat().await?)
    }
}

impl fmt::Debug for HostJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostJobs")
    }
}
