//! The database as the rooms above use it.

use std::{fmt, sync::Arc};

use powernode_abi::{
    DbError, DbObject, JobObject, PFuture,
    abi_stable::{
        sabi_trait::TD_Opaque,
        std_types::{RArc, RResult},
    },
    data::{RawDb, RawDb_TO},
};

use powernode_plugin_api::db::Db;

use super::{
    DatabaseSettings, Fault, Function, Health, Principal, Session, Vault,
    job::{Driver, Executor, Turns},
    owners::Owners,
    postgres::{Channel, Postgres, Presence, Refused},
    rescue,
    sqlite::Sqlite,
};

/// The database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DbOpenError {
    /// SQLite's file.
    #[error(
        "cannot open the SQLite database `{path}`: check that its directory exists and may be written"
    )]
    Sqlite {
        /// The file.
        path: String,
        /// What SQLite says.
        source: diesel::ConnectionError,
    },
    /// A copy of SQLite's database that was not put back.
    #[error(transparent)]
    Unreturned(#[from] rescue::Unreturned),
    /// SQLite's file, or its directory.
    #[error(
        "`{path}` may not be written, and the SQLite database is there: let the platform's user write it, \
         or mount its disk for writing"
    )]
    ReadOnly {
        /// The file or the directory.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// PostgreSQL's server.
    #[error("cannot connect to PostgreSQL at `{address}`: check that it runs, and `database.url`")]
    Postgres {
        /// The address, without its password.
        address: String,
        /// What the client library says.
        source: diesel::ConnectionError,
    },
    /// PostgreSQL's role, which may not make others.
    #[error(
        "the role `{role}` of `database.url` may not create the login roles that keep extensions apart: \
         give it the right (`ALTER ROLE \"{role}\" CREATEROLE`), \
         or set `database.confinement` to `search_path`, which stops accidents alone"
    )]
    NoRoles {
        /// The role.
        role: String,
    },
    /// A path that SQLite cannot be given.
    #[error("the database's path `{0}` is empty or not UTF-8")]
    Path(String),
    /// The threads that jobs run on.
    #[error("cannot start the database's threads")]
    Threads(#[from] std::io::Error),
}

impl DbOpenError {
    /// What it is where it may be over without anybody changing a setting: the server starts, gets a free connection
    /// or is promoted, or the way to it comes back.
    pub fn passing(&self) -> Option<Fault> {
        const CROWDED: [&str; 2] = ["too many clients", "remaining connection slots"];
        const STANDBY: [&str; 2] = ["session is read-only", "server is in hot standby mode"];
        const AWAY: [&str; 9] = [
            "Connection refused",
            "Connection reset",
            "timeout expired",
            "timed out",
            "No route to host",
            "Network is unreachable",
            "Temporary failure in name resolution",
            "server closed the connection",
            "the database system is",
        ];
        let Self::Postgres { source, .. } = self else { return None };
        let text = source.to_string();
        let says = |texts: &[&str]| texts.iter().any(|it| text.contains(it));
        match () {
            () if says(&STANDBY) => Some(Fault::ReadOnly),
            () if says(&CROWDED) => Some(Fault::NoConnection(text)),
            () if says(&AWAY) => Some(Fault::Unreachable(text)),
            () => None,
        }
    }
}

/// An open database; clones share it.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Backend,
    executor: Executor,
    owners: Arc<Owners>,
    health: Arc<Health>,
}

/// The two kinds of databases.
#[derive(Clone)]
enum Backend {
    /// SQLite, embedded.
    Sqlite(Arc<Sqlite>),
    /// PostgreSQL, a server.
    Postgres(Arc<Postgres>),
}

impl Engine {
    /// Opens the database that `settings` name; SQLite's file is created.
    ///
    /// # Errors
    ///
    /// [`DbOpenError`], with the file or the server that cannot be reached.
    pub fn open(settings: &DatabaseSettings) -> Result<Self, DbOpenError> {
        if let Some(url) = &settings.url {
            return Self::open_postgres(url, settings);
        }
        // An absolute path is never taken for `:memory:` or a URI.
        let path = std::path::absolute(&settings.path)
            .ok()
            .and_then(|path| path.to_str().map(str::to_owned))
            .ok_or_else(|| DbOpenError::Path(settings.path.to_string_lossy().into_owned()))?;
        let readers = settings.readers.max(1);
        let (owners, health) = (Arc::<Owners>::default(), Arc::<Health>::default());
        let shared = (Arc::clone(&owners), Arc::clone(&health));
        let sqlite = Sqlite::open(&path, settings.durability, readers, shared.0, shared.1)
            .map_err(|source| DbOpenError::Sqlite { path: path.clone(), source })?;
        let turns = Turns::split(readers as usize, 1);
        let executor = Executor::new(turns, settings.acquire_timeout)?;
        let backend = Backend::Sqlite(Arc::new(sqlite));
        Ok(Self { inner: Arc::new(Inner { backend, executor, owners, health }) })
    }

    fn open_postgres(url: &str, settings: &DatabaseSettings) -> Result<Self, DbOpenError> {
        let (owners, health) = (Arc::<Owners>::default(), Arc::<Health>::default());
        let turns = Turns::shared(settings.max_connections as usize, settings.pool_size as usize);
        let shared = (Arc::clone(&owners), Arc::clone(&health));
        let postgres =
            Postgres::open(url, turns.most(), settings, shared.0, shared.1).map_err(|refused| {
                match refused {
                    Refused::Connection(source) => {
                        DbOpenError::Postgres { address: without_password(url), source }
                    }
                    Refused::NoRoles(role) => DbOpenError::NoRoles { role },
                }
            })?;
        let executor = Executor::new(turns, settings.acquire_timeout)?;
        let backend = Backend::Postgres(Arc::new(postgres));
        Ok(Self { inner: Arc::new(Inner { backend, executor, owners, health }) })
    }

    /// Encrypts with `vault` what this room keeps: on PostgreSQL the passwords of extensions' login roles.
    pub fn keep_with(&self, vault: Arc<dyn Vault>) {
        if let Backend::Postgres(postgres) = &self.inner.backend {
            postgres.keep_with(vault);
        }
    }

    /// The database as extension `slug` sees it: its own tables and no others.
    pub fn for_extension(&self, slug: &str) -> DbObject {
        let principal = Principal::extension(slug);
        self.inner.owners.know(&principal);
        self.object(principal)
    }

    /// The database as the core sees it: `core_*`.
    pub fn core(&self) -> Db {
        Db::new(self.object(Principal::core()))
    }

    #[cfg(test)]
    pub(crate) fn core_object(&self) -> DbObject {
        self.object(Principal::core())
    }

    /// From now on `SELECT name($1)` of an extension's calls `function`, within the extension's transaction.
    pub(crate) fn serve(&self, name: &'static str, function: Arc<dyn Function>) {
        self.inner.executor.functions().serve(name, function);
    }

    /// A connection on which processes tell each other that something happened; none on SQLite, where there is but one.
    pub(crate) fn channel(&self) -> Result<Option<Channel>, DbError> {
        match &self.inner.backend {
            Backend::Sqlite(_) => Ok(None),
            Backend::Postgres(postgres) => postgres.channel().map(Some),
        }
    }

    /// Says to others that the process of that name serves this database; none while a command has it for itself. On
    /// SQLite, where the data directory is locked, there is nothing to say.
    pub(crate) fn attend(&self, name: &str) -> Result<Option<Presence>, DbError> {
        match &self.inner.backend {
            Backend::Sqlite(_) => Ok(None),
            Backend::Postgres(postgres) => postgres.attend(name),
        }
    }

    /// Keeps processes from serving this database, or answers the names of those that do.
    pub(crate) fn alone(&self) -> Result<Result<Option<Presence>, Vec<String>>, DbError> {
        match &self.inner.backend {
            Backend::Sqlite(_) => Ok(Ok(None)),
            Backend::Postgres(postgres) => Ok(postgres.alone()?.map(Some)),
        }
    }

    /// [`powernode_abi::data::SQLITE`] or [`powernode_abi::data::POSTGRES`].
    pub fn dialect(&self) -> u32 {
        self.driver().dialect()
    }

    /// Looks whether it may be written, as far as that can be seen without writing.
    ///
    /// # Errors
    ///
    /// [`DbOpenError::ReadOnly`].
    pub fn writable(&self) -> Result<(), DbOpenError> {
        match &self.inner.backend {
            Backend::Sqlite(sqlite) => sqlite.writable().map_err(|(path, source)| {
                DbOpenError::ReadOnly { path: path.display().to_string(), source }
            }),
            Backend::Postgres(_) => Ok(()),
        }
    }

    /// What is known of the database's health.
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.inner.health)
    }

    /// Looks after the database's health, at that pace, for as long as this is polled.
    pub async fn watch(&self, pace: std::time::Duration) {
        loop {
            tokio::time::sleep(pace).await;
            let driver = self.driver();
            // A probe that panics is tried again.
            let _ = tokio::task::spawn_blocking(move || driver.probe()).await;
        }
    }

    /// A connection that may change the database's shape.
    pub(crate) fn session(&self) -> Result<Box<dyn Session>, DbError> {
        match &self.inner.backend {
            Backend::Sqlite(sqlite) => Ok(Box::new(sqlite.writer()?)),
            Backend::Postgres(postgres) => Ok(Box::new(postgres.session()?)),
        }
    }

    fn object(&self, principal: Principal) -> DbObject {
        RawDb_TO::from_ptr(RArc::new(Confined { engine: self.clone(), principal }), TD_Opaque)
    }

    fn driver(&self) -> Arc<dyn Driver> {
        match &self.inner.backend {
            Backend::Sqlite(sqlite) => Arc::clone(sqlite) as Arc<dyn Driver>,
            Backend::Postgres(postgres) => Arc::clone(postgres) as Arc<dyn Driver>,
        }
    }
}

/// `url` as it may be shown.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        (Some(_), None) => url.to_owned(),
        _ => "database.url".to_owned(),
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("dialect", &self.driver().dialect()).finish_non_exhaustive()
    }
}

/// The database in one principal's hands.
struct Confined {
    engine: Engine,
    principal: Principal,
}

impl RawDb for Confined {
    fn dialect(&self) -> u32 {
        self.engine.driver().dialect()
    }

    fn run(&self, mode: u32, job: JobObject) -> PFuture<RResult<(), DbError>> {
        self.engine.inner.executor.run(self.engine.driver(), self.principal.clone(), mode, job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(settings: &DatabaseSettings, expected: &str) {
        assert_eq!(Engine::open(settings).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        check(&DatabaseSettings::sqlite(""), "the database's path `` is empty or not UTF-8");
        check(
            &DatabaseSettings::sqlite("/nowhere/at/all.db"),
            "cannot open the SQLite database `/nowhere/at/all.db`: check that its directory exists and may be written",
        );
        check(
            &DatabaseSettings::postgres("postgres://me:secret@127.0.0.1:1/x"),
            "cannot connect to PostgreSQL at `postgres://…@127.0.0.1:1/x`: check that it runs, and `database.url`",
        );
    }
}
