//! What ran and what waits, of each extension that is installed or was.

use super::{ExtensionMigrations, Ledger, MigrationError, Migrator, Pending, core};

/// The migrations of one extension.
#[derive(Clone, Debug)]
pub struct Status {
    /// The extension; `core` for the core.
    pub slug: String,
    /// Whether its library is there to say what it brings.
    pub installed: bool,
    /// What ran, in the order of versions.
    pub ran: Vec<Booked>,
    /// What waits, or why nothing may run.
    pub pending: Result<Vec<Pending>, MigrationError>,
}

/// A migration that ran.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Booked {
    /// Its version.
    pub version: String,
    /// Its name.
    pub name: String,
    /// When, in the database's words.
    pub run_at: String,
}

impl Migrator {
    /// What ran and what waits: the core, then `extensions`, then those that are in the ledger alone.
    ///
    /// # Errors
    ///
    /// [`MigrationError`] when the ledger cannot be read.
    pub fn status(
        &self,
        extensions: &[ExtensionMigrations],
    ) -> Result<Vec<Status>, MigrationError> {
        let mut session = self.session()?;
        let sources = std::iter::once(core::migrations()).chain(extensions.iter().cloned());
        let mut all = Vec::new();
        for source in sources {
            let ledger = Ledger::read(&mut *session, &source.slug)?;
            let pending = self.pending(&ledger, &source);
            all.push(Status { slug: source.slug, installed: true, ran: booked(ledger), pending });
        }
        for slug in Ledger::extensions(&mut *session)? {
            if all.iter().all(|it| it.slug != slug) {
                let ran = booked(Ledger::read(&mut *session, &slug)?);
                all.push(Status { slug, installed: false, ran, pending: Ok(Vec::new()) });
            }
        }
        Ok(all)
    }
}

fn booked(ledger: Ledger) -> Vec<Booked> {
    let entries = ledger.entries.into_iter();
    entries.map(|it| Booked { version: it.version, name: it.name, run_at: it.run_at }).collect()
}
