//! `powernode flags`

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    Output, by,
    client::{Client, segment},
    exit,
    output::{table, warn},
    place::{Place, unknown},
    runtime,
};
use crate::{
    boot::{self, Core},
    config::Settings,
    gate::{ActorId, Edit, Export, Expression, Flag, Percentage},
};

#[derive(Debug, Subcommand)]
pub(super) enum Flags {
    /// List the flags.
    List,
    /// Show one flag.
    #[command(alias = "show")]
    Get {
        /// Its name, such as `marketing_mode`.
        name: String,
    },
    /// Switch a flag on: for all, or for those named.
    Enable(Change),
    /// Switch a flag off: for all, or for those named.
    Disable(Change),
    /// Set a flag: `on`, `off`, or a share.
    Set {
        /// Its name, such as `marketing_mode`.
        name: String,
        /// `on`, `off`, `25%` of the actors, `'10% of time'`, or an expression as Flipper writes it in JSON.
        value: String,
    },
    /// Print all flags as Flipper exports them.
    Export,
    /// Take over flags from a file that Flipper or `flags export` wrote; flags that are not in it stay.
    Import {
        /// The file.
        file: PathBuf,
    },
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
            (Some(actor), _, _) if on => Edit::EnableActor(actor_of(actor)?),
            (Some(actor), _, _) => Edit::DisableActor(actor_of(actor)?),
            (_, Some(group), _) if on => Edit::EnableGroup(group.clone()),
            (_, Some(group), _) => Edit::DisableGroup(group.clone()),
            (_, _, Some(percent)) if on => Edit::PercentageOfActors(share(percent)?),
            (_, _, Some(_)) => Edit::PercentageOfActors(share(0.0)?),
            _ if on => Edit::Enable,
            _ => Edit::Disable,
        })
    }
}

fn actor_of(text: &str) -> anyhow::Result<ActorId> {
    ActorId::new(text).map_err(|error| exit::usage(error.to_string()))
}

fn share(percent: f64) -> anyhow::Result<Percentage> {
    Percentage::new(percent).map_err(|error| exit::usage(error.to_string()))
}

/// What `flags set` means by a value.
fn value_of(text: &str) -> anyhow::Result<Edit> {
    if text.starts_with('{') {
        let json = serde_json::from_str(text)
            .map_err(|error| exit::usage(format!("the expression is no JSON: {error}")))?;
        let expression = Expression::new(json).map_err(|error| exit::usage(error.to_string()))?;
        return Ok(Edit::EnableExpression(expression));
    }
    let (number, of) = match text.split_once('%') {
        None if matches!(text, "on" | "true") => return Ok(Edit::Enable),
        None if matches!(text, "off" | "false") => return Ok(Edit::Disable),
        None => (None, ""),
        Some((number, of)) => (number.trim().parse::<f64>().ok(), of.trim()),
    };
    match (number, of) {
        (Some(number), "" | "of actors") => Ok(Edit::PercentageOfActors(share(number)?)),
        (Some(number), "of time") => Ok(Edit::PercentageOfTime(share(number)?)),
        _ => Err(exit::usage(format!(
            "`{text}` is no value of a flag: give `on`, `off`, `25%`, `'10% of time'` or an expression in JSON"
        ))),
    }
}

/// What either place knows and does of flags.
enum Flagged<'a> {
    Running(&'a Client),
    Offline(Runtime, Core),
}

const BASE: &str = "/api/v1/admin/flags";
const FLIPPER: &str = "/api/v1/admin/flipper";

impl Flagged<'_> {
    fn list(&self) -> anyhow::Result<Vec<Value>> {
        match self {
            Self::Running(client) => Ok(client.rows(BASE)?),
            Self::Offline(_, core) => {
                Ok(core.gate.flags().unwrap_or_default().iter().map(show).collect())
            }
        }
    }

    fn export(&self) -> anyhow::Result<Value> {
        match self {
            Self::Running(client) => Ok(client.plain(FLIPPER)?),
            Self::Offline(_, core) => {
                Ok(json!(Export::of(core.gate.flags().unwrap_or_default().iter())))
            }
        }
    }

    /// Answers which flags it changed.
    fn import(&self, file: Export) -> anyhow::Result<Value> {
        match self {
            Self::Running(client) => {
                Ok(client.send("PUT", FLIPPER, &json!(file))?["changed"].take())
            }
            Self::Offline(runtime, core) => {
                let flags = file.read().map_err(|bad| exit::usage(bad.to_string()))?;
                Ok(json!(runtime.block_on(core.flags.import(flags, by()))?))
            }
        }
    }

    fn edit(&self, name: &str, edit: Edit) -> anyhow::Result<Value> {
        let client = match self {
            Self::Running(client) => client,
            Self::Offline(runtime, core) => {
                return Ok(show(&runtime.block_on(core.flags.edit(name, edit, by()))?));
            }
        };
        let one = format!("{BASE}/{}", segment(name));
        let (method, path, body) = match edit {
            Edit::Enable => ("PUT", one, json!({ "enabled": true })),
            Edit::Disable => ("PUT", one, json!({ "enabled": false })),
            Edit::EnableActor(actor) => {
                ("POST", format!("{one}/actors"), json!({ "actor": actor.as_str() }))
            }
            Edit::DisableActor(actor) => {
                ("DELETE", format!("{one}/actors/{}", segment(actor.as_str())), Value::Null)
            }
            Edit::EnableGroup(group) => {
                ("POST", format!("{one}/groups"), json!({ "group": group }))
            }
            Edit::DisableGroup(group) => {
                ("DELETE", format!("{one}/groups/{}", segment(&group)), Value::Null)
            }
            Edit::PercentageOfActors(share) => {
                ("PUT", format!("{one}/percentage_of_actors"), json!({ "percentage": share }))
            }
            Edit::PercentageOfTime(share) => {
                ("PUT", format!("{one}/percentage_of_time"), json!({ "percentage": share }))
            }
            Edit::EnableExpression(it) => {
                ("PUT", format!("{one}/expression"), json!({ "expression": it }))
            }
            Edit::DisableExpression => ("DELETE", format!("{one}/expression"), Value::Null),
        };
        Ok(client.send(method, &path, &body)?)
    }
}

impl Flags {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        // What makes no sense is said before anybody is asked.
        let edit = match &self {
            Self::List | Self::Get { .. } | Self::Export | Self::Import { .. } => None,
            Self::Enable(change) => Some(change.edit(true)?),
            Self::Disable(change) => Some(change.edit(false)?),
            Self::Set { value, .. } => Some(value_of(value)?),
        };
        let place = Place::find(settings)?;
        let flagged = match &place {
            Place::Running(client) => Flagged::Running(client),
            Place::Data(_) => {
                let runtime = runtime()?;
                let core = boot::core(settings, runtime.handle())?;
                Flagged::Offline(runtime, core)
            }
        };
        let output = place.output(output);
        let name = match self {
            Self::List => {
                let flags = flagged.list()?;
                output.answer(&json!({ "flags": flags }), || {
                    let row = |it: &Value| vec![text(&it["name"]), state(it)];
                    table(&["FLAG", "STATE"], &flags.iter().map(row).collect::<Vec<_>>())
                })?;
                return Ok(ExitCode::SUCCESS);
            }
            Self::Export => {
                let file = flagged.export()?;
                output.answer(&file, || format!("{file:#}"))?;
                return Ok(ExitCode::SUCCESS);
            }
            Self::Import { file } => {
                let shown = file.display();
                let text = fs::read_to_string(&file).with_context(|| format!("{shown}"))?;
                let read = || {
                    let mut file: Value = serde_json::from_str(&text)?;
                    // What `--json` adds to say where it came from.
                    file.as_object_mut().map(|it| it.remove("source"));
                    serde_json::from_value(file)
                };
                let export = read().map_err(|error: serde_json::Error| {
                    exit::usage(format!("`{shown}` is no export of Flipper's: {error}"))
                })?;
                let changed = flagged.import(export)?;
                let names = changed.as_array().into_iter().flatten().filter_map(Value::as_str);
                let names: Vec<_> = names.collect();
                output.answer(&json!({ "changed": changed }), || match names.as_slice() {
                    [] => "no flag differs".to_owned(),
                    names => format!("changed {}", names.join(", ")),
                })?;
                return Ok(ExitCode::SUCCESS);
            }
            Self::Get { name } | Self::Set { name, .. } => name,
            Self::Enable(change) | Self::Disable(change) => change.name,
        };
        let adds = edit.as_ref().is_some_and(|it| !matches!(it, Edit::Enable | Edit::Disable));
        let flag = match edit {
            Some(edit) => flagged.edit(&name, edit)?,
            None => {
                let found = flagged.list()?.into_iter().find(|it| it["name"] == name.as_str());
                found.ok_or_else(|| unknown("flag", &name, "flags list"))?
            }
        };
        // A share of a flag that is on for everybody is no share.
        let hides = adds && flag["gates"]["boolean"] == true;
        output.answer(&flag, || match hides {
            true => format!(
                "{name}: {}\n{}: it was on for everybody before, and stays so: `powernode flags disable {name}` \
                 takes all of it away, then say this again",
                state(&flag),
                warn("warning")
            ),
            false => format!("{name}: {}", state(&flag)),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn show(flag: &Flag) -> Value {
    let mut shown = serde_json::to_value(flag).unwrap_or_default();
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("state".to_owned(), serde_json::to_value(flag.state()).unwrap_or_default());
    }
    shown
}

/// In words: `on`, `off`, or for whom.
fn state(flag: &Value) -> String {
    if flag["state"] != "conditional" {
        return text(&flag["state"]);
    }
    let gates = &flag["gates"];
    let list = |name: &str| gates[name].as_array().into_iter().flatten().map(text);
    let share = |name: &str, of: &str| {
        gates[name].as_f64().filter(|it| *it > 0.0).map(|it| format!("{it}% of {of}"))
    };
    let whom = list("actors")
        .chain(list("groups").map(|it| format!("group {it}")))
        .chain(gates["expression"].is_object().then(|| gates["expression"].to_string()))
        .chain(share("percentage_of_actors", "actors"))
        .chain(share("percentage_of_time", "the time"));
    format!("on for {}", whom.collect::<Vec<_>>().join(", "))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: &str) {
        let said = match value_of(value) {
            Ok(edit) => format!("{edit:?}"),
            Err(error) => error.to_string(),
        };
        assert!(said.starts_with(expected), "{said}");
    }

    #[test]
    fn a_value_is_a_switch_or_a_share() {
        check("on", "Enable");
        check("false", "Disable");
        check("25%", "PercentageOfActors");
        check("0.5% of actors", "PercentageOfActors");
        check("10% of time", "PercentageOfTime");
        check("101%", "101 is no percentage");
        check("some", "`some` is no value");
    }
}
