//! Runs a closure on a connection that the platform lends.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use powernode_abi::{
    ConnMut, DbObject, Guarded,
    data::{self, RawJob, mode, outcome},
    guard::{drop_guarded, panic_text},
    lend::lend,
};

use super::{connection::HostConnection, error::RunError};

/// Runs `work` in `mode`, and answers what it answered.
pub(super) async fn run<T, E, F>(db: &DbObject, mode: u32, work: F) -> Result<T, E>
where
    F: FnOnce(&mut HostConnection) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<RunError> + Send + 'static,
{
    let slot = Slot::default();
    let depth = u32::from(mode == mode::TRANSACTION);
    let job = Job { work: Guarded::new(Some(work)), slot: slot.clone(), depth };
    let answer = db.run(mode, data::job(job)).await;
    let finished = slot.lock().take();
    match (finished, answer) {
        (Some(Finished::Answered(Err(error))), _) => Err(error),
        (Some(Finished::Panicked(text)), _) => Err(RunError::Panicked(text).into()),
        (Some(Finished::Answered(Ok(value))), Ok(answer)) => match answer.into_result() {
            Ok(()) => Ok(value),
            Err(error) => {
                drop_guarded(value);
                Err(RunError::from_abi(error).into())
            }
        },
        (None, Ok(answer)) => Err(match answer.into_result() {
            Err(error) => RunError::from_abi(error).into(),
            Ok(()) => RunError::Other("the platform did not run the database job".into()).into(),
        }),
        (_, Err(panic)) => Err(RunError::from(panic).into()),
    }
}

/// How a closure ended.
enum Finished<T, E> {
    Answered(Result<T, E>),
    Panicked(String),
}

/// Where the closure's answer waits for the caller: it never crosses the boundary.
struct Slot<T, E>(Arc<Guarded<Cell<T, E>>>);

type Cell<T, E> = Mutex<Option<Finished<T, E>>>;

impl<T, E> Slot<T, E> {
    fn lock(&self) -> MutexGuard<'_, Option<Finished<T, E>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, E> Default for Slot<T, E> {
    fn default() -> Self {
        Self(Arc::new(Guarded::new(Mutex::new(None))))
    }
}

impl<T, E> Clone for Slot<T, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Job<F, T, E> {
    work: Guarded<Option<F>>,
    slot: Slot<T, E>,
    depth: u32,
}

impl<F, T, E> RawJob for Job<F, T, E>
where
    F: FnOnce(&mut HostConnection) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    fn run(&mut self, conn: ConnMut<'_>) -> u32 {
        let Some(work) = self.work.take() else { return outcome::FAILED };
        let depth = self.depth;
        let ran = catch_unwind(AssertUnwindSafe(|| {
            lend(conn, |lent| work(&mut HostConnection::new(lent, depth)))
        }));
        let (finished, outcome) = match ran {
            Ok(Ok(value)) => (Finished::Answered(Ok(value)), outcome::OK),
            Ok(Err(error)) => (Finished::Answered(Err(error)), outcome::FAILED),
            Err(payload) => (Finished::Panicked(panic_text(payload)), outcome::PANICKED),
        };
        *self.slot.lock() = Some(finished);
        outcome
    }
}

impl<F, T, E> fmt::Debug for Job<F, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}
