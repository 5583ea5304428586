//! What operators see of jobs and do to them; each change is written to the audit log with itself.

use std::time::Duration;

use chrono::{DateTime, Utc};
use powernode_plugin_api::Db;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::{
    Filter, Job, Limits, Node, Queue, QueueError, Schedule, Size, State, Times, cancel, discard,
    enqueue, find, list, nodes, pause, queues, resume, retry, schedules, set_limits, sizes,
};
use crate::{
    audit::{self, By, Entry},
    changes,
};

/// How many jobs one transaction changes: those that run wait no longer than it takes.
const BATCH: u32 = 500;
/// How many ticks ahead a schedule is shown with.
const AHEAD: usize = 5;

/// What an operator can do to jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tries dead and cancelled jobs again; their attempts begin anew.
    Retry,
    /// Deletes dead and cancelled jobs.
    Discard,
    /// Ends jobs that have not ended; one that runs is asked to stop.
    Cancel,
}

impl Action {
    /// Its name, in the audit log and in paths.
    pub fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Discard => "discard",
            Self::Cancel => "cancel",
        }
    }

    /// The states of jobs that it can be done to, those that wait for others first; of `only`, where that is one of them.
    fn states(self, only: Option<State>) -> impl Iterator<Item = &'static State> {
        let states: &[State] = match self {
            Self::Retry | Self::Discard => &[State::Dead, State::Cancelled],
            Self::Cancel => &[State::Blocked, State::Scheduled, State::Ready, State::Running],
        };
        states.iter().filter(move |it| only.is_none_or(|only| only == **it))
    }
}

/// A queue, and how much waits in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct QueueSeen {
    #[serde(flatten)]
    queue: Queue,
    /// How long a job is kept that ended well or was cancelled, in seconds.
    retain_done_s: u64,
    /// How long a dead job is kept, in seconds.
    retain_dead_s: u64,
    /// Jobs that wait for their time; this and the others up to 10,000, which means that many or more.
    scheduled: u32,
    /// Jobs that wait for a node.
    ready: u32,
    /// Jobs that run.
    running: u32,
    /// Jobs that wait for others with the same serial key.
    blocked: u32,
    /// Dead jobs.
    dead: u32,
    /// How long the one waits that is due longest, in milliseconds; none waits where this is not there.
    latency_ms: Option<u64>,
}

/// What is to be set of a queue; what is left out stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLimits {
    /// How many of its jobs run at once on one node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_per_node: Option<u32>,
    /// How many on all nodes together; 0 takes the bound away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000))]
    pub max_global: Option<u32>,
    /// How long a job is kept that ends well or is cancelled from now on, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 315_360_000))]
    pub retain_done_s: Option<u32>,
    /// How long a job is kept that dies from now on, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 315_360_000))]
    pub retain_dead_s: Option<u32>,
}

/// A job as it is shown: what is JSON text in the tables is JSON.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct JobSeen(#[schemars(with = "Shown<'static>")] Job);

/// A schedule, with its next ticks.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ScheduleSeen {
    /// `<slug>/<name>`.
    name: String,
    /// Whose it is.
    extension: String,
    /// Five fields of cron, or `every 5m`.
    expression: String,
    /// The IANA zone that this is meant in.
    zone: String,
    /// The handler that it calls.
    handler: String,
    /// What becomes of ticks that nobody took in time: `skip`, `once` or `all`.
    missed: super::Missed,
    /// When it ticks next; none where it ticks no more.
    next: Vec<DateTime<Utc>>,
    /// The last tick that was taken.
    last_at: Option<DateTime<Utc>>,
    /// How many ticks came while the extension was off.
    skipped: u32,
    /// Since when its extension no longer names it.
    vanished_at: Option<DateTime<Utc>>,
}

/// All queues, with how much waits in them.
///
/// # Errors
///
/// The database's.
pub async fn see_queues(core: &Db, now: DateTime<Utc>) -> Result<Vec<QueueSeen>, QueueError> {
    core.read(move |conn| {
        let sizes = sizes(conn, now)?;
        let seen = |queue: Queue| {
            let size = sizes.iter().find(|it| it.queue == queue.name);
            QueueSeen::new(queue, size)
        };
        Ok(queues(conn)?.into_iter().map(seen).collect())
    })
    .await
}

/// Pauses a queue, or lets it go on; none where there is no such queue.
///
/// # Errors
///
/// The database's.
pub async fn set_paused(
    core: &Db,
    queue: &str,
    paused: bool,
    by: By,
) -> Result<Option<()>, QueueError> {
    let queue = queue.to_owned();
    core.transaction(move |conn| {
        let known = match paused {
            true => pause(conn, &queue, by.at)?,
            false => resume(conn, &queue)?,
        };
        if !known {
            return Ok(None);
        }
        let action = if paused { "queue.pause" } else { "queue.resume" };
        let data = json!({ "queue": queue, "paused": paused });
        changes::write(conn, changes::QUEUES, None, &data, by.at)?;
        audit::append(conn, &by, Entry::new(action, format!("queue/{queue}")))?;
        Ok(Some(()))
    })
    .await
}

/// Sets a queue's limits; none where there is no such queue.
///
/// # Errors
///
/// The database's.
pub async fn limit(
    core: &Db,
    queue: &str,
    new: NewLimits,
    by: By,
) -> Result<Option<()>, QueueError> {
    let queue = queue.to_owned();
    let span = |seconds: u32| Duration::from_secs(seconds.into());
    let limits = Limits {
        max_per_node: new.max_per_node,
        max_global: new.max_global.map(|it| Some(it).filter(|it| *it > 0)),
        retain_done: new.retain_done_s.map(span),
        retain_dead: new.retain_dead_s.map(span),
    };
    core.transaction(move |conn| {
        if !set_limits(conn, &queue, limits)? {
            return Ok(None);
        }
        let data = json!({ "queue": queue, "limits": new });
        changes::write(conn, changes::QUEUES, None, &data, by.at)?;
        let entry = Entry::new("queue.limit", format!("queue/{queue}")).with_after(json!(new));
        audit::append(conn, &by, entry)?;
        Ok(Some(()))
    })
    .await
}

/// Up to 100 jobs that `filter` names, the newest first.
///
/// # Errors
///
/// The database's.
pub async fn see_jobs(core: &Db, filter: Filter, most: u32) -> Result<Vec<JobSeen>, QueueError> {
    core.read(move |conn| Ok(list(conn, &filter, most)?.into_iter().map(JobSeen).collect())).await
}

/// The job of that number.
///
/// # Errors
///
/// The database's.
pub async fn see_job(core: &Db, id: i64) -> Result<Option<JobSeen>, QueueError> {
    core.read(move |conn| Ok(find(conn, id)?.map(JobSeen))).await
}

/// Does something to all jobs that `filter` names and that it can be done to, batch by batch; answers how many.
///
/// # Errors
///
/// The database's; the batches before are done.
pub async fn change(
    core: &Db,
    action: Action,
    filter: Filter,
    by: By,
) -> Result<usize, QueueError> {
    let mut all = 0;
    for state in action.states(filter.state) {
        loop {
            let filter = Filter { state: Some(*state), ..filter.clone() };
            let changed = batch(core, action, filter, by.clone()).await?;
            all += changed;
            // One that runs stays among those that can be cancelled: once is enough.
            if changed < BATCH as usize || *state == State::Running {
                break;
            }
        }
    }
    Ok(all)
}

async fn batch(core: &Db, action: Action, filter: Filter, by: By) -> Result<usize, QueueError> {
    core.transaction(move |conn| {
        let changed = match action {
            Action::Retry => retry(conn, &filter, BATCH, by.at)?,
            Action::Discard => discard(conn, &filter, BATCH)?,
            Action::Cancel => cancel(conn, &filter, BATCH, by.at)?,
        };
        if changed > 0 {
            let subject = filter.id.map_or_else(|| "jobs".to_owned(), |id| format!("job/{id}"));
            let mut after = filter.shown();
            after["jobs"] = changed.into();
            let entry = Entry::new(format!("job.{}", action.word()), subject);
            audit::append(conn, &by, entry.with_after(after))?;
        }
        Ok(changed)
    })
    .await
}

/// All schedules, with their next ticks.
///
/// # Errors
///
/// The database's.
pub async fn see_schedules(core: &Db) -> Result<Vec<ScheduleSeen>, QueueError> {
    core.read(|conn| Ok(schedules(conn)?.into_iter().map(ScheduleSeen::new).collect())).await
}

/// Writes the job of a schedule now, beside its ticks; answers its number, and none where there is no such schedule or
/// its job is there already.
///
/// # Errors
///
/// The database's, and [`QueueError::Job`].
pub async fn run_now(core: &Db, schedule: &str, by: By) -> Result<Option<i64>, QueueError> {
    let name = schedule.to_owned();
    core.transaction(move |conn| {
        let Some(found) = schedules(conn)?.into_iter().find(|it| it.name == name) else {
            return Ok(None);
        };
        let written = enqueue(conn, &found.extension, &[found.job], by.at)?;
        let Some(job) = written.into_iter().flatten().next() else { return Ok(None) };
        let entry = Entry::new("schedule.run", format!("schedule/{name}"));
        audit::append(conn, &by, entry.with_after(json!({ "job": job })))?;
        Ok(Some(job))
    })
    .await
}

/// The processes that run jobs.
///
/// # Errors
///
/// The database's.
pub async fn see_nodes(core: &Db) -> Result<Vec<Node>, QueueError> {
    core.read(|conn| Ok(nodes(conn)?)).await
}

impl QueueSeen {
    /// The queue's name.
    pub fn name(&self) -> &str {
        &self.queue.name
    }

    fn new(queue: Queue, size: Option<&Size>) -> Self {
        let count = |of: fn(&Size) -> u32| size.map_or(0, of);
        Self {
            retain_done_s: queue.retain_done.as_secs(),
            retain_dead_s: queue.retain_dead.as_secs(),
            scheduled: count(|it| it.scheduled),
            ready: count(|it| it.ready),
            running: count(|it| it.running),
            blocked: count(|it| it.blocked),
            dead: count(|it| it.dead),
            latency_ms: size.and_then(|it| it.latency_ms),
            queue,
        }
    }
}

impl Filter {
    /// What of it is set, for the audit log.
    fn shown(&self) -> Value {
        let Self { state, queue, extension, handler, .. } = self;
        let all = [
            ("state", state.map(|it| json!(it))),
            ("queue", queue.as_ref().map(|it| json!(it))),
            ("extension", extension.as_ref().map(|it| json!(it))),
            ("handler", handler.as_ref().map(|it| json!(it))),
        ];
        all.into_iter().filter_map(|(name, it)| Some((name.to_owned(), it?))).collect()
    }
}

impl ScheduleSeen {
    /// `<slug>/<name>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn new(schedule: Schedule) -> Self {
        let Schedule { name, extension, expression, zone, job, missed, .. } = schedule;
        let times = Times::parse(&expression, &zone).ok();
        let ticks = schedule.vanished_at.is_none();
        let first = Some(schedule.next_at).filter(|it| ticks && *it != DateTime::<Utc>::MAX_UTC);
        let following = |at: &DateTime<Utc>| times.as_ref()?.next(*at);
        let next = std::iter::successors(first, following).take(AHEAD).collect();
        let Schedule { last_at, skipped, vanished_at, .. } = schedule;
        let handler = job.handler;
        Self {
            name,
            extension,
            expression,
            zone,
            handler,
            missed,
            next,
            last_at,
            skipped,
            vanished_at,
        }
    }
}

/// The fields of a [`JobSeen`].
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Job")]
struct Shown<'j> {
    /// Its number.
    id: i64,
    /// The queue.
    queue: &'j str,
    /// Whose it is.
    extension: &'j str,
    /// The handler's name.
    handler: &'j str,
    /// What the handler gets.
    args: Value,
    /// Where it stands.
    state: State,
    /// From 0, which runs first, to 9.
    priority: u8,
    /// When it is or was due.
    run_at: DateTime<Utc>,
    /// Attempts that count.
    attempt: u32,
    /// Most attempts.
    max_attempts: u32,
    /// The unique key, as long as it is taken.
    unique_key: Option<&'j str>,
    /// The serial key.
    serial_key: Option<&'j str>,
    /// The node that runs it.
    node: Option<&'j str>,
    /// When the last attempt began.
    started_at: Option<DateTime<Utc>>,
    /// How often its process died while it ran.
    deaths: u32,
    /// When somebody asked to cancel it.
    cancel_at: Option<DateTime<Utc>>,
    /// How far it is, as the handler says.
    progress: Value,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
    /// Why it is dead or cancelled.
    reason: Option<&'j str>,
    /// What went wrong, the last ten times.
    errors: Value,
    /// When it was written.
    created_at: DateTime<Utc>,
}

impl Serialize for JobSeen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Job { id, queue, extension, handler, .. } = &self.0;
        let it = &self.0;
        let parsed = |text: Option<&str>| {
            let text = text.unwrap_or("null");
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
        };
        let shown = Shown {
            id: *id,
            queue,
            extension,
            handler,
            args: parsed(Some(&it.args)),
            state: it.state,
            priority: it.priority,
            run_at: it.run_at,
            attempt: it.attempt,
            max_attempts: it.max_attempts,
            unique_key: it.unique_key.as_deref(),
            serial_key: it.serial_key.as_deref(),
            node: it.node.as_deref(),
            started_at: it.started_at,
            deaths: it.deaths,
            cancel_at: it.cancel_at,
            progress: parsed(it.progress.as_deref()),
            finished_at: it.finished_at,
            reason: it.reason.as_deref(),
            errors: parsed(it.errors.as_deref()),
            created_at: it.created_at,
        };
        shown.serialize(serializer)
    }
}
