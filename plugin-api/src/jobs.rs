//! Work in the background: handlers, schedules, and the jobs that name them.

use std::{collections::BTreeMap, fmt, marker::PhantomData, sync::Arc, time::Duration};

use powernode_abi::{
    Guarded, JobHandlerDef, PFuture, Res, RunObject, RunOutcome,
    abi_stable::{sabi_trait::TD_Opaque, std_types::RResult},
    guard,
    jobs::{RawJobHandler, RawJobHandler_TO},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    error::{Error, Result},
    request::Shared,
};

mod enqueue;
mod job;
mod known;
mod new;
mod outcome;
mod schedule;

pub(crate) use self::{enqueue::parts, known::know};
pub use self::{
    enqueue::{enqueue, enqueue_all},
    job::{Cancelled, Job},
    new::{JobId, NewJob, Unique},
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

/// How a handler wants to be called; crosses the boundary as JSON text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobOptions {
    /// The second part of the queue's name, `mail` of `shop:mail`; none: the extension's own queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// How long one attempt may take, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How often a job is tried, the first time included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// From 0, which runs first, to 9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// How many jobs of its queue run at once in one process, until an operator says otherwise. Of several handlers
    /// in one queue the lowest number holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// The same in all processes together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency_of_all: Option<u32>,
}

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
        let mount = Box::new(move |shared| {
            Box::new(Mounted { handler, shared, args: PhantomData::<fn(A)> }) as Box<dyn RunJob>
        });
        self.mount(name, mount)
    }

    pub(crate) fn mount(&mut self, name: &str, mount: Box<Mount<E>>) -> &mut Registered<E> {
        let options = JobOptions::default();
        self.handlers.push(Registered { name: name.to_owned(), options, mount });
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

impl<E> Registered<E> {
    /// In the queue `<slug>:<name>`; the name has letters, digits, `_` and `-`.
    pub fn queue(&mut self, name: &str) -> &mut Self {
        self.options.queue = Some(name.to_owned());
        self
    }

    /// One attempt may take this long, to the millisecond; then its future is dropped where it waits.
    pub fn timeout(&mut self, timeout: Duration) -> &mut Self {
        self.options.timeout_ms = Some(milliseconds(timeout));
        self
    }

    /// A job is tried so often, the first time included; 26 times if nobody says.
    pub fn attempts(&mut self, attempts: u32) -> &mut Self {
        self.options.max_attempts = Some(attempts);
        self
    }

    /// From 0, which runs first, to 9; 5 if nobody says.
    pub fn priority(&mut self, priority: u8) -> &mut Self {
        self.options.priority = Some(priority);
        self
    }

    /// So many jobs of its queue run at once in one process, until an operator says otherwise.
    pub fn concurrency(&mut self, runs: u32) -> &mut Self {
        self.options.concurrency = Some(runs);
        self
    }

    /// So many jobs of its queue run at once in all processes together, until an operator says otherwise.
    pub fn concurrency_of_all(&mut self, runs: u32) -> &mut Self {
        self.options.concurrency_of_all = Some(runs);
        self
    }

    fn into_raw(self, shared: Arc<Shared<E>>) -> JobHandlerDef {
        let handler = Adapter(Guarded::new((self.mount)(shared)));
        JobHandlerDef {
            name: self.name.into(),
            options: serde_json::to_string(&self.options).unwrap_or_default().into(),
            handler: RawJobHandler_TO::from_value(handler, TD_Opaque),
        }
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A handler with its types forgotten.
pub(crate) trait RunJob: Send + Sync {
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

#[cfg(test)]
mod tests;
