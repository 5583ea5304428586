//! Migrations on PostgreSQL: an advisory lock around the run, a transaction for each.
//!
//! The operator's connection holds the lock and reads the ledger. An extension's migrations run on a connection of
//! its own role, where the functions `core_book` and `core_unbook` write the ledger in the same transaction.

use std::sync::Arc;

use powernode_abi::{DbError, data::kind};

use super::{
    Connection, Lease, Postgres,
    errors::{confined, unreachable},
    refusal,
};
use crate::db::{
    Principal,
    owners::Owners,
    session::{Session, Shape, TextRows},
};

/// The advisory lock that all processes share: "powernode" in ASCII, shortened to 63 bits.
pub(super) const LOCK: i64 = 0x706f_7765_726e_6f64;
/// Migrations take their time; and a server that is not told that its client died looks for it, for else the
/// statement of a process that was killed would go on, and hold its locks.
pub(super) const UNHURRIED: &str = "SET statement_timeout = 0; SELECT set_config(name, '1s', false) FROM pg_settings \
    WHERE name = 'client_connection_check_interval'";
/// The schema of the core's tables.
pub(super) const CORE: &str = "core";

/// Where names without a schema are looked up.
pub(super) fn search_path(principal: &Principal) -> String {
    if principal.is_core() { CORE.to_owned() } else { format!("\"{}\", {CORE}", schema(principal)) }
}

/// The schema that holds the tables of an extension.
pub(super) fn schema(principal: &Principal) -> String {
    principal.prefix().trim_end_matches('_').replace('"', "")
}

/// A migrator's connections.
#[derive(Debug)]
pub(crate) struct Migrating {
    postgres: Arc<Postgres>,
    operator: Lease,
    /// An extension's own, with the one whose it is.
    own: Option<(Principal, Connection)>,
    /// The transaction that is open: whose it is, and its number.
    begun: Option<(Principal, String)>,
}

impl Migrating {
    pub(super) fn new(postgres: Arc<Postgres>, operator: Lease) -> Self {
        Self { postgres, operator, own: None, begun: None }
    }

    /// The connection on which `principal`'s migrations run.
    fn connection(&mut self, principal: &Principal) -> Result<&mut Connection, DbError> {
        if principal.is_core() || self.postgres.roles.is_none() {
            return Ok(&mut self.operator);
        }
        let own = match self.own.take().filter(|(it, _)| it == principal) {
            Some((_, connection)) => connection,
            None => {
                let opened = self.postgres.open_for(principal);
                let mut connection = opened.map_err(|error| unreachable(error, Some(principal)))?;
                connection.batch(UNHURRIED)?;
                connection
            }
        };
        Ok(&mut self.own.insert((principal.clone(), own)).1)
    }

    /// The connection whose transaction is open.
    fn begun(&mut self) -> Result<&mut Connection, DbError> {
        match self.begun.take() {
            Some((principal, _)) => self.connection(&principal),
            None => Ok(&mut self.operator),
        }
    }

    /// Ends the sessions of extensions that took the lock: anybody may take any, and none but the migrator this one.
    fn free_lock(&mut self) -> Result<(), DbError> {
        if self
            .operator
            .host_rows("SELECT 1::text WHERE to_regclass('core.core_roles') IS NOT NULL", &[])?
            .is_empty()
        {
            return Ok(());
        }
        let (high, low) = (LOCK >> 32, LOCK & 0xffff_ffff);
        let ended = format!(
            "WITH held AS MATERIALIZED (SELECT l.pid, r.extension FROM pg_locks l \
             JOIN pg_stat_activity a ON a.pid = l.pid JOIN core.core_roles r ON r.role = a.usename \
             WHERE l.locktype = 'advisory' AND l.classid = {high} AND l.objid = {low} AND l.objsubid = 1) \
             SELECT extension FROM held WHERE pg_terminate_backend(pid)"
        );
        for slug in self.operator.host_rows(&ended, &[])?.concat() {
            tracing::warn!(
                extension = slug,
                "Ended a session of extension `{slug}`, which held the lock of migrations"
            );
        }
        Ok(())
    }

    /// Lets the tables of an older platform move from `public` to the core's schema.
    fn adopt(&mut self) -> Result<(), DbError> {
        let old = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables \
                   WHERE schemaname = 'public' AND tablename LIKE 'core\\_%' \
                   AND to_regclass('public.core_migrations') IS NOT NULL";
        for row in self.operator.host_rows(old, &[])? {
            let Some(table) = row.first() else { continue };
            self.operator.batch(&format!("ALTER TABLE {table} SET SCHEMA {CORE}"))?;
        }
        Ok(())
    }

    /// Takes from everybody what a database gives to everybody: temporary tables, and the schema `public`.
    fn revoke(&mut self) {
        let held = "SELECT format('%I', current_database()) WHERE has_database_privilege('public', current_database(), 'TEMP') \
                    OR EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'public' AND has_schema_privilege('public', oid, 'USAGE'))";
        let revoked = self.operator.host_rows(held, &[]).and_then(|rows| {
            let Some(database) = rows.first().and_then(|row| row.first()) else { return Ok(()) };
            self.operator.batch(&format!("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"))?;
            self.operator.batch("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        });
        if let Err(error) = revoked {
            tracing::warn!(
                "Cannot take the schema `public` and temporary tables from everybody: {error}; \
                 let the role of `database.url` own the database"
            );
        }
    }
}

impl Session for Migrating {
    fn lock(&mut self) -> Result<(), DbError> {
        let got = format!("SELECT 1::text WHERE pg_try_advisory_lock({LOCK})");
        if !self.operator.host_rows(&got, &[])?.is_empty() {
            return Ok(());
        }
        self.free_lock()?;
        self.operator.batch(&format!("SELECT pg_advisory_lock({LOCK})"))
    }

    fn unlock(&mut self, _keep: bool) -> Result<(), DbError> {
        self.begun = None;
        self.own = None;
        self.operator.roll_back_all();
        self.operator
            .batch(&format!("SELECT pg_advisory_unlock({LOCK}); SET search_path TO {CORE}"))
    }

    fn begin(&mut self, principal: &Principal) -> Result<(), DbError> {
        let connection = self.connection(principal)?;
        connection.begin_transaction()?;
        let number = number(connection)?;
        self.begun = Some((principal.clone(), number));
        Ok(())
    }

    fn commit(&mut self) -> Result<(), DbError> {
        self.begun()?.commit_transaction()
    }

    fn roll_back(&mut self) {
        if let Ok(connection) = self.begun()
            && connection.roll_back_transaction().is_err()
        {
            connection.roll_back_all();
        }
    }

    fn prepare(&mut self, principal: &Principal) -> Result<(), DbError> {
        self.postgres.owners.know(principal);
        if principal.is_core() {
            let there = "SELECT 1::text WHERE to_regnamespace('core') IS NOT NULL";
            if self.operator.host_rows(there, &[])?.is_empty() {
                self.operator.batch(&format!("CREATE SCHEMA IF NOT EXISTS {CORE}"))?;
            }
            self.adopt()?;
            if self.postgres.roles.is_some() {
                self.revoke();
            }
            return Ok(());
        }
        let postgres = Arc::clone(&self.postgres);
        match &postgres.roles {
            Some(roles) => roles.prepare(&mut self.operator, principal),
            None => self
                .operator
                .batch(&format!("CREATE SCHEMA IF NOT EXISTS \"{}\"", schema(principal))),
        }
    }

    fn script(&mut self, principal: &Principal, sql: &str) -> Result<(), DbError> {
        let postgres = Arc::clone(&self.postgres);
        let number_before = self.begun.as_ref().map(|(_, number)| number.clone());
        let connection = self.connection(principal)?;
        connection.batch(&format!("SET search_path TO {}", search_path(principal)))?;
        if principal.is_core() {
            return connection.batch(sql);
        }
        let refusal = refusal::of_migration(sql).or_else(|| {
            let outside = number_before.is_none().then(|| refusal::outside(sql)).flatten();
            outside.map(str::to_owned)
        });
        let answer = match refusal {
            Some(sentence) => Err(DbError::new(kind::DENIED, sentence)),
            None => connection.batch(sql),
        };
        if let Err(error) = answer {
            return Err(confined(error, principal, sql, &postgres.owners));
        }
        if let Some(before) = number_before
            && number(connection)? != before
        {
            let sentence = "the migration ended its transaction, which is the platform's";
            return Err(DbError::new(kind::DENIED, sentence));
        }
        if postgres.roles.is_none() {
            connection.batch(&format!("SET search_path TO {CORE}"))?;
        }
        Ok(())
    }

    fn rows(&mut self, sql: &str, params: &[&str]) -> Result<TextRows, DbError> {
        self.operator.host_rows(sql, params)
    }

    fn shape(&mut self, principal: &Principal) -> Result<Shape, DbError> {
        let own = schema(principal);
        let connection = self.connection(principal)?;
        let mut shape = Shape::default();
        for row in connection.host_rows(ENTRIES, &[])? {
            let [place, name] = row.as_slice() else { continue };
            if *place != own {
                shape.foreign.insert(format!("`{place}.{name}`"));
            } else if !principal.owns(name) {
                shape.foreign.insert(format!("`{name}`"));
            }
        }
        for row in connection.host_rows(KEYS, &[&own])? {
            let [table, place, parent] = row.as_slice() else { continue };
            let core = place == CORE && crate::db::REFERABLE.contains(&parent.as_str());
            if *place != own && !core {
                shape
                    .faults
                    .push(format!("a foreign key of `{table}` points to `{place}.{parent}`"));
            }
        }
        shape.faults.extend(connection.host_rows(FAULTS, &[&own])?.concat());
        Ok(shape)
    }

    fn book(
        &mut self,
        principal: &Principal,
        version: &str,
        name: &str,
        checksum: &str,
    ) -> Result<(), DbError> {
        let by_role = !principal.is_core() && self.postgres.roles.is_some();
        let connection = self.connection(principal)?;
        if by_role {
            let book = "SELECT core.core_book($1, $2, $3)::text";
            return written(connection.host_rows(book, &[version, name, checksum])?, principal);
        }
        let insert = "INSERT INTO core.core_migrations (extension, version, name, checksum, run_at) \
                      VALUES ($1, $2, $3, $4, now())";
        connection.host_rows(insert, &[principal.slug(), version, name, checksum]).map(drop)
    }

    fn unbook(&mut self, principal: &Principal, version: &str) -> Result<(), DbError> {
        let by_role = !principal.is_core() && self.postgres.roles.is_some();
        let connection = self.connection(principal)?;
        if by_role {
            let unbook = "SELECT core.core_unbook($1)::text";
            return written(connection.host_rows(unbook, &[version])?, principal);
        }
        let delete = "DELETE FROM core.core_migrations WHERE extension = $1 AND version = $2";
        connection.host_rows(delete, &[principal.slug(), version]).map(drop)
    }

    fn tables(&mut self, principal: &Principal) -> Result<Vec<(String, u64)>, DbError> {
        let own = if principal.is_core() { CORE.to_owned() } else { schema(principal) };
        let names =
            "SELECT tablename::text FROM pg_tables WHERE schemaname = $1 ORDER BY tablename";
        let mut tables = Vec::new();
        for name in self.operator.host_rows(names, &[&own])?.concat() {
            let table = name.replace('"', "\"\"");
            let count = format!("SELECT count(*)::text FROM \"{own}\".\"{table}\"");
            let rows = self.operator.host_rows(&count, &[])?.concat().concat().parse().unwrap_or(0);
            tables.push((name, rows));
        }
        Ok(tables)
    }

    fn locks(&mut self, principal: &Principal) -> Result<Vec<String>, DbError> {
        let held = "SELECT DISTINCT '`' || c.relname || '`: ' || l.mode FROM pg_locks l \
                    JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace \
                    WHERE l.pid = pg_backend_pid() AND l.granted AND c.relkind IN ('r', 'p') \
                    AND n.nspname <> 'pg_catalog' \
                    AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') \
                    ORDER BY 1";
        Ok(self.connection(principal)?.host_rows(held, &[])?.concat())
    }

    fn purge(&mut self, principal: &Principal) -> Result<(), DbError> {
        let own = schema(principal);
        self.operator.begin_transaction()?;
        self.operator.batch(&format!("DROP SCHEMA IF EXISTS \"{own}\" CASCADE"))?;
        let roles = "SELECT role FROM core.core_roles WHERE extension = $1 \
                     AND EXISTS (SELECT 1 FROM pg_roles WHERE rolname = role)";
        for role in self.operator.host_rows(roles, &[principal.slug()])?.concat() {
            self.operator.batch(&format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\""))?;
        }
        for table in [
            "core_migrations",
            "core_kv",
            "core_secrets",
            "core_quarantine",
            "core_jobs",
            "core_queues",
            "core_schedules",
            "core_roles",
        ] {
            let delete = format!("DELETE FROM core.{table} WHERE extension = $1");
            self.operator.host_rows(&delete, &[principal.slug()])?;
        }
        let password = "DELETE FROM core.core_secrets WHERE extension = 'core' AND name = $1";
        self.operator.host_rows(password, &[&format!("database/{}", principal.slug())])?;
        self.operator.commit_transaction()
    }

    fn moment(&self) -> &'static str {
        "TIMESTAMPTZ"
    }

    fn owners(&self) -> &Owners {
        &self.postgres.owners
    }

    fn has_table(&mut self, name: &str) -> Result<bool, DbError> {
        let rows =
            self.rows("SELECT 1::text WHERE to_regclass('core.' || $1) IS NOT NULL", &[name])?;
        Ok(!rows.is_empty())
    }
}

const ENTRIES: &str = "SELECT n.nspname::text, c.relname::text FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'";

const KEYS: &str = "SELECT c.relname::text, pn.nspname::text, p.relname::text FROM pg_constraint k \
    JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace \
    WHERE k.contype = 'f' AND n.nspname = $1";

/// What no schema of an extension's may hold.
///
/// Functions: a trigger's runs with the rights of whoever fires it, and the core's own statement does where a
/// foreign key cascades. Rights of others: what is the extension's is nobody else's.
const FAULTS: &str = "SELECT 'function `' || p.proname || '`: an extension makes no functions' \
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $1 \
    UNION ALL SELECT 'trigger `' || t.tgname || '` calls a function that is not PostgreSQL''s own' FROM pg_trigger t \
    JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace pn ON pn.oid = p.pronamespace \
    WHERE n.nspname = $1 AND NOT t.tgisinternal AND pn.nspname <> 'pg_catalog' \
    UNION ALL SELECT 'others have rights on `' || c.relname || '`' FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = $1 AND EXISTS (SELECT 1 FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner) \
    UNION ALL SELECT 'it gives others rights on what it will make' FROM pg_default_acl d \
    WHERE d.defaclrole = (SELECT oid FROM pg_roles WHERE rolname = session_user AND session_user LIKE 'powernode\\_%') \
    UNION ALL SELECT 'it changes settings of its login role' FROM pg_db_role_setting s \
    WHERE s.setrole = (SELECT oid FROM pg_roles WHERE rolname = session_user AND session_user LIKE 'powernode\\_%')";

/// The number of the transaction that is open.
fn number(connection: &mut Connection) -> Result<String, DbError> {
    Ok(connection.host_rows("SELECT txid_current()::text", &[])?.concat().concat())
}

/// What the functions that write the ledger answered: how many rows.
fn written(rows: TextRows, principal: &Principal) -> Result<(), DbError> {
    if rows.concat().concat() == "1" {
        return Ok(());
    }
    let text = format!("the ledger does not know the login role of {}", principal.described());
    Err(DbError::new(kind::OTHER, text))
}
