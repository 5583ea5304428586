//! From settings to a platform that can serve.
//!
//! The database first, then the gates, then the extensions; what fails of the
//! first two ends the start, what fails of an extension does not.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use chrono::Utc;
use powernode_abi::{HostObject, abi_stable::std_types::RArc};
use powernode_plugin_api::{Db, db::RunError};
use tokio::runtime::Handle;
use uuid::Uuid;

use self::extensions::{LoadSettings, Running};
use crate::{
    access::{Issuer, permissions},
    audit::By,
    changes::{Changes, Channel, Channels},
    config::{Origin, Settings},
    db::{
        Confinement, DatabaseSettings, DbOpenError, Durability, Engine,
        copy::{self, CopyError},
        rescue,
    },
    egress::{Egress, EgressSettings, Targets, Url},
    events,
    gate::{FlagError, FlagStore, Gate, Groups, Installed, Seen, StateFile},
    manifest::{Manifest, Slug},
    migrator::{MigrationError, Migrator},
    queue,
    registry::{Entry, Registry, State, quarantine, report},
    services::{
        self, Accounts, Flags, Http, Jobs, JobsWithout, KeyError, Kv, LinkKey, MasterKey, Metrics,
        PluginMetrics, Provider, Providers, Runtime, Services, Settings as SettingsService, Tasks,
        Trace,
    },
    webhooks::Webhooks,
    worker::{Crew, JobMeters, Wake},
};

pub mod extensions;
pub mod jobs;
pub mod key;
pub mod lock;
pub mod nodes;
pub mod look;
pub mod serve;
pub mod wait;

/// Why the platform cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The data directory.
    #[error("cannot make the data directory `{}`", .0.display())]
    Data(PathBuf, #[source] io::Error),
    /// The database.
    #[error(transparent)]
    Database(#[from] DbOpenError),
    /// The core's tables.
    #[error("cannot migrate the core's tables")]
    Migration(#[from] MigrationError),
    /// What a restore left that was killed.
    #[error("cannot put right what a restore left")]
    Restore(#[from] CopyError),
    /// The master key's file.
    #[error("cannot read the master key `{}`: `secrets.key_file` names it", .0.display())]
    KeyFile(PathBuf, #[source] io::Error),
    /// The master key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The directory of extensions, which somebody named.
    #[error(
        "there is no extensions directory `{}` (`extensions.dir`, {origin}): make it, or name the right one", path.display()
    )]
    Extensions {
        /// The directory.
        path: PathBuf,
        /// Who named it.
        origin: Origin,
    },
    /// The flags.
    #[error("cannot read the flags")]
    Flags(#[from] FlagError),
    /// The database does not take this process for one that serves it.
    #[error("cannot tell the database's other nodes of this one: {0}")]
    Nodes(powernode_abi::DbError),
    /// The system starts no thread.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The core's tables cannot be read.
    #[error("cannot read the core's tables")]
    Core(#[from] RunError),
}

/// The core without its extensions: enough for the command line.
#[derive(Clone, Debug)]
pub struct Core {
    /// The database.
    pub engine: Engine,
    /// The core's tables.
    pub db: Db,
    /// The gates.
    pub gate: Arc<Gate>,
    /// The flags behind them.
    pub flags: FlagStore,
    /// The file that disables extensions.
    pub state: StateFile,
    /// Rung when jobs were written.
    pub wake: Wake,
}

/// The core with its extensions.
#[derive(Debug)]
pub struct Booted {
    /// The core.
    pub core: Core,
    /// The extensions.
    pub registry: Arc<Registry>,
    /// Their tasks, by their numbers.
    pub tasks: Vec<Arc<Tasks>>,
    /// Their metrics.
    pub metrics: PluginMetrics,
    /// The keys of their links, by their places in the registry.
    pub links: Vec<LinkKey>,
    /// The handlers of their jobs, and the core's.
    pub crew: Arc<Crew>,
    /// The numbers of their jobs.
    pub job_meters: JobMeters,
    /// What they do for others.
    pub providers: Providers,
    /// The way to servers elsewhere.
    pub egress: Egress,
    /// Where accounts want events sent.
    pub webhooks: Webhooks,
    /// What followers are told.
    pub changes: Changes,
    /// The live channels of extensions.
    pub channels: Channels,
    /// Makes and reads the tokens of extensions.
    pub issuer: Issuer,
}

/// The database's settings.
pub fn database(settings: &Settings) -> DatabaseSettings {
    let database = &settings.database;
    DatabaseSettings {
        url: database.url.clone(),
        path: database.path.clone(),
        durability: match database.durability {
            crate::config::Durability::Normal => Durability::Normal,
            crate::config::Durability::Full => Durability::Full,
        },
        readers: database.readers,
        confinement: match database.confinement {
            crate::config::Confinement::Roles => Confinement::Roles,
            crate::config::Confinement::SearchPath => Confinement::SearchPath,
        },
        pool_size: database.pool_size,
        max_connections: database.max_connections,
        acquire_timeout: database.acquire_timeout,
    }
}

/// Opens the database, brings the core's tables up to date, and reads the flags.
///
/// This blocks; `handle` runs what waits for the database.
///
/// # Errors
///
/// [`BootError`]; nothing runs then.
pub fn core(settings: &Settings, handle: &Handle) -> Result<Core, BootError> {
    let core = there(settings)?;
    ready(&core, settings, handle)?;
    Ok(core)
}

/// As [`opened`], where the database is the one that was left there.
fn there(settings: &Settings) -> Result<Core, BootError> {
    let place = &settings.database.path;
    if let Some(copy) = rescue::copy(place).filter(|_| settings.database.url.is_none()) {
        return Err(BootError::Database(rescue::Unreturned::new(place, copy).into()));
    }
    opened(settings)
}

/// Brings the core's tables up to date, and reads the flags.
fn ready(core: &Core, settings: &Settings, handle: &Handle) -> Result<(), BootError> {
    core.engine.writable()?;
    for schema in copy::mend(&database(settings))? {
        tracing::warn!(
            "The schema `{schema}` is left of a restore that was killed once its copy was loaded: `DROP SCHEMA \"{schema}\" CASCADE` removes it, and so does the next restore"
        );
    }
    let migrator = Migrator::new(&core.engine).with_runs(settings.database.migrate_at_start);
    let plan = migrator.plan(&[])?;
    for outcome in migrator.run(&plan)? {
        outcome.result?;
    }
    handle.block_on(core.flags.load())?;
    Ok(())
}

/// Opens the database, and changes nothing in it; the gates know no flags.
///
/// # Errors
///
/// [`BootError`].
pub fn opened(settings: &Settings) -> Result<Core, BootError> {
    let data = &settings.data;
    lock::make(data).map_err(|error| BootError::Data(data.clone(), error))?;
    Ok(on(Engine::open(&database(settings))?, settings))
}

fn on(engine: Engine, settings: &Settings) -> Core {
    let db = engine.core();
    let gate = Arc::new(Gate::new(Groups::standard()));
    let flags = FlagStore::new(db.clone(), gate.clone());
    let state = StateFile::new(&settings.extensions.state_file);
    let wake = Wake::default();
    let rung = wake.clone();
    queue::serve(&engine, Utc::now, move || rung.ring());
    let rung = wake.clone();
    events::serve(&engine, Utc::now, move || rung.ring());
    Core { engine, db, gate, flags, state, wake }
}

/// Loads the extensions, and opens their gates as far as flags allow.
///
/// This blocks, up to the deadlines of extensions that hang.
///
/// # Errors
///
/// [`BootError`] of the core alone; an extension's is in the registry.
pub fn extensions(core: Core, settings: &Settings, handle: &Handle) -> Result<Booted, BootError> {
    is_there(settings)?;
    let key = key::settled(settings, &core.db, handle)?;
    let facts = Facts::read(&core, settings, handle, key)?;
    let load = facts.load(settings, &settings.data);
    let mut planned = extensions::plan(&load);
    core.gate.install(installed(&planned.entries, &facts.quarantined));

    let registry: Arc<OnceLock<Arc<Registry>>> = Arc::default();
    let makers = Makers::new(&core, settings, handle, &facts, &planned.entries, registry.clone());
    let migrator = Migrator::new(&core.engine).with_runs(settings.database.migrate_at_start);
    let running = extensions::load(&mut planned, &load, &migrator, &|it| makers.services(it));
    let Makers { metrics, tasks, providers, egress, issuer, changes, channels, .. } = makers;
    let Running {
        mounts,
        seeds,
        hung,
        contributions,
        mut crew,
        providers: provided,
        channels: channel_names,
    } = running;
    let provided = provided.into_iter().filter_map(|(slug, it)| {
        let extension = core.gate.find(&slug)?;
        let object = Arc::new(it.provider);
        Some((it.key.into_string(), Provider { slug, extension, object }))
    });
    providers.set(provided.collect());
    let named = channel_names.into_iter().filter_map(|(slug, name, permission)| {
        Some((name, Channel { extension: core.gate.find(&slug)?, permission }))
    });
    channels.set(named.collect());
    let rung = core.wake.clone();
    let webhooks = Webhooks::new(
        core.db.clone(),
        egress.clone(),
        facts.key.clone(),
        Arc::new(move || rung.ring()),
    );
    webhooks.join(&mut crew, settings.worker.keep_events);
    let own = handle.block_on(webhooks.contribution())?;
    for contribution in contributions.into_iter().chain([own]) {
        jobs::prepare(&core.db, contribution, &mut planned.entries, handle);
    }
    let mut quarantined = facts.quarantined.clone();
    for (slug, reason) in hung {
        handle.block_on(quarantine::keep(&core.db, slug.clone(), reason.clone()))?;
        quarantined.insert(slug, reason);
    }
    let seen = planned.entries.iter().filter_map(seen).collect();
    handle.block_on(core.flags.ensure(seen, By::new("platform", Utc::now())))?;
    core.gate.install(installed(&planned.entries, &quarantined));

    let disabled = facts.disabled.clone();
    let loaded =
        Arc::new(Registry { entries: planned.entries, mounts, seeds: seeds.into(), disabled });
    // Set once: the extensions may ask from now on.
    let _ = registry.set(loaded.clone());
    if let Err(error) = report::write(&loaded, &settings.data) {
        tracing::warn!("Cannot write `{}`: {error}", report::FILE_NAME);
    }
    let links = loaded.entries.iter().map(|it| LinkKey::new(&facts.key, &it.slug)).collect();
    Ok(Booted {
        core,
        registry: loaded,
        tasks,
        metrics,
        links,
        crew: Arc::new(crew),
        job_meters: JobMeters::default(),
        providers,
        egress,
        issuer,
        webhooks,
        changes,
        channels,
    })
}

/// Whether the directory of extensions is there, where somebody named it; without any, this is core mode.
fn is_there(settings: &Settings) -> Result<(), BootError> {
    let path = &settings.extensions.dir;
    // What is there and cannot be read is refused with its reason.
    if !matches!(path.try_exists(), Ok(false)) {
        return Ok(());
    }
    match settings.origin("extensions.dir") {
        None | Some(Origin::Default) => {
            tracing::info!("There is no extensions directory `{}`: core mode", path.display());
            Ok(())
        }
        Some(origin) => Err(BootError::Extensions { path: path.clone(), origin: origin.clone() }),
    }
}

/// What is known before anything is loaded.
struct Facts {
    key: Arc<MasterKey>,
    disabled: BTreeSet<String>,
    quarantined: BTreeMap<String, String>,
    permissions: BTreeSet<String>,
}

impl Facts {
    fn read(
        core: &Core,
        settings: &Settings,
        handle: &Handle,
        key: Arc<MasterKey>,
    ) -> Result<Self, BootError> {
        core.engine.keep_with(key.clone());
        let state = core.state.read();
        if let Some(warning) = state.warning.filter(|_| settings.extensions.state_file.exists()) {
            tracing::warn!("{warning}");
        }
        Ok(Self {
            key,
            disabled: state.disabled,
            quarantined: handle.block_on(quarantine::all(&core.db))?,
            permissions: permissions::core().map(str::to_owned).collect(),
        })
    }

    fn load<'a>(&'a self, settings: &'a Settings, data: &'a Path) -> LoadSettings<'a> {
        LoadSettings {
            extensions: &settings.extensions.dir,
            data,
            known: None,
            probe_timeout: settings.extensions.probe_timeout,
            init_timeout: settings.extensions.init_timeout,
            disabled: &self.disabled,
            quarantined: &self.quarantined,
            permissions: &self.permissions,
            chosen: settings,
        }
    }
}

/// Makes services for one extension after the other.
struct Makers<'a> {
    core: &'a Core,
    settings: &'a Settings,
    handle: &'a Handle,
    key: Arc<MasterKey>,
    flags: Flags,
    metrics: PluginMetrics,
    tasks: Vec<Arc<Tasks>>,
    providers: Providers,
    egress: Egress,
    issuer: Issuer,
    changes: Changes,
    channels: Channels,
}

impl<'a> Makers<'a> {
    fn new(
        core: &'a Core,
        settings: &'a Settings,
        handle: &'a Handle,
        facts: &Facts,
        entries: &[Entry],
        registry: Arc<OnceLock<Arc<Registry>>>,
    ) -> Self {
        let flags = Flags::new(core.gate.clone(), Arc::new(asks(registry)));
        let tasks = entries.iter().map(|_| Arc::default()).collect();
        let metrics = PluginMetrics::default();
        let providers = Providers::new(core.gate.clone(), handle.clone());
        let (egress, key) = (egress(settings, handle), facts.key.clone());
        let issuer = Issuer::new(key.tokens());
        let (changes, channels) = (Changes::new(core.db.clone()), Channels::default());
        Self {
            core,
            settings,
            handle,
            key,
            flags,
            metrics,
            tasks,
            providers,
            egress,
            issuer,
            changes,
            channels,
        }
    }

    fn services(&self, manifest: &Manifest) -> Option<HostObject> {
        let slug = manifest.slug.as_str();
        let extension = self.core.gate.find(slug)?;
        let tasks = self.tasks.get(extension.index())?.clone();
        let (core, gate) = (self.core.db.clone(), self.core.gate.clone());
        let config =
            self.settings.extension.get(slug).map_or_else(|| "{}".to_owned(), ToString::to_string);
        let runtime = Runtime::new(slug, self.handle.clone(), gate, extension, tasks);
        let wake = self.core.wake.clone();
        let services = Services {
            slug: slug.to_owned(),
            db: match manifest.components.worker.api_only {
                true => JobsWithout::of(self.core.engine.for_extension(slug), slug),
                false => self.core.engine.for_extension(slug),
            },
            trace: RArc::new(Trace::new(slug)),
            settings: RArc::new(SettingsService::new(
                slug,
                config,
                Some(self.key.clone()),
                core.clone(),
            )),
            runtime: RArc::new(runtime),
            kv: RArc::new(Kv::new(slug, core.clone())),
            flags: RArc::new(self.flags.clone()),
            metrics: RArc::new(Metrics::new(slug, self.metrics.clone())),
            links: RArc::new(LinkKey::new(&self.key, slug)),
            jobs: RArc::new(Jobs::new(slug, core.clone(), Arc::new(move || wake.ring()))),
            providers: RArc::new(self.providers.clone()),
            channels: RArc::new(services::Channels::new(
                slug,
                core.clone(),
                self.changes.clone(),
                self.channels.clone(),
            )),
            http: RArc::new(Http::new(
                slug,
                self.egress.clone(),
                core.clone(),
                self.issuer.clone(),
                manifest.permissions.iter().map(|it| it.name.clone()).collect(),
            )),
            accounts: RArc::new(Accounts::new(core)),
        };
        Some(services.into_object())
    }
}

/// The way to servers elsewhere, and to this platform.
fn egress(settings: &Settings, handle: &Handle) -> Egress {
    let (server, chosen) = (&settings.server, &settings.egress);
    let egress = Egress::new(
        EgressSettings {
            targets: Targets::new(chosen.allow.clone()),
            timeout: chosen.timeout,
            max_answer: u64::try_from(chosen.max_answer).unwrap_or(u64::MAX),
        },
        handle.clone(),
    );
    // Where the system chooses the port, whoever listens says so.
    let own = match &server.url {
        Some(url) => Some(url.clone()),
        None if server.port == 0 => None,
        None => reached(SocketAddr::new(server.bind, server.port)),
    };
    if let Some(own) = own {
        egress.reached_at(own);
    }
    egress
}

/// Where this process is reached from within, that listens there.
pub fn reached(address: SocketAddr) -> Option<Url> {
    let loopback = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Url::parse(&format!("http://{}", SocketAddr::new(loopback, address.port()))).ok()
}

/// Asks the declarer of a capability; a panic of its is a no.
fn asks(
    registry: Arc<OnceLock<Arc<Registry>>>,
) -> impl Fn(crate::gate::Extension, &str, Option<Uuid>) -> bool + Send + Sync {
    move |extension, capability, account| {
        let entry = registry.get().and_then(|it| it.entries.get(extension.index()));
        let Some(plugin) = entry.and_then(|it| it.plugin.as_ref()) else { return false };
        let account = account.map(|it| powernode_abi::Id(it.into_bytes()));
        plugin.available(capability.into(), account.into()).unwrap_or(false)
    }
}

fn installed(entries: &[Entry], quarantined: &BTreeMap<String, String>) -> Vec<Installed> {
    let place = |slug: &str| entries.iter().position(|it| it.slug == slug);
    entries
        .iter()
        .map(|entry| {
            let manifest = entry.manifest.as_deref();
            let needs = manifest.into_iter().flat_map(|it| &it.dependencies);
            Installed {
                slug: entry.slug.clone(),
                // An extension has no other flag than that of its slug.
                flag: entry.slug.parse::<Slug>().map(|it| it.flag()).unwrap_or_default(),
                loaded: match (&entry.state, &entry.refusal) {
                    (State::Started, _) => Ok(()),
                    (_, Some(refusal)) => Err(refusal.to_string()),
                    (_, None) => Err("it was not loaded".to_owned()),
                },
                state_disabled: entry.state == State::Disabled,
                quarantined: quarantined.get(&entry.slug).cloned(),
                capabilities: manifest.map(|it| it.capabilities.clone()).unwrap_or_default(),
                dependencies: needs.filter_map(|it| place(it.slug.as_str())).collect(),
            }
        })
        .collect()
}

fn seen(entry: &Entry) -> Option<Seen> {
    let manifest = entry.manifest.as_deref()?;
    Some(Seen {
        name: manifest.flag(),
        description: format!("Switches the extension `{}`", entry.slug),
        default_enabled: manifest.default_enabled,
    })
}
