//! Whole databases as files: copied while others write, checked, put back; and copies to rehearse on.
//!
//! SQLite copies itself with `VACUUM INTO`: one read transaction, beside which writers go on. PostgreSQL's own
//! `pg_dump` and `pg_restore` copy the platform's schemas, in one snapshot: they alone know every kind of object, and
//! so they must be installed (Debian: `postgresql-client`), no older than the server.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use diesel::{Connection as _, SqliteConnection, connection::SimpleConnection as _, prelude::*};

use super::DatabaseSettings;

mod server;

pub use server::ToolError;

/// A database could not be copied, checked or put back.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// SQLite's file cannot be opened.
    #[error("cannot open the SQLite database `{}`", .0.display())]
    Open(PathBuf, #[source] diesel::ConnectionError),
    /// There is none.
    #[error("there is no database `{}`: nothing was copied", .0.display())]
    Absent(PathBuf),
    /// A copy whose content is damaged.
    #[error("the database `{}` is damaged: {}", .0.display(), .1)]
    Damaged(PathBuf, String),
    /// A statement failed.
    #[error("the database refused")]
    Statement(#[from] diesel::result::Error),
    /// The role may not make the database that a rehearsal runs on.
    #[error(
        "a rehearsal runs on a database of its own, and the role of `database.url` may make none: as a superuser say \
         `ALTER ROLE {0} CREATEDB` (and `ALTER ROLE {0} NOCREATEDB` afterwards), or look at the plan alone: \
         `powernode migrate --dry-run`"
    )]
    NoRight(String),
    /// PostgreSQL's server cannot be reached.
    #[error("cannot connect to PostgreSQL: check that it runs, and `database.url`")]
    Server(#[source] diesel::ConnectionError),
    /// PostgreSQL's programs.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The file system's.
    #[error("cannot write `{}`", .0.display())]
    Io(PathBuf, #[source] io::Error),
}

/// Under which name a copy of `settings`' database lies.
pub fn file_name(settings: &DatabaseSettings) -> &'static str {
    if settings.url.is_some() { "database.dump" } else { "database.sqlite" }
}

/// Copies the database to the file `to`, which must not be there yet, while others read and write it.
///
/// What was committed before this began is in the copy; of what is committed meanwhile, all or nothing of each
/// transaction. Blocks.
///
/// # Errors
///
/// [`CopyError`]; a file may be left then.
pub fn dump(settings: &DatabaseSettings, to: &Path) -> Result<(), CopyError> {
    if settings.url.is_none() && !settings.path.exists() {
        return Err(CopyError::Absent(settings.path.clone()));
    }
    // Both kinds fill an empty file.
    private(to).map_err(|error| CopyError::Io(to.to_owned(), error))?;
    match &settings.url {
        Some(url) => server::dump(url, to)?,
        None => {
            let mut connection = sqlite(&settings.path)?;
            connection.batch_execute("PRAGMA busy_timeout = 10000")?;
            diesel::sql_query("VACUUM INTO ?")
                .bind::<diesel::sql_types::Text, _>(to.to_string_lossy())
                .execute(&mut connection)?;
        }
    }
    synced(to)
}

/// Looks whether a copy can be read, from its first page to its last; its name says of which kind it is.
///
/// # Errors
///
/// [`CopyError::Damaged`], or what kept it from being read.
pub fn check(from: &Path) -> Result<(), CopyError> {
    match from.extension().is_some_and(|it| it == "dump") {
        true => Ok(server::check(from)?),
        false => {
            let mut connection = sqlite(from)?;
            let rows: Vec<Checked> =
                diesel::sql_query("PRAGMA integrity_check").load(&mut connection)?;
            match rows.first() {
                Some(row) if row.integrity_check == "ok" => Ok(()),
                Some(row) => Err(CopyError::Damaged(from.to_owned(), row.integrity_check.clone())),
                None => Err(CopyError::Damaged(from.to_owned(), "no answer".to_owned())),
            }
        }
    }
}

#[derive(QueryableByName)]
struct Checked {
    #[diesel(sql_type = diesel::sql_types::Text)]
    integrity_check: String,
}

/// Whether the platform has nothing in the database yet.
///
/// # Errors
///
/// [`CopyError`].
pub fn is_empty(settings: &DatabaseSettings) -> Result<bool, CopyError> {
    match &settings.url {
        Some(url) => server::is_empty(url),
        None => Ok(fs::metadata(&settings.path).map_or(true, |it| it.len() == 0)),
    }
}

/// Puts the copy `from` in the place of the database. Nobody else may use it.
///
/// Killed at any point, the former database is there, or the copy.
///
/// # Errors
///
/// [`CopyError`]; the former database is there then.
pub fn restore(settings: &DatabaseSettings, from: &Path) -> Result<(), CopyError> {
    let Some(url) = &settings.url else {
        let path = &settings.path;
        let failed = |error| CopyError::Io(path.clone(), error);
        let beside = |end: &str| {
            let mut name = path.clone().into_os_string();
            name.push(end);
            PathBuf::from(name)
        };
        if path.exists() {
            // What lies in the log of the former database moves into it, so that no log is found beside the copy.
            // A damaged one has nothing more to lose.
            let settled =
                sqlite(path).map(|mut it| it.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)"));
            match settled? {
                Err(error) if !is_damage(&error) => return Err(error.into()),
                _ => {}
            }
        }
        let new = beside(".restored");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            // Of a restore that was killed.
            _ => {}
        }
        let copied = private(&new).and_then(|mut to| io::copy(&mut fs::File::open(from)?, &mut to));
        copied.map_err(failed)?;
        synced(&new)?;
        for end in ["-wal", "-shm"] {
            match fs::remove_file(beside(end)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        fs::rename(&new, path).map_err(failed)?;
        let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
        return synced(parent.unwrap_or(Path::new(".")));
    };
    server::restore(url, from)
}

/// Puts right what a restore left that was killed; answers what is left of the former data beside the restored.
///
/// # Errors
///
/// [`CopyError`].
pub fn mend(settings: &DatabaseSettings) -> Result<Vec<String>, CopyError> {
    settings.url.as_ref().map_or_else(|| Ok(Vec::new()), |url| server::mend(url))
}

/// Whether SQLite says that a file is not a whole database.
fn is_damage(error: &diesel::result::Error) -> bool {
    let diesel::result::Error::DatabaseError(_, information) = error else { return false };
    ["malformed", "not a database"].iter().any(|it| information.message().contains(it))
}

/// A copy of a database, which goes when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    settings: DatabaseSettings,
    end: End,
}

#[derive(Debug)]
enum End {
    Folder(PathBuf),
    Database { url: String, name: String },
}

impl Scratch {
    /// Copies the database: SQLite's into a new folder in `data`, PostgreSQL's into a new database of the same server.
    ///
    /// # Errors
    ///
    /// [`CopyError`]; nothing is left then.
    pub fn new(settings: &DatabaseSettings, data: &Path) -> Result<Self, CopyError> {
        let name = format!("rehearsal-{}", uuid::Uuid::now_v7().simple());
        let mut copy = settings.clone();
        let folder = data.join(&name);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| CopyError::Io(folder.clone(), error))?;
        let Some(url) = &settings.url else {
            copy.path = folder.join("powernode.db");
            let scratch = Self { settings: copy, end: End::Folder(folder) };
            if settings.path.exists() {
                dump(settings, &scratch.settings.path)?;
            }
            return Ok(scratch);
        };
        let name = name.replace('-', "_");
        // The dump goes with its folder, whatever happens below.
        let dumped = Self { settings: copy.clone(), end: End::Folder(folder.clone()) };
        let file = folder.join("database.dump");
        let is_empty = server::is_empty(url)?;
        if !is_empty {
            server::dump(url, &file)?;
        }
        let to = server::create(url, &name)?;
        copy.url = Some(to.clone());
        // Login roles are the server's, and not copied with a database.
        copy.confinement = super::Confinement::SearchPath;
        let scratch = Self { settings: copy, end: End::Database { url: url.clone(), name } };
        if !is_empty {
            server::load(&to, &file)?;
        }
        drop(dumped);
        Ok(scratch)
    }

    /// How the copy is opened.
    pub fn settings(&self) -> &DatabaseSettings {
        &self.settings
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let gone = match &self.end {
            End::Folder(folder) => fs::remove_dir_all(folder).map_err(|error| error.to_string()),
            End::Database { url, name } => {
                server::drop(url, name).map_err(|error| error.to_string())
            }
        };
        if let Err(error) = gone {
            tracing::warn!("Cannot remove the copy {:?}: {error}", self.end);
        }
    }
}

fn sqlite(path: &Path) -> Result<SqliteConnection, CopyError> {
    let text = std::path::absolute(path).map_err(|error| CopyError::Io(path.to_owned(), error))?;
    SqliteConnection::establish(&text.to_string_lossy())
        .map_err(|error| CopyError::Open(path.to_owned(), error))
}

/// Makes a file that nobody else may read.
fn private(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Makes sure that a file, or the names in a directory, are on the disk.
fn synced(path: &Path) -> Result<(), CopyError> {
    let file = fs::File::open(path).and_then(|file| file.sync_all());
    file.map_err(|error| CopyError::Io(path.to_owned(), error))
}
