//! SQLite, embedded: one writer, several readers, each statement judged.
//!
//! One connection writes, behind a FIFO semaphore and `BEGIN IMMEDIATE`: under
//! load this gives writers equal shares, where SQLite's own waiting starves some.
//! Queries run on the raw handle of diesel's connection; see [`raw`].

mod authorizer;
mod connection;
mod errors;
mod files;
mod raw;
mod session;
mod storage;

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use diesel::ConnectionError;
use powernode_abi::{
    DbError, JobObject,
    data::{SQLITE, kind, mode},
};

use rustix::fs::Access;

pub(crate) use self::connection::Connection;
use self::{connection::Role, files::Files};
use super::{
    Principal,
    health::{self, Fault, Health},
    inspect::{self, Ailment},
    job::{Control, Driver},
    owners::Owners,
    rescue,
    settings::Durability,
};

/// The embedded database.
#[derive(Debug)]
pub(crate) struct Sqlite {
    writer: r2d2::Pool<Opener>,
    readers: r2d2::Pool<Opener>,
    path: PathBuf,
    files: Arc<Files>,
    health: Arc<Health>,
    seen: Mutex<Seen>,
}

/// What the probe did already.
#[derive(Debug, Default)]
struct Seen {
    /// The pages were looked at since the start.
    pages: bool,
    /// They were looked at since damage was met.
    damage: bool,
    /// Where what is open was copied to, since a file is gone.
    copy: Option<PathBuf>,
}

/// The largest file whose pages are looked at after each start, in bytes: that reads them all.
const LOOKED_AT: u64 = 1 << 30;

impl Sqlite {
    /// Opens the database at `path`, and creates it.
    pub(crate) fn open(
        path: &str,
        durability: Durability,
        readers: u32,
        owners: Arc<Owners>,
        health: Arc<Health>,
    ) -> Result<Self, ConnectionError> {
        make(path);
        let files = Arc::new(Files::of(path));
        let opener = |role| Opener {
            path: path.into(),
            role,
            durability,
            owners: Arc::clone(&owners),
            health: Arc::clone(&health),
            files: Arc::clone(&files),
        };
        // The first connection says what is wrong, which a pool would only time out on.
        drop(opener(Role::Writer).open()?);
        let pool = |role, size| {
            r2d2::Pool::builder()
                .max_size(size)
                .max_lifetime(None)
                .idle_timeout(None)
                .test_on_check_out(false)
                .build(opener(role))
                .map_err(|error| ConnectionError::BadConnection(error.to_string()))
        };
        let (writer, readers) = (pool(Role::Writer, 1)?, pool(Role::Reader, readers.max(1))?);
        Ok(Self { writer, readers, path: path.into(), files, health, seen: Mutex::default() })
    }

    /// Runs a job that writes: neither begun nor acknowledged where its file is not the database any more.
    fn write(&self, run: impl FnOnce() -> Result<(), DbError>) -> Result<(), DbError> {
        self.health.writable()?;
        self.look()?;
        run()?;
        self.look()?;
        self.health.works();
        Ok(())
    }

    fn look(&self) -> Result<(), DbError> {
        self.files.look().map_err(|fault| {
            let refused = health::refused(&fault);
            self.health.found(fault);
            refused
        })
    }

    /// Looks whether the file and its directory may be written; answers which may not, and why.
    pub(crate) fn writable(&self) -> Result<(), (PathBuf, io::Error)> {
        for path in std::iter::once(&*self.path).chain(self.path.parent()) {
            // Nothing is opened: closing a file would give up SQLite's locks on it.
            rustix::fs::access(path, Access::WRITE_OK)
                .map_err(|error| (path.to_owned(), error.into()))?;
        }
        Ok(())
    }

    /// Looks at all pages, once after the start and once where damage was met.
    fn look_at_pages(&self, seen: &mut Seen) {
        let met = matches!(self.health.fault(), Some(Fault::Damaged(_)));
        if if met { seen.damage } else { seen.pages } {
            return;
        }
        let starts = !std::mem::replace(&mut seen.pages, true);
        let size = std::fs::metadata(&self.path).map_or(0, |it| it.len());
        if starts && !met && size > LOOKED_AT {
            tracing::info!(
                "The database's pages are not looked at, for there are {} MiB of them: `powernode doctor` does",
                size >> 20
            );
            return;
        }
        let damage = match inspect::pages(&self.path) {
            Ok(()) => None,
            Err(Ailment::NotADatabase) => Some("it is no SQLite database".to_owned()),
            Err(Ailment::Corrupt(text)) => Some(text),
            // That says nothing about the pages.
            Err(Ailment::Locked | Ailment::Unreadable(_)) => return,
        };
        // Met again where none is found, it is looked at again.
        seen.damage = damage.is_some();
        self.health.looked_at(damage);
    }

    /// Copies what is open to a file beside the one that is gone, once.
    fn rescue(&self, seen: &mut Seen) {
        if seen.copy.is_some() {
            return;
        }
        // Whoever writes now ends first; whoever comes later is not acknowledged.
        let copied = self.writer().map_err(io::Error::other).and_then(|mut writer| {
            rescue::make(&self.path, |to| {
                writer.copy_to(&to.to_string_lossy()).map_err(io::Error::other)
            })
        });
        match copied {
            Ok(copy) => {
                tracing::error!(
                    "All that was acknowledged is in `{}`, copied from what is still open. Stop the platform, then: {}",
                    copy.display(),
                    rescue::order(&self.path, &copy)
                );
                seen.copy = Some(copy);
            }
            Err(error) => tracing::error!(
                "Cannot copy what is open, and is lost when the platform stops: {error}"
            ),
        }
    }

    /// The connection that writes, for the platform alone.
    ///
    /// Waits until the job that has it ended.
    pub(crate) fn writer(&self) -> Result<r2d2::PooledConnection<Opener>, DbError> {
        self.writer.get().map_err(|error| DbError::new(kind::CLOSED, error.to_string()))
    }
}

impl Driver for Sqlite {
    fn dialect(&self) -> u32 {
        SQLITE
    }

    fn run(
        &self,
        principal: &Principal,
        mode: u32,
        job: &mut JobObject,
        control: &Control,
    ) -> Result<(), DbError> {
        let mut run = |pool: &r2d2::Pool<Opener>| {
            let lent = pool.get().map_err(|error| DbError::new(kind::CLOSED, error.to_string()));
            lent?.run_job(principal, mode, job, control)
        };
        match mode {
            mode::READ => run(&self.readers),
            _ => self.write(|| run(&self.writer)),
        }
    }

    fn probe(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let looked = self.look().is_ok();
        match (looked, self.health.fault()) {
            (false, Some(Fault::Gone(_))) => self.rescue(&mut seen),
            (true, _) => {
                if let Some(copy) = seen.copy.take() {
                    // The very file is back.
                    rescue::remove(&copy);
                }
                self.look_at_pages(&mut seen);
            }
            _ => {}
        }
        let ill = self.health.fault().is_some();
        // Whoever has the connection finds the same.
        if looked
            && ill
            && let Some(mut connection) = self.writer.try_get()
        {
            // What works says so, and what fails is noted where it fails.
            drop(self.write(|| connection.touch()));
        }
    }
}

/// Makes the file, this user's alone; SQLite gives what it makes beside it the same rights.
///
/// What cannot be made is SQLite's to name.
fn make(path: &str) {
    let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
}

/// Opens connections for a pool.
#[derive(Clone, Debug)]
pub(crate) struct Opener {
    path: Arc<str>,
    role: Role,
    durability: Durability,
    owners: Arc<Owners>,
    health: Arc<Health>,
    files: Arc<Files>,
}

impl Opener {
    fn open(&self) -> Result<Connection, ConnectionError> {
        // Another file at this path is not the database that the others have open.
        let looked = self.files.look_before_opening();
        looked.map_err(|fault| ConnectionError::BadConnection(fault.to_string()))?;
        let (owners, health) = (Arc::clone(&self.owners), Arc::clone(&self.health));
        Connection::open(&self.path, self.role, self.durability, owners, health)
    }
}

impl r2d2::ManageConnection for Opener {
    type Connection = Connection;
    type Error = ConnectionError;

    fn connect(&self) -> Result<Connection, ConnectionError> {
        self.open()
    }

    fn is_valid(&self, _: &mut Connection) -> Result<(), ConnectionError> {
        Ok(())
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.is_broken()
    }
}

#[cfg(test)]
mod tests;
