//! Jobs of one extension, outside its transactions.

use std::{fmt, sync::Arc};

use chrono::Utc;
use powernode_abi::{
    AbiError, PFuture, Res,
    abi_stable::std_types::{ROption, RStr, RString},
    jobs::RawJobs,
};
use powernode_plugin_api::Db;

use super::{Failure, answer};
use crate::queue::{self, Filter, NewJob, QueueError};

/// The service of jobs of one extension.
pub struct Jobs {
    slug: String,
    core: Db,
    /// Called when jobs were written.
    written: Arc<dyn Fn() + Send + Sync>,
}

impl Jobs {
    /// The service of the extension with that slug; `written` is called when jobs were written.
    pub fn new(slug: &str, core: Db, written: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { slug: slug.to_owned(), core, written }
    }
}

impl RawJobs for Jobs {
    fn enqueue(&self, jobs: RStr<'_>) -> PFuture<Res<RString>> {
        let (core, slug, written) = (self.core.clone(), self.slug.clone(), self.written.clone());
        let jobs = serde_json::from_str::<Vec<NewJob>>(jobs.as_str());
        answer(async move {
            let jobs = jobs.map_err(unreadable)?;
            let numbers =
                core.transaction(move |conn| queue::enqueue(conn, &slug, &jobs, Utc::now()));
            let numbers = numbers.await?;
            written();
            Ok(text(&numbers)?)
        })
    }

    fn find(&self, job: i64) -> PFuture<Res<ROption<RString>>> {
        let (core, slug) = (self.core.clone(), self.slug.clone());
        answer(async move {
            let found = core.read(move |conn| queue::find(conn, job)).await?;
            let own = found.filter(|it| it.extension == slug);
            Ok(own.as_ref().map(text).transpose()?.into())
        })
    }

    fn cancel(&self, job: i64) -> PFuture<Res<bool>> {
        let (core, extension) = (self.core.clone(), Some(self.slug.clone()));
        let filter = Filter { id: Some(job), extension, ..Filter::default() };
        answer(async move {
            let cancelled =
                core.transaction(move |conn| queue::cancel(conn, &filter, 1, Utc::now()));
            Ok(cancelled.await? == 1)
        })
    }
}

fn text(value: &impl serde::Serialize) -> Result<RString, AbiError> {
    let text = serde_json::to_string(value);
    text.map(RString::from).map_err(|error| AbiError::failed(error.to_string()))
}

fn unreadable(error: serde_json::Error) -> AbiError {
    AbiError::failed(format!("the jobs are no list of jobs: {error}"))
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Database(error) => error.into(),
            error => Self(AbiError::failed(error.to_string())),
        }
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jobs of `{}`", self.slug)
    }
}
