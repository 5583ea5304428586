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
    /// More are to be undone than ran.
    #[error(
        "of `{slug}` ran {ran} migrations, and {asked} are to be reverted: nothing was; `--all` reverts all"
    )]
    Fewer {
        /// The extension.
        slug: String,
        /// How many ran.
        ran: usize,
        /// How many are to be undone.
        asked: usize,
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
    /// A migration that ran, and that is missing among those that are brought.
    #[error(
        "migration `{version}_{name}` of `{slug}` ran, but {} does not bring it, while it brings later ones: {}",
        bringer(.slug), put_back(.slug)
    )]
    Missing {
        /// The extension.
        slug: String,
        /// The migration's version.
        version: String,
        /// Its name.
        name: String,
    },
    /// A migration ran that is later than all that are brought.
    #[error(
        "the database is newer than {}: migration `{version}_{name}` ran, and the last that it brings is {last}; {}",
        bringer(.slug), back(.slug)
    )]
    Newer {
        /// The extension.
        slug: String,
        /// The migration's version.
        version: String,
        /// Its name.
        name: String,
        /// The last version that is brought.
        last: String,
    },
    /// Migrations wait, and whoever starts may not run them.
    #[error(
        "{} is newer than the database: {count} of its migrations did not run, the first is `{version}_{name}`, \
         and `database.migrate_at_start` is false; run `powernode migrate`",
        bringer(.slug)
    )]
    Behind {
        /// The extension.
        slug: String,
        /// The first one's version.
        version: String,
        /// Its name.
        name: String,
        /// How many wait.
        count: usize,
    },
    /// A migration that did not run comes before one that ran.
    #[error(
        "migration `{version}_{name}` of `{slug}` did not run, but `{after}`, which comes behind it, did: \
         give it a version later than `{after}`"
    )]
    Reordered {
        /// The extension.
        slug: String,
        /// The migration's version.
        version: String,
        /// Its name.
        name: String,
        /// The version that ran.
        after: String,
    },
    /// A prefix within another's.
    #[error(
        "cannot purge `{slug}`: the tables of `{other}` begin with `{prefix}` as well, and cannot be told apart; \
         purge `{other}` first"
    )]
    Shared {
        /// The extension.
        slug: String,
        /// The other one.
        other: String,
        /// What the names begin with.
        prefix: String,
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

/// What brings the migrations of `slug`.
fn bringer(slug: &str) -> String {
    if slug == super::core::SLUG {
        "this platform".to_owned()
    } else {
        format!("the installed library of `{slug}`")
    }
}

fn put_back(slug: &str) -> &'static str {
    if slug == super::core::SLUG {
        "run the platform that does"
    } else {
        "install the version that does"
    }
}

/// The ways out for who went back to an older version.
fn back(slug: &str) -> String {
    if slug == super::core::SLUG {
        "run the newer platform, or restore a backup of before with `powernode backup restore`"
            .to_owned()
    } else {
        format!(
            "install the version that brings it, or go back with that version installed: \
             `powernode migrate revert {slug} --steps 1` for each"
        )
    }
}

impl From<DbError> for MigrationError {
    fn from(error: DbError) -> Self {
        Self::Database(Box::new(error))
    }
}
