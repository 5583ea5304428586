//! SQLite, embedded: one writer, several readers, each statement judged.
//!
//! One connection writes, behind a FIFO semaphore and `BEGIN IMMEDIATE`: under
//! load this gives writers equal shares, where SQLite's own waiting starves some.
//! Queries run on the raw handle of diesel's connection; see [`raw`].

mod authorizer;
mod connection;
mod errors;
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
use self::connection::Role;
use super::{
    Principal,
    job::{Control, Driver},
    owners::Owners,
    settings::Durability,
};

/// The embedded database.
#[derive(Debug)]
pub(crate) struct Sqlite {
    writer: r2d2::Pool<Opener>,
    readers: r2d2::Pool<Opener>,
}

impl Sqlite {
    /// Opens the database at `path`, and creates it.
    pub(crate) fn open(
        path: &str,
        durability: Durability,
        readers: u32,
        owners: Arc<Owners>,
    ) -> Result<Self, ConnectionError> {
        make(path);
        let opener =
            |role| Opener { path: path.into(), role, durability, owners: Arc::clone(&owners) };
        // The first connection says what is wrong, which a pool would only time out on.
        drop(Connection::open(path, Role::Writer, durability, Arc::clone(&owners))?);
        let pool = |role, size| {
            r2d2::Pool::builder()
                .max_size(size)
                .max_lifetime(None)
                .idle_timeout(None)
                .test_on_check_out(false)
                .build(opener(role))
                .map_err(|error| ConnectionError::BadConnection(error.to_string()))
        };
        Ok(Self { writer: pool(Role::Writer, 1)?, readers: pool(Role::Reader, readers.max(1))? })
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
        let pool = if mode == mode::READ { &self.readers } else { &self.writer };
        let mut connection =
            pool.get().map_err(|error| DbError::new(kind::CLOSED, error.to_string()))?;
        connection.run_job(principal, mode, job, control)
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
}

impl r2d2::ManageConnection for Opener {
    type Connection = Connection;
    type Error = ConnectionError;

    fn connect(&self) -> Result<Connection, ConnectionError> {
        Connection::open(&self.path, self.role, self.durability, Arc::clone(&self.owners))
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
