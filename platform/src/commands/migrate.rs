//! `powernode migrate`

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{Output, runtime};
use crate::{boot, config::Settings, migrator::Migrator, telemetry::Telemetry};

#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// Print the plan, change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Migrate {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        if self.dry_run {
            return dry_run(settings, output);
        }
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
        let failed = booted.registry.entries.iter().filter(|it| {
            it.refusal.as_ref().is_some_and(|it| it.stage == crate::manifest::Stage::Migrate)
        });
        let failed: Vec<_> = failed.filter_map(|it| it.refusal.as_ref()).collect();
        output.answer(&json!({ "extensions": rows }), || {
            let mut lines = vec!["The core's tables are up to date.".to_owned()];
            lines.extend(booted.registry.entries.iter().map(|it| match &it.refusal {
                Some(refusal) => format!("{}: {refusal}", it.slug),
                None => format!(
                    "{}: {} migrations, up to date",
                    it.slug,
                    it.contributions.migrations.len()
                ),
            }));
            lines.join("\n")
        })?;
        Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Nothing of an extension but its constructor runs; nothing is written but the store.
fn dry_run(settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
    let runtime = runtime()?;
    let core = boot::opened(settings)?;
    let sources = boot::migrations(&core, settings, runtime.handle())?;
    let plan = Migrator::new(&core.engine).plan(&sources)?;
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
            })
        })
        .collect();
    output.answer(&json!({ "steps": steps }), || plan.to_string())?;
    Ok(ExitCode::SUCCESS)
}
