//! The jobs that run in this process.

use std::{
    collections::HashMap,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use powernode_abi::guard::panic_text;
use tokio::{
    runtime::Handle,
    task::{AbortHandle, Id, JoinError, JoinSet},
};
use tracing::Instrument as _;

use super::{Canceller, Handler, JobMeters, Known, Progress, Reason, Task};
use crate::{
    gate::{Extension, Gate, Pass},
    queue::{Claimed, Fence, Finish, Outcome},
};

/// How long after its time a run may go on that does not wait anywhere, until it is booked as failed all the same.
const BLOCKS: Duration = Duration::from_secs(5);

/// What runs, and where.
#[derive(Debug)]
pub(super) struct Runs {
    place: Handle,
    gate: Arc<Gate>,
    meters: JobMeters,
    tasks: JoinSet<Outcome>,
    running: HashMap<Id, Running>,
    by_queue: HashMap<String, u32>,
}

#[derive(Debug)]
struct Running {
    job: Claimed,
    cancel: Canceller,
    progress: Progress,
    abort: AbortHandle,
    began: Instant,
    /// When it is booked as failed, whether it ended or not.
    overdue: Instant,
    /// Nothing that it answers counts any more.
    given_up: bool,
}

impl Runs {
    /// Handlers run on `place`.
    pub(super) fn new(place: Handle, gate: Arc<Gate>, meters: JobMeters) -> Self {
        Self {
            place,
            gate,
            meters,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            by_queue: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// How many run of each queue.
    pub(super) fn by_queue(&self) -> HashMap<String, u32> {
        self.by_queue.clone()
    }

    /// The numbers of the jobs in hand.
    pub(super) fn fences(&self) -> Vec<Fence> {
        self.running.values().filter(|it| !it.given_up).map(|it| it.job.fence).collect()
    }

    /// Runs `job`.
    pub(super) fn start(&mut self, mut job: Claimed, known: &Known, timeout: Duration) {
        let (cancel, progress) = (Canceller::new(), Progress::default());
        *self.by_queue.entry(job.queue.clone()).or_default() += 1;
        let span = tracing::info_span!(
            "job",
            extension = %job.extension,
            handler = %job.handler,
            job = job.fence.id,
            attempt = job.fence.attempt,
        );
        // The handler's alone: there may be many bytes of them.
        let args = std::mem::take(&mut job.args);
        let task = Task {
            job: Claimed { args, ..job.clone() },
            pass: None,
            cancel: cancel.token(),
            progress: progress.clone(),
            timeout,
        };
        let run = run(task, self.gate.clone(), known.handler.clone(), cancel.clone());
        let abort = self.tasks.spawn_on(run.instrument(span), &self.place);
        let began = Instant::now();
        let overdue = began + timeout + BLOCKS;
        let abort_it = abort.clone();
        let running =
            Running { job, cancel, progress, abort: abort_it, began, overdue, given_up: false };
        self.running.insert(abort.id(), running);
    }

    /// Waits until one ends; none where it was given up before. Nothing is lost where this is dropped.
    pub(super) async fn next(&mut self) -> Option<Finish> {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.ended(ended),
            None => std::future::pending().await,
        }
    }

    /// Those that ended already.
    pub(super) fn ended_by_now(&mut self) -> Vec<Finish> {
        let mut finishes = Vec::new();
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            finishes.extend(self.ended(ended));
        }
        finishes
    }

    fn ended(&mut self, ended: Result<(Id, Outcome), JoinError>) -> Option<Finish> {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, Some(outcome)),
            Err(error) => {
                let id = error.id();
                let text = |it: JoinError| it.try_into_panic().map(panic_text).ok();
                (id, text(error).map(|text| Outcome::Retry(format!("panicked: {text}"))))
            }
        };
        let running = self.running.remove(&id)?;
        if let Some(count) = self.by_queue.get_mut(&running.job.queue) {
            *count = count.saturating_sub(1);
        }
        if running.given_up {
            return None;
        }
        let outcome = outcome.unwrap_or(Outcome::Release);
        let finish = Finish::new(&running.job, settled(outcome, running.cancel.reason()));
        self.count(&running, &finish);
        Some(finish)
    }

    fn count(&self, it: &Running, finish: &Finish) {
        let Claimed { extension, handler, .. } = &it.job;
        self.meters.ran(extension, handler, finish.word(), it.began.elapsed());
    }

    /// Tells those of `jobs` that they should end.
    pub(super) fn cancel(&self, jobs: &[i64], reason: Reason) {
        for it in self.running.values().filter(|it| jobs.contains(&it.job.fence.id)) {
            it.cancel.cancel(reason);
        }
    }

    /// Tells all that they should end.
    pub(super) fn cancel_all(&self, reason: Reason) {
        for it in self.running.values() {
            it.cancel.cancel(reason);
        }
    }

    /// Drops all where they wait; nothing that they answer counts.
    pub(super) fn give_up_all(&mut self) {
        for it in self.running.values_mut() {
            it.given_up = true;
            it.abort.abort();
        }
    }

    /// Those that should have ended long ago, and do not wait anywhere either. They keep their places here until they
    /// end, but their attempts have failed.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<Finish> {
        let late = |it: &&mut Running| !it.given_up && it.overdue <= now;
        let book = |it: &mut Running| {
            it.given_up = true;
            it.abort.abort();
            let Claimed { extension, handler, fence, .. } = &it.job;
            let text = "it took longer than it may, and blocks its thread";
            tracing::warn!(
                extension = %extension,
                "Job {} of `{extension}` ({handler}): {text}", fence.id
            );
            Finish::new(&it.job, Outcome::Retry(text.to_owned()))
        };
        let booked: Vec<Finish> = self.running.values_mut().filter(late).map(book).collect();
        for finish in &booked {
            let same = |it: &&Running| it.job.fence == finish.fence();
            if let Some(it) = self.running.values().find(same) {
                self.count(it, finish);
            }
        }
        booked
    }

    /// What runs said of themselves since this was asked last.
    pub(super) fn progress(&self) -> Vec<(Fence, String)> {
        let said = |it: &Running| Some((it.job.fence, it.progress.take()?));
        self.running.values().filter(|it| !it.given_up).filter_map(said).collect()
    }
}

/// An attempt that failed because the platform ended it does not count.
fn settled(outcome: Outcome, reason: Option<Reason>) -> Outcome {
    match (outcome, reason) {
        (
            Outcome::Retry(_) | Outcome::RetryIn(..),
            Some(Reason::Closed | Reason::Stopping | Reason::Lost),
        ) => Outcome::Release,
        (outcome, _) => outcome,
    }
}

/// One run, from the gate to its outcome.
async fn run(
    mut task: Task,
    gate: Arc<Gate>,
    handler: Arc<dyn Handler>,
    cancel: Canceller,
) -> Outcome {
    // Before the gate is asked, so that no change is missed.
    let mut changes = gate.changes();
    let extension = match admitted(&gate, &task.job.extension) {
        Err(Shut) => return Outcome::Release,
        Ok(None) => None,
        Ok(Some((extension, pass))) => {
            task.pass = Some(pass);
            Some(extension)
        }
    };
    let timeout = task.timeout;
    let mut work = pin!(handler.run(task));
    let mut late = pin!(tokio::time::sleep(timeout));
    loop {
        tokio::select! {
            biased;
            outcome = &mut work => return outcome,
            () = &mut late => {
                return Outcome::Retry(format!("it took longer than {}", seconds(timeout)));
            }
            changed = changes.changed(), if extension.is_some() => {
                let shut = extension.is_some_and(|it| !gate.is_open(it, None));
                if shut || changed.is_err() {
                    cancel.cancel(Reason::Closed);
                }
            }
        }
    }
}

/// The gates are closed.
struct Shut;

/// Asks the gates of an extension; the core has none.
fn admitted(gate: &Gate, slug: &str) -> Result<Option<(Extension, Pass)>, Shut> {
    if slug == "core" {
        return Ok(None);
    }
    let extension = gate.find(slug).ok_or(Shut)?;
    let pass = gate.admit(extension, None).map_err(|_| Shut)?;
    Ok(Some((extension, pass)))
}

fn seconds(span: Duration) -> String {
    format!("{} s", span.as_secs_f64())
}
