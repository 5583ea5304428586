//! Work in the background: handlers, schedules, and the jobs that name them.

use std::{collections::BTreeMap, fmt, marker::PhantomData, sync::Arc, time::Duration};

use powernode_abi::{
    Guarded, JobHandlerDef, PFuture, Res, RunObject, RunOutcome,
    abi_stable::{sabi_trait::TD_Opaque, std_types::RResult},
    guard,
    jobs::{RawJobHandler, RawJobHandler_TO},
};
use serde::de::DeserializeOwned;

use crate::{
    error::{Error, Result},
    request::Shared,
};

mod enqueue;
mod job;
mod known;
mod new;
mod once;
mod options;
mod outcome;
mod schedule;

pub(crate) use self::{
    enqueue::{call, json, parts},
    known::know,
    options::says,
};
pub use self::{
    enqueue::{enqueue, enqueue_all},
    job::{Cancelled, Job},
    new::{JobId, NewJob, Unique},
    once::Once,
    options::JobOptions,
    outcome::Outcome,
    schedule::{Missed, Schedule, ScheduleDef},
};

/// Collects the handlers and the schedules of an extension.
///
/// ```text
/// fn jobs(jobs: &mut Jobs<Self>) {
///     jobs.add("deliver", deliver).queue("mail").attempts(5).timeout(Duration::from_secs(60));
///     jobs.add("sweep", sweep);
///     jobs.cron("nightly", "0 3 * * *", "Europe/Berlin", "sweep");
/// }
///
/// async fn deliver(job: Job<Shop>, letter: Letter) -> Result<Outcome> { … }
/// async fn sweep(job: Job<Shop>) -> Result<()> { … }
/// ```
pub struct Jobs<E> {
    handlers: Vec<Registered<E>>,
    schedules: Vec<Schedule>,
}

/// A handler among [`Jobs`]; says how it wants to be called.
///
/// What it says holds for jobs that this extension writes from then on; a job's own word comes first.
pub struct Registered<E> {
    name: String,
    options: JobOptions,
    mount: Box<Mount<E>>,
}

/// Binds a handler to its extension, once that is there.
type Mount<E> = dyn FnOnce(Arc<Shared<E>>) -> Box<dyn RunJob> + Send + Sync;

/// An `async fn` that takes a [`Job`], and its arguments if it wants them.
///
/// `Ok(())` is done; an [`Outcome`] may say otherwise. An error, a panic and a timeout are attempts that failed: the
/// job runs again after a while that grows, until its attempts are used up.
pub trait JobHandler<E, Args>: Clone + Send + Sync + 'static {
    /// Reads the arguments and runs it.
    fn run(&self, job: Job<E>) -> impl Future<Output = Result<Outcome>> + Send;
}

impl<E, F, Fut, Out> JobHandler<E, ()> for F
where
    E: Send + Sync + 'static,
    F: Fn(Job<E>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Out>> + Send,
    Out: Into<Outcome>,
{
    async fn run(&self, job: Job<E>) -> Result<Outcome> {
        self(job).await.map(Into::into)
    }
}

impl<E, F, Fut, Out, A> JobHandler<E, (A,)> for F
where
    E: Send + Sync + 'static,
    F: Fn(Job<E>, A) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Out>> + Send,
    Out: Into<Outcome>,
    A: DeserializeOwned + Send,
{
    async fn run(&self, job: Job<E>) -> Result<Outcome> {
        let args = job.args()?;
        self(job, args).await.map(Into::into)
    }
}

impl<E: Send + Sync + 'static> Jobs<E> {
    pub(crate) fn new() -> Self {
        Self { handlers: Vec::new(), schedules: Vec::new() }
    }

    /// Adds a handler under a name, which is unique within the extension.
    ///
    /// Jobs wait under that name: whoever changes it leaves them waiting.
    pub fn add<A: 'static>(
        &mut self,
        name: &str,
        handler: impl JobHandler<E, A>,
    ) -> &mut Registered<E> {
        self.handlers.push(Registered::new(name, handler));
        let last = self.handlers.len() - 1;
        &mut self.handlers[last]
    }

    /// Writes `job` whenever the clock of `zone`, one of IANA's, fits five fields of cron: minute, hour, day, month,
    /// weekday. A handler's name alone is a job without arguments.
    ///
    /// Each tick counts once, whatever the number of processes.
    pub fn cron(
        &mut self,
        name: &str,
        expression: &str,
        zone: &str,
        job: impl Into<NewJob>,
    ) -> &mut Schedule {
        self.schedule(Schedule::new(name, expression.to_owned(), zone, job.into()))
    }

    /// Writes `job` once in each span of so many whole seconds, at least one.
    pub fn every(&mut self, name: &str, span: Duration, job: impl Into<NewJob>) -> &mut Schedule {
        let expression = format!("every {}s", span.as_secs().max(1));
        self.schedule(Schedule::new(name, expression, "UTC", job.into()))
    }

    fn schedule(&mut self, schedule: Schedule) -> &mut Schedule {
        self.schedules.push(schedule);
        let last = self.schedules.len() - 1;
        &mut self.schedules[last]
    }

    /// What each handler said of itself.
    pub(crate) fn options(&self) -> BTreeMap<String, JobOptions> {
        self.handlers.iter().map(|it| (it.name.clone(), it.options.clone())).collect()
    }

    pub(crate) fn into_raw(self, shared: &Arc<Shared<E>>) -> Vec<JobHandlerDef> {
        self.handlers.into_iter().map(|it| it.into_raw(shared.clone())).collect()
    }

    /// What crosses of the schedules.
    pub(crate) fn into_schedules(self) -> Result<Vec<ScheduleDef>> {
        let options = self.options();
        self.schedules.into_iter().map(|it| it.into_def(&options)).collect()
    }
}

options::says! { Registered }

impl<E: Send + Sync + 'static> Registered<E> {
    pub(crate) fn new<A: 'static>(name: &str, handler: impl JobHandler<E, A>) -> Self {
        let mount = Box::new(move |shared| {
            Box::new(Mounted { handler, shared, args: PhantomData::<fn(A)> }) as Box<dyn RunJob>
        });
        Self { name: name.to_owned(), options: JobOptions::default(), mount }
    }
}

impl<E> Registered<E> {
    pub(crate) fn options_mut(&mut self) -> &mut JobOptions {
        &mut self.options
    }

    pub(crate) fn named(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn into_raw(self, shared: Arc<Shared<E>>) -> JobHandlerDef {
        let handler = Adapter(Guarded::new((self.mount)(shared)));
        JobHandlerDef {
            name: self.name.into(),
            options: serde_json::to_string(&self.options).unwrap_or_default().into(),
            handler: RawJobHandler_TO::from_value(handler, TD_Opaque),
        }
    }
}

pub(crate) fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A handler with its types forgotten.
trait RunJob: Send + Sync {
    fn run(&self, run: RunObject) -> PFuture<Res<RunOutcome>>;
}

struct Mounted<E, H, A> {
    handler: H,
    shared: Arc<Shared<E>>,
    args: PhantomData<fn(A)>,
}

impl<E, H, A> RunJob for Mounted<E, H, A>
where
    E: Send + Sync + 'static,
    H: JobHandler<E, A>,
    A: 'static,
{
    fn run(&self, run: RunObject) -> PFuture<Res<RunOutcome>> {
        let job = Job::new(run, self.shared.clone());
        let handler = self.handler.clone();
        PFuture::new(async move {
            let answer: Result<Outcome, Error> = handler.run(job).await;
            RResult::ROk(Outcome::of(answer).into_raw())
        })
    }
}

struct Adapter(Guarded<Box<dyn RunJob>>);

impl RawJobHandler for Adapter {
    fn run(&self, run: RunObject) -> PFuture<Res<RunOutcome>> {
        match guard(|| Ok(self.0.run(run))) {
            RResult::ROk(future) => future,
            RResult::RErr(error) => PFuture::ready(RResult::RErr(error)),
        }
    }
}

impl<E> fmt::Debug for Jobs<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.handlers).entries(&self.schedules).finish()
    }
}

impl<E> fmt::Debug for Registered<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
