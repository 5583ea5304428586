//! Gates to be asked: so many extensions, their flags all of one kind.

use anyhow::{Context as _, Result};
use chrono::DateTime;
use powernode::gate::{
    Actor, ActorId, Edit, Extension, Flag, FlagSet, Gate, Gates, Groups, Installed,
};

/// Gates, the extension to ask for, and who asks.
pub(crate) struct Asked {
    gate: Gate,
    extension: Extension,
    actor: Actor,
}

/// Who asks.
pub(crate) const ACTOR: &str = "Account;0190f6c7-b2a0-7d5e-8c4f-3a2b1c0d9e8f";

impl Asked {
    /// Gates of `count` extensions; the one in the middle is asked for.
    pub(crate) fn new(count: usize, edit: &Edit) -> Result<Self> {
        let slug = |number: usize| format!("fixture-{number:03}");
        let installed = |number| Installed {
            slug: slug(number),
            flag: format!("{}_mode", slug(number)),
            loaded: Ok(()),
            state_disabled: false,
            quarantined: None,
            capabilities: Vec::new(),
            dependencies: Vec::new(),
        };
        let flag = |number| {
            let mut gates = Gates::default();
            gates.apply(edit);
            Flag {
                name: format!("{}_mode", slug(number)),
                description: String::new(),
                created_at: DateTime::UNIX_EPOCH,
                chosen: true,
                gates,
                changed: None,
            }
        };
        let gate = Gate::new(Groups::standard());
        gate.install((0..count).map(installed).collect());
        gate.publish(FlagSet::new(1, (0..count).map(flag)));
        let extension = gate.find(&slug(count / 2)).context("not installed")?;
        Ok(Self { gate, extension, actor: Actor::of_account(ACTOR.parse::<ActorId>()?) })
    }

    /// Asks once.
    pub(crate) fn ask(&self) -> bool {
        self.gate.admit(std::hint::black_box(self.extension), Some(&self.actor)).is_ok()
    }
}
