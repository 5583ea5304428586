//! From a booted platform to one that answers, until it is told to stop.

use std::{
    net::TcpListener,
    os::unix::net::UnixListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
};

use super::{Booted, jobs};
use crate::{
    access::Access,
    config::Settings,
    db::Engine,
    gate::{FlagStore, StateSwitch},
    http::{
        self, Listening, Platform,
        dispatch::{Conflict, Load, Table, watchdog},
        limits::Limits,
        meters::{Meters, Reading},
        request::BodyLimits,
        socket::AdminSocket,
        state::Timeouts,
    },
    loader,
    registry::FaultLimit,
};

/// How often other nodes' changes of flags are looked for: they hold here within a second, also when one look fails.
const FOLLOW: Duration = Duration::from_millis(300);
/// How often a database that could not be used is tried again, and its files are looked at.
const PROBE: Duration = Duration::from_secs(1);
/// How long a load balancer has to notice that the platform is about to end.
const NOTICE: Duration = Duration::from_millis(200);

/// Why the platform does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Two extensions own one route.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The server could not listen or wait for signals.
    #[error("the server failed")]
    Server(#[from] std::io::Error),
}

/// What handlers share, made of a booted platform.
///
/// # Errors
///
/// [`ServeError::Conflict`].
pub fn platform(
    booted: &Booted,
    settings: &Settings,
    handle: &Handle,
) -> Result<Platform, ServeError> {
    let Booted { core, registry, metrics, links, .. } = booted;
    let meters = Arc::new(Meters::new(registry.entries.iter().map(|it| it.slug.as_str())));
    let mut readings = MetricsRegistry::default();
    readings.register_collector(Box::new(Reading(meters.clone())));
    readings.register_collector(Box::new(metrics.clone()));
    readings.register_collector(Box::new(booted.job_meters.clone()));
    let (server, extensions) = (&settings.server, &settings.extensions);
    Ok(Platform {
        core: core.db.clone(),
        engine: core.engine.clone(),
        access: Access::new(core.db.clone()).with_issuer(booted.issuer.clone()),
        gate: core.gate.clone(),
        flags: core.flags.clone(),
        state: StateSwitch::new(core.db.clone(), core.state.clone()),
        table: ArcSwap::from_pointee(Table::build(&registry.mounts)?),
        load: Load::new(registry.entries.len(), extensions.concurrency),
        limits: Limits::new(settings.limits.per_token, settings.limits.per_address)
            .with_burst(settings.limits.burst),
        trusted: server.trusted_proxies.clone(),
        timeouts: Timeouts {
            request: extensions.deadline,
            body: BodyLimits { size: server.body_limit, time: server.body_timeout },
        },
        fault_limit: FaultLimit {
            count: extensions.quarantine_after,
            window: extensions.quarantine_window,
        },
        meters,
        providers: booted.providers.clone(),
        webhooks: booted.webhooks.clone(),
        changes: booted.changes.clone(),
        channels: booted.channels.clone(),
        streams: Default::default(),
        job_meters: booted.job_meters.clone(),
        metrics: readings,
        extensions: extensions.dir.clone(),
        background: handle.clone(),
        wake: booted.core.wake.clone(),
        draining: AtomicBool::new(false),
        numbers: Platform::numbers(&core.gate, registry),
        links: links.clone(),
        registry: registry.clone(),
    })
}

/// Serves until SIGTERM or SIGINT; `stopping` is told then, and requests in flight have the drain timeout to end.
///
/// # Errors
///
/// [`ServeError::Server`].
pub async fn serve(
    platform: Arc<Platform>,
    listener: TcpListener,
    operators: Option<(AdminSocket, UnixListener)>,
    settings: &Settings,
    stopping: impl FnOnce() + Send + 'static,
) -> Result<(), ServeError> {
    let watched = platform.clone();
    watchdog::start(settings.extensions.watchdog, move |index, time| {
        watched.meters.blocked(index);
        let slug = watched.registry.entries.get(index).map_or("", |it| it.slug.as_str());
        tracing::warn!(
            extension = slug,
            "Extension `{slug}` blocks a worker thread for {time:?} already"
        );
    })?;
    follow(&platform.engine, &platform.flags);
    let changes = platform.changes.clone();
    tokio::spawn(async move { changes.follow().await });
    let uses = platform.clone();
    tokio::spawn(async move { uses.access.write_uses().await });

    let how = Listening {
        workers: settings.server.workers,
        header_timeout: settings.server.header_timeout,
        write_timeout: settings.server.write_timeout,
        drain_timeout: settings.server.drain_timeout,
    };
    let (socket, operators) = operators.unzip();
    let server = http::server(platform.clone(), listener, operators, how)?;
    let handle = server.handle();
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        stopping();
        tracing::info!("Stopping: requests in flight end first");
        platform.draining.store(true, Ordering::SeqCst);
        // From here on the command line works on the data directory.
        drop(socket);
        tokio::time::sleep(NOTICE).await;
        handle.stop(true).await;
    });
    Ok(server.await?)
}

/// Looks after the database, and follows what other nodes do to the flags.
fn follow(engine: &Engine, flags: &FlagStore) {
    let (engine, flags) = (engine.clone(), flags.clone());
    tokio::spawn(async move { engine.watch(PROBE).await });
    tokio::spawn(async move { flags.follow(FOLLOW).await });
}

/// Runs nothing but jobs until SIGTERM or SIGINT.
///
/// # Errors
///
/// [`ServeError::Server`].
pub async fn work(booted: &Booted) -> Result<(), ServeError> {
    follow(&booted.core.engine, &booted.core.flags);
    jobs::told_to_stop().await?;
    tracing::info!("Stopping: jobs that run end first");
    Ok(())
}

/// Stops the extensions, those that need others first.
pub fn stop(booted: &Booted, deadline: Duration) {
    for tasks in &booted.tasks {
        tasks.stop();
    }
    for entry in booted.registry.entries.iter().rev() {
        let Some(plugin) = &entry.plugin else { continue };
        if let Err(refusal) = loader::stop(plugin, &entry.slug, deadline) {
            tracing::warn!("{refusal}");
        }
    }
}
