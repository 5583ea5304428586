//! `powernode migrate`

use std::{collections::BTreeMap, process::ExitCode};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{Output, by, exit, output::table, runtime};
use crate::{
    audit::{self, Entry},
    boot::{
        self, Core,
        look::{self, Looked},
        nodes::Alone,
    },
    config::Settings,
    migrator::{Migrator, Status},
    telemetry::Telemetry,
};

mod rehearse;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Migrate {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print the plan, and what it takes away in one step; change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Run the plan on a copy of the database, and tell time, rows and locks; change nothing else. On PostgreSQL the
    /// copy is a database of its own, which the role of `database.url` makes: it needs CREATEDB.
    #[arg(long, conflicts_with = "dry_run")]
    rehearse: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what ran and what waits, of each extension that is installed or was.
    Status,
    /// Undo migrations of one extension, the last first; the data in them is lost. The platform must be stopped.
    Revert {
        /// Its slug; its library must be installed.
        slug: String,
        /// How many.
        #[arg(long, value_name = "N", required_unless_present = "all")]
        steps: Option<usize>,
        /// All of them.
        #[arg(long, conflicts_with = "steps")]
        all: bool,
    },
    /// Drop all that an extension left: tables, keys, secrets; its library need not be there. The platform must be
    /// stopped, on all nodes. Removing an extension's directory alone keeps its data.
    Purge {
        /// Its slug.
        slug: String,
        /// Do it; without this, say what would be dropped.
        #[arg(long)]
        yes: bool,
    },
}

impl Migrate {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        // The command is what a start leaves the migrations to.
        let mut settings = settings.clone();
        settings.database.migrate_at_start = true;
        let settings = &settings;
        match self.command {
            None if self.dry_run => dry_run(settings, output),
            None if self.rehearse => rehearse::run(settings, output),
            None => apply(settings, output),
            Some(Command::Status) => status(settings, output),
            Some(Command::Revert { slug, steps, all }) => {
                revert(settings, output, &slug, steps.filter(|_| !all))
            }
            Some(Command::Purge { slug, yes }) => purge(settings, output, &slug, yes),
        }
    }
}

fn apply(settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
    // What is refused to an extension stands in the log alone, with its owner.
    let _telemetry = Telemetry::init("warn", settings.log.format)?;
    let runtime = runtime()?;
    let core = boot::core(settings, runtime.handle())?;
    let booted = boot::extensions(core, settings, runtime.handle())?;
    let rows: Vec<_> = booted
        .registry
        .entries
        .iter()
        .map(|it| {
            let reason = it.refusal.as_ref().map(ToString::to_string);
            json!({ "slug": it.slug, "state": it.state, "migrations": it.contributions.migrations, "reason": reason })
        })
        .collect();
    let failed = booted.registry.entries.iter().any(|it| {
        it.refusal.as_ref().is_some_and(|it| {
            it.stage == crate::manifest::Stage::Migrate || it.code == "duplicate_migration"
        })
    });
    output.answer(&json!({ "extensions": rows }), || {
        let mut lines = vec!["The core's tables are up to date.".to_owned()];
        lines.extend(booted.registry.entries.iter().map(|it| match &it.refusal {
            Some(refusal) => format!("{}: {refusal}", it.slug),
            None => {
                format!("{}: {} migrations, up to date", it.slug, it.contributions.migrations.len())
            }
        }));
        lines.join("\n")
    })?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The database, and what the installed libraries bring, for commands that only look; nothing of an extension but its
/// constructor runs.
fn look_at(settings: &Settings, runtime: &Runtime) -> anyhow::Result<(TempDir, Core, Looked)> {
    let place = look::place(settings)?;
    let core = look::core(settings, place.path())?;
    let looked = look::migrations(&core, settings, place.path(), runtime.handle())?;
    Ok((place, core, looked))
}

fn dry_run(settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
    let runtime = runtime()?;
    let (_place, core, looked) = look_at(settings, &runtime)?;
    let plan = Migrator::new(&core.engine).plan(&looked.migrations)?;
    let steps: Vec<_> = plan
        .steps
        .iter()
        .map(|step| {
            let pending = step.pending.as_ref().map(|it| {
                it.iter().map(|it| format!("{}_{}", it.version, it.name)).collect::<Vec<_>>()
            });
            json!({
                "extension": step.source.slug,
                "pending": pending.as_ref().ok(),
                "error": pending.as_ref().err().map(ToString::to_string),
                "warnings": step.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        })
        .collect();
    let refused: Vec<_> = looked
        .refused
        .iter()
        .map(|(slug, reason)| json!({ "extension": slug, "reason": reason }))
        .collect();
    output.answer(&json!({ "steps": steps, "refused": refused }), || {
        let refused = looked.refused.iter().map(|(slug, it)| format!("{slug}: stays out: {it}"));
        let mut lines = vec![plan.to_string().trim_end().to_owned()];
        lines.extend(refused);
        lines.join("\n")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn status(settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
    let runtime = runtime()?;
    let (_place, core, looked) = look_at(settings, &runtime)?;
    let all = Migrator::new(&core.engine).status(&looked.migrations)?;
    let rows: Vec<_> = all
        .iter()
        .map(|it| {
            json!({
                "extension": it.slug, "installed": it.installed, "ran": it.ran,
                "pending": it.pending.as_ref().ok(),
                "error": it.pending.as_ref().err().map(ToString::to_string),
            })
        })
        .collect();
    output.answer(&json!({ "extensions": rows }), || {
        let rows: Vec<_> = all
            .iter()
            .map(|it| {
                let last = it.ran.last().map_or("-".to_owned(), |it| it.version.clone());
                let pending = it.pending.as_ref().map_or(0, Vec::len);
                vec![
                    it.slug.clone(),
                    it.ran.len().to_string(),
                    pending.to_string(),
                    last,
                    state(it),
                ]
            })
            .collect();
        table(&["EXTENSION", "RAN", "WAITS", "LAST", "STATE"], &rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn state(status: &Status) -> String {
    match &status.pending {
        Err(error) => format!("refused: {error}"),
        Ok(_) if !status.installed => format!(
            "no library of it can be asked; its data is kept (`powernode migrate purge {} --yes` drops it)",
            status.slug
        ),
        Ok(pending) if pending.is_empty() => "up to date".to_owned(),
        Ok(_) => "run `powernode migrate`".to_owned(),
    }
}

fn revert(
    settings: &Settings,
    output: &Output,
    slug: &str,
    steps: Option<usize>,
) -> anyhow::Result<ExitCode> {
    let _lock = Alone::take(settings)?;
    let runtime = runtime()?;
    let place = look::place(settings)?;
    let core = boot::opened(settings)?;
    let looked = look::migrations(&core, settings, place.path(), runtime.handle())?;
    let Some(source) = looked.migrations.iter().find(|it| it.slug == slug) else {
        return Err(exit::not_found(format!(
            "no library of `{slug}` can say how to revert it: `powernode ext why {slug}` says why; \
             `powernode migrate purge {slug}` needs none"
        )));
    };
    let undone = Migrator::new(&core.engine).revert(source, steps)?;
    let value = json!({ "extension": slug, "reverted": undone });
    if !undone.is_empty() {
        record(&core, &runtime, "extension.revert", slug, value.clone())?;
    }
    output.answer(&value, || match undone.as_slice() {
        [] => format!("`{slug}` has nothing to revert."),
        _ => format!(
            "Reverted {} of `{slug}`; the next start runs them again while the library brings them.",
            undone.join(", ")
        ),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn purge(settings: &Settings, output: &Output, slug: &str, yes: bool) -> anyhow::Result<ExitCode> {
    let lock = yes.then(|| Alone::take(settings)).transpose()?;
    let runtime = runtime()?;
    let core = boot::core(settings, runtime.handle())?;
    if slug == "core" {
        return Err(exit::usage(
            "the core is not purged: remove the data directory or the database",
        ));
    }
    let migrator = Migrator::new(&core.engine);
    let found = migrator.leftovers(slug)?;
    if found.is_empty() {
        return Err(exit::not_found(format!(
            "`{slug}` left nothing: `powernode migrate status` lists who did"
        )));
    }
    let purged = lock.is_some();
    if purged {
        // Before and after, so that a process that is killed between leaves a trace.
        record(&core, &runtime, "extension.purge", slug, serde_json::to_value(&found)?)?;
        let gone = migrator.purge(slug)?;
        record(&core, &runtime, "extension.purged", slug, serde_json::to_value(&gone)?)?;
    }
    let value = json!({
        "extension": slug, "purged": purged, "versions": found.versions,
        "tables": found.tables.iter().cloned().collect::<BTreeMap<_, _>>(),
    });
    output.answer(&value, || {
        let mut lines = vec![match purged {
            true => format!("Dropped all that `{slug}` left:"),
            false => format!("`--yes` would drop all that `{slug}` left:"),
        }];
        lines.extend(found.tables.iter().map(|(name, rows)| format!("  {name}: {rows} rows")));
        lines.push("  and its keys, values and secrets".to_owned());
        lines.join("\n")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn record(
    core: &Core,
    runtime: &Runtime,
    action: &'static str,
    slug: &str,
    what: Value,
) -> anyhow::Result<()> {
    let entry = Entry::new(action, format!("extension/{slug}")).with_before(what);
    runtime.block_on(core.db.transaction(move |conn| {
        audit::append(conn, &by(), entry).map_err(powernode_plugin_api::db::RunError::from)
    }))?;
    Ok(())
}
