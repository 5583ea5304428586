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

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt as _, sync::Arc};

use diesel::ConnectionError;
use powernode_abi::{
    DbError, JobObject,
    data::{SQLITE, kind, mode},
};

pub(crate) use self::connection::Connection;
use self::{connection::Role, files::Files};
use super::{
    Principal,
    health::{self, Health},
    job::{Control, Driver},
    owners::Owners,
    settings::Durability,
};

/// The embedded database.
#[derive(Debug)]
pub(crate) struct Sqlite {
    writer: r2d2::Pool<Opener>,
    readers: r2d2::Pool<Opener>,
    files: Arc<Files>,
    health: Arc<Health>,
}

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
        Ok(Self { writer, readers, files, health })
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
        let looked = self.look().is_ok();
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
