//! Every gate in its order: open or closed, why, who changed it and when, and what opens it.

use schemars::JsonSchema;
use serde::Serialize;

use super::actor::Actor;
use super::admit::Code;
use super::flags::{Change, Flag, FlagState};
use super::snapshot::Snapshot;
use super::{Extension, Gate, Installed};

/// Why an extension may be called, or may not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Explanation {
    /// The extension's slug.
    pub slug: String,
    /// Whether it may be called.
    pub enabled: bool,
    /// The code that a caller gets while it may not.
    pub code: Option<Code>,
    /// The reason that belongs to the code.
    pub reason: Option<String>,
    /// All gates, in the order in which they are asked, also those behind a closed one.
    pub gates: Vec<Step>,
}

/// One gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Step {
    /// Which gate.
    pub gate: GateName,
    /// What it says.
    pub verdict: Verdict,
    /// Why it says so.
    pub reason: String,
    /// Who changed it last, where that is known.
    pub changed: Option<Change>,
    /// What opens it, for an operator to type or send.
    pub fix: Option<String>,
}

/// The gates, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateName {
    /// A manifest lies on disk.
    Install,
    /// The state file does not disable it; decided at the start.
    State,
    /// This process loaded it.
    Load,
    /// Its flag is on.
    Flag,
    /// It is not in quarantine.
    Quarantine,
    /// All that it depends on may be called.
    Dependencies,
}

/// What a gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It lets through.
    Open,
    /// It lets some through, and nobody in particular was asked for.
    Conditional,
    /// It lets nobody through, or not the one that was asked for.
    Closed,
}

/// What the gates themselves do not know, and an explanation tells.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Whether the state file disables it now, which the next start will follow. Nothing: as at the last start.
    pub disabled_on_disk: Option<bool>,
    /// Who changed the state file through the platform.
    pub state_changed: Option<Change>,
    /// Who or what put it in quarantine.
    pub quarantine_changed: Option<Change>,
}

impl Gate {
    /// Explains an extension, for `actor` or for nobody in particular.
    pub fn explain(&self, slug: &str, actor: Option<&Actor>, context: Context) -> Explanation {
        let snapshot = self.current.load();
        let Some((extension, it)) =
            snapshot.find(slug).and_then(|found| Some((found, snapshot.get(found)?)))
        else {
            return not_installed(slug);
        };
        let closed = snapshot.check(extension, actor).err();
        let gates = vec![
            step(GateName::Install, Verdict::Open, "it lies on disk"),
            state(it, &context),
            load(it, &context),
            flag(&snapshot, it, actor),
            quarantine(it, &context),
            dependencies(&snapshot, it, actor),
        ];
        Explanation {
            slug: slug.to_owned(),
            enabled: closed.is_none(),
            code: closed.map(|it| it.refusal.code()),
            reason: closed.map(|it| it.reason.clone()),
            gates,
        }
    }
}

fn not_installed(slug: &str) -> Explanation {
    let reason = format!("no extension `{slug}` lies on disk");
    Explanation {
        slug: slug.to_owned(),
        enabled: false,
        code: Some(Code::NotInstalled),
        reason: Some(reason.clone()),
        gates: vec![
            step(GateName::Install, Verdict::Closed, &reason).fixed_by(
                "put it into the extensions directory with `powernode ext stage`, and restart"
                    .to_owned(),
            ),
        ],
    }
}

fn state(it: &Installed, context: &Context) -> Step {
    let slug = &it.slug;
    let now = context.disabled_on_disk.unwrap_or(it.state_disabled);
    let enable = format!("powernode state enable {slug}, and restart");
    let step = match (it.state_disabled, now) {
        (false, false) => {
            step(GateName::State, Verdict::Open, "the state file does not disable it")
        }
        (false, true) => step(
            GateName::State,
            Verdict::Open,
            "the state file disables it since the start: the next one leaves it out",
        )
        .fixed_by(format!("powernode state enable {slug}")),
        (true, true) => {
            step(GateName::State, Verdict::Closed, "the state file disables it").fixed_by(enable)
        }
        (true, false) => step(
            GateName::State,
            Verdict::Closed,
            "the state file disabled it at the start, and no longer does",
        )
        .fixed_by("restart".to_owned()),
    };
    Step { changed: context.state_changed.clone(), ..step }
}

fn load(it: &Installed, context: &Context) -> Step {
    match &it.loaded {
        Ok(()) => step(GateName::Load, Verdict::Open, "this process loaded it"),
        Err(_) if it.state_disabled => {
            let fix = match context.disabled_on_disk {
                Some(false) => "restart",
                _ => "open the gate `state` first",
            };
            step(
                GateName::Load,
                Verdict::Closed,
                "it was not loaded, since the state file disabled it",
            )
            .fixed_by(fix.to_owned())
        }
        Err(reason) if it.quarantined.is_some() => step(GateName::Load, Verdict::Closed, reason)
            .fixed_by("open the gate `quarantine` first".to_owned()),
        Err(reason) => step(GateName::Load, Verdict::Closed, reason)
            .fixed_by("mend what the reason names, and restart".to_owned()),
    }
}

fn flag(snapshot: &Snapshot, it: &Installed, actor: Option<&Actor>) -> Step {
    let name = &it.flag;
    let enable = format!("powernode flags enable {name}");
    if snapshot.flags().is_none() {
        return step(GateName::Flag, Verdict::Closed, "no flags were read yet")
            .fixed_by("wait until the database answers".to_owned());
    }
    let load_first =
        "open the gate `load` first: the flag is made when the extension is first seen";
    if name.is_empty() {
        let reason = format!("`{}` is no slug, and so it has no flag", it.slug);
        return step(GateName::Flag, Verdict::Closed, &reason).fixed_by(load_first.to_owned());
    }
    let Some(flag) = snapshot.flag(name) else {
        let fix = match it.loaded {
            Ok(()) => "restart: the flag is made when the extension is first seen",
            Err(_) => load_first,
        };
        return step(
            GateName::Flag,
            Verdict::Closed,
            &format!("there is no flag `{name}`, and an unknown flag is off"),
        )
        .fixed_by(fix.to_owned());
    };
    let groups = snapshot.groups();
    let verdict = match (flag.state(), actor) {
        (FlagState::On, _) => Verdict::Open,
        (FlagState::Off, _) => Verdict::Closed,
        (FlagState::Conditional, Some(actor)) if snapshot.is_on(name, Some(actor)) => Verdict::Open,
        (FlagState::Conditional, None) if flag.is_on_for_somebody(groups) => Verdict::Conditional,
        (FlagState::Conditional, _) => Verdict::Closed,
    };
    let said = step(GateName::Flag, verdict, &describe(flag, actor, verdict));
    let said = Step { changed: flag.changed.clone(), ..said };
    match (verdict, actor.and_then(|actor| actor.ids().next())) {
        (Verdict::Open, _) => said,
        (_, Some(actor)) if flag.state() == FlagState::Conditional => {
            said.fixed_by(format!("powernode flags enable {name} --actor '{actor}', or {enable}"))
        }
        _ => said.fixed_by(enable),
    }
}

fn describe(flag: &Flag, actor: Option<&Actor>, verdict: Verdict) -> String {
    let name = &flag.name;
    let chosen = if flag.chosen { "" } else { ", as its manifest made it" };
    if flag.gates.boolean {
        return format!("the flag `{name}` is on{chosen}");
    }
    if flag.state() == FlagState::Off {
        return format!("the flag `{name}` is off{chosen}");
    }
    let mut some = Vec::new();
    let gates = &flag.gates;
    if !gates.actors.is_empty() {
        some.push(format!("{} actor(s)", gates.actors.len()));
    }
    some.extend(gates.groups.iter().map(|group| format!("group `{group}`")));
    some.extend(gates.expression.iter().map(|it| format!("whoever `{it}` is true of")));
    if !gates.percentage_of_actors.is_zero() {
        some.push(format!("{} % of actors", gates.percentage_of_actors));
    }
    if !gates.percentage_of_time.is_zero() {
        some.push(format!("{} % of the time", gates.percentage_of_time));
    }
    let some = some.join(", ");
    match (actor, verdict) {
        (None, _) => format!("the flag `{name}` is on for {some}"),
        (Some(_), Verdict::Open) => {
            format!("the flag `{name}` is on for this actor (it is on for {some})")
        }
        (Some(_), _) => format!("the flag `{name}` is off for this actor (it is on for {some})"),
    }
}

fn quarantine(it: &Installed, context: &Context) -> Step {
    match &it.quarantined {
        None => step(GateName::Quarantine, Verdict::Open, "it is not in quarantine"),
        Some(reason) => {
            let restart = if it.loaded.is_ok() { "" } else { ", and restart" };
            Step {
                changed: context.quarantine_changed.clone(),
                ..step(
                    GateName::Quarantine,
                    Verdict::Closed,
                    &format!("it is quarantined: {reason}"),
                )
                .fixed_by(format!("powernode ext release {}{restart}", it.slug))
            }
        }
    }
}

fn dependencies(snapshot: &Snapshot, it: &Installed, actor: Option<&Actor>) -> Step {
    if it.dependencies.is_empty() {
        return step(GateName::Dependencies, Verdict::Open, "it depends on none");
    }
    let mut names = Vec::new();
    for place in &it.dependencies {
        let Some(below) = snapshot.installed().get(*place) else {
            return step(
                GateName::Dependencies,
                Verdict::Closed,
                "it depends on an extension that is not installed",
            )
            .fixed_by("install what its manifest names, and restart".to_owned());
        };
        let closed = snapshot
            .find(&below.slug)
            .and_then(|found: Extension| snapshot.check(found, actor).err());
        if let Some(closed) = closed {
            let reason = format!("it depends on `{}`, which is off: {}", below.slug, closed.reason);
            return step(GateName::Dependencies, Verdict::Closed, &reason)
                .fixed_by(format!("powernode ext why {}", below.slug));
        }
        names.push(format!("`{}`", below.slug));
    }
    step(GateName::Dependencies, Verdict::Open, &format!("{} may be called", names.join(", ")))
}

fn step(gate: GateName, verdict: Verdict, reason: &str) -> Step {
    Step { gate, verdict, reason: reason.to_owned(), changed: None, fix: None }
}

impl Step {
    fn fixed_by(self, fix: String) -> Step {
        Step { fix: Some(fix), ..self }
    }
}

#[cfg(test)]
mod tests;
