//! Migrations on SQLite: a whole run is one transaction, each migration a savepoint.

use std::time::{Duration, Instant};

use powernode_abi::{
    DbError, Param,
    data::{kind, tag},
};

use super::{Connection, Opener, authorizer::mentions};
use crate::db::{
    Principal, REFERABLE,
    owners::Owners,
    rows::Rows,
    session::{Session, Shape, TextRows},
};

/// The tables that somebody made; those behind a virtual table come and go with it.
const TABLES: &str = "SELECT name FROM pragma_table_list WHERE schema = 'main' \
    AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// How long to wait for another process that migrates.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

impl Session for r2d2::PooledConnection<Opener> {
    fn lock(&mut self) -> Result<(), DbError> {
        let began = Instant::now();
        loop {
            match self.begin_transaction() {
                // SQLite waits some seconds by itself.
                Err(error)
                    if error.kind == kind::SERIALIZATION && began.elapsed() < LOCK_TIMEOUT => {}
                answer => return answer,
            }
        }
    }

    fn unlock(&mut self, keep: bool) -> Result<(), DbError> {
        let answer = if keep { self.commit_transaction() } else { Ok(()) };
        self.roll_back_all();
        answer
    }

    fn begin(&mut self, _: &Principal) -> Result<(), DbError> {
        self.begin_transaction()
    }

    fn commit(&mut self) -> Result<(), DbError> {
        self.commit_transaction()
    }

    fn roll_back(&mut self) {
        if self.roll_back_transaction().is_err() {
            self.roll_back_all();
        }
    }

    fn prepare(&mut self, _: &Principal) -> Result<(), DbError> {
        Ok(())
    }

    fn script(&mut self, principal: &Principal, sql: &str) -> Result<(), DbError> {
        self.run_script((!principal.is_core()).then_some(principal), sql)
    }

    fn rows(&mut self, sql: &str, params: &[&str]) -> Result<TextRows, DbError> {
        let params: Vec<_> = params
            .iter()
            .map(|text| Param { tag: tag::TEXT, null: 0, num: 0, bytes: text.as_bytes().into() })
            .collect();
        let mut rows = Rows::default();
        self.host(sql, &params, Some(&mut rows))?;
        Ok(rows.texts())
    }

    fn shape(&mut self, principal: &Principal) -> Result<Shape, DbError> {
        let mut shape = Shape::default();
        let entries = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master
                       WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
        for row in self.rows(entries, &[])? {
            let [kind, name, table, sql] = row.as_slice() else { continue };
            if !principal.owns(name) || !principal.owns(table) {
                shape.foreign.insert(format!("{kind} `{name}`"));
            } else if kind == "view" || kind == "trigger" {
                for core in REFERABLE.iter().filter(|core| mentions(sql, core)) {
                    shape.faults.push(format!("{kind} `{name}` names `{core}`"));
                }
            }
        }
        let keys =
            "SELECT m.name, k.\"table\" FROM sqlite_master m, pragma_foreign_key_list(m.name) k
                    WHERE m.type = 'table'";
        for row in self.rows(keys, &[])? {
            let [table, parent] = row.as_slice() else { continue };
            let allowed = principal.owns(parent)
                || REFERABLE.iter().any(|core| core.eq_ignore_ascii_case(parent));
            if principal.owns(table) && !allowed {
                shape.faults.push(format!("a foreign key of `{table}` points to `{parent}`"));
            }
        }
        Ok(shape)
    }

    fn book(
        &mut self,
        principal: &Principal,
        version: &str,
        name: &str,
        checksum: &str,
    ) -> Result<(), DbError> {
        let insert = "INSERT INTO core_migrations (extension, version, name, checksum, run_at) \
                      VALUES ($1, $2, $3, $4, strftime('%Y-%m-%d %H:%M:%f', 'now'))";
        self.rows(insert, &[principal.slug(), version, name, checksum]).map(drop)
    }

    fn unbook(&mut self, principal: &Principal, version: &str) -> Result<(), DbError> {
        let delete = "DELETE FROM core_migrations WHERE extension = $1 AND version = $2";
        self.rows(delete, &[principal.slug(), version]).map(drop)
    }

    fn tables(&mut self, principal: &Principal) -> Result<Vec<(String, u64)>, DbError> {
        let names = self.rows(TABLES, &[])?.concat();
        let mut tables = Vec::new();
        for name in names.into_iter().filter(|name| principal.owns(name)) {
            let count = format!("SELECT CAST(count(*) AS TEXT) FROM {}", quoted(&name));
            let rows = self.rows(&count, &[])?.concat().concat().parse().unwrap_or(0);
            tables.push((name, rows));
        }
        Ok(tables)
    }

    fn locks(&mut self, _: &Principal) -> Result<Vec<String>, DbError> {
        // One writer at a time: whoever reads goes on, whoever writes waits.
        Ok(vec!["all writers of the database".to_owned()])
    }

    fn purge(&mut self, principal: &Principal) -> Result<(), DbError> {
        self.script(&Principal::core(), "PRAGMA defer_foreign_keys = ON")?;
        let views = "SELECT name FROM sqlite_master WHERE type = 'view'";
        for name in self.rows(views, &[])?.concat() {
            if principal.owns(&name) {
                self.script(&Principal::core(), &format!("DROP VIEW {}", quoted(&name)))?;
            }
        }
        for name in self.rows(TABLES, &[])?.concat() {
            if principal.owns(&name) {
                self.script(&Principal::core(), &format!("DROP TABLE {}", quoted(&name)))?;
            }
        }
        for table in [
            "core_migrations",
            "core_kv",
            "core_secrets",
            "core_quarantine",
            "core_jobs",
            "core_queues",
            "core_schedules",
        ] {
            let delete = format!("DELETE FROM {table} WHERE extension = $1");
            self.rows(&delete, &[principal.slug()])?;
        }
        Ok(())
    }

    fn moment(&self) -> &'static str {
        "TEXT"
    }

    fn owners(&self) -> &Owners {
        Connection::owners(self)
    }

    fn has_table(&mut self, name: &str) -> Result<bool, DbError> {
        let rows = self
            .rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name = $1", &[name])?;
        Ok(!rows.is_empty())
    }
}
