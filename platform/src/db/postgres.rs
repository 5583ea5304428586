//! PostgreSQL: connections for each extension, under a bound for all.
//!
//! With `roles`, each extension logs in as a role of its own that reaches its own schema alone: see [`roles`]. With
//! `search_path`, where the operator's role may not make roles, all share the operator's; names are kept apart and
//! accidents stopped, and an extension that spells another's schema is not.

mod address;
mod channel;
mod connection;
mod errors;
mod pool;
mod presence;
mod query;
mod refusal;
mod roles;
mod scram;
mod session;
mod value;

use std::sync::Arc;

use diesel::ConnectionError;
use powernode_abi::{
    DbError, JobObject,
    data::{POSTGRES, kind, mode},
};

pub use self::roles::Vault;
use self::{
    address::Address,
    errors::unreachable,
    pool::Pool,
    roles::Roles,
    session::{CORE, Migrating},
};
pub(crate) use self::{channel::Channel, connection::Connection, pool::Lease, presence::Presence};
use super::{
    Principal,
    health::Health,
    job::{Control, Driver},
    owners::Owners,
    settings::{Confinement, DatabaseSettings},
};

/// A PostgreSQL database.
#[derive(Debug)]
pub(crate) struct Postgres {
    address: Address,
    pool: Arc<Pool>,
    /// None: all share the operator's role.
    roles: Option<Roles>,
    owners: Arc<Owners>,
    health: Arc<Health>,
    /// Under which name the pool keeps connections of the operator's role.
    operator: Arc<str>,
}

/// Why no connection was opened.
#[derive(Debug)]
pub(crate) enum Unopened {
    /// The server does not let us in.
    Server(ConnectionError),
    /// What was needed to ask it.
    Before(DbError),
}

impl From<ConnectionError> for Unopened {
    fn from(error: ConnectionError) -> Self {
        Self::Server(error)
    }
}

impl From<DbError> for Unopened {
    fn from(error: DbError) -> Self {
        Self::Before(error)
    }
}

/// Why PostgreSQL cannot be used.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It cannot be reached.
    Connection(ConnectionError),
    /// The operator's role, which may not make others.
    NoRoles(String),
}

impl Postgres {
    /// Connects to `url`, once to see that it works, and then with at most `most` connections.
    pub(crate) fn open(
        url: &str,
        most: usize,
        settings: &DatabaseSettings,
        owners: Arc<Owners>,
        health: Arc<Health>,
    ) -> Result<Self, Refused> {
        let address = Address::new(url, settings.acquire_timeout);
        let mut first = Connection::open(&address.operator()).map_err(Refused::Connection)?;
        let roles = match settings.confinement {
            Confinement::SearchPath => None,
            Confinement::Roles => {
                let role = without_right(&mut first).map_err(Refused::Connection)?;
                if let Some(role) = role {
                    return Err(Refused::NoRoles(role));
                }
                Some(Roles::default())
            }
        };
        Ok(Self { address, pool: Pool::new(most), roles, owners, health, operator: "".into() })
    }

    /// Encrypts the passwords of roles with `vault`.
    pub(crate) fn keep_with(&self, vault: Arc<dyn Vault>) {
        if let Some(roles) = &self.roles {
            roles.keep_with(vault);
        }
    }

    /// Connections for the migrator.
    pub(crate) fn session(self: &Arc<Self>) -> Result<Migrating, DbError> {
        let operator = self.begun(&Principal::core(), |connection| {
            connection.batch(&format!("SET search_path TO {CORE}; {}", session::UNHURRIED))
        })?;
        Ok(Migrating::new(Arc::clone(self), operator))
    }

    /// Notes what an error says of the server's health.
    fn note(&self, error: &DbError) {
        if let Some(fault) = errors::fault_of(error) {
            self.health.found(fault);
        }
    }

    /// The address under which `principal` logs in.
    fn url_of(&self, principal: &Principal) -> Result<String, DbError> {
        let Some(roles) = self.roles.as_ref().filter(|_| !principal.is_core()) else {
            return Ok(self.address.operator());
        };
        let login = roles.login(principal, || self.begun(&Principal::core(), |_| Ok(())))?;
        Ok(self.address.of_role(&login.role, &login.password, principal.slug()))
    }

    /// A new connection of `principal`'s.
    ///
    /// A role whose password is another by now, as after a restore, gets the one that is kept.
    fn open_for(&self, principal: &Principal) -> Result<Connection, Unopened> {
        let url = self.url_of(principal)?;
        let refused = match Connection::open(&url) {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let wrong = refused.to_string().contains("password authentication failed");
        let Some(roles) = self.roles.as_ref().filter(|_| wrong && !principal.is_core()) else {
            return Err(refused.into());
        };
        roles.set_password(&mut *self.begun(&Principal::core(), |_| Ok(()))?, principal)?;
        Ok(Connection::open(&url)?)
    }

    /// A connection on which `begin` worked; those that died while they were idle are passed over.
    fn begun(
        &self,
        principal: &Principal,
        mut begin: impl FnMut(&mut Connection) -> Result<(), DbError>,
    ) -> Result<Lease, DbError> {
        let own = self.roles.is_some() && !principal.is_core();
        let key = if own { principal.slug().into() } else { Arc::clone(&self.operator) };
        loop {
            let mut fresh = false;
            let lease = self.pool.take(&key, || {
                fresh = true;
                self.open_for(principal)
            });
            let mut lease = lease.map_err(|error| {
                // One role that is not let in says nothing of the server.
                let role = Some(principal).filter(|_| own && errors::is_of_role(&error));
                let error = unreachable(error, role);
                if role.is_none() {
                    self.note(&error);
                }
                error
            })?;
            match begin(&mut lease) {
                Err(error) if error.kind == kind::CLOSED && !fresh => {}
                Err(error) => {
                    self.note(&error);
                    return Err(error);
                }
                Ok(()) => return Ok(lease),
            }
        }
    }
}

/// The operator's role, where it may not make others.
fn without_right(connection: &mut Connection) -> Result<Option<String>, ConnectionError> {
    let sql = "SELECT rolname::text FROM pg_roles \
               WHERE rolname = current_user AND NOT (rolsuper OR rolcreaterole)";
    let rows = connection
        .host_rows(sql, &[])
        .map_err(|error| ConnectionError::BadConnection(error.to_string()))?;
    Ok(rows.into_iter().flatten().next())
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
        let mut connection =
            self.begun(principal, |connection| connection.begin_job(principal, mode))?;
        let ended = connection.run_job(principal, mode, job, &self.owners, control);
        match connection.take_fault() {
            Some(fault) => self.health.found(fault),
            None if ended.is_ok() && mode != mode::READ => self.health.works(),
            None => {}
        }
        ended
    }

    fn probe(&self) {
        if self.health.fault().is_none() {
            return;
        }
        let core = Principal::core();
        let answer = self.begun(&core, |connection| {
            connection.begin_job(&core, mode::TRANSACTION)?;
            let touched = connection.touch();
            connection.roll_back_all();
            touched
        });
        // What fails is noted where it fails.
        if answer.is_ok() {
            self.health.works();
        }
    }
}

#[cfg(test)]
mod tests;
