//! For commands that only look: they make and change nothing that lasts, also where no platform ran yet.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use tempfile::TempDir;
use tokio::runtime::Handle;

use super::{BootError, Core, Facts, Makers, database, extensions, installed, key, on};
use crate::{
    access::permissions,
    config::Settings,
    db::{Engine, copy},
    migrator::{ExtensionMigrations, Migrator},
};

/// A directory for what has to lie somewhere meanwhile: it goes when this is dropped.
///
/// In the data directory, where that is there: libraries can be opened there, and there is room.
///
/// # Errors
///
/// [`BootError::Data`].
pub fn place(settings: &Settings) -> Result<TempDir, BootError> {
    let mut name = tempfile::Builder::new();
    name.prefix("rehearsal-");
    name.tempdir_in(&settings.data)
        .or_else(|_| name.tempdir())
        .map_err(|error| BootError::Data(settings.data.clone(), error))
}

/// Opens the database, or an empty one in `place` where there is none yet; the gates know no flags.
///
/// # Errors
///
/// [`BootError`].
pub fn core(settings: &Settings, place: &Path) -> Result<Core, BootError> {
    let mut database = database(settings);
    if database.url.is_none() && matches!(copy::is_empty(&database), Ok(true)) {
        database.path = place.join("powernode.db");
    }
    Ok(on(Engine::open(&database)?, settings))
}

/// What the installed extensions bring.
#[derive(Debug)]
pub struct Looked {
    /// Their migrations, in their order.
    pub migrations: Vec<ExtensionMigrations>,
    /// Those that stay out, with the reason.
    pub refused: Vec<(String, String)>,
}

/// The migrations that the installed extensions bring; nothing is migrated or started.
///
/// Their libraries are opened from `place`.
///
/// # Errors
///
/// As [`extensions()`](super::extensions()).
pub fn migrations(
    core: &Core,
    settings: &Settings,
    place: &Path,
    handle: &Handle,
) -> Result<Looked, BootError> {
    let core_pending = Migrator::new(&core.engine)
        .plan(&[])?
        .steps
        .iter()
        .any(|it| it.pending.as_ref().is_ok_and(|it| !it.is_empty()));
    let mut facts = if core_pending {
        // Nothing can stand in tables that are not there.
        let permissions = permissions::core().map(str::to_owned).collect();
        let (disabled, key) = (core.state.read().disabled, key::known(settings)?);
        let key = key.map_or_else(key::passing, Ok)?;
        Facts { key, disabled, quarantined: BTreeMap::new(), permissions }
    } else {
        let key = key::looked_at(settings, &core.db, handle)?;
        Facts::read(core, settings, handle, key)?
    };
    // The next start puts these into quarantine, and is not robbed of their marks.
    for entry in fs::read_dir(settings.data.join("activating")).into_iter().flatten().flatten() {
        let slug = entry.file_name().to_string_lossy().into_owned();
        let reason = "the platform ended while it was opened".to_owned();
        facts.quarantined.entry(slug).or_insert(reason);
    }
    let known = Some(settings.data.as_path());
    let load = extensions::LoadSettings { known, ..facts.load(settings, place) };
    let mut planned = extensions::plan(&load);
    core.gate.install(installed(&planned.entries, &facts.quarantined));
    let makers = Makers::new(core, settings, handle, &facts, &planned.entries, Arc::default());
    let migrations = extensions::migrations(&mut planned, &load, &|it| makers.services(it));
    let refused = planned
        .entries
        .iter()
        .filter_map(|it| Some((it.slug.clone(), it.refusal.as_ref()?.to_string())));
    Ok(Looked { migrations, refused: refused.collect() })
}
