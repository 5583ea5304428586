//! `powernode flags`

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Output, by, output::table, runtime};
use crate::{
    boot,
    config::Settings,
    gate::{ActorId, Edit, Flag, FlagState, Percentage},
};

#[derive(Debug, Subcommand)]
pub(super) enum Flags {
    /// List the flags.
    List,
    /// Show one flag.
    Show {
        /// Its name, such as `marketing_mode`.
        name: String,
    },
    /// Switch a flag on: for all, or for those named.
    Enable(Change),
    /// Switch a flag off: for all, or for those named.
    Disable(Change),
}

/// For whom a flag is switched.
#[derive(Debug, Args)]
pub(super) struct Change {
    /// Its name, such as `marketing_mode`.
    name: String,
    /// One actor: `Account;<id>` or `User;<id>`.
    #[arg(long, group = "whom")]
    actor: Option<String>,
    /// A group of actors: `admins`.
    #[arg(long, group = "whom")]
    group: Option<String>,
    /// A percentage of actors, from 0 to 100.
    #[arg(long, group = "whom", value_name = "PERCENT")]
    percentage: Option<f64>,
}

impl Change {
    fn edit(&self, on: bool) -> anyhow::Result<Edit> {
        Ok(match (&self.actor, &self.group, self.percentage) {
            (Some(actor), _, _) if on => Edit::EnableActor(ActorId::new(actor)?),
            (Some(actor), _, _) => Edit::DisableActor(ActorId::new(actor)?),
            (_, Some(group), _) if on => Edit::EnableGroup(group.clone()),
            (_, Some(group), _) => Edit::DisableGroup(group.clone()),
            (_, _, Some(percent)) if on => Edit::PercentageOfActors(Percentage::new(percent)?),
            (_, _, Some(_)) => Edit::PercentageOfActors(Percentage::new(0.0)?),
            _ if on => Edit::Enable,
            _ => Edit::Disable,
        })
    }
}

impl Flags {
    pub(super) fn run(self, settings: &Settings, output: Output) -> anyhow::Result<ExitCode> {
        let runtime = runtime()?;
        let core = boot::core(settings, runtime.handle())?;
        let flag = match self {
            Self::List => {
                let flags: Vec<_> = core.gate.flags().unwrap_or_default();
                let shown: Vec<_> = flags.iter().map(show).collect();
                output.answer(&shown, || {
                    let rows: Vec<_> =
                        flags.iter().map(|it| vec![it.name.clone(), state(it)]).collect();
                    table(&["FLAG", "STATE"], &rows)
                })?;
                return Ok(ExitCode::SUCCESS);
            }
            Self::Show { name } => {
                let unknown = || {
                    anyhow::anyhow!(
                        "there is no flag `{name}`: `powernode flags list` lists those there are"
                    )
                };
                core.gate.flag(&name).ok_or_else(unknown)?
            }
            Self::Enable(change) => {
                runtime.block_on(core.flags.edit(&change.name, change.edit(true)?, by()))?
            }
            Self::Disable(change) => {
                runtime.block_on(core.flags.edit(&change.name, change.edit(false)?, by()))?
            }
        };
        output.answer(&show(&flag), || format!("{}: {}", flag.name, state(&flag)))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn show(flag: &Flag) -> serde_json::Value {
    let mut shown = serde_json::to_value(flag).unwrap_or_default();
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("state".to_owned(), serde_json::to_value(flag.state()).unwrap_or_default());
    }
    shown
}

/// In words: `on`, `off`, or for whom.
fn state(flag: &Flag) -> String {
    match flag.state() {
        FlagState::On => "on".to_owned(),
        FlagState::Off => "off".to_owned(),
        FlagState::Conditional => {
            let gates = &flag.gates;
            let actors = gates.actors.iter().map(|it| it.as_str().to_owned());
            let groups = gates.groups.iter().map(|it| format!("group {it}"));
            let share = (!gates.percentage_of_actors.is_zero())
                .then(|| format!("{}% of actors", gates.percentage_of_actors));
            let time = (!gates.percentage_of_time.is_zero())
                .then(|| format!("{}% of the time", gates.percentage_of_time));
            let whom: Vec<_> = actors.chain(groups).chain(share).chain(time).collect();
            format!("on for {}", whom.join(", "))
        }
    }
}
