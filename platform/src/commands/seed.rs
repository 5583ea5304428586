//! `powernode seed`

use std::{process::ExitCode, sync::PoisonError};

use clap::{Args, ValueEnum};
use powernode_abi::{data::mode, plugin::tier};
use serde_json::json;

use super::{Output, runtime};
use crate::{boot, config::Settings};

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
            let db = booted.core.engine.for_extension(&slug);
            for seed in seeds.into_iter().filter(|it| it.tier <= most) {
                let answer = runtime.block_on(db.run(mode::TRANSACTION, seed.job))?;
                rows.push((slug.clone(), seed.name.to_string(), answer.into_result().err()));
            }
        }
        let failed = rows.iter().any(|(_, _, error)| error.is_some());
        let values: Vec<_> = rows
            .iter()
            .map(|(slug, name, error)| {
                json!({ "extension": slug, "seed": name, "error": error.as_ref().map(ToString::to_string) })
            })
            .collect();
        output.answer(&values, || {
            let line = |(slug, name, error): &(String, String, Option<_>)| match error {
                Some(error) => format!("{slug}: {name}: failed: {error}"),
                None => format!("{slug}: {name}: written"),
            };
            if rows.is_empty() {
                return "There are no seeds.".to_owned();
            }
            rows.iter().map(line).collect::<Vec<_>>().join("\n")
        })?;
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
