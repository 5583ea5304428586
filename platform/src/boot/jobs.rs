//! Running jobs beside the server, or in a process of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use chrono::Utc;
use powernode_abi::JobHandlerDef;
use powernode_plugin_api::{
    Db,
    events::SubscriptionDef,
    jobs::{self, JobOptions, ScheduleDef},
};
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
};

use super::{Booted, nodes};
use crate::{
    config::Settings,
    events::{NewSubscription, Pattern},
    manifest::{Manifest, Refusal, Stage},
    queue::{DEFAULT_ATTEMPTS, DEFAULT_PRIORITY, Missed, NewJob},
    registry::Entry,
    worker::{
        self, Contribution, LibraryHandler, NewQueue, NewSchedule, Options, Worker, WorkerSettings,
        Workshop,
    },
};

/// How long something may go unnoticed that nobody told of.
const POLL: Duration = Duration::from_secs(1);

/// Why this process runs no jobs.
#[derive(Debug, thiserror::Error)]
pub enum ApartError {
    /// SQLite's jobs run in the one process that serves.
    #[error(
        "on SQLite jobs run in the process that serves, since no other may write its database: leave `{0}` out, or \
         set `database.url` to a PostgreSQL database"
    )]
    Sqlite(&'static str),
}

/// Whether server and worker may be two processes; `asked` is what asked for it.
///
/// # Errors
///
/// [`ApartError::Sqlite`].
pub fn may_be_apart(settings: &Settings, asked: &'static str) -> Result<(), ApartError> {
    settings.database.url.as_ref().map(drop).ok_or(ApartError::Sqlite(asked))
}

/// Runs the jobs that `booted` has handlers for; `handle` runs what tells of them.
///
/// # Errors
///
/// The system's, where it starts no threads.
pub fn start(booted: &Booted, settings: &Settings, handle: &Handle) -> io::Result<Worker> {
    let workshop = Workshop {
        engine: booted.core.engine.clone(),
        gate: booted.core.gate.clone(),
        crew: booted.crew.clone(),
        clock: Arc::new(Utc::now),
        wake: booted.core.wake.clone(),
        meters: booted.job_meters.clone(),
        lock: lock(settings),
    };
    let chosen = &settings.worker;
    let how = WorkerSettings {
        concurrency: chosen.concurrency,
        timeout: chosen.timeout,
        grace: chosen.grace,
        keep_events: chosen.keep_events,
        rescue_after: chosen.rescue_after,
        poll: POLL,
        host: nodes::host(),
    };
    let told = worker::report(booted.core.db.clone(), booted.job_meters.clone());
    handle.spawn(told);
    Worker::start(workshop, how)
}

/// The file of the job lock: beside SQLite's database, whatever data directory is used with it.
fn lock(settings: &Settings) -> PathBuf {
    match settings.database.url {
        Some(_) => settings.data.join("jobs.lock"),
        None => {
            let mut path = settings.database.path.clone().into_os_string();
            path.push("-jobs.lock");
            path.into()
        }
    }
}

/// What an extension brings for the worker.
pub(super) struct Jobs {
    /// Its queues and schedules.
    pub(super) contribution: Contribution,
    /// Its handlers, by their names.
    pub(super) handlers: Vec<(String, Options, LibraryHandler)>,
}

/// Reads what a library says of its jobs.
///
/// # Errors
///
/// [`Refusal`] where two handlers have one name, or their options or schedules cannot be read.
pub(super) fn read(
    manifest: &Manifest,
    handlers: Vec<JobHandlerDef>,
    schedules: Vec<ScheduleDef>,
    subscriptions: Vec<SubscriptionDef>,
) -> Result<Jobs, Refusal> {
    let (slug, api_only) = (manifest.slug.as_str(), manifest.components.worker.api_only);
    let refuse = |code, message| Refusal::new(Stage::Register, code, message);
    let mut queues = BTreeMap::<Option<String>, NewQueue>::new();
    let mut names = BTreeSet::new();
    let mut known = BTreeMap::new();
    let mut read = Vec::new();
    for JobHandlerDef { name, options, handler } in handlers {
        let name = name.into_string();
        if !names.insert(name.clone()) {
            let message = format!("`{slug}` has two handlers `{name}`: give one another name");
            return Err(refuse("handler_duplicate", message));
        }
        let options: JobOptions = serde_json::from_str(&options).map_err(|error| {
            refuse(
                "handler_options",
                format!("the options of handler `{name}` of `{slug}`: {error}"),
            )
        })?;
        let queue = queues.entry(options.queue.clone()).or_default();
        queue.per_node = least(queue.per_node, options.concurrency);
        queue.global = least(queue.global, options.concurrency_of_all);
        known.insert(name.clone(), options.clone());
        let timeout = options.timeout_ms.map(Duration::from_millis);
        let handler = LibraryHandler::new(handler).api_only(api_only);
        read.push((name, Options { timeout }, handler));
    }
    let schedules = schedules.into_iter().map(|it| {
        let job: NewJob = serde_json::from_value(it.job).map_err(|error| {
            refuse("schedule_job", format!("schedule `{}` of `{slug}`: {error}", it.name))
        })?;
        queues.entry(job.queue.clone()).or_default();
        let missed = match it.missed {
            jobs::Missed::Skip => Missed::Skip,
            jobs::Missed::Once => Missed::Once,
            jobs::Missed::All => Missed::All,
        };
        let ScheduleDef { name, expression, zone, .. } = it;
        Ok(NewSchedule { name, expression, zone, job, missed })
    });
    let schedules = schedules.collect::<Result<_, Refusal>>()?;
    let heard = subscriptions.into_iter().map(|it| heard(slug, it, &known));
    let subscriptions = heard.collect::<Result<_, Refusal>>()?;
    let queues = queues.into_iter().map(|(name, queue)| NewQueue { name, ..queue }).collect();
    let contribution = Contribution { slug: slug.to_owned(), queues, schedules, subscriptions };
    Ok(Jobs { contribution, handlers: read })
}

/// The lower bound of two, where there is one.
fn least(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    one.into_iter().chain(other).min()
}

/// A subscription, which is run as its handler wants to be called.
fn heard(
    slug: &str,
    def: SubscriptionDef,
    known: &BTreeMap<String, JobOptions>,
) -> Result<NewSubscription, Refusal> {
    let SubscriptionDef { handler, pattern, ordered } = def;
    let refuse = |code, message| Refusal::new(Stage::Register, code, message);
    let pattern = Pattern::parse(&pattern).map_err(|error| {
        refuse("subscription_pattern", format!("subscription `{handler}` of `{slug}`: {error}"))
    })?;
    let Some(options) = known.get(&handler) else {
        let message =
            format!("`{slug}` hears `{pattern}` with a handler `{handler}` that it does not bring");
        return Err(refuse("subscription_handler", message));
    };
    let queue = options.queue.as_ref().map_or_else(|| slug.to_owned(), |it| format!("{slug}:{it}"));
    Ok(NewSubscription {
        pattern,
        ordered,
        queue,
        priority: options.priority.unwrap_or(DEFAULT_PRIORITY),
        max_attempts: options.max_attempts.unwrap_or(DEFAULT_ATTEMPTS),
        timeout_ms: options.timeout_ms,
        handler,
    })
}

/// Writes down the queues and schedules of an extension that was started. One whose schedule cannot be says so, and
/// runs without its schedules.
pub(super) fn prepare(
    core: &Db,
    contribution: Contribution,
    entries: &mut [Entry],
    handle: &Handle,
) {
    let slug = contribution.slug.clone();
    let Err(error) = handle.block_on(worker::prepare(core, contribution, Utc::now())) else {
        return;
    };
    let warning = format!("{:#}", anyhow::Error::from(error));
    tracing::warn!(extension = %slug, "Extension `{slug}`: {warning}");
    if let Some(entry) = entries.iter_mut().find(|it| it.slug == slug) {
        entry.warnings.push(warning);
    }
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
///
/// The system's, where it tells of no signals.
pub async fn told_to_stop() -> io::Result<()> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    Ok(())
}
