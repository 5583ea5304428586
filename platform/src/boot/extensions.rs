//! From directories to extensions that run: scan, plan, verify, open, register, migrate, start.
//!
//! One that fails stays out with its reason, and with it those that depend on it;
//! the core and all others go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use powernode_abi::{HostObject, MigrationDef, plugin::SeedDef, providers::ProviderDef};

use super::jobs::{self, Jobs};
use crate::{
    changes::channel_names,
    config::Settings,
    http::dispatch::Table,
    loader,
    manifest::{Manifest, Refusal, Stage},
    migrator::{ExtensionMigrations, Migrator},
    package::{
        Activating, Found, Host, Probe, ProbeVerdict, Store, Verified, scan, verify, wrong_choices,
    },
    registry::{Contributions, Entry, Faults, LibraryFacts, Mounted, State, register},
    resolver::{self, Reason},
    worker::{Contribution, Crew},
};

/// What loading needs to know.
#[derive(Debug)]
pub struct LoadSettings<'a> {
    /// Where extensions are installed.
    pub extensions: &'a Path,
    /// Where the platform keeps its own.
    pub data: &'a Path,
    /// Where libraries may lie already that were opened before; it is not written.
    pub known: Option<&'a Path>,
    /// How long a library may take to open in the probe.
    pub probe_timeout: Duration,
    /// How long an extension may take to begin.
    pub init_timeout: Duration,
    /// Slugs that the state file disables.
    pub disabled: &'a BTreeSet<String>,
    /// Slugs in quarantine, with the reason.
    pub quarantined: &'a BTreeMap<String, String>,
    /// Permissions that the core defines.
    pub permissions: &'a BTreeSet<String>,
    /// What operators chose, for extensions too.
    pub chosen: &'a Settings,
}

/// What was found, before any of it runs.
#[derive(Debug)]
pub struct Planned {
    /// The extensions, in the order of their directories; a place here is a number at the gates.
    pub entries: Vec<Entry>,
    found: Vec<Found>,
    plan: resolver::LoadPlan,
    /// Whose each provider's key is.
    providers: BTreeMap<String, String>,
}

/// What runs.
#[derive(Debug, Default)]
pub struct Running {
    /// Their routes.
    pub mounts: Vec<Arc<Mounted>>,
    /// Their seeds, by slug.
    pub seeds: Vec<(String, Vec<SeedDef>)>,
    /// Those that must be quarantined, with the reason: they hung while they were loaded.
    pub hung: Vec<(String, String)>,
    /// Their queues and schedules.
    pub contributions: Vec<Contribution>,
    /// The handlers of their jobs.
    pub crew: Crew,
    /// What they do for others, by slug.
    pub providers: Vec<(String, ProviderDef)>,
    /// Their live channels: whose, the whole name, and the permission.
    pub channels: Vec<(String, String, String)>,
}

/// Finds the extensions, and plans their loading.
pub fn plan(settings: &LoadSettings<'_>) -> Planned {
    let found = scan(settings.extensions);
    let plan = resolver::resolve(&found, settings.disabled, &resolver::api());
    let mut entries: Vec<Entry> = found.iter().map(|it| entry(it, settings)).collect();
    for (slug, refusal) in plan.refusals() {
        if let Some(entry) = entries.iter_mut().find(|it| it.slug == slug)
            && entry.state == State::Discovered
        {
            entry.refuse(refusal);
        }
    }
    Planned { entries, found, plan, providers: BTreeMap::new() }
}

fn entry(found: &Found, settings: &LoadSettings<'_>) -> Entry {
    let manifest = found.manifest.as_ref().ok().cloned().map(Arc::new);
    let slug = manifest.as_ref().map_or_else(|| found.name.clone(), |it| it.slug.to_string());
    let mut entry = Entry {
        directory: found.directory.clone(),
        private: found.private,
        manifest,
        state: State::Discovered,
        refusal: found.manifest.as_ref().err().cloned(),
        warnings: found.warnings.clone(),
        library: None,
        contributions: Contributions::default(),
        plugin: None,
        faults: Faults::default(),
        slug,
    };
    if let Some(reason) = settings.quarantined.get(&entry.slug) {
        let message = format!(
            "`{0}` is in quarantine: {reason}; release it with `powernode ext release {0}`, then start again",
            entry.slug
        );
        entry.state = State::Quarantined;
        entry.refusal = Some(Refusal::new(Stage::Open, "quarantined", message));
    } else if settings.disabled.contains(&entry.slug) {
        entry.state = State::Disabled;
    } else if entry.refusal.is_some() {
        entry.state = State::Failed;
    }
    entry
}

/// Loads what was planned, migrates and starts it; `host` makes an extension's services.
pub fn load(
    planned: &mut Planned,
    settings: &LoadSettings<'_>,
    migrator: &Migrator,
    host: &dyn Fn(&Manifest) -> Option<HostObject>,
) -> Running {
    for entry in &planned.entries {
        if let Some(refusal) = entry.refusal.as_ref().filter(|_| entry.state == State::Failed) {
            stays_out(&entry.slug, refusal);
        }
        for warning in &entry.warnings {
            tracing::warn!(extension = %entry.slug, "Extension `{}`: {warning}", entry.slug);
        }
    }
    let mut running = Running::default();
    let mut loading = open(planned, settings, host, &mut running);
    planned.migrate(&mut loading, migrator);
    planned.start(loading, settings.init_timeout, &mut running);
    running
}

/// Opens what was planned, and answers the migrations; nothing is migrated or started.
pub fn migrations(
    planned: &mut Planned,
    settings: &LoadSettings<'_>,
    host: &dyn Fn(&Manifest) -> Option<HostObject>,
) -> Vec<ExtensionMigrations> {
    let mut loading = open(planned, settings, host, &mut Running::default());
    planned.sources(&mut loading)
}

fn stays_out(slug: &str, refusal: &Refusal) {
    tracing::error!(extension = %slug, code = %refusal.code, "Extension `{slug}` stays out: {refusal}");
}

/// Opens the libraries in their order.
fn open(
    planned: &mut Planned,
    settings: &LoadSettings<'_>,
    host: &dyn Fn(&Manifest) -> Option<HostObject>,
    running: &mut Running,
) -> Vec<(usize, Brought)> {
    let rooms = match Rooms::open(settings) {
        Ok(rooms) => rooms,
        Err(refusal) => {
            for entry in planned.entries.iter_mut().filter(|it| it.state == State::Discovered) {
                entry.refuse(refusal.clone());
            }
            return Vec::new();
        }
    };
    planned.quarantine_leftovers(&rooms.activating, running);
    let mut loading = Vec::new();
    for slug in planned.plan.order.clone() {
        let Some(at) = planned.waiting(slug.as_str()) else { continue };
        let outcome = planned.open(at, settings, &rooms, host);
        match outcome {
            Ok(loaded) => loading.push((at, loaded)),
            Err(refusal) => {
                if refusal.code == "timed_out" {
                    running.hung.push((slug.to_string(), refusal.message.clone()));
                }
                planned.refuse(at, refusal);
            }
        }
    }
    loading
}

/// The directories that loading works in.
struct Rooms {
    host: Host,
    store: Store,
    activating: Activating,
    exe: PathBuf,
}

impl Rooms {
    fn open(settings: &LoadSettings<'_>) -> Result<Self, Refusal> {
        let mut store = Store::open(settings.data)?;
        if let Some(known) = settings.known {
            store = store.with_known(known);
        }
        let exe = std::env::current_exe().map_err(|error| {
            Refusal::new(
                Stage::Probe,
                "no_executable",
                format!("the platform cannot find itself: {error}"),
            )
        })?;
        Ok(Self { host: Host::detect(), store, activating: Activating::open(settings.data)?, exe })
    }
}

/// What one extension brought.
struct Brought {
    mounts: Vec<Arc<Mounted>>,
    migrations: Vec<MigrationDef>,
    seeds: Vec<SeedDef>,
    jobs: Jobs,
    providers: Vec<ProviderDef>,
    /// Its channels by their whole names, each with its permission.
    channels: BTreeMap<String, String>,
}

impl Planned {
    /// The place of an extension that nothing has refused yet.
    fn waiting(&self, slug: &str) -> Option<usize> {
        self.entries.iter().position(|it| it.slug == slug && it.state == State::Discovered)
    }

    /// Takes an extension out, and with it those that depend on it.
    fn refuse(&mut self, at: usize, refusal: Refusal) {
        let Some(entry) = self.entries.get_mut(at) else { return };
        let slug = entry.slug.clone();
        stays_out(&slug, &refusal);
        entry.refuse(refusal.clone());
        let Some(cause) = entry.manifest.as_ref().map(|it| it.slug.clone()) else { return };
        let reason = Reason::behind(&cause, &Reason::Broken(refusal));
        for dependent in self.plan.dependents(&slug) {
            for entry in self.entries.iter_mut().filter(|it| it.slug == dependent.as_str()) {
                if !matches!(entry.state, State::Failed | State::Disabled | State::Quarantined) {
                    entry.refuse(reason.refusal(dependent.as_str()));
                }
            }
        }
    }

    /// What the last start did not end while it was opened is not opened again.
    fn quarantine_leftovers(&mut self, activating: &Activating, running: &mut Running) {
        for (slug, _) in activating.leftovers() {
            let message = format!(
                "the platform ended while it opened `{slug}`; release it with `powernode ext release {slug}`, then start again"
            );
            running
                .hung
                .push((slug.to_string(), "the platform ended while it was opened".to_owned()));
            if let Some(at) = self.waiting(slug.as_str()) {
                self.refuse(at, Refusal::new(Stage::Open, "quarantined", message));
            }
            if let Some(entry) = self.entries.iter_mut().find(|it| it.slug == slug.as_str()) {
                entry.state = State::Quarantined;
            }
            if let Err(refusal) = activating.clear(&slug) {
                tracing::warn!("{refusal}");
            }
        }
    }

    fn open(
        &mut self,
        at: usize,
        settings: &LoadSettings<'_>,
        rooms: &Rooms,
        host: &dyn Fn(&Manifest) -> Option<HostObject>,
    ) -> Result<Brought, Refusal> {
        let (Some(entry), Some(found)) = (self.entries.get_mut(at), self.found.get(at)) else {
            return Err(Refusal::new(Stage::Scan, "lost", "the extension is not in the plan"));
        };
        let Some(manifest) = entry.manifest.clone() else {
            return Err(Refusal::new(Stage::Manifest, "lost", "the extension has no manifest"));
        };
        let wrong: Vec<_> =
            wrong_choices(&manifest, settings.chosen).iter().map(ToString::to_string).collect();
        if !wrong.is_empty() {
            let message = format!("{}; `powernode config check` looks again", wrong.join("; "));
            return Err(Refusal::new(Stage::Register, "settings_invalid", message));
        }
        let verified = verify(found, &rooms.host)?;
        entry.state = State::Verified;
        entry.warnings.extend(verified.warnings.iter().cloned());
        let path = rooms.store.put(&verified)?;
        probe(rooms, &verified, &path, settings.probe_timeout)?;
        entry.library = Some(facts(&verified, &path));
        entry.state = State::Resolved;
        let services = host(&manifest).ok_or_else(|| {
            Refusal::new(Stage::Register, "no_number", "the gates do not know the extension")
        })?;
        rooms.activating.set(&manifest.slug, verified.sha256)?;
        drop(verified);
        let loaded = loader::load(&path, &manifest, services, settings.init_timeout);
        rooms.activating.clear(&manifest.slug)?;
        let loaded = loaded?;
        let mounts =
            register(at, &manifest, loaded.routes, &loaded.migrations, settings.permissions)?;
        let mounts: Vec<_> = mounts.into_iter().map(Arc::new).collect();
        // One table serves all: a pattern that it cannot take would else end the whole start.
        Table::build(&mounts).map_err(|conflict| {
            Refusal::new(Stage::Register, "route_conflict", conflict.to_string())
        })?;
        entry.contributions = Contributions {
            routes: mounts
                .iter()
                .map(|it| format!("{} {}", it.mount.method, it.mount.pattern))
                .collect(),
            migrations: loaded
                .migrations
                .iter()
                .map(|it| format!("{}_{}", it.version, it.name))
                .collect(),
            seeds: loaded.seeds.iter().map(|it| it.name.to_string()).collect(),
        };
        for ProviderDef { key, .. } in &loaded.providers {
            let owner = self.providers.get(key.as_str()).filter(|it| **it != entry.slug);
            if let Some(owner) = owner {
                let message =
                    format!("`{owner}` and `{}` provide `{key}`: it has one owner", entry.slug);
                return Err(Refusal::new(Stage::Register, "provider_duplicate", message));
            }
            self.providers.insert(key.to_string(), entry.slug.clone());
        }
        let jobs = jobs::read(&manifest, loaded.handlers, loaded.schedules, loaded.subscriptions)?;
        let channels = channel_names(&manifest, loaded.channels, settings.permissions)
            .map_err(|bad| Refusal::new(Stage::Register, "channel_invalid", bad.to_string()))?;
        entry.plugin = Some(loaded.plugin);
        let (migrations, seeds, providers) = (loaded.migrations, loaded.seeds, loaded.providers);
        Ok(Brought { mounts, migrations, seeds, jobs, providers, channels })
    }

    fn sources(&self, loading: &mut [(usize, Brought)]) -> Vec<ExtensionMigrations> {
        loading
            .iter_mut()
            .filter_map(|(at, brought)| {
                let slug = self.entries.get(*at)?.slug.clone();
                let migrations = std::mem::take(&mut brought.migrations);
                Some(ExtensionMigrations { slug, migrations })
            })
            .collect()
    }

    /// Starts those that are migrated, in their order; a dependent of one that fails is refused before its turn.
    fn start(&mut self, loading: Vec<(usize, Brought)>, deadline: Duration, running: &mut Running) {
        for (at, brought) in loading {
            let Some(entry) = self.entries.get_mut(at) else { continue };
            let Some(plugin) = entry.plugin.clone() else { continue };
            match loader::start(&plugin, &entry.slug, deadline) {
                Ok(()) => {
                    entry.state = State::Started;
                    let Jobs { contribution, handlers } = brought.jobs;
                    running.contributions.push(contribution);
                    for (name, options, handler) in handlers {
                        // Names are told apart when they are read.
                        let _ = running.crew.register(&entry.slug, &name, options, handler);
                    }
                    let slug = &entry.slug;
                    let provides = brought.providers.into_iter().map(|it| (slug.clone(), it));
                    running.providers.extend(provides);
                    let named = brought.channels.into_iter();
                    running.channels.extend(named.map(|(name, it)| (slug.clone(), name, it)));
                    running.seeds.push((entry.slug.clone(), brought.seeds));
                    running.mounts.extend(brought.mounts);
                }
                Err(refusal) => {
                    if refusal.code == "timed_out" {
                        running.hung.push((entry.slug.clone(), refusal.message.clone()));
                    }
                    self.refuse(at, refusal);
                }
            }
        }
    }

    /// Says what pending migrations take away in one step.
    fn warn(&mut self, plan: &crate::migrator::Plan) {
        for step in &plan.steps {
            let entry = self.entries.iter_mut().find(|it| it.slug == step.source.slug);
            let findings = step.findings.iter().map(ToString::to_string);
            let findings: Vec<_> = findings.inspect(|it| tracing::warn!("{it}")).collect();
            if let Some(entry) = entry {
                entry.warnings.extend(findings);
            }
        }
    }

    fn migrate(&mut self, loading: &mut [(usize, Brought)], migrator: &Migrator) {
        let sources = self.sources(loading);
        let outcomes = migrator.plan(&sources).and_then(|plan| {
            self.warn(&plan);
            migrator.run(&plan)
        });
        let failed = |error: &dyn std::error::Error| {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            Refusal::new(Stage::Migrate, "migration_failed", text)
        };
        for (at, _) in loading {
            let Some(slug) = self.entries.get(*at).map(|it| it.slug.clone()) else { continue };
            let refusal = match &outcomes {
                Err(error) => Some(failed(error)),
                Ok(outcomes) => outcomes
                    .iter()
                    .find(|it| it.slug == slug)
                    .and_then(|it| it.result.as_ref().err())
                    .map(|error| failed(error)),
            };
            match (refusal, self.entries.get_mut(*at)) {
                (Some(refusal), _) => self.refuse(*at, refusal),
                (None, Some(entry)) if entry.plugin.is_some() => entry.state = State::Migrated,
                _ => {}
            }
        }
    }
}

/// Opens a library that was never seen before in a child process, and remembers what became of it.
fn probe(
    rooms: &Rooms,
    verified: &Verified,
    path: &Path,
    deadline: Duration,
) -> Result<(), Refusal> {
    let verdict = match rooms.store.verdict(verified.sha256) {
        Some(verdict) => verdict,
        None => {
            let verdict = Probe::run(&rooms.exe, path, deadline).map_err(|error| {
                let message =
                    format!("cannot start a child process to probe `{}`: {error}", path.display());
                Refusal::new(Stage::Probe, "probe_failed", message)
            })?;
            rooms.store.remember(verified.sha256, &verdict)?;
            verdict
        }
    };
    match verdict {
        ProbeVerdict::Ok => Ok(()),
        verdict => verdict.refusal(&verified.path).map_or(Ok(()), Err),
    }
}

fn facts(verified: &Verified, path: &Path) -> LibraryFacts {
    let note = &verified.image.note;
    LibraryFacts {
        sha256: verified.sha256.to_string(),
        path: path.to_owned(),
        abi: note.abi.to_string(),
        sdk: note.sdk.clone(),
        rustc: note.rustc.clone(),
        target: note.target.clone(),
        profile: note.profile.clone(),
        glibc: verified.image.glibc.as_ref().map(ToString::to_string),
    }
}
