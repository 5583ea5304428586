//! Migrations on PostgreSQL: an advisory lock around the run, a transaction for each.

use powernode_abi::DbError;

use super::{
    Opener,
    connection::{schema, search_path},
};
use crate::db::{
    Principal,
    session::{Session, Shape, TextRows},
};

/// The advisory lock that all processes share: "powernode" in ASCII, shortened to 63 bits.
const LOCK: i64 = 0x706f_7765_726e_6f64;

impl Session for r2d2::PooledConnection<Opener> {
    fn lock(&mut self) -> Result<(), DbError> {
        self.batch(&format!("SELECT pg_advisory_lock({LOCK})"))
    }

    fn unlock(&mut self, _keep: bool) -> Result<(), DbError> {
        self.roll_back_all();
        self.batch(&format!("SELECT pg_advisory_unlock({LOCK}); SET search_path TO public"))
    }

    fn begin(&mut self) -> Result<(), DbError> {
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

    fn prepare(&mut self, principal: &Principal) -> Result<(), DbError> {
        if principal.is_core() {
            return Ok(());
        }
        self.batch(&format!("CREATE SCHEMA IF NOT EXISTS \"{}\"", schema(principal)))
    }

    fn script(&mut self, principal: &Principal, sql: &str) -> Result<(), DbError> {
        self.batch(&format!("SET search_path TO {}", search_path(principal)))?;
        let answer = self.batch(sql);
        let restored = answer.is_err() || self.batch("SET search_path TO public").is_ok();
        match answer {
            Ok(()) if !restored => self.batch("SET search_path TO public"),
            answer => answer,
        }
    }

    fn rows(&mut self, sql: &str, params: &[&str]) -> Result<TextRows, DbError> {
        self.host_rows(sql, params)
    }

    fn shape(&mut self, principal: &Principal) -> Result<Shape, DbError> {
        let mut shape = Shape::default();
        let own = schema(principal);
        let entries = "SELECT n.nspname::text, c.relname::text FROM pg_class c \
                       JOIN pg_namespace n ON n.oid = c.relnamespace \
                       WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'";
        for row in self.rows(entries, &[])? {
            let [place, name] = row.as_slice() else { continue };
            if *place != own {
                shape.foreign.insert(format!("`{place}.{name}`"));
            } else if !principal.owns(name) {
                shape.foreign.insert(format!("`{name}`"));
            }
        }
        let keys = "SELECT c.relname::text, pn.nspname::text, p.relname::text FROM pg_constraint k \
                    JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                    JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace \
                    WHERE k.contype = 'f' AND n.nspname = $1";
        for row in self.rows(keys, &[&own])? {
            let [table, place, parent] = row.as_slice() else { continue };
            let core = place == "public" && crate::db::REFERABLE.contains(&parent.as_str());
            if *place != own && !core {
                shape
                    .faults
                    .push(format!("a foreign key of `{table}` points to `{place}.{parent}`"));
            }
        }
        Ok(shape)
    }

    fn moment(&self) -> &'static str {
        "TIMESTAMPTZ"
    }

    fn now(&self) -> &'static str {
        "now()"
    }

    fn has_table(&mut self, name: &str) -> Result<bool, DbError> {
        let rows =
            self.rows("SELECT 1::text WHERE to_regclass('public.' || $1) IS NOT NULL", &[name])?;
        Ok(!rows.is_empty())
    }
}
