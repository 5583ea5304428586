//! Clock, timers, tasks and the blocking pool.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use powernode_abi::{
    AbiError, Guarded, PFuture, Res,
    abi_stable::sabi_trait::TD_Opaque,
    guard,
    host::{RawWork, RawWork_TO, RuntimeObject},
};

use crate::error::{Error, Result};

/// Clock, timers, tasks and the blocking pool; clones share.
///
/// While the extension is off, its tasks are not polled and its timers do not fire.
#[derive(Clone)]
pub struct Runtime(Arc<RuntimeObject>);

/// A task that runs beside the requests; it goes on when this handle is dropped.
pub struct Task {
    runtime: Arc<RuntimeObject>,
    number: u64,
}

impl Runtime {
    pub(crate) fn new(object: RuntimeObject) -> Self {
        Self(Arc::new(object))
    }

    /// The time of day, as the platform has it.
    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0.now()).unwrap_or_default()
    }

    /// Time since some moment; never goes back.
    pub fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.0.monotonic())
    }

    /// Ends after `duration`, to the millisecond.
    ///
    /// # Errors
    ///
    /// When the platform's timer fails.
    pub async fn sleep(&self, duration: Duration) -> Result<()> {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.0.sleep(milliseconds).await.map_err(Error::internal)
    }

    /// Runs `future` beside the requests, until it ends or the platform stops.
    ///
    /// # Errors
    ///
    /// When the platform is stopping.
    pub fn spawn(
        &self,
        name: &str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Task> {
        let number = self.0.spawn(name.into(), PFuture::new(future)).into_result()?;
        Ok(Task { runtime: self.0.clone(), number })
    }

    /// Runs `work` on a thread that may block.
    ///
    /// # Errors
    ///
    /// What `work` answers; 500 where it panicked.
    pub async fn blocking<T, W>(&self, work: W) -> Result<T>
    where
        W: FnOnce() -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let slot = Arc::new(Mutex::new(None));
        let result = slot.clone();
        let once = Once(Some(Guarded::new(Box::new(move || {
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(work());
        }))));
        self.0.blocking(RawWork_TO::from_value(once, TD_Opaque)).flat().await?;
        let answer = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        answer.unwrap_or_else(|| Err(Error::internal("the work was not run")))
    }
}

impl Task {
    /// Gives the task up; answers whether it still ran.
    pub fn cancel(self) -> bool {
        self.runtime.cancel(self.number)
    }
}

/// Work that runs once.
struct Once(Option<Guarded<Box<dyn FnOnce() + Send>>>);

impl RawWork for Once {
    fn run(&mut self) -> Res<()> {
        guard(|| {
            let work = self.0.take().ok_or_else(|| AbiError::failed("the work ran before"))?;
            (work.into_inner())();
            Ok(())
        })
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task {}", self.number)
    }
}
