//! Why an extension's migrations did not run.

use powernode_abi::DbError;

/// Why migrations did not run.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MigrationError {
    /// The ledger could not be read or written.
    #[error("cannot reach the ledger of migrations")]
    Database(#[source] Box<DbError>),
    /// The text of a migration changed after it ran.
    #[error(
        "migration `{version}_{name}` of `{slug}` was edited after it ran: the ledger has checksum {expected}, \
         its {file} has {found}; restore the text, and put the change into a new migration"
    )]
    Edited {
        /// The extension.
        slug: String,
        /// The migration's version.
        version: String,
        /// Its name.
        name: String,
        /// The file that was edited.
        file: &'static str,
        /// What ran.
        expected: String,
        /// What is there now.
        found: String,
    },
    /// A text is missing.
    #[error(
        "migration `{version}_{name}` of `{slug}` has an empty {database}/{file}: each migration brings both directions"
    )]
    Empty {
        /// The extension.
        slug: String,
        /// The migration's version.
        version: String,
        /// Its name.
        name: String,
        /// The database.
        database: &'static str,
        /// The file.
        file: &'static str,
    },
    /// A version that does not order migrations.
    #[error(
        "migration `{version}_{name}` of `{slug}`: a version is digits and dashes, as in `2026-01-31-120000`"
    )]
    Version {
        /// The extension.
        slug: String,
        /// The migration's version.
        version: String,
        /// Its name.
        name: String,
    },
    /// Two migrations of one version.
    #[error("`{slug}` has two migrations of version `{version}`: give one of them another")]
    Twice {
        /// The extension.
        slug: String,
        /// The version.
        version: String,
    },
    /// A migration that ran, and that the extension no longer brings.
    #[error(
        "migration `{version}_{name}` of `{slug}` ran, but the library does not bring it: install the version that does"
    )]
    Missing {
        /// The extension.
        slug: String,
        /// The migration's version.
        version: String,
        /// Its name.
        name: String,
    },
    /// A migration touched what is not the extension's.
    #[error(
        "migration `{version}_{name}` of `{slug}` was rolled back: {faults}; its names begin with `{prefix}`, \
         and its foreign keys point to its own tables, `core_accounts` or `core_users`"
    )]
    Foreign {
        /// The extension.
        slug: String,
        /// The migration's version.
        version: String,
        /// Its name.
        name: String,
        /// What its names begin with.
        prefix: String,
        /// What it did.
        faults: String,
    },
    /// A statement failed.
    #[error("{file} of migration `{version}_{name}` of `{slug}` failed: {source}")]
    Failed {
        /// The extension.
        slug: String,
        /// The migration's version.
        version: String,
        /// Its name.
        name: String,
        /// Which direction.
        file: &'static str,
        /// The database's words.
        source: Box<DbError>,
    },
}

impl From<DbError> for MigrationError {
    fn from(error: DbError) -> Self {
        Self::Database(Box::new(error))
    }
}
