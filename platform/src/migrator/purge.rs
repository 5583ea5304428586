//! Takes away all that an extension left in the database.

use super::{Ledger, MigrationError, Migrator, locked, principal};
use crate::db::table_prefix;

/// What was taken away.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Purged {
    /// The versions that were booked.
    pub versions: Vec<String>,
    /// Its tables, with the number of their rows.
    pub tables: Vec<(String, u64)>,
}

impl Purged {
    /// Whether nothing was there.
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.tables.is_empty()
    }
}

impl Migrator {
    /// The tables of an extension, or of `core`, with the number of their rows.
    ///
    /// # Errors
    ///
    /// [`MigrationError`] when they cannot be counted.
    pub fn tables(&self, slug: &str) -> Result<Vec<(String, u64)>, MigrationError> {
        self.session()?.tables(&principal(slug)).map_err(MigrationError::from)
    }

    /// Says what [`purge`](Self::purge) would take away.
    ///
    /// # Errors
    ///
    /// [`MigrationError`] as with [`purge`](Self::purge).
    pub fn leftovers(&self, slug: &str) -> Result<Purged, MigrationError> {
        let mut session = self.session()?;
        let prefix = table_prefix(slug);
        for other in Ledger::extensions(&mut *session)? {
            let inside = table_prefix(&other).starts_with(&prefix);
            if other != slug && other != super::core::SLUG && inside {
                return Err(MigrationError::Shared { slug: slug.to_owned(), other, prefix });
            }
        }
        let ledger = Ledger::read(&mut *session, slug)?;
        let tables = session.tables(&principal(slug)).map_err(MigrationError::from)?;
        let versions = ledger.entries.into_iter().map(|it| it.version).collect();
        Ok(Purged { versions, tables })
    }

    /// Drops every table of an extension, whether or not its library is there, and what the core keeps for it:
    /// its part of the ledger, its keys and values, its secrets, on PostgreSQL its login role.
    ///
    /// One transaction. No process may run with the extension meanwhile.
    ///
    /// # Errors
    ///
    /// [`MigrationError`]; nothing was taken away then.
    pub fn purge(&self, slug: &str) -> Result<Purged, MigrationError> {
        let purged = self.leftovers(slug)?;
        let mut session = self.session()?;
        locked(&mut *session, |session| {
            session.purge(&principal(slug)).map_err(MigrationError::from)
        })?;
        Ok(purged)
    }
}
