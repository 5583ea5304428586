//! What is pending, and what forbids it.

use std::{collections::BTreeMap, fmt};

use powernode_abi::{MigrationDef, data};

use super::{
    ExtensionMigrations, MigrationError,
    ledger::{Ledger, checksum},
    lint::Finding,
};

/// What would run, in order.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The core first, then the extensions.
    pub steps: Vec<Step>,
}

/// One extension's part of a plan.
#[derive(Clone, Debug)]
pub struct Step {
    /// The extension, with its migrations.
    pub source: ExtensionMigrations,
    /// What would run, or why nothing may.
    pub pending: Result<Vec<Pending>, MigrationError>,
    /// What the pending ones take away in one step.
    pub findings: Vec<Finding>,
}

/// A migration that did not run yet.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Pending {
    /// Its version.
    pub version: String,
    /// Its name.
    pub name: String,
}

/// What happened to one extension.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The extension; `core` for the core.
    pub slug: String,
    /// What ran now, or why nothing did.
    pub result: Result<Vec<Ran>, MigrationError>,
}

/// A migration that ran now.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Ran {
    /// Its version.
    pub version: String,
    /// Its name.
    pub name: String,
    /// How long its statements took, in milliseconds.
    pub milliseconds: f64,
    /// What it locked that others use, where that was asked for.
    pub locks: Vec<String>,
}

/// The text of a dry run: a line for each extension, one for each migration.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Step { source, pending, findings } in &self.steps {
            match pending {
                Ok(pending) if pending.is_empty() => writeln!(f, "{}: up to date", source.slug)?,
                Ok(pending) => {
                    writeln!(f, "{}: {} to run", source.slug, pending.len())?;
                    for Pending { version, name } in pending {
                        writeln!(f, "  {version}_{name}")?;
                    }
                }
                Err(error) => writeln!(f, "{}: refused: {error}", source.slug)?,
            }
            for finding in findings {
                writeln!(f, "  warning: {finding}")?;
            }
        }
        Ok(())
    }
}

/// What of `source` is not in `ledger`, in the order of versions.
pub(super) fn pending(
    ledger: &Ledger,
    source: &ExtensionMigrations,
    dialect: u32,
) -> Result<Vec<Pending>, MigrationError> {
    let mut ordered = BTreeMap::new();
    for def in &source.migrations {
        check_texts(&source.slug, def)?;
        if ordered.insert(def.version.to_string(), def).is_some() {
            let (slug, version) = (source.slug.clone(), def.version.to_string());
            return Err(MigrationError::Twice { slug, version });
        }
    }
    let newest = ordered.keys().next_back().cloned();
    for entry in &ledger.entries {
        let Some(def) = ordered.remove(&entry.version) else {
            let (slug, version, name) =
                (source.slug.clone(), entry.version.clone(), entry.name.clone());
            return Err(match newest {
                Some(newest) if newest > version => MigrationError::Missing { slug, version, name },
                Some(newest) => {
                    MigrationError::Newer { slug, version, name, last: format!("`{newest}`") }
                }
                None => MigrationError::Newer { slug, version, name, last: "none".to_owned() },
            });
        };
        let found = checksum(up(def, dialect));
        if found != entry.checksum {
            return Err(MigrationError::Edited {
                slug: source.slug.clone(),
                version: entry.version.clone(),
                name: entry.name.clone(),
                file: match dialect {
                    data::SQLITE => "sqlite/up.sql",
                    _ => "postgres/up.sql",
                },
                expected: entry.checksum.clone(),
                found,
            });
        }
    }
    if let (Some(last), Some((version, def))) = (ledger.entries.last(), ordered.first_key_value())
        && *version < last.version
    {
        return Err(MigrationError::Reordered {
            slug: source.slug.clone(),
            version: version.clone(),
            name: def.name.to_string(),
            after: last.version.clone(),
        });
    }
    Ok(ordered
        .into_values()
        .map(|def| Pending { version: def.version.to_string(), name: def.name.to_string() })
        .collect())
}

/// Checks what a migration must bring, for both databases.
fn check_texts(slug: &str, def: &MigrationDef) -> Result<(), MigrationError> {
    let (version, name) = (def.version.to_string(), def.name.to_string());
    let slug = slug.to_owned();
    let digit_first = version.starts_with(|first: char| first.is_ascii_digit());
    if !digit_first || !version.chars().all(|c| c.is_ascii_digit() || c == '-') {
        return Err(MigrationError::Version { slug, version, name });
    }
    let texts = [
        (def.up_sqlite, "sqlite", "up.sql"),
        (def.down_sqlite, "sqlite", "down.sql"),
        (def.up_postgres, "postgres", "up.sql"),
        (def.down_postgres, "postgres", "down.sql"),
    ];
    match texts.into_iter().find(|(text, ..)| text.trim().is_empty()) {
        Some((_, database, file)) => {
            Err(MigrationError::Empty { slug, version, name, database, file })
        }
        None => Ok(()),
    }
}

/// The forward text for a database.
pub(super) fn up(def: &MigrationDef, dialect: u32) -> &'static str {
    if dialect == data::SQLITE { def.up_sqlite.as_str() } else { def.up_postgres.as_str() }
}

/// The backward text for a database.
pub(super) fn down(def: &MigrationDef, dialect: u32) -> &'static str {
    if dialect == data::SQLITE { def.down_sqlite.as_str() } else { def.down_postgres.as_str() }
}
