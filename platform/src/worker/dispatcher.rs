//! Claims, starts, and books, as often as something happened, and no oftener.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use powernode_plugin_api::{
    Db,
    db::{Dialect, HostConnection},
};
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{sleep, timeout, timeout_at},
};

use super::{
    Listening, Reason, Stop, WorkerSettings, Workshop, duties::Duties, lock::JobLock, runs::Runs,
};
use crate::queue::{
    Claimed, Finish, Handlers, NewNode, Outcome, Queue, QueueError, State, claim, finish,
    give_back_strays, join, leave, next_due, queues, rescue_all, stage, wants,
};

/// Most jobs that become ready at once.
const MOST_STAGED: u32 = 1_000;
/// How long a database that does not answer is left alone, at first and at last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How often it is looked whether the job lock is free.
const LOCK: Duration = Duration::from_millis(50);
/// Shortest time that a transaction may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What did not work, and is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The database takes longer than others wait for this node.
    #[error("the database does not answer")]
    Silent,
}

/// The one of this process.
pub(super) struct Dispatcher {
    pub(super) shop: Workshop,
    pub(super) settings: WorkerSettings,
    pub(super) core: Db,
    pub(super) sqlite: bool,
    pub(super) node: String,
    pub(super) runs: Runs,
    pub(super) duties: Duties,
    /// What ended, and is not booked yet.
    finishes: Vec<Finish>,
    queues: Arc<[Queue]>,
    handlers: Arc<Handlers>,
    /// Whether there may be something new to claim.
    look: bool,
    /// A transaction failed, so that nobody knows whether it claimed.
    unsure: bool,
    pause: Duration,
    /// When the next job is due, by this process's clock.
    due: Option<Instant>,
    turns: Arc<AtomicU64>,
}

/// What one transaction did.
struct Ticked {
    claimed: Vec<Claimed>,
    dead: Vec<i64>,
    queues: Option<Vec<Queue>>,
    due: Option<Option<DateTime<Utc>>>,
    full: bool,
}

impl Dispatcher {
    pub(super) fn new(
        shop: Workshop,
        settings: WorkerSettings,
        place: Handle,
        turns: Arc<AtomicU64>,
    ) -> Self {
        let core = shop.engine.core();
        Self {
            sqlite: core.dialect() == Dialect::Sqlite,
            core,
            node: uuid::Uuid::now_v7().to_string(),
            runs: Runs::new(place, shop.gate.clone(), shop.meters.clone()),
            duties: Duties::new(&settings, (shop.clock)()),
            handlers: Arc::new(shop.crew.names()),
            shop,
            settings,
            finishes: Vec::new(),
            queues: Arc::default(),
            look: true,
            unsure: false,
            pause: PAUSES.0,
            due: None,
            turns,
        }
    }

    /// Runs `work` in a transaction, which may take no longer than others wait until they take this node for dead.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut HostConnection) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, Failure> {
        let patience = self.settings.patience().max(PATIENCE);
        match timeout(patience, self.core.transaction(work)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Failure::Silent),
        }
    }

    /// Works until it is told to stop.
    pub(super) async fn work(mut self, mut stop: watch::Receiver<Stop>) {
        let Some(_lock) = self.lock(&mut stop).await else { return };
        if !self.begin(&mut stop).await {
            return;
        }
        let listening = Listening::start(&self.shop.engine, &self.shop.wake);
        if let Err(error) = &listening {
            tracing::warn!("Other nodes are not heard: {error}");
        }
        tracing::info!(node = %self.node, "Running jobs");
        self.loops(&mut stop).await;
        if *stop.borrow() == Stop::Gracefully {
            self.end().await;
        }
    }

    /// Waits for the job lock; none where it is to stop before.
    async fn lock(&self, stop: &mut watch::Receiver<Stop>) -> Option<JobLock> {
        let mut said = false;
        loop {
            match JobLock::try_take(&self.shop.lock) {
                Ok(Some(lock)) => return Some(lock),
                Ok(None) if !said => {
                    tracing::info!("Jobs wait until the process ends that runs them");
                }
                Ok(None) => {}
                Err(error) if !said => {
                    let lock = self.shop.lock.display();
                    tracing::error!("No job runs until `{lock}` can be locked: {error}");
                }
                Err(_) => {}
            }
            said = true;
            if stopped_within(stop, LOCK).await {
                return None;
            }
        }
    }

    /// Makes this node known. On SQLite, where no other works, whatever runs is of a process that died.
    async fn begin(&mut self, stop: &mut watch::Receiver<Stop>) -> bool {
        loop {
            match self.join().await {
                Ok(()) => {
                    self.pause = PAUSES.0;
                    return true;
                }
                Err(error) => self.failed(&error),
            }
            let pause = self.pause;
            if stopped_within(stop, pause).await {
                return false;
            }
        }
    }

    pub(super) async fn join(&mut self) -> Result<(), Failure> {
        let (alone, now) = (self.sqlite, (self.shop.clock)());
        self.node = uuid::Uuid::now_v7().to_string();
        let node = NewNode {
            id: self.node.clone(),
            host: self.settings.host.clone(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let joined = self.ask(move |conn| {
            let rescued = if alone { rescue_all(conn, now)?.len() } else { 0 };
            join(conn, &node, now)?;
            Ok(rescued)
        });
        let rescued = joined.await?;
        if rescued > 0 {
            tracing::warn!("{rescued} jobs were left of a process that died: they run again");
        }
        self.duties.beaten();
        self.look = true;
        Ok(())
    }

    async fn loops(&mut self, stop: &mut watch::Receiver<Stop>) {
        let mut gates = self.shop.gate.changes();
        loop {
            let pause = self.until();
            tokio::select! {
                biased;
                _ = stop.wait_for(|it| *it != Stop::No) => return,
                ended = self.runs.next() => {
                    self.finishes.extend(ended);
                    self.gather().await;
                }
                () = self.shop.wake.rung() => self.look = true,
                Ok(()) = gates.changed() => self.look = true,
                () = sleep(pause) => {}
            }
            self.turn().await;
        }
    }

    /// What is to be done now, once.
    async fn turn(&mut self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.duties().await {
            self.failed(&error);
            return;
        }
        if self.due.is_some_and(|it| it <= Instant::now()) {
            self.look = true;
        }
        while self.look || !self.finishes.is_empty() {
            match self.tick().await {
                Ok(()) => self.pause = PAUSES.0,
                Err(error) => return self.failed(&error),
            }
        }
    }

    /// Whoever else ends about now is booked in the same transaction.
    async fn gather(&mut self) {
        for _ in 0..4 {
            self.finishes.extend(self.runs.ended_by_now());
            tokio::task::yield_now().await;
        }
    }

    /// How long nothing needs to be done, unless something happens.
    fn until(&self) -> Duration {
        if self.pause > PAUSES.0 {
            return self.pause;
        }
        let now = Instant::now();
        let next = self.due.into_iter().chain([self.duties.next()]).min().unwrap_or(now);
        next.saturating_duration_since(now)
    }

    /// Books what ended, and claims what may begin, in one transaction.
    async fn tick(&mut self) -> Result<(), Failure> {
        let now = (self.shop.clock)();
        let look = std::mem::take(&mut self.look);
        let acks = self.finishes.clone();
        let later = |it: &Finish| {
            matches!(it.outcome(), Outcome::Retry(_) | Outcome::RetryIn(..) | Outcome::Snooze(_))
        };
        let stages = look || acks.iter().any(later);
        let strays = self.unsure.then(|| self.runs.fences());
        let free = (self.settings.concurrency as usize).saturating_sub(self.runs.len());
        let (gate, handlers, running, node) = (
            Arc::clone(&self.shop.gate),
            Arc::clone(&self.handlers),
            self.runs.by_queue(),
            self.node.clone(),
        );
        let known = (!look).then(|| self.queues.clone());
        let transaction = self.ask(move |conn| {
            let ended = finish(conn, &acks, now, &mut roll)?;
            if let Some(held) = strays {
                give_back_strays(conn, &node, &held, now)?;
            }
            let mut due = None;
            if stages {
                stage(conn, now, MOST_STAGED)?;
                due = Some(next_due(conn)?);
            }
            let fresh = if look { Some(queues(conn)?) } else { None };
            let open = fresh.as_deref().or(known.as_deref()).unwrap_or_default();
            let wants = wants(&gate, open, &handlers, &running);
            let claimed = claim(conn, &node, &wants, free, now)?;
            let dead = ended.iter().filter(|it| it.state == State::Dead).map(|it| it.id).collect();
            // One claim takes no more than some: there may be others.
            let full = !claimed.is_empty() && claimed.len() < free && claimed.len() >= MANY;
            Ok(Ticked { claimed, dead, queues: fresh, due, full })
        });
        let ticked = match transaction.await {
            Ok(ticked) => ticked,
            Err(error) => {
                (self.unsure, self.look) = (true, true);
                return Err(error);
            }
        };
        self.finishes.clear();
        self.unsure = false;
        self.look = ticked.full;
        if let Some(queues) = ticked.queues {
            self.queues = queues.into();
        }
        if let Some(due) = ticked.due {
            let wait = |due: DateTime<Utc>| (due - now).to_std().unwrap_or_default();
            self.due = due.map(|due| Instant::now() + wait(due).max(Duration::from_millis(1)));
        }
        for id in ticked.dead {
            tracing::warn!("Job {id} is dead: what went wrong is kept with it");
        }
        self.start(ticked.claimed);
        Ok(())
    }

    fn start(&mut self, claimed: Vec<Claimed>) {
        for job in claimed {
            match self.shop.crew.find(&job.extension, &job.handler) {
                Some(known) => {
                    let timeout = job.timeout.or(known.options.timeout);
                    let timeout = timeout.unwrap_or(self.settings.timeout);
                    self.runs.start(job, known, timeout);
                }
                // Nothing asked for it: it waits, and is not asked for again at once.
                None => self.finishes.push(Finish::new(&job, Outcome::Snooze(STRANGE))),
            }
        }
    }

    /// Books `finishes` with the next transaction.
    pub(super) fn book(&mut self, finishes: Vec<Finish>) {
        self.finishes.extend(finishes);
    }

    /// There may be something to claim.
    pub(super) fn look(&mut self) {
        self.look = true;
    }

    /// Others have, or may have, what ran here: nothing that it answers counts.
    pub(super) async fn lost(&mut self) -> Result<(), Failure> {
        tracing::warn!(node = %self.node, "This node was taken for dead: it stops its jobs, and begins again");
        self.runs.cancel_all(Reason::Lost);
        self.runs.give_up_all();
        // What ended before is booked, as far as nobody else has it.
        self.join().await
    }

    /// Others may run by now what runs here: it is given up, and given back once the database answers.
    pub(super) fn give_up(&mut self) {
        if self.runs.len() > 0 {
            tracing::warn!(node = %self.node, "The database is away for so long that others may run this node's jobs: they are stopped");
        }
        self.runs.cancel_all(Reason::Lost);
        self.runs.give_up_all();
        (self.unsure, self.look) = (true, true);
    }

    pub(super) fn failed(&mut self, error: &Failure) {
        if self.pause == PAUSES.0 {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(error);
            while let Some(it) = cause {
                text = format!("{text}: {it}");
                cause = it.source();
            }
            tracing::warn!("Jobs wait: {text}");
        }
        self.pause = (self.pause * 2).min(PAUSES.1);
        self.look = true;
    }

    /// Lets what runs end, and gives back what does not.
    async fn end(&mut self) {
        self.runs.cancel_all(Reason::Stopping);
        let until = tokio::time::Instant::now() + self.settings.grace;
        while self.runs.len() > 0 {
            match timeout_at(until, self.runs.next()).await {
                Ok(ended) => self.finishes.extend(ended),
                Err(_) => break,
            }
        }
        let left = self.runs.len();
        if left > 0 {
            tracing::warn!("{left} jobs did not end within the grace: they are given back");
        }
        self.runs.give_up_all();
        let (acks, node, now) =
            (std::mem::take(&mut self.finishes), self.node.clone(), (self.shop.clock)());
        let last = self.ask(move |conn| {
            finish(conn, &acks, now, &mut roll)?;
            Ok(leave(conn, &node, now)?)
        });
        if let Err(error) = last.await {
            self.failed(&error);
        }
    }
}

/// How long a job waits that should not have been claimed here.
const STRANGE: Duration = Duration::from_secs(60);
/// A claim of so many may have left some.
const MANY: usize = 128;

/// Jitter: nobody guesses it, and nobody needs to.
fn roll(below: u64) -> u64 {
    let random = uuid::Uuid::now_v7();
    random.as_bytes().last_chunk().map_or(0, |it| u64::from_be_bytes(*it)) % below.max(1)
}

async fn stopped_within(stop: &mut watch::Receiver<Stop>, span: Duration) -> bool {
    tokio::time::timeout(span, stop.wait_for(|it| *it != Stop::No)).await.is_ok()
}
