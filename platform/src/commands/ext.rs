//! `powernode ext`

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Output, by, output::table, runtime};
use crate::{
    boot::{self, Core},
    config::Settings,
    gate::{Edit, Explanation, Installed, StateSwitch, Verdict},
    package::{scan, stage},
    registry::{
        quarantine,
        report::{self, Shown},
    },
};

/// Exit code of `why` where the extension may not be called.
const CLOSED: u8 = 3;

#[derive(Debug, Subcommand)]
pub(super) enum Ext {
    /// Install a built library with its manifest.
    Stage(Stage),
    /// List the extensions, as the last start left them, with their flags as they are now.
    List,
    /// Show all that is known of one.
    Show {
        /// Its slug.
        slug: String,
    },
    /// Say gate by gate why one may be called, or may not; exit code 3 where it may not.
    Why {
        /// Its slug.
        slug: String,
    },
    /// Switch one on, at once.
    Enable {
        /// Its slug.
        slug: String,
    },
    /// Switch one off, at once.
    Disable {
        /// Its slug.
        slug: String,
        /// By the state file: it is not even loaded from the next start on.
        #[arg(long)]
        at_restart: bool,
    },
    /// Let one out of quarantine, or load again what the state file disabled; counts from the next start on.
    Release {
        /// Its slug.
        slug: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Stage {
    /// The built library.
    library: PathBuf,
    /// Its manifest.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// Where extensions are installed, if not as the settings say.
    #[arg(long, value_name = "DIR")]
    pub(super) into: Option<PathBuf>,
}

impl Stage {
    pub(super) fn run(
        &self,
        settings: Option<&Settings>,
        output: Output,
    ) -> anyhow::Result<ExitCode> {
        let configured = settings.map(|it| it.extensions.dir.as_path());
        let Some(into) = self.into.as_deref().or(configured) else {
            anyhow::bail!("where to? `--into DIR`");
        };
        std::fs::create_dir_all(into)?;
        let staged = stage(&self.library, &self.manifest, into)?;
        let value = json!({
            "slug": staged.manifest.slug,
            "version": staged.manifest.version.to_string(),
            "directory": staged.directory,
            "target": staged.triple,
            "library": staged.library,
            "warnings": staged.warnings,
        });
        output.answer(&value, || {
            let slug = &staged.manifest.slug;
            let mut lines = vec![format!(
                "Staged `{slug}` {} in {}; the next start loads it.",
                staged.manifest.version,
                staged.directory.display()
            )];
            lines.extend(staged.warnings.iter().map(|it| format!("warning: {it}")));
            lines.join("\n")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Ext {
    pub(super) fn run(self, settings: &Settings, output: Output) -> anyhow::Result<ExitCode> {
        if let Self::Stage(stage) = self {
            return stage.run(Some(settings), output);
        }
        let runtime = runtime()?;
        let core = boot::core(settings, runtime.handle())?;
        let quarantined = runtime.block_on(quarantine::all(&core.db))?;
        let known = known(settings, &core, &quarantined)?;
        let switch = StateSwitch::new(core.db.clone(), core.state.clone());
        let explain = |slug: &str| -> anyhow::Result<Explanation> {
            let context = runtime.block_on(switch.context(slug))?;
            Ok(core.gate.explain(slug, None, context))
        };
        let find = |slug: &str| {
            known.iter().find(|it| it.slug == slug).ok_or_else(|| {
                anyhow::anyhow!(
                    "there is no extension `{slug}` in {}",
                    settings.extensions.dir.display()
                )
            })
        };
        match self {
            Self::Stage(_) => {}
            Self::List => {
                let gates: Vec<_> =
                    known.iter().map(|it| explain(&it.slug)).collect::<Result<_, _>>()?;
                let shown: Vec<_> = known
                    .iter()
                    .zip(&gates)
                    .map(|(it, gate)| {
                        json!({
                            "slug": it.slug, "name": it.name, "version": it.version, "state": it.state,
                            "enabled": gate.enabled, "code": gate.code, "reason": it.reason,
                        })
                    })
                    .collect();
                output.answer(&shown, || list(&known, &gates))?;
            }
            Self::Show { slug } => {
                let shown = find(&slug)?;
                let value = json!({ "extension": shown, "gates": explain(&slug)? });
                output
                    .answer(&value, || serde_json::to_string_pretty(&value).unwrap_or_default())?;
            }
            Self::Why { slug } => {
                let (explained, reason) =
                    (explain(&slug)?, find(&slug).ok().and_then(|it| it.reason.clone()));
                let value = json!({ "gates": explained, "reason": reason });
                output.answer(&value, || why(&explained))?;
                if !explained.enabled {
                    return Ok(ExitCode::from(CLOSED));
                }
            }
            Self::Enable { slug } => switch_flag(&core, &runtime, &slug, Edit::Enable, output)?,
            Self::Disable { slug, at_restart: false } => {
                switch_flag(&core, &runtime, &slug, Edit::Disable, output)?;
            }
            Self::Disable { slug, at_restart: true } => {
                find(&slug)?;
                let changed = runtime.block_on(switch.set(&slug, true, by()))?;
                let value = json!({ "slug": slug, "disabled": true, "changed": changed, "restart_required": true });
                output
                    .answer(&value, || format!("`{slug}` is not loaded from the next start on."))?;
            }
            Self::Release { slug } => {
                let released =
                    runtime.block_on(quarantine::release(&core.db, slug.clone(), by()))?;
                let allowed = runtime.block_on(switch.set(&slug, false, by()))?;
                let value = json!({ "slug": slug, "released": released, "allowed": allowed, "restart_required": released || allowed });
                output.answer(&value, || match released || allowed {
                    true => format!("`{slug}` is loaded at the next start."),
                    false => format!(
                        "`{slug}` was neither in quarantine nor disabled by the state file."
                    ),
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn switch_flag(
    core: &Core,
    runtime: &tokio::runtime::Runtime,
    slug: &str,
    edit: Edit,
    output: Output,
) -> anyhow::Result<()> {
    let name = format!("{}_mode", slug.replace('-', "_"));
    let flag = runtime.block_on(core.flags.edit(&name, edit, by()))?;
    let on = flag.gates.boolean;
    let value = json!({ "slug": slug, "flag": name, "enabled": on });
    output.answer(&value, || format!("`{slug}` is {}.", if on { "on" } else { "off" }))
}

/// What the last start says, and what lies on disk since; the gates then know both.
fn known(
    settings: &Settings,
    core: &Core,
    quarantined: &BTreeMap<String, String>,
) -> anyhow::Result<Vec<Shown>> {
    let mut known = report::read(&settings.data)?.unwrap_or_default();
    let found = scan(&settings.extensions.dir);
    known.retain(|it| {
        found.iter().any(|found| found.directory.display().to_string() == it.directory)
    });
    for found in &found {
        if known.iter().all(|it| it.directory != found.directory.display().to_string()) {
            known.push(Shown::found(found));
        }
    }
    let disabled = core.state.read().disabled;
    let place = |slug: &str| known.iter().position(|it| it.slug == slug);
    let installed = known.iter().map(|it| {
        let manifest = it
            .manifest
            .clone()
            .and_then(|it| serde_json::from_value::<crate::manifest::Manifest>(it).ok());
        let dependencies = manifest.iter().flat_map(|it| &it.dependencies);
        Installed {
            slug: it.slug.clone(),
            flag: manifest.as_ref().map(|it| it.flag()).unwrap_or_default(),
            loaded: match it.state.as_str() {
                "started" => Ok(()),
                _ => Err(it.why()),
            },
            state_disabled: disabled.contains(&it.slug),
            // A running platform may have put it there since it started.
            quarantined: match it.state.as_str() {
                "quarantined" => Some(it.why()),
                _ => quarantined.get(&it.slug).cloned(),
            },
            capabilities: manifest.as_ref().map(|it| it.capabilities.clone()).unwrap_or_default(),
            dependencies: dependencies.filter_map(|it| place(it.slug.as_str())).collect(),
        }
    });
    core.gate.install(installed.collect());
    Ok(known)
}

fn list(known: &[Shown], gates: &[Explanation]) -> String {
    if known.is_empty() {
        return "No extension is installed: `powernode ext stage` installs one.".to_owned();
    }
    let rows: Vec<_> = known
        .iter()
        .zip(gates)
        .map(|(it, gate)| {
            let version = it.version.clone().unwrap_or_else(|| "-".to_owned());
            let enabled = if gate.enabled { "on" } else { "off" };
            let reason = gate.reason.clone().unwrap_or_default();
            vec![it.slug.clone(), version, it.state.clone(), enabled.to_owned(), reason]
        })
        .collect();
    table(&["EXTENSION", "VERSION", "STATE", "", "WHY"], &rows)
}

fn why(explained: &Explanation) -> String {
    let mut lines = vec![format!(
        "`{}` is {}{}",
        explained.slug,
        if explained.enabled { "on" } else { "off" },
        explained.reason.as_ref().map(|it| format!(": {it}")).unwrap_or_default()
    )];
    for step in &explained.gates {
        let mark = match step.verdict {
            Verdict::Open => "open",
            Verdict::Conditional => "some",
            Verdict::Closed => "closed",
        };
        let gate = serde_json::to_value(step.gate).ok();
        let gate = gate.as_ref().and_then(|it| it.as_str()).unwrap_or_default();
        lines.push(format!("  {mark:<6}  {gate:<12}  {}", step.reason));
        if let Some(change) = &step.changed {
            lines.push(format!(
                "                        changed by {} at {}",
                change.by,
                change.at.format("%F %T UTC")
            ));
        }
        if let Some(fix) = &step.fix {
            lines.push(format!("                        to open it: {fix}"));
        }
    }
    lines.join("\n")
}
