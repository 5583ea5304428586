//! Brings the database to the shape that the core and the extensions expect.
//!
//! What ran stands in a ledger of our own, keyed by extension and version, with a
//! checksum of the text: diesel's table silently skips a second extension's equal
//! version, and forgets what it ran. The core comes first, then the extensions in
//! the order given; an extension whose migrations fail stays out alone.
//!
//! One process migrates at a time, and reads what is pending once it may. On
//! SQLite all of an extension's pending migrations are one transaction; on
//! PostgreSQL each is one.

mod core;
mod error;
mod ledger;
pub mod lint;
mod plan;
mod purge;
mod status;

use std::time::Instant;

use powernode_abi::{DbError, MigrationDef, data};

use self::ledger::{Ledger, checksum};
pub use self::{
    error::MigrationError,
    plan::{Outcome, Pending, Plan, Ran, Step},
    purge::Purged,
    status::{Booked, Status},
};
use crate::db::{Engine, Principal, Session, refused};

/// The migrations that an extension brings.
#[derive(Clone, Debug)]
pub struct ExtensionMigrations {
    /// The extension.
    pub slug: String,
    /// Its migrations, in any order.
    pub migrations: Vec<MigrationDef>,
}

/// Plans, runs and reverts migrations. All of it blocks: call it where that is allowed.
#[derive(Clone, Debug)]
pub struct Migrator {
    engine: Engine,
    /// Whether what is pending may run.
    runs: bool,
    /// Whether to look at what each migration locks.
    watches: bool,
}

impl Migrator {
    /// Migrates the database behind `engine`.
    pub fn new(engine: &Engine) -> Self {
        Self { engine: engine.clone(), runs: true, watches: false }
    }

    /// Refuses what is pending instead of running it, unless `runs`.
    #[must_use]
    pub fn with_runs(self, runs: bool) -> Self {
        Self { runs, ..self }
    }

    /// Looks at what each migration locks: for a rehearsal.
    #[must_use]
    pub fn with_locks(self) -> Self {
        Self { watches: true, ..self }
    }

    /// Says what would run: the core's migrations, then those of `extensions` in their order.
    ///
    /// Changes nothing. An extension that cannot be migrated carries its error in the plan.
    ///
    /// # Errors
    ///
    /// [`MigrationError`] when the ledger cannot be read.
    pub fn plan(&self, extensions: &[ExtensionMigrations]) -> Result<Plan, MigrationError> {
        let mut session = self.session()?;
        let sources = std::iter::once(core::migrations()).chain(extensions.iter().cloned());
        let mut steps = Vec::new();
        for source in sources {
            let ledger = Ledger::read(&mut *session, &source.slug)?;
            let pending = self.pending(&ledger, &source);
            let findings = self.findings(&source, &pending);
            steps.push(Step { source, pending, findings });
        }
        Ok(Plan { steps })
    }

    /// Runs `plan`; what ran elsewhere in the meantime is left out.
    ///
    /// Answers what happened to each extension, in order.
    ///
    /// # Errors
    ///
    /// [`MigrationError`] when the core itself cannot be migrated: no extension was touched then.
    pub fn run(&self, plan: &Plan) -> Result<Vec<Outcome>, MigrationError> {
        let mut session = self.session()?;
        let mut outcomes = Vec::new();
        for step in &plan.steps {
            let slug = step.source.slug.clone();
            let result = self.run_source(&mut *session, &step.source);
            match result {
                Err(error) if slug == core::SLUG => return Err(error),
                Err(error) => {
                    tracing::warn!(plugin.slug = %slug, %error, "Could not migrate extension `{slug}`");
                    outcomes.push(Outcome { slug, result: Err(error) });
                }
                Ok(ran) => outcomes.push(Outcome { slug, result: Ok(ran) }),
            }
        }
        Ok(outcomes)
    }

    /// Undoes the last `steps` migrations of one extension, or all, the last first; the data in them is lost.
    ///
    /// Answers the versions that were undone.
    ///
    /// # Errors
    ///
    /// [`MigrationError`] when a migration that ran is not among those given, or one fails. On SQLite nothing was
    /// undone then; on PostgreSQL each is undone for itself.
    pub fn revert(
        &self,
        source: &ExtensionMigrations,
        steps: Option<usize>,
    ) -> Result<Vec<String>, MigrationError> {
        let mut session = self.session()?;
        locked(&mut *session, |session| {
            let ledger = Ledger::read(session, &source.slug)?;
            let ran = ledger.entries.len();
            if let Some(asked) = steps.filter(|it| *it > ran) {
                return Err(MigrationError::Fewer { slug: source.slug.clone(), ran, asked });
            }
            let principal = principal(&source.slug);
            let mut undone = Vec::new();
            for entry in ledger.entries.iter().rev().take(steps.unwrap_or(usize::MAX)) {
                let def = source
                    .migrations
                    .iter()
                    .find(|def| def.version.as_str() == entry.version)
                    .ok_or_else(|| MigrationError::Missing {
                        slug: source.slug.clone(),
                        version: entry.version.clone(),
                        name: entry.name.clone(),
                    })?;
                self.apply(session, &principal, def, Direction::Down)?;
                undone.push(entry.version.clone());
            }
            Ok(undone)
        })
    }

    fn findings(
        &self,
        source: &ExtensionMigrations,
        pending: &Result<Vec<Pending>, MigrationError>,
    ) -> Vec<lint::Finding> {
        let Ok(pending) = pending else { return Vec::new() };
        if pending.is_empty() {
            return Vec::new();
        }
        let waits = |migration: &str| {
            pending.iter().any(|it| migration == format!("{}_{}", it.version, it.name))
        };
        let found = lint::lint(&source.migrations, self.engine.dialect());
        found.into_iter().filter(|it| waits(&it.migration)).collect()
    }

    fn session(&self) -> Result<Box<dyn Session>, MigrationError> {
        self.engine.session().map_err(MigrationError::from)
    }

    fn run_source(
        &self,
        session: &mut dyn Session,
        source: &ExtensionMigrations,
    ) -> Result<Vec<Ran>, MigrationError> {
        let principal = principal(&source.slug);
        if !self.runs {
            let ledger = Ledger::read(session, &source.slug)?;
            let pending = self.pending(&ledger, source)?;
            let Some(first) = pending.first() else { return Ok(Vec::new()) };
            return Err(MigrationError::Behind {
                slug: source.slug.clone(),
                version: first.version.clone(),
                name: first.name.clone(),
                count: pending.len(),
            });
        }
        locked(session, |session| {
            session.prepare(&principal).map_err(MigrationError::from)?;
            Ledger::create(session)?;
            let ledger = Ledger::read(session, &source.slug)?;
            let mut ran = Vec::new();
            for pending in self.pending(&ledger, source)? {
                let def =
                    source.migrations.iter().find(|def| def.version.as_str() == pending.version);
                if let Some(def) = def {
                    ran.push(self.apply(session, &principal, def, Direction::Up)?);
                }
            }
            Ok(ran)
        })
    }

    fn pending(
        &self,
        ledger: &Ledger,
        source: &ExtensionMigrations,
    ) -> Result<Vec<Pending>, MigrationError> {
        let dialect = self.engine.dialect();
        plan::pending(ledger, source, dialect)
    }

    /// Runs one migration, checks what it left, and books it.
    fn apply(
        &self,
        session: &mut dyn Session,
        principal: &Principal,
        def: &MigrationDef,
        direction: Direction,
    ) -> Result<Ran, MigrationError> {
        let dialect = self.engine.dialect();
        let failed = |source: DbError| MigrationError::Failed {
            slug: principal.slug().to_owned(),
            version: def.version.to_string(),
            name: def.name.to_string(),
            file: direction.file(),
            source: Box::new(source),
        };
        let text = match direction {
            Direction::Up => plan::up(def, dialect),
            Direction::Down => plan::down(def, dialect),
        };
        // SQLite knows nothing that must run outside; and there the run is one transaction.
        let inside = def.in_transaction || dialect == data::SQLITE;
        let before = session.shape(principal).map_err(failed)?;
        if inside {
            session.begin(principal).map_err(failed)?;
        }
        let tables = match self.watches {
            true => session.tables(principal).map_err(failed)?,
            false => Vec::new(),
        };
        let mut ran = Ran {
            version: def.version.to_string(),
            name: def.name.to_string(),
            milliseconds: 0.0,
            locks: Vec::new(),
        };
        let began = Instant::now();
        let mut work = || {
            session.script(principal, text).map_err(failed)?;
            ran.milliseconds = began.elapsed().as_secs_f64() * 1000.0;
            if self.watches {
                ran.locks = session.locks(principal).map_err(failed)?;
                ran.locks.retain(|lock| {
                    tables.iter().any(|(name, _)| lock.contains(&format!("`{name}`")))
                        || dialect == data::SQLITE
                });
            }
            if !principal.is_core() {
                let after = session.shape(principal).map_err(failed)?;
                let faults = before.faults_until(&after);
                if !faults.is_empty() {
                    refused(session, principal, text, &faults.join("; "));
                    return Err(MigrationError::Foreign {
                        slug: principal.slug().to_owned(),
                        version: def.version.to_string(),
                        name: def.name.to_string(),
                        prefix: principal.prefix().to_owned(),
                        faults: faults.join("; "),
                    });
                }
            }
            match direction {
                Direction::Up => Ledger::add(session, principal, def, &checksum(text)),
                Direction::Down => Ledger::remove(session, principal, &def.version),
            }
        };
        match work() {
            Ok(()) if inside => session.commit().map_err(failed).map(|()| ran),
            Err(error) => {
                if inside {
                    session.roll_back();
                }
                Err(error)
            }
            Ok(()) => Ok(ran),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

impl Direction {
    fn file(self) -> &'static str {
        match self {
            Self::Up => "up.sql",
            Self::Down => "down.sql",
        }
    }
}

fn principal(slug: &str) -> Principal {
    if slug == core::SLUG { Principal::core() } else { Principal::extension(slug) }
}

/// Runs `work` while no other process migrates.
fn locked<T>(
    session: &mut dyn Session,
    work: impl FnOnce(&mut dyn Session) -> Result<T, MigrationError>,
) -> Result<T, MigrationError> {
    session.lock().map_err(MigrationError::from)?;
    let answer = work(session);
    let unlocked = session.unlock(answer.is_ok()).map_err(MigrationError::from);
    let value = answer?;
    unlocked?;
    Ok(value)
}

#[cfg(test)]
mod tests;
