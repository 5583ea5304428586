//! What is in a backup, and what tells that it is as it was written.
//!
//! The manifest names each file with its size and hash, and carries two marks of its own: a hash, which tells of damage
//! wherever it is read, and a seal made with the master key, which nobody else can make.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
    path::{Component, Path},
};

use anyhow::{Context as _, bail, ensure};
use ring::digest::{Context, SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::services::MasterKey;

pub(super) const MANIFEST: &str = "backup.json";
pub(super) const STATE: &str = "extensions_state.json";
pub(super) const KEY: &str = "master.key";
/// The files that hold a database.
pub(super) const DATABASE: [&str; 2] = ["database.sqlite", "database.dump"];

const FORMAT: u32 = 1;
/// Bytes of a manifest at most.
const LARGEST: u64 = 16 << 20;

/// What is in a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    pub(super) created_at: String,
    /// The version of the platform that made it.
    pub(super) platform: String,
    /// The file that holds the database.
    pub(super) database: String,
    /// The fingerprint of the key that its secrets need.
    pub(super) master_key: Option<String>,
    /// Versions of the installed extensions, by slug.
    pub(super) extensions: BTreeMap<String, String>,
    /// Versions of the migrations that ran, by slug.
    pub(super) migrations: BTreeMap<String, Vec<String>>,
    pub(super) files: BTreeMap<String, Listed>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) size: u64,
    sha256: String,
}

impl Manifest {
    pub(super) fn new(database: &str, master_key: Option<String>) -> Self {
        Self {
            format: FORMAT,
            created_at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            platform: env!("CARGO_PKG_VERSION").to_owned(),
            database: database.to_owned(),
            master_key,
            extensions: BTreeMap::new(),
            migrations: BTreeMap::new(),
            files: BTreeMap::new(),
        }
    }

    /// Lists the files of a directory.
    pub(super) fn add_files(&mut self, dir: &Path) -> anyhow::Result<()> {
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name();
            let name = name.to_str().context("a file's name is not UTF-8")?;
            self.files.insert(name.to_owned(), listed(&dir.join(name))?);
        }
        Ok(())
    }

    /// As it is written.
    pub(super) fn sealed(&self, key: Option<&MasterKey>) -> anyhow::Result<Vec<u8>> {
        let content = serde_json::to_string(self)?;
        let value = json!({
            "backup": self,
            "sha256": hex::encode(digest(&SHA256, content.as_bytes())),
            "seal": key.map(|it| hex::encode(it.seal_backup(content.as_bytes()))),
        });
        Ok((serde_json::to_string_pretty(&value)? + "\n").into_bytes())
    }

    /// Reads a backup's manifest, and whether its seal could be checked with `key`.
    pub(super) fn read(dir: &Path, key: Option<&MasterKey>) -> anyhow::Result<(Self, bool)> {
        let path = dir.join(MANIFEST);
        let at = || format!("`{}`", path.display());
        let file = File::open(&path).with_context(|| format!("cannot read {}", at()))?;
        let mut text = String::new();
        file.take(LARGEST).read_to_string(&mut text).with_context(at)?;
        let mut value: Value = serde_json::from_str(&text).with_context(at)?;
        let manifest: Self = serde_json::from_value(value["backup"].take()).with_context(at)?;
        ensure!(
            manifest.format == FORMAT,
            "{} has format {}, and this platform reads {FORMAT}: use the platform that made it, {}",
            at(),
            manifest.format,
            manifest.platform
        );
        let content = serde_json::to_string(&manifest)?;
        let hash = hex::encode(digest(&SHA256, content.as_bytes()));
        ensure!(value["sha256"] == hash.as_str(), "{} was changed after it was written", at());
        let fits = key.filter(|it| Some(it.id()) == manifest.master_key.as_deref());
        if let Some(key) = fits {
            let seal =
                value["seal"].as_str().and_then(|it| hex::decode(it).ok()).unwrap_or_default();
            ensure!(
                key.is_backup_seal(content.as_bytes(), &seal),
                "the seal of {} is not that of master key `{}`: somebody else wrote it",
                at(),
                key.id()
            );
        }
        ensure!(
            DATABASE.contains(&manifest.database.as_str())
                && manifest.files.contains_key(&manifest.database),
            "{} names no database",
            at()
        );
        Ok((manifest, fits.is_some()))
    }

    /// Reads every file.
    pub(super) fn check_files(&self, dir: &Path) -> anyhow::Result<()> {
        for (name, wanted) in &self.files {
            let mut parts = Path::new(name).components();
            let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
            ensure!(plain, "the manifest names `{name}`, which is no file of a backup");
            let path = dir.join(name);
            let is_file = fs::symlink_metadata(&path).is_ok_and(|it| it.is_file());
            ensure!(is_file, "`{}` is missing", path.display());
            let found = listed(&path)?;
            if found != *wanted {
                bail!(
                    "`{}` was changed after it was written: it has {} bytes and SHA-256 {}, and should have {} and {}",
                    path.display(),
                    found.size,
                    found.sha256,
                    wanted.size,
                    wanted.sha256
                );
            }
        }
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let known = name == MANIFEST || self.files.contains_key(&name);
            ensure!(known, "`{}` is not in the manifest", dir.join(&name).display());
        }
        Ok(())
    }
}

fn listed(path: &Path) -> anyhow::Result<Listed> {
    let mut file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|it| !it.is_empty()) else { break };
        hash.update(bytes);
        size += read as u64;
    }
    Ok(Listed { size, sha256: hex::encode(hash.finish()) })
}
