//! A connection in the migrator's hands.

use std::collections::BTreeSet;

use powernode_abi::{DbError, data::kind};

use super::{Principal, owners::Owners};

/// Rows of text, as the ledger has them.
pub(crate) type TextRows = Vec<Vec<String>>;

/// Changes the shape of a database: one holder at a time, over all processes.
pub(crate) trait Session {
    /// Waits for the lock that migrations of all processes share.
    fn lock(&mut self) -> Result<(), DbError>;
    /// Gives it back; where the whole run is one transaction, commits it if `keep`.
    fn unlock(&mut self, keep: bool) -> Result<(), DbError>;
    /// Begins one migration of `principal`'s.
    fn begin(&mut self, principal: &Principal) -> Result<(), DbError>;
    /// Ends it.
    fn commit(&mut self) -> Result<(), DbError>;
    /// Undoes it.
    fn roll_back(&mut self);
    /// Makes sure that there is a place for the tables of `principal`.
    fn prepare(&mut self, principal: &Principal) -> Result<(), DbError>;
    /// Runs a migration's text: the core's own freely, an extension's confined to its names.
    fn script(&mut self, principal: &Principal, sql: &str) -> Result<(), DbError>;
    /// Runs the platform's own statement, parameters written `$1`.
    fn rows(&mut self, sql: &str, params: &[&str]) -> Result<TextRows, DbError>;
    /// What stands in the database.
    fn shape(&mut self, principal: &Principal) -> Result<Shape, DbError>;
    /// Books a migration of `principal`'s, in its transaction.
    fn book(
        &mut self,
        principal: &Principal,
        version: &str,
        name: &str,
        checksum: &str,
    ) -> Result<(), DbError>;
    /// Takes it out of the books, in the transaction of what undoes it.
    fn unbook(&mut self, principal: &Principal, version: &str) -> Result<(), DbError>;
    /// The type of a moment's column.
    fn moment(&self) -> &'static str;
    /// The tables of `principal`, with the number of their rows.
    fn tables(&mut self, principal: &Principal) -> Result<Vec<(String, u64)>, DbError>;
    /// What the open transaction of `principal`'s locks, a sentence for each.
    fn locks(&mut self, principal: &Principal) -> Result<Vec<String>, DbError>;
    /// Takes away all that is `principal`'s, an extension, in one transaction.
    fn purge(&mut self, principal: &Principal) -> Result<(), DbError>;
    /// Whose what is, for the log.
    fn owners(&self) -> &Owners;
    /// Whether a table of the platform's exists.
    fn has_table(&mut self, name: &str) -> Result<bool, DbError>;
}

/// Says in the log what a migration of `principal`'s did and may not.
pub(crate) fn refused(session: &dyn Session, principal: &Principal, sql: &str, faults: &str) {
    session.owners().refused(principal, sql, &DbError::new(kind::DENIED, faults));
}

/// What stands in a database, as seen by one principal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Tables, views, indexes and triggers that are not its own.
    pub(crate) foreign: BTreeSet<String>,
    /// Sentences about its own ones that break a rule.
    pub(crate) faults: Vec<String>,
}

impl Shape {
    /// What a migration that found `self` and left `after` did wrong.
    pub(crate) fn faults_until(&self, after: &Self) -> Vec<String> {
        let made = after.foreign.difference(&self.foreign).map(|name| format!("it made {name}"));
        let lost = self.foreign.difference(&after.foreign).map(|name| format!("it removed {name}"));
        made.chain(lost).chain(after.faults.iter().cloned()).collect()
    }
}
