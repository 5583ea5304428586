//! PostgreSQL: a pool of connections, each job in its extension's schema.
//!
//! An extension's names are looked up in the schema that is named like it, then in
//! `public`, where the core's tables are. This keeps names apart and stops
//! accidents; it is no boundary against an extension that spells another's schema.

mod connection;
mod errors;
mod query;
mod session;
mod value;

use std::{sync::Arc, time::Duration};

use diesel::ConnectionError;
use powernode_abi::{
    DbError, JobObject,
    data::{POSTGRES, kind},
};

pub(crate) use self::connection::Connection;
use super::{
    Principal,
    job::{Control, Driver},
};

/// A PostgreSQL database.
#[derive(Debug)]
pub(crate) struct Postgres {
    pool: r2d2::Pool<Opener>,
    size: u32,
}

impl Postgres {
    /// Connects to `url` with at most `size` connections.
    pub(crate) fn open(url: &str, size: u32, timeout: Duration) -> Result<Self, ConnectionError> {
        let opener = Opener { url: url.into() };
        // The first connection says what is wrong, which a pool would only time out on.
        drop(Connection::open(url)?);
        let pool = r2d2::Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            .connection_timeout(timeout)
            .test_on_check_out(false)
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build(opener)
            .map_err(|error| ConnectionError::BadConnection(error.to_string()))?;
        Ok(Self { pool, size })
    }

    /// A connection for the migrator.
    pub(crate) fn session(&self) -> Result<r2d2::PooledConnection<Opener>, DbError> {
        self.begun(|connection| {
            connection.batch("SET search_path TO public; SET statement_timeout = 0")
        })
    }

    /// A connection on which `begin` worked; those that died while they were idle are passed over.
    fn begun(
        &self,
        mut begin: impl FnMut(&mut Connection) -> Result<(), DbError>,
    ) -> Result<r2d2::PooledConnection<Opener>, DbError> {
        let mut tried = 0;
        loop {
            let mut connection = self.pool.get().map_err(|error| {
                DbError::new(kind::CLOSED, format!("the database cannot be reached: {error}"))
            })?;
            match begin(&mut connection) {
                Err(error) if error.kind == kind::CLOSED && tried < self.size => tried += 1,
                Err(error) => return Err(error),
                Ok(()) => return Ok(connection),
            }
        }
    }
}

impl Driver for Postgres {
    fn dialect(&self) -> u32 {
        POSTGRES
    }

    fn run(
        &self,
        principal: &Principal,
        mode: u32,
        job: &mut JobObject,
        control: &Control,
    ) -> Result<(), DbError> {
        control.check()?;
        let mut connection = self.begun(|connection| connection.begin_job(principal, mode))?;
        connection.run_job(mode, job, !principal.is_core(), control)
    }
}

/// Opens connections for a pool.
#[derive(Clone)]
pub(crate) struct Opener {
    url: Arc<str>,
}

// The address may carry a password.
impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener")
    }
}

impl r2d2::ManageConnection for Opener {
    type Connection = Connection;
    type Error = ConnectionError;

    fn connect(&self) -> Result<Connection, ConnectionError> {
        Connection::open(&self.url)
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
