//! `powernode seed`

use std::{process::ExitCode, sync::PoisonError};

use clap::{Args, ValueEnum};
use powernode_abi::{AbiError, plugin::tier};
use powernode_plugin_api::db::RunError;
use serde_json::json;

use super::{Output, by, place, runtime};
use crate::{
    audit::{self, Entry},
    boot,
    config::Settings,
};

#[derive(Debug, Args)]
pub(super) struct Seed {
    /// How much: the tiers before it are written too.
    #[arg(long, value_enum, default_value_t = Tier::Baseline)]
    tier: Tier,
    /// Of one extension alone.
    slug: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Tier {
    /// Without it the extension does not work.
    Core,
    /// What a new installation begins with.
    Baseline,
    /// Something to look at.
    Demo,
}

impl Seed {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        let runtime = runtime()?;
        let core = boot::core(settings, runtime.handle())?;
        let booted = boot::extensions(core, settings, runtime.handle())?;
        if let Some(slug) = &self.slug
            && !booted.registry.entries.iter().any(|it| it.slug == *slug)
        {
            return Err(place::unknown("extension", slug, "ext list"));
        }
        let most = match self.tier {
            Tier::Core => tier::CORE,
            Tier::Baseline => tier::BASELINE,
            Tier::Demo => tier::DEMO,
        };
        let mut seeds = booted.registry.seeds.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = Vec::new();
        for (slug, seeds) in seeds.drain(..) {
            if self.slug.as_ref().is_some_and(|it| *it != slug) {
                continue;
            }
            for seed in seeds.into_iter().filter(|it| it.tier <= most) {
                let written = runtime.block_on(seed.work.flat());
                if let Ok(rows @ 1..) = &written {
                    let subject = format!("extension/{slug}");
                    let what = json!({ "seed": seed.name.as_str(), "rows": rows });
                    let entry = Entry::new("extension.seed", subject).with_after(what);
                    runtime.block_on(booted.core.db.transaction(move |conn| {
                        audit::append(conn, &by(), entry).map_err(RunError::from)
                    }))?;
                }
                rows.push((slug.clone(), seed.name.to_string(), written));
            }
        }
        let failed = rows.iter().any(|(_, _, written)| written.is_err());
        let values: Vec<_> = rows
            .iter()
            .map(|(slug, name, written)| {
                json!({
                    "extension": slug,
                    "seed": name,
                    "rows": written.as_ref().ok(),
                    "error": written.as_ref().err().map(ToString::to_string),
                })
            })
            .collect();
        output.answer(&json!({ "seeds": values }), || {
            let line = |(slug, name, written): &(String, String, Result<_, AbiError>)| match written
            {
                Err(error) => format!("{slug}: {name}: failed: {error}"),
                Ok(0) => format!("{slug}: {name}: is there already"),
                Ok(rows) => format!("{slug}: {name}: {rows} rows written"),
            };
            if rows.is_empty() {
                return "There are no seeds.".to_owned();
            }
            rows.iter().map(line).collect::<Vec<_>>().join("\n")
        })?;
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
