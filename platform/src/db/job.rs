//! A job's way through an engine: waiting for a connection, a thread, its end.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use powernode_abi::{
    DbError, JobObject, PFuture, Query,
    abi_stable::std_types::RResult,
    data::{kind, mode, outcome},
    guard::panic_text,
};
use tokio::{
    runtime::{Handle, Runtime},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::{
    Principal,
    holder::Holder,
    within::{Function, Functions},
};

/// How often a statement is interrupted again, until its job has ended.
const INTERRUPT_AGAIN: Duration = Duration::from_millis(5);

/// Runs jobs on one kind of database, on threads that may block.
pub(crate) trait Driver: Send + Sync + 'static {
    /// [`powernode_abi::data::SQLITE`] or [`powernode_abi::data::POSTGRES`].
    fn dialect(&self) -> u32;
    /// Runs `job` to its end; whatever happens, the connection is usable by the next job.
    fn run(
        &self,
        principal: &Principal,
        mode: u32,
        job: &mut JobObject,
        control: &Control,
    ) -> Result<(), DbError>;
    /// Looks whether the database can be used, and notes what it finds; blocks for seconds at most.
    fn probe(&self);
}

/// Whether a job's caller gave up, and how to stop what the job runs.
#[derive(Default)]
pub(crate) struct Control {
    functions: Arc<Functions>,
    called: Mutex<Vec<Arc<dyn Function>>>,
    cancelled: AtomicBool,
    /// Why, where it was not the caller who gave up.
    reason: OnceLock<String>,
    stop: Mutex<Option<Box<dyn FnMut() + Send>>>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

impl Control {
    fn new(functions: Arc<Functions>) -> Self {
        Self { functions, ..Self::default() }
    }

    /// What `query` calls of the platform's, with its argument.
    pub(super) fn called<'q>(&self, query: &'q Query<'_>) -> Option<(Arc<dyn Function>, &'q str)> {
        let found = self.functions.called(query)?;
        let mut called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        if !called.iter().any(|it| Arc::ptr_eq(it, &found.0)) {
            called.push(Arc::clone(&found.0));
        }
        Some(found)
    }

    /// Tells what the job called that its work is committed.
    fn committed(&self) {
        for function in self.called.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            function.committed();
        }
    }

    /// Whether the caller gave up.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Answers an error if the caller gave up.
    pub(crate) fn check(&self) -> Result<(), DbError> {
        match self.interrupted() {
            Some(interrupted) => Err(interrupted),
            None if self.is_cancelled() => Err(given_up()),
            None => Ok(()),
        }
    }

    /// Why it was cancelled, where it was not the caller who gave up.
    fn interrupted(&self) -> Option<DbError> {
        self.reason.get().map(|reason| DbError::new(kind::CANCELLED, reason.clone()))
    }

    /// Takes the job for cancelled, for this reason; answers whether it was not before.
    pub(super) fn cancel(&self, reason: String) -> bool {
        let first = !self.cancelled.swap(true, Ordering::AcqRel);
        if first {
            // Nobody else sets it.
            let _ = self.reason.set(reason);
        }
        first
    }

    /// Until [`Control::disarm`], `stop` stops a statement that runs.
    pub(crate) fn arm(&self, stop: impl FnMut() + Send + 'static) {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(stop));
    }

    /// The job's statements have ended: from now on nothing is stopped.
    pub(crate) fn disarm(&self) {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Stops what runs; answers whether there was something to stop.
    pub(super) fn stop(&self) -> bool {
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        stop.as_mut().map(|stop| stop()).is_some()
    }
}

fn given_up() -> DbError {
    DbError::new(kind::CANCELLED, "the caller gave up; the job was rolled back")
}

/// Where the engine's jobs run.
///
/// The engine has a runtime of its own: whoever polls a job's future, on whatever
/// thread, need not have one.
#[derive(Debug)]
pub(crate) struct Executor {
    runtime: Option<Runtime>,
    turns: Turns,
    acquire_timeout: Duration,
    functions: Arc<Functions>,
    holder: Arc<Holder>,
}

/// How many jobs run at once, and of whom.
#[derive(Debug)]
pub(crate) enum Turns {
    /// Those that read, and those that write.
    Split {
        /// At most so many.
        readers: Arc<Semaphore>,
        /// At most so many.
        writers: Arc<Semaphore>,
        /// One extension at most writes, or waits for those that write: the core waits for no more than that one.
        extensions: Arc<Semaphore>,
    },
    /// Some for the core, which waits for nobody else; the others for all extensions, a part of them for each.
    Shared {
        /// The core's.
        core: Arc<Semaphore>,
        /// All extensions'.
        extensions: Arc<Semaphore>,
        /// How many of them one extension may have.
        each: usize,
        /// Each extension's, by its slug.
        own: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
    },
}

/// One thing to wait for, and what it is called when that takes too long.
type Turn = (Arc<Semaphore>, String);

impl Turns {
    /// At most `readers` and `writers` jobs.
    pub(crate) fn split(readers: usize, writers: usize) -> Self {
        let semaphore = |count| Arc::new(Semaphore::new(count));
        Self::Split {
            readers: semaphore(readers),
            writers: semaphore(writers),
            extensions: semaphore(writers),
        }
    }

    /// At most `most` jobs, and `each` of one extension or of the core, which has as many to itself.
    pub(crate) fn shared(most: usize, each: usize) -> Self {
        let core = each.min(most / 2).max(1);
        let extensions = most.saturating_sub(core).max(1);
        Self::Shared {
            core: Arc::new(Semaphore::new(core)),
            extensions: Arc::new(Semaphore::new(extensions)),
            each: each.clamp(1, extensions),
            own: Mutex::default(),
        }
    }

    /// How many jobs may run at once.
    pub(crate) fn most(&self) -> usize {
        match self {
            Self::Split { readers, writers, .. } => {
                readers.available_permits() + writers.available_permits()
            }
            Self::Shared { core, extensions, .. } => {
                core.available_permits() + extensions.available_permits()
            }
        }
    }

    /// What `principal` waits for, one after the other.
    fn of(&self, principal: &Principal, reads: bool) -> [Option<Turn>; 2] {
        match self {
            Self::Split { readers, .. } if reads => {
                [Some((Arc::clone(readers), String::new())), None]
            }
            Self::Split { writers, .. } if principal.is_core() => {
                [Some((Arc::clone(writers), String::new())), None]
            }
            Self::Split { writers, extensions, .. } => [
                Some((Arc::clone(extensions), String::new())),
                Some((Arc::clone(writers), String::new())),
            ],
            Self::Shared { core, .. } if principal.is_core() => {
                [Some((Arc::clone(core), ": the core's are all in use".to_owned())), None]
            }
            Self::Shared { extensions, each, own, .. } => {
                let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
                let own = own.entry(principal.slug().into());
                let own = Arc::clone(own.or_insert_with(|| Arc::new(Semaphore::new(*each))));
                let mine = format!(
                    ": {} uses all {each} that one may have (`database.pool_size`)",
                    principal.described()
                );
                let all = ": extensions use all that there are (`database.max_connections`)";
                [Some((own, mine)), Some((Arc::clone(extensions), all.to_owned()))]
            }
        }
    }
}

impl Executor {
    /// Runs as many jobs at once as `turns` say.
    pub(crate) fn new(turns: Turns, acquire_timeout: Duration) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(turns.most() + 1)
            .thread_keep_alive(Duration::from_secs(60))
            .thread_name("powernode-db")
            .enable_time()
            .build()?;
        let (functions, holder) = Default::default();
        Ok(Self { runtime: Some(runtime), turns, acquire_timeout, functions, holder })
    }

    /// What jobs of extensions may call.
    pub(super) fn functions(&self) -> &Functions {
        &self.functions
    }

    /// Runs `job` for `principal` on `driver`, once its turn has come.
    pub(crate) fn run(
        &self,
        driver: Arc<dyn Driver>,
        principal: Principal,
        mode: u32,
        mut job: JobObject,
    ) -> PFuture<RResult<(), DbError>> {
        if !matches!(mode, mode::READ | mode::WRITE | mode::TRANSACTION) {
            return refuse(kind::OTHER, "this platform does not know the job's mode");
        }
        let turns = self.turns.of(&principal, mode == mode::READ);
        let Some(runtime) = self.runtime.as_ref().map(|runtime| runtime.handle().clone()) else {
            return refuse(kind::CLOSED, "the database is closed");
        };
        let timeout = self.acquire_timeout;
        let functions = Arc::clone(&self.functions);
        // Where one connection writes, it is known who has it.
        let writes = matches!(self.turns, Turns::Split { .. }) && mode != mode::READ;
        let holder = writes.then(|| Arc::clone(&self.holder));
        PFuture::new(async move {
            let waits = holder.as_ref().filter(|_| principal.is_core());
            let permits = match wait_all(&runtime, turns, timeout, waits).await {
                Ok(permits) => permits,
                Err(error) => return RResult::RErr(error),
            };
            let control = Arc::new(Control::new(functions));
            let mut caller =
                Caller { control: Arc::clone(&control), runtime: runtime.clone(), waits: true };
            let ended = runtime
                .spawn_blocking(move || {
                    let holder = holder.filter(|_| !principal.is_core());
                    let holding = holder.map(|it| it.hold(&principal, &control));
                    let answer = catch_unwind(AssertUnwindSafe(|| {
                        let ran = driver.run(&principal, mode, &mut job, &control);
                        ran.map_err(|error| control.interrupted().unwrap_or(error))?;
                        control.committed();
                        Ok(())
                    }));
                    control.disarm();
                    drop(job);
                    drop(holding);
                    drop(permits);
                    answer.unwrap_or_else(|payload| {
                        Err(DbError::new(kind::PANICKED, panic_text(payload)))
                    })
                })
                .await;
            caller.waits = false;
            ended
                .unwrap_or_else(|_| Err(DbError::new(kind::CLOSED, "the database is closed")))
                .into()
        })
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // A runtime may not be dropped where another one runs.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn refuse(kind: u32, message: &str) -> PFuture<RResult<(), DbError>> {
    PFuture::ready(RResult::RErr(DbError::new(kind, message)))
}

/// Waits for all turns, `timeout` at most.
async fn wait_all(
    runtime: &Handle,
    turns: [Option<Turn>; 2],
    timeout: Duration,
    holder: Option<&Arc<Holder>>,
) -> Result<[Option<OwnedSemaphorePermit>; 2], DbError> {
    let begun = Instant::now();
    let mut permits = [None, None];
    for (permit, turn) in permits.iter_mut().zip(turns) {
        let Some((semaphore, whose)) = turn else { continue };
        let left = timeout.saturating_sub(begun.elapsed());
        *permit =
            Some(wait(runtime, semaphore, left, holder).await.map_err(|closed| match closed {
                true => DbError::new(kind::CLOSED, "the database is closed"),
                false => {
                    let waited = timeout.as_secs_f32();
                    let text =
                        format!("no database connection became free within {waited} s{whose}");
                    DbError::new(kind::POOL, text)
                }
            })?);
    }
    Ok(permits)
}

/// Waits for one; an error says whether the database is closed.
async fn wait(
    runtime: &Handle,
    semaphore: Arc<Semaphore>,
    timeout: Duration,
    holder: Option<&Arc<Holder>>,
) -> Result<OwnedSemaphorePermit, bool> {
    if let Ok(permit) = Arc::clone(&semaphore).try_acquire_owned() {
        return Ok(permit);
    }
    let _waiting = holder.map(|it| it.wait(runtime));
    let turn = {
        let _entered = runtime.enter();
        tokio::time::timeout(timeout, semaphore.acquire_owned())
    };
    match turn.await {
        Ok(permit) => permit.map_err(|_| true),
        Err(_) => Err(false),
    }
}

/// The one who awaits a job: cancels it when it goes away before the end.
struct Caller {
    control: Arc<Control>,
    runtime: Handle,
    waits: bool,
}

impl Drop for Caller {
    fn drop(&mut self) {
        if !self.waits {
            return;
        }
        self.control.cancelled.store(true, Ordering::Release);
        let control = Arc::clone(&self.control);
        let runtime = self.runtime.clone();
        // Stopping may meet the moment between two statements, or a database that answers slowly:
        // so it happens elsewhere, and again.
        self.runtime.spawn(async move {
            loop {
                let control = Arc::clone(&control);
                match runtime.spawn_blocking(move || control.stop()).await {
                    Ok(true) => tokio::time::sleep(INTERRUPT_AGAIN).await,
                    _ => return,
                }
            }
        });
    }
}

/// What a job's answer means, apart from its transaction.
pub(crate) fn judge(answer: u32) -> Result<(), DbError> {
    match answer {
        outcome::OK => Ok(()),
        outcome::PANICKED => {
            Err(DbError::new(kind::PANICKED, "the job panicked; it was rolled back"))
        }
        _ => Err(DbError::new(kind::ROLLED_BACK, "the job answered an error; it was rolled back")),
    }
}

/// The job left a transaction open.
pub(crate) fn leaked() -> DbError {
    DbError::new(kind::LEAKED, "the job left a transaction open; it was rolled back")
}
