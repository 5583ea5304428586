//! The database: its file or server, and whether its shape is what this platform expects.

use std::{fs, path::Path};

use rustix::fs::Access;

use super::{
    finding::{Findings, Fix, quoted, word},
    settings::may,
};
use crate::{
    boot::{self, Core},
    config::Settings,
    db::{
        inspect::{self, Ailment},
        rescue,
    },
    migrator::{MigrationError, Migrator},
    registry::report,
};

/// A write-ahead log that is longer than this, in bytes, is not being folded back.
const LONG_WAL: u64 = 256 << 20;
/// What the ledger calls the core.
const CORE: &str = "core";

/// The core's tables, where they are as this platform expects them.
pub(super) fn check(settings: &Settings, runs: bool, findings: &mut Findings) -> Option<Core> {
    match &settings.database.url {
        Some(_) => {}
        None => file(settings, runs, findings)?,
    }
    let core = match boot::opened(settings) {
        Ok(core) => core,
        Err(error) => {
            let error = anyhow::Error::from(error);
            let (id, fix) = match &settings.database.url {
                Some(url) => {
                    ("database.unreachable", format!("pg_isready -d {}", word(&hostless(url))))
                }
                None => ("database.cannot_be_opened", findings.powernode("migrate")),
            };
            findings.error(id, "database", format!("{error:#}"), Fix::by_hand(fix));
            return None;
        }
    };
    shape(&core, findings).then_some(core)
}

/// An address without the login in it, which is nobody's business.
fn hostless(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://{place}"),
        _ => url.to_owned(),
    }
}

/// SQLite's file; nothing where it is not there, or cannot be relied on.
fn file(settings: &Settings, runs: bool, findings: &mut Findings) -> Option<()> {
    let path = &settings.database.path;
    let subject = path.display();
    let restore = findings.powernode("backup restore BACKUP --force");
    let backup = || {
        Fix::by_hand(format!(
            "stop the platform, keep {}, and put the last backup in its place: {restore}",
            quoted(path)
        ))
    };
    // The platform that had the file open made it when the name was gone.
    if let Some(copy) = rescue::copy(path) {
        let message = rescue::Unreturned::new(path, copy.clone()).to_string();
        let fix = match rescue::order(path, &copy) {
            order if runs => Fix::by_hand(format!("stop the platform, then: {order}")),
            order => Fix::run(order),
        };
        findings.error("database.rescued", &subject, message, fix);
        return None;
    }
    if !path.exists() {
        let directory =
            path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !directory.exists() {
            findings.error(
                "database.directory_missing",
                &subject,
                format!("its directory `{}` is not there", directory.display()),
                Fix::run(format!("mkdir -p {}", quoted(directory))),
            );
        } else if settings.data.join(report::FILE_NAME).exists() {
            findings.error(
                "database.missing",
                &subject,
                "a platform ran here, and its database is gone; the next start would make an empty one"
                    .to_owned(),
                backup(),
            );
        }
        return None;
    }
    if !may(path, Access::READ_OK | Access::WRITE_OK) {
        findings.error(
            "database.not_writable",
            &subject,
            "the platform may not write its database".to_owned(),
            Fix::run(format!("chmod u+rw {}", quoted(path))),
        );
        return None;
    }
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let wal = fs::metadata(wal).map_or(0, |it| it.len());
    if wal > LONG_WAL {
        findings.warning(
            "database.wal_long",
            &subject,
            format!(
                "its write-ahead log has {} MiB: reads get slower, and the disk fills",
                wal >> 20
            ),
            Fix::run(findings.powernode("migrate --dry-run")),
        );
    }
    match inspect::sqlite(path) {
        Ok(()) => Some(()),
        // A platform that runs may write for as long as it likes.
        Err(Ailment::Locked) if runs => Some(()),
        Err(Ailment::Locked) => {
            findings.error(
                "database.locked",
                &subject,
                "another process holds its write lock, and no platform runs here".to_owned(),
                Fix::by_hand(format!("fuser -v {} (and end that process)", quoted(path))),
            );
            None
        }
        Err(Ailment::NotADatabase) => {
            let message = "it is no SQLite database: something else was written over it";
            findings.error("database.not_a_database", &subject, message.to_owned(), backup());
            None
        }
        Err(Ailment::Corrupt(said)) => {
            let message = format!("its pages do not fit together: {said}");
            findings.error("database.corrupt", &subject, message, backup());
            None
        }
        Err(Ailment::Unreadable(said)) => {
            let message = format!("it cannot be read: {said}");
            findings.error("database.unreadable", &subject, message, backup());
            None
        }
    }
}

const WRITER: &str = "install the release that wrote this database again";
const NEWER: &str = "install that newer release, or put back the backup from before it";

/// Whether the core's tables are those of this platform.
fn shape(core: &Core, findings: &mut Findings) -> bool {
    let plan = match Migrator::new(&core.engine).plan(&[]) {
        Ok(plan) => plan,
        Err(error) => {
            let fix = Fix::by_hand(findings.powernode("migrate --dry-run"));
            findings.error("database.ledger_unreadable", "core_migrations", error.to_string(), fix);
            return false;
        }
    };
    let Some(step) = plan.steps.into_iter().find(|it| it.source.slug == CORE) else { return true };
    match step.pending {
        Ok(pending) if pending.is_empty() => true,
        Ok(pending) => {
            let fix = Fix::run(findings.powernode("migrate"));
            findings.error(
                "database.schema_older",
                "database",
                format!("{} migrations of this platform did not run yet", pending.len()),
                fix,
            );
            false
        }
        Err(error) => {
            let (id, fix) = match &error {
                MigrationError::Edited { .. } => ("database.migration_edited", WRITER),
                MigrationError::Newer { .. } => ("database.schema_newer", NEWER),
                _ => ("database.migration_refused", WRITER),
            };
            let fix = Fix::by_hand(fix.to_owned());
            findings.error(id, "core_migrations", error.to_string(), fix);
            false
        }
    }
}
