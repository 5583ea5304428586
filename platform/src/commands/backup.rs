//! `powernode backup`

use std::{
    fs,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::json;

use super::{Output, by, exit, exit::Exit, runtime};
use crate::{
    audit::{self, Entry},
    boot::{self, nodes::Alone},
    config::Settings,
    db::copy,
    migrator::Migrator,
    package::scan,
    services::MasterKey,
};

mod manifest;

use manifest::{KEY, MANIFEST, Manifest, STATE};

#[derive(Debug, Subcommand)]
pub(super) enum Backup {
    /// Copy the database and the state file into a new directory, while the platform runs or not.
    ///
    /// The master key is not copied: its fingerprint is, so that a restore says which key it needs. On PostgreSQL
    /// `pg_dump` is needed (Debian: `postgresql-client`), no older than the server.
    Create {
        /// The directory, which must not be there yet.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Copy the master key as well: whoever has the backup can then read all secrets.
        #[arg(long)]
        with_key: bool,
    },
    /// Check a backup, each byte of it; exit code 3 where something is wrong.
    Verify {
        /// The backup's directory.
        dir: PathBuf,
    },
    /// Put a backup in place of what is there; the platform must be stopped, on all nodes.
    Restore {
        /// The backup's directory.
        dir: PathBuf,
        /// Even where there are data already, which are lost.
        #[arg(long)]
        force: bool,
    },
}

impl Backup {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create { to, with_key } => create(settings, output, &to, with_key),
            Self::Verify { dir } => verify(settings, output, &dir),
            Self::Restore { dir, force } => restore(settings, output, &dir, force),
        }
    }
}

fn create(
    settings: &Settings,
    output: &Output,
    to: &Path,
    with_key: bool,
) -> anyhow::Result<ExitCode> {
    if to.exists() {
        return Err(exit::conflict(format!(
            "`{}` is there already: name a directory that is not",
            to.display()
        )));
    }
    let database = boot::database(settings);
    if copy::is_empty(&database)? {
        return Err(exit::not_found("there is no database yet, so that nothing can be backed up"));
    }
    let key = boot::key::known(settings)?;
    // Made under another name, so that what has the right one is whole.
    let mut name = to.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = Part(PathBuf::from(name));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&part.0)
        .with_context(|| format!("cannot make the directory `{}`", part.0.display()))?;

    let core = boot::opened(settings)?;
    let runtime = runtime()?;
    let entry =
        Entry::new("backup.create", "backup").with_after(json!({ "to": to, "key": with_key }));
    // The tables may be those of an older version, which has to be backed up before it is migrated.
    let recorded = runtime.block_on(core.db.transaction(move |conn| {
        audit::append(conn, &by(), entry).map_err(powernode_plugin_api::db::RunError::from)
    }));
    let ledger = Migrator::new(&core.engine).status(&[])?;
    let database_name = copy::file_name(&database);
    copy::dump(&database, &part.0.join(database_name))?;
    if let Some(state) = read(&settings.extensions.state_file)? {
        write(&part.0.join(STATE), &state)?;
    }
    if with_key {
        let text = boot::key::text(settings)?;
        let text = text.context("there is no master key yet that could be copied")?;
        write(&part.0.join(KEY), text.trim().as_bytes())?;
    }
    let mut manifest = Manifest::new(database_name, key.as_deref().map(|it| it.id().to_owned()));
    manifest.extensions = scan(&settings.extensions.dir)
        .iter()
        .filter_map(|it| it.manifest.as_ref().ok())
        .map(|it| (it.slug.to_string(), it.version.to_string()))
        .collect();
    manifest.migrations = ledger
        .iter()
        .map(|it| (it.slug.clone(), it.ran.iter().map(|it| it.version.clone()).collect()))
        .collect();
    manifest.add_files(&part.0)?;
    write(&part.0.join(MANIFEST), &manifest.sealed(key.as_deref())?)?;
    fs::File::open(&part.0)?.sync_all()?;
    fs::rename(&part.0, to).with_context(|| format!("cannot make `{}`", to.display()))?;
    std::mem::forget(part);

    let bytes: u64 = manifest.files.values().map(|it| it.size).sum();
    let value = json!({
        "directory": to, "bytes": bytes, "files": manifest.files, "master_key": manifest.master_key,
        "recorded": recorded.is_ok(),
    });
    output.answer(&value, || {
        let key = match (&manifest.master_key, with_key) {
            (Some(id), false) => format!(
                "\nIts secrets need master key `{id}`, which is not in it: keep that apart."
            ),
            (Some(id), true) => {
                format!("\nMaster key `{id}` is in it: whoever has it can read all secrets.")
            }
            (None, _) => String::new(),
        };
        format!("The backup is in `{}`, {bytes} bytes.{key}", to.display())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A directory that is removed unless all went well.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // What cannot be removed has a name that says what it is.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn verify(settings: &Settings, output: &Output, dir: &Path) -> anyhow::Result<ExitCode> {
    let checked = checked(settings, dir);
    let (manifest, sealed) = match checked {
        Ok(checked) => checked,
        Err(error) => {
            let value = json!({ "intact": false, "reason": format!("{error:#}") });
            output.answer(&value, || format!("The backup is not whole: {error:#}."))?;
            return Ok(Exit::No.into());
        }
    };
    let value = json!({
        "intact": true, "sealed": sealed, "created_at": manifest.created_at, "platform": manifest.platform,
        "extensions": manifest.extensions, "master_key": manifest.master_key, "files": manifest.files,
    });
    output.answer(&value, || {
        let seal = match sealed {
            true => "",
            false => "\nWho wrote it could not be checked: that needs its master key here.",
        };
        format!(
            "The backup of {} is whole: {} files.{seal}",
            manifest.created_at,
            manifest.files.len()
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The manifest of a backup of which each byte is as it was written, and whether its seal could be checked.
fn checked(settings: &Settings, dir: &Path) -> anyhow::Result<(Manifest, bool)> {
    let key = match fs::read_to_string(dir.join(KEY)) {
        Ok(text) => Some(std::sync::Arc::new(MasterKey::parse(&text)?)),
        Err(_) => boot::key::known(settings)?,
    };
    let (manifest, sealed) = Manifest::read(dir, key.as_deref())?;
    manifest.check_files(dir)?;
    copy::check(&dir.join(&manifest.database))?;
    Ok((manifest, sealed))
}

fn restore(
    settings: &Settings,
    output: &Output,
    dir: &Path,
    force: bool,
) -> anyhow::Result<ExitCode> {
    let _lock = Alone::take(settings)?;
    let checked = checked(settings, dir);
    let (manifest, _) = checked.context("the backup is not whole, and nothing was restored")?;
    let database = boot::database(settings);
    if manifest.database != copy::file_name(&database) {
        return Err(exit::usage(format!(
            "the backup holds a `{}`, and the settings name the other kind of database: see `database.url`",
            manifest.database
        )));
    }
    if !force && !copy::is_empty(&database)? {
        return Err(exit::conflict(
            "there are data already, which a restore would replace: back them up, then say `--force`",
        ));
    }
    let key = boot::key::known(settings)?;
    let wanted = manifest.master_key.as_deref();
    let has_key = manifest.files.contains_key(KEY);
    if let (Some(key), Some(wanted)) = (&key, wanted)
        && key.id() != wanted
        && !(force && has_key)
    {
        return Err(exit::conflict(format!(
            "the backup's secrets need master key `{wanted}`, and here is `{}`: put that one in its place first",
            key.id()
        )));
    }
    if has_key && key.as_ref().is_none_or(|it| Some(it.id()) != wanted) {
        let own = settings.data.join("master.key");
        if settings.secrets.key.is_none() && settings.secrets.key_file.is_none() {
            let text = fs::read(dir.join(KEY))?;
            put(&own, &text)?;
        }
    }
    copy::restore(&database, &dir.join(&manifest.database))?;
    if let Some(state) = read(&dir.join(STATE))? {
        if let Some(parent) = settings.extensions.state_file.parent() {
            fs::create_dir_all(parent)?;
        }
        put(&settings.extensions.state_file, &state)?;
    }
    let core = boot::opened(settings)?;
    let what =
        json!({ "from": dir, "created_at": manifest.created_at, "platform": manifest.platform });
    let entry = Entry::new("backup.restore", "backup").with_after(what);
    let recorded = runtime()?.block_on(core.db.transaction(move |conn| {
        audit::append(conn, &by(), entry).map_err(powernode_plugin_api::db::RunError::from)
    }));
    let lacks = wanted.filter(|_| key.is_none() && !has_key);
    let value = json!({
        "restored": dir, "created_at": manifest.created_at, "extensions": manifest.extensions,
        "needs_master_key": lacks, "recorded": recorded.is_ok(),
    });
    output.answer(&value, || {
        let mut lines = vec![format!("Restored the backup of {}.", manifest.created_at)];
        lines.extend(lacks.map(|id| {
            format!(
                "Put master key `{id}` into `{}` before the start: the secrets need it.",
                settings.data.join("master.key").display()
            )
        }));
        if !manifest.extensions.is_empty() {
            let names: Vec<_> = manifest
                .extensions
                .iter()
                .map(|(slug, version)| format!("{slug} {version}"))
                .collect();
            lines.push(format!("Its extensions were: {}.", names.join(", ")));
        }
        lines.join("\n")
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A file's bytes, where it is.
fn read(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => bail!("cannot read `{}`: {error}", path.display()),
    }
}

/// Makes a file that nobody else may read.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let made = || {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    };
    made().with_context(|| format!("cannot write `{}`", path.display()))
}

/// Replaces a file as a whole.
fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    // Of a restore that was killed.
    let _ = fs::remove_file(&new);
    write(&new, bytes)?;
    fs::rename(&new, path).with_context(|| format!("cannot write `{}`", path.display()))
}
