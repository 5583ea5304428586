//! What handlers share.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{HttpRequest, http::header::AUTHORIZATION};
use arc_swap::ArcSwap;
use powernode_plugin_api::Db;
use prometheus_client::registry::Registry as MetricsRegistry;

use super::{
    changes::Streams,
    dispatch::{Load, Table},
    limits::{self, Limits},
    meters::Meters,
    request::BodyLimits,
};
use crate::{
    access::{Access, AccessError, Principal},
    changes::{Changes, Channels},
    config::Network,
    db::Engine,
    gate::{Actor, ActorId, Extension, FlagStore, Gate, StateSwitch},
    registry::{FaultLimit, Mounted, Registry},
    services::{LinkKey, Providers},
    webhooks::Webhooks,
    worker::{JobMeters, Wake},
};

/// What handlers share.
pub struct Platform {
    /// The core's tables.
    pub core: Db,
    /// The database behind them.
    pub engine: Engine,
    /// Who sends requests.
    pub access: Access,
    /// The gates.
    pub gate: Arc<Gate>,
    /// The flags behind them.
    pub flags: FlagStore,
    /// The file that disables extensions.
    pub state: StateSwitch,
    /// The extensions.
    pub registry: Arc<Registry>,
    /// Their routes.
    pub table: ArcSwap<Table>,
    /// How many requests each answers.
    pub load: Load,
    /// How many requests each sender may send.
    pub limits: Limits,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted: Vec<Network>,
    /// Times and sizes.
    pub timeouts: Timeouts,
    /// When an extension is quarantined.
    pub fault_limit: FaultLimit,
    /// Numbers of requests.
    pub meters: Arc<Meters>,
    /// What extensions do for the core.
    pub providers: Providers,
    /// Where accounts want events sent.
    pub webhooks: Webhooks,
    /// What followers are told.
    pub changes: Changes,
    /// The live channels of extensions.
    pub channels: Channels,
    /// How many follow.
    pub streams: Streams,
    /// Numbers of jobs and queues.
    pub job_meters: JobMeters,
    /// All metrics.
    pub metrics: MetricsRegistry,
    /// Where extensions are installed.
    pub extensions: std::path::PathBuf,
    /// Threads for what outlives a request.
    pub background: tokio::runtime::Handle,
    /// Rung when there may be jobs to run.
    pub wake: Wake,
    /// Set when the platform is about to end.
    pub draining: AtomicBool,
    /// The extensions' numbers at the gates, by their places in the registry.
    pub numbers: Vec<Option<Extension>>,
    /// The keys of the extensions' links, by their places in the registry.
    pub links: Vec<LinkKey>,
}

/// Times and sizes.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// How long an extension may take for a request.
    pub request: Duration,
    /// What a body may cost.
    pub body: BodyLimits,
}

impl Platform {
    /// The number of an extension at the gates, by its place in the registry.
    pub fn extension(&self, index: usize) -> Option<Extension> {
        self.numbers.get(index).copied().flatten()
    }

    /// The numbers of all extensions of a registry.
    pub fn numbers(gate: &Gate, registry: &Registry) -> Vec<Option<Extension>> {
        registry.entries.iter().map(|it| gate.find(&it.slug)).collect()
    }

    /// The sender's address.
    pub fn address(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip();
        // A proxy may add a line of its own: all lines are one list, and the last hop is the nearest.
        let lines = request.headers().get_all("x-forwarded-for");
        let hops = lines.rev().flat_map(|it| it.as_bytes().rsplit(|it| *it == b','));
        Some(limits::address(peer, hops, &self.trusted))
    }

    /// Counts a panic of an extension, and quarantines it where it is the one too many.
    pub fn fault(&self, mounted: &Mounted, text: &str) {
        self.meters.panicked(mounted.index);
        let Some(entry) = self.registry.entries.get(mounted.index) else { return };
        if !entry.faults.record(Instant::now(), self.fault_limit) {
            return;
        }
        let FaultLimit { count, window } = self.fault_limit;
        let reason = format!("it panicked {count} times within {window:?}, last: {text}");
        let Some(extension) = self.extension(mounted.index) else { return };
        self.gate.quarantine(extension, &reason);
        let slug = entry.slug.clone();
        tracing::error!(extension = %slug, "Quarantined `{slug}`: {reason}");
        let core = self.core.clone();
        self.background.spawn(async move {
            if let Err(error) = crate::registry::quarantine::keep(&core, slug.clone(), reason).await {
                tracing::error!(extension = %slug, "Cannot keep the quarantine of `{slug}`: {error}");
            }
        });
    }

    /// Who a request's `Authorization` header stands for; nobody where there is none. An extension is somebody while
    /// its gates are open.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    pub async fn bearer(
        &self,
        request: &HttpRequest,
    ) -> Result<Option<Arc<Principal>>, AccessError> {
        let header = request.headers().get(AUTHORIZATION).and_then(|it| it.to_str().ok());
        let bearer = self.access.identify(header).await?;
        let slug = bearer.as_ref().and_then(|it| it.extension.as_deref());
        let opens = |slug| self.gate.find(slug).is_some_and(|it| self.gate.is_open(it, None));
        if slug.is_none_or(opens) { Ok(bearer) } else { Err(AccessError::Invalid) }
    }

    /// Whether the platform is about to end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// A bearer as the gates see it.
pub fn actor(principal: &Principal) -> Actor {
    let actor = Actor::of_account(ActorId::account(principal.account));
    let actor = match principal.user {
        Some(user) => actor.with_user(ActorId::user(user)),
        None => actor,
    };
    actor.with_admin(principal.is_admin())
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Platform")
    }
}
