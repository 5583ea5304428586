//! The database: ordinary diesel, on whichever database the platform runs.
//!
//! [`Db`] lends a [`HostConnection`] to a closure on a thread that may block, and hands
//! back what the closure answered:
//!
//! ```no_run
//! use diesel::prelude::*;
//! use powernode_plugin_api::db::Db;
//!
//! diesel::table! {
//!     shop_products (id) {
//!         id -> BigInt,
//!         name -> Text,
//!     }
//! }
//!
//! async fn add(db: &Db) -> QueryResult<i64> {
//!     db.transaction(|conn| {
//!         diesel::insert_into(shop_products::table)
//!             .values(shop_products::name.eq("Lamp"))
//!             .returning(shop_products::id)
//!             .get_result(conn)
//!     })
//!     .await
//! }
//! ```
//!
//! The same library runs on SQLite and on PostgreSQL: SQL that differs is chosen when the
//! query runs, so that nothing of either database is linked.

use std::{fmt, future::Future};

use powernode_abi::{
    DbObject,
    data::{mode, share_db},
};

mod backend;
mod binds;
mod cache;
mod connection;
mod error;
mod ext;
mod fragments;
mod json;
mod migration;
mod rows;
mod run;
pub mod sql_types;
mod text;
mod text_enum;
mod transaction;
mod types;
mod unkept;

pub use self::{
    backend::{
        Dialect, HostBackend, HostBatchInsert, HostDefaultKeyword, HostOnConflict, HostReturning,
        TypeTag,
    },
    binds::{HostBind, HostBinds, OwnedBinds},
    connection::HostConnection,
    error::RunError,
    ext::{AnyText, ForUpdate, ILike, for_update, ilike, lower},
    json::AsJson,
    migration::{MigrationDef, migration},
    rows::{HostField, HostRow, HostRows, HostValue},
    text::HostQueryBuilder,
    text_enum::{UnknownWord, parsed, words},
    transaction::{HostTransactionState, HostTransactions},
    unkept::Unkept,
};

/// The database, as one extension sees it: its own tables and no others. Clones share it.
pub struct Db {
    raw: DbObject,
}

impl Db {
    /// The database behind the platform's service.
    pub fn new(raw: DbObject) -> Self {
        Self { raw }
    }

    /// Which database it is.
    pub fn dialect(&self) -> Dialect {
        Dialect::from_abi(self.raw.dialect())
    }

    /// Runs `work` on a connection that cannot write.
    ///
    /// Dropping the future cancels the job: its running statement is interrupted where the database can.
    ///
    /// # Errors
    ///
    /// What `work` answers; else a [`RunError`], for instance that no connection became free in
    /// time, or that `work` panicked.
    pub fn read<T, E, F>(&self, work: F) -> impl Future<Output = Result<T, E>> + Send + use<T, E, F>
    where
        F: FnOnce(&mut HostConnection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<RunError> + Send + 'static,
    {
        let db = self.clone();
        async move { run::run(&db.raw, mode::READ, work).await }
    }

    /// Runs `work` on a connection that can write; each statement stands alone.
    ///
    /// Dropping the future cancels the job. What it committed stays.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn write<T, E, F>(
        &self,
        work: F,
    ) -> impl Future<Output = Result<T, E>> + Send + use<T, E, F>
    where
        F: FnOnce(&mut HostConnection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<RunError> + Send + 'static,
    {
        let db = self.clone();
        async move { run::run(&db.raw, mode::WRITE, work).await }
    }

    /// Runs `work` in a transaction: committed where it answers `Ok`, else rolled back.
    ///
    /// Dropping the future cancels the job, and rolls it back. On PostgreSQL a statement that
    /// fails spoils the transaction; wrap what may fail in a `conn.transaction(…)` of its own.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), or that the commit failed.
    pub fn transaction<T, E, F>(
        &self,
        work: F,
    ) -> impl Future<Output = Result<T, E>> + Send + use<T, E, F>
    where
        F: FnOnce(&mut HostConnection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<RunError> + Send + 'static,
    {
        let db = self.clone();
        async move { run::run(&db.raw, mode::TRANSACTION, work).await }
    }
}

impl Clone for Db {
    fn clone(&self) -> Self {
        Self { raw: share_db(&self.raw) }
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("dialect", &self.dialect()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
