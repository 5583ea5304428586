//! Which processes serve a database: each shares an advisory lock, on a connection of its own, for as long as it lives.

use powernode_abi::DbError;

use super::{Connection, Postgres, errors::unreachable, session::CORE};

/// The lock: "pn-serve" in ASCII.
const LOCK: i64 = 0x706e_2d73_6572_7665;

/// A connection that holds the lock; one more of this process, beyond those that jobs of the database share.
#[derive(Debug)]
pub(crate) struct Presence(Connection);

impl Postgres {
    /// Shares the lock under a name for people; none while a command has it for itself.
    pub(crate) fn attend(&self, name: &str) -> Result<Option<Presence>, DbError> {
        self.present(name, "pg_try_advisory_lock_shared")
    }

    /// Takes the lock alone.
    ///
    /// # Errors
    ///
    /// The database's; the names of those that share it, where they do.
    pub(crate) fn alone(&self) -> Result<Result<Presence, Vec<String>>, DbError> {
        if let Some(alone) = self.present("powernode: a command", "pg_try_advisory_lock")? {
            return Ok(Ok(alone));
        }
        let (high, low) = (LOCK >> 32, LOCK & 0xffff_ffff);
        let of_lock = format!(
            "l.locktype = 'advisory' AND l.classid = {high} AND l.objid = {low} AND l.objsubid = 1"
        );
        let mut connection = self.operators()?;
        // Anybody may take any lock; an extension has no business with this one.
        let known = "SELECT 1::text WHERE to_regclass('core.core_roles') IS NOT NULL";
        if !connection.host_rows(known, &[])?.is_empty() {
            let ended = format!(
                "SELECT pg_terminate_backend(a.pid)::text FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
                 JOIN {CORE}.core_roles r ON r.role = a.usename WHERE {of_lock}"
            );
            connection.host_rows(&ended, &[])?;
        }
        let held = format!(
            "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
             WHERE l.granted AND {of_lock} AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             ORDER BY 1"
        );
        let names = connection.host_rows(&held, &[])?.concat();
        if names.is_empty() {
            // They ended meanwhile.
            return Ok(self.present("powernode: a command", "pg_try_advisory_lock")?.ok_or(names));
        }
        Ok(Err(names))
    }

    fn present(&self, name: &str, take: &str) -> Result<Option<Presence>, DbError> {
        let mut connection = self.operators()?;
        connection.host_rows("SELECT set_config('application_name', $1, false)", &[name])?;
        let taken = connection.host_rows(&format!("SELECT 1::text WHERE {take}({LOCK})"), &[])?;
        Ok((!taken.is_empty()).then(|| Presence(connection)))
    }

    fn operators(&self) -> Result<Connection, DbError> {
        let opened = Connection::open(&self.address.operator());
        opened.map_err(|error| unreachable(error.into(), None))
    }
}

impl Presence {
    /// Whether the lock is still held; this waits for the server.
    pub(crate) fn lasts(&mut self) -> bool {
        self.0.host_rows("SELECT 1::text", &[]).is_ok()
    }
}
