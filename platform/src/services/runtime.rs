//! Clock, timers, tasks and the blocking pool of one extension.

use std::{
    collections::HashMap,
    fmt,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use powernode_abi::{
    AbiError, PFuture, Res,
    abi_stable::std_types::{RResult, RStr},
    error::{CANCELLED, UNAVAILABLE},
    guard::panic_text,
    host::{RawRuntime, WorkObject},
};
use tokio::{runtime::Handle, sync::watch, task::AbortHandle};
use tracing::{Instrument as _, info_span, warn};

use crate::gate::{Extension, Gate};

/// Longest sleep: a year. What is longer is a mistake, or as good as for ever.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The tasks of one extension.
#[derive(Debug, Default)]
pub struct Tasks {
    running: Mutex<HashMap<u64, AbortHandle>>,
    next: AtomicU64,
    stopped: AtomicBool,
}

impl Tasks {
    /// How many run now.
    pub fn count(&self) -> usize {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Gives all tasks up, and takes no more.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        for (_, task) in self.running.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            task.abort();
        }
    }
}

/// The runtime service of one extension.
pub struct Runtime {
    slug: String,
    handle: Handle,
    started: Instant,
    gate: Arc<Gate>,
    extension: Extension,
    tasks: Arc<Tasks>,
}

impl Runtime {
    /// The service of the extension with that number at the gates.
    pub fn new(
        slug: &str,
        handle: Handle,
        gate: Arc<Gate>,
        extension: Extension,
        tasks: Arc<Tasks>,
    ) -> Self {
        Self { slug: slug.to_owned(), handle, started: Instant::now(), gate, extension, tasks }
    }
}

impl RawRuntime for Runtime {
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    fn monotonic(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn sleep(&self, milliseconds: u64) -> PFuture<()> {
        let duration = Duration::from_millis(milliseconds).min(LONGEST);
        let _inside = self.handle.enter();
        PFuture::new(tokio::time::sleep(duration))
    }

    fn spawn(&self, name: RStr<'_>, task: PFuture<()>) -> Res<u64> {
        if self.tasks.stopped.load(Ordering::SeqCst) {
            return RResult::RErr(AbiError::new(UNAVAILABLE, "the platform is stopping"));
        }
        let number = self.tasks.next.fetch_add(1, Ordering::Relaxed);
        let span = info_span!("task", extension = %self.slug, task = %name);
        let (gate, extension, slug) = (self.gate.clone(), self.extension, self.slug.clone());
        let (tasks, name) = (Arc::downgrade(&self.tasks), name.to_string());
        let body = async move {
            if let Err(panicked) = while_open(task, &gate, extension).await {
                warn!(extension = %slug, "Task `{name}` of `{slug}` panicked: {panicked}");
            }
            if let Some(tasks) = tasks.upgrade() {
                tasks.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
            }
        };
        // The lock is held until the handle is kept, so that a task that ends at once is still removed.
        let mut running = self.tasks.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(number, self.handle.spawn(body.instrument(span)).abort_handle());
        RResult::ROk(number)
    }

    fn cancel(&self, task: u64) -> bool {
        let mut running = self.tasks.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&task).is_some_and(|it| {
            it.abort();
            true
        })
    }

    fn blocking(&self, mut work: WorkObject) -> PFuture<Res<()>> {
        let ended = self.handle.spawn_blocking(move || work.run());
        PFuture::new(async move {
            match ended.await {
                Ok(answer) => answer,
                Err(error) if error.is_cancelled() => {
                    RResult::RErr(AbiError::new(CANCELLED, "the platform is stopping"))
                }
                Err(error) => RResult::RErr(AbiError::failed(panic_text(error.into_panic()))),
            }
        })
    }
}

/// Runs `task` while the extension is on; while it is off, the task is not polled.
async fn while_open(
    task: PFuture<()>,
    gate: &Gate,
    extension: Extension,
) -> Result<(), powernode_abi::PollPanicked> {
    let mut task = pin!(task);
    let mut changes = gate.changes();
    loop {
        if gate.admit(extension, None).is_err() {
            if changes.changed().await.is_err() {
                return Ok(());
            }
            continue;
        }
        if let Some(ended) = until_closed(task.as_mut(), &mut changes).await {
            return ended;
        }
    }
}

/// Polls `task` until it ends, or the gates change.
async fn until_closed<T>(
    mut task: std::pin::Pin<&mut impl Future<Output = T>>,
    changes: &mut watch::Receiver<u64>,
) -> Option<T> {
    let mut changed = pin!(changes.changed());
    poll_fn(|context| {
        if changed.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        task.as_mut().poll(context).map(Some)
    })
    .await
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Runtime of `{}`", self.slug)
    }
}
