//! The master key: read, made at the first start, and compared at each with what the database was written with.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
};

use powernode_plugin_api::Db;
use tempfile::NamedTempFile;
use tokio::runtime::Handle;

use super::BootError;
use crate::{
    config::Settings,
    services::{KeyError, MasterKey},
};

/// The master key, where there is one; none is made.
///
/// # Errors
///
/// [`BootError`] when it cannot be read, or is none.
pub fn known(settings: &Settings) -> Result<Option<Arc<MasterKey>>, BootError> {
    let key = text(settings)?.map(|text| MasterKey::parse(&text).map(Arc::new));
    Ok(key.transpose()?)
}

/// The master key's text, where there is one.
///
/// # Errors
///
/// [`BootError::KeyFile`].
pub fn text(settings: &Settings) -> Result<Option<String>, BootError> {
    if let Some(key) = &settings.secrets.key {
        return Ok(Some(key.clone()));
    }
    let own = settings.data.join("master.key");
    let path = settings.secrets.key_file.as_ref().unwrap_or(&own);
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && *path == own => Ok(None),
        Err(error) => Err(BootError::KeyFile(path.clone(), error)),
    }
}

/// A new key in `<data>/master.key`, or that of a process which was faster.
///
/// # Errors
///
/// [`BootError::KeyFile`]; [`KeyError::NoRandomness`].
pub fn make(settings: &Settings) -> Result<Arc<MasterKey>, BootError> {
    let path = own(settings);
    let text = MasterKey::generate()?;
    // Under its own name once it is whole: nobody reads half a key.
    let made = NamedTempFile::with_prefix_in("master.key.", &settings.data).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(&path) {
            Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => {
                fs::read_to_string(&path)
            }
            Err(failed) => Err(failed.error),
            Ok(_) => Ok(text),
        }
    });
    let text = made.map_err(|error| BootError::KeyFile(path, error))?;
    Ok(Arc::new(MasterKey::parse(&text)?))
}

/// The key to start with: that of the database, or a new one for a database that has seen none.
pub(super) fn settled(
    settings: &Settings,
    core: &Db,
    handle: &Handle,
) -> Result<Arc<MasterKey>, BootError> {
    let key = match known(settings)? {
        Some(key) => key,
        None => match (missed(settings, core, handle), known(settings)?) {
            // Another process made it meanwhile.
            (_, Some(key)) => key,
            (missed, None) => missed.and_then(|()| make(settings))?,
        },
    };
    handle.block_on(key.settle(core))?;
    Ok(key)
}

/// The key for what only looks: nothing is made or written.
pub(super) fn looked_at(
    settings: &Settings,
    core: &Db,
    handle: &Handle,
) -> Result<Arc<MasterKey>, BootError> {
    match known(settings)? {
        Some(key) => {
            handle.block_on(key.check(core))?;
            Ok(key)
        }
        None => {
            missed(settings, core, handle)?;
            passing()
        }
    }
}

/// A key that nobody keeps, where nothing is written with it.
pub(super) fn passing() -> Result<Arc<MasterKey>, BootError> {
    Ok(Arc::new(MasterKey::parse(&MasterKey::generate()?)?))
}

/// Refuses to go without the key that the database was written with.
fn missed(settings: &Settings, core: &Db, handle: &Handle) -> Result<(), BootError> {
    match handle.block_on(MasterKey::wanted(core))? {
        None => Ok(()),
        Some(expected) => Err(KeyError::Missing { path: own(settings), expected }.into()),
    }
}

fn own(settings: &Settings) -> PathBuf {
    settings.data.join("master.key")
}
