//! The ledger: which migrations ran, and what their texts were.

use powernode_abi::MigrationDef;
use ring::digest::{SHA256, digest};

use super::MigrationError;
use crate::db::{Principal, Session};

const TABLE: &str = "core_migrations";

/// What ran for one extension, in the order of versions.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub(super) entries: Vec<Entry>,
}

/// One migration that ran.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) version: String,
    pub(super) name: String,
    pub(super) checksum: String,
    pub(super) run_at: String,
}

impl Ledger {
    /// Makes the table, where there is none.
    pub(super) fn create(session: &mut dyn Session) -> Result<(), MigrationError> {
        if session.has_table(TABLE).map_err(MigrationError::from)? {
            return Ok(());
        }
        let moment = session.moment();
        let table = format!(
            "CREATE TABLE {TABLE} (extension TEXT NOT NULL, version TEXT NOT NULL, name TEXT NOT NULL, \
             checksum TEXT NOT NULL, run_at {moment} NOT NULL, PRIMARY KEY (extension, version))"
        );
        session.script(&Principal::core(), &table).map_err(MigrationError::from)
    }

    /// What ran for `slug`.
    pub(super) fn read(session: &mut dyn Session, slug: &str) -> Result<Self, MigrationError> {
        if !session.has_table(TABLE).map_err(MigrationError::from)? {
            return Ok(Self::default());
        }
        let select = format!(
            "SELECT version, name, checksum, CAST(run_at AS TEXT) FROM {TABLE} WHERE extension = $1"
        );
        let rows = session.rows(&select, &[slug]).map_err(MigrationError::from)?;
        let mut entries: Vec<_> = rows
            .into_iter()
            .filter_map(|row| {
                let [version, name, checksum, run_at] = <[String; 4]>::try_from(row).ok()?;
                Some(Entry { version, name, checksum, run_at })
            })
            .collect();
        // By bytes, as versions are compared everywhere; a database's collation may pass over dashes.
        entries.sort_by(|a: &Entry, b| a.version.cmp(&b.version));
        Ok(Self { entries })
    }

    /// Whose migrations ran.
    pub(super) fn extensions(session: &mut dyn Session) -> Result<Vec<String>, MigrationError> {
        if !session.has_table(TABLE).map_err(MigrationError::from)? {
            return Ok(Vec::new());
        }
        let select = format!("SELECT DISTINCT extension FROM {TABLE} ORDER BY extension");
        Ok(session.rows(&select, &[]).map_err(MigrationError::from)?.concat())
    }

    /// Books a migration that ran.
    pub(super) fn add(
        session: &mut dyn Session,
        principal: &Principal,
        def: &MigrationDef,
        checksum: &str,
    ) -> Result<(), MigrationError> {
        session.book(principal, &def.version, &def.name, checksum).map_err(MigrationError::from)
    }

    /// Forgets a migration that was undone.
    pub(super) fn remove(
        session: &mut dyn Session,
        principal: &Principal,
        version: &str,
    ) -> Result<(), MigrationError> {
        session.unbook(principal, version).map_err(MigrationError::from)
    }
}

/// The checksum of a migration's text: SHA-256 in hexadecimal digits.
pub(super) fn checksum(text: &str) -> String {
    hex::encode(digest(&SHA256, text.as_bytes()))
}
