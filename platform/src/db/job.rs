//! A job's way through an engine: waiting for a connection, a thread, its end.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use powernode_abi::{
    DbError, JobObject, PFuture,
    abi_stable::std_types::RResult,
    data::{kind, mode, outcome},
    guard::panic_text,
};
use tokio::{
    runtime::{Handle, Runtime},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::Principal;

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
}

/// Whether a job's caller gave up, and how to stop what the job runs.
#[derive(Default)]
pub(crate) struct Control {
    cancelled: AtomicBool,
    stop: Mutex<Option<Box<dyn FnMut() + Send>>>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

impl Control {
    /// Whether the caller gave up.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Answers an error if the caller gave up.
    pub(crate) fn check(&self) -> Result<(), DbError> {
        if self.is_cancelled() { Err(given_up()) } else { Ok(()) }
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
    fn stop(&self) -> bool {
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
    readers: Arc<Semaphore>,
    writers: Arc<Semaphore>,
    acquire_timeout: Duration,
}

impl Executor {
    /// Runs at most `readers` and `writers` jobs at once; where `writers` is none, both share.
    pub(crate) fn new(
        readers: usize,
        writers: Option<usize>,
        acquire_timeout: Duration,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(readers + writers.unwrap_or(0) + 1)
            .thread_keep_alive(Duration::from_secs(60))
            .thread_name("powernode-db")
            .enable_time()
            .build()?;
        let readers = Arc::new(Semaphore::new(readers));
        let writers =
            writers.map_or_else(|| Arc::clone(&readers), |count| Arc::new(Semaphore::new(count)));
        Ok(Self { runtime: Some(runtime), readers, writers, acquire_timeout })
    }

    /// Runs `job` for `principal` on `driver`, once its turn has come.
    pub(crate) fn run(
        &self,
        driver: Arc<dyn Driver>,
        principal: Principal,
        mode: u32,
        mut job: JobObject,
    ) -> PFuture<RResult<(), DbError>> {
        let semaphore = match mode {
            mode::READ => Arc::clone(&self.readers),
            mode::WRITE | mode::TRANSACTION => Arc::clone(&self.writers),
            _ => return refuse(kind::OTHER, "this platform does not know the job's mode"),
        };
        let Some(runtime) = self.runtime.as_ref().map(|runtime| runtime.handle().clone()) else {
            return refuse(kind::CLOSED, "the database is closed");
        };
        let timeout = self.acquire_timeout;
        PFuture::new(async move {
            let permit = match wait(&runtime, semaphore, timeout).await {
                Ok(permit) => permit,
                Err(error) => return RResult::RErr(error),
            };
            let control = Arc::new(Control::default());
            let mut caller =
                Caller { control: Arc::clone(&control), runtime: runtime.clone(), waits: true };
            let ended = runtime
                .spawn_blocking(move || {
                    let answer = catch_unwind(AssertUnwindSafe(|| {
                        driver.run(&principal, mode, &mut job, &control)
                    }));
                    control.disarm();
                    drop(job);
                    drop(permit);
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

async fn wait(
    runtime: &Handle,
    semaphore: Arc<Semaphore>,
    timeout: Duration,
) -> Result<OwnedSemaphorePermit, DbError> {
    if let Ok(permit) = Arc::clone(&semaphore).try_acquire_owned() {
        return Ok(permit);
    }
    let turn = {
        let _entered = runtime.enter();
        tokio::time::timeout(timeout, semaphore.acquire_owned())
    };
    match turn.await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) => Err(DbError::new(kind::CLOSED, "the database is closed")),
        Err(_) => Err(DbError::new(
            kind::POOL,
            format!("no database connection became free within {} s", timeout.as_secs_f32()),
        )),
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
