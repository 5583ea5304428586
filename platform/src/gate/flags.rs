//! Flags and their gates, with Flipper's meaning: the first open gate wins, and no gate can say no.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::expression::{BadExpression, Expression};
use super::actor::{Actor, ActorId, Groups};

mod expression;
pub(super) mod flipper;

/// A flag: its gates, and what is known of its making.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Flag {
    /// Its name, for example `marketing_mode`.
    pub name: String,
    /// What it switches, for a person.
    pub description: String,
    /// When it was first seen.
    pub created_at: DateTime<Utc>,
    /// Whether an operator ever set it; until then it stands as its manifest made it.
    pub chosen: bool,
    /// What opens it.
    pub gates: Gates,
    /// Who changed it last; nothing while nobody did.
    pub changed: Option<Change>,
}

impl Flag {
    /// Whether it is on for `actor`, as far as it alone decides. Without an actor only the boolean gate, the
    /// expression and the share of time can be open.
    pub fn is_on(&self, actor: Option<&Actor>, groups: &Groups) -> bool {
        self.is_on_among(actor, groups, &BTreeMap::new())
    }

    /// As [`Flag::is_on`], among other flags, which its expression may ask.
    pub fn is_on_among(
        &self,
        actor: Option<&Actor>,
        groups: &Groups,
        flags: &BTreeMap<String, Arc<Flag>>,
    ) -> bool {
        self.gates.boolean || {
            let check = Check {
                actor,
                groups,
                flags,
                steady: self.name.ends_with("_mode"),
                budget: &expression::budget(),
            };
            check.holds(self, None)
        }
    }

    /// Whether there can be somebody for whom it is on.
    pub fn is_on_for_somebody(&self, groups: &Groups) -> bool {
        self.gates.boolean
            || !self.gates.actors.is_empty()
            || !self.gates.percentage_of_actors.is_zero()
            || !self.gates.percentage_of_time.is_zero()
            || self.gates.expression.is_some()
            || self.gates.groups.iter().any(|group| groups.has(group))
    }

    /// On for all, for some, or off.
    pub fn state(&self) -> FlagState {
        let gates = &self.gates;
        if gates.boolean || gates.percentage_of_time == Percentage::ALL {
            FlagState::On
        } else if gates.actors.is_empty()
            && gates.groups.is_empty()
            && gates.expression.is_none()
            && gates.percentage_of_actors.is_zero()
            && gates.percentage_of_time.is_zero()
        {
            FlagState::Off
        } else {
            FlagState::Conditional
        }
    }

    fn names(&self, actor: &Actor) -> bool {
        !self.gates.actors.is_empty() && actor.ids().any(|id| self.gates.actors.contains(id))
    }

    fn draws(&self, actor: &Actor) -> bool {
        actor.ids().next().is_some()
            && self.gates.percentage_of_actors.holds(|| bucket(&self.name, actor.ids()))
    }
}

/// One check, over the flag that was asked for and those that expressions ask.
struct Check<'a> {
    actor: Option<&'a Actor>,
    groups: &'a Groups,
    flags: &'a BTreeMap<String, Arc<Flag>>,
    /// Whether the answer may not change from one check to the next.
    steady: bool,
    budget: &'a Cell<u32>,
}

/// The flags whose expressions are being asked, the last first.
struct Asking<'a> {
    flag: &'a str,
    before: Option<&'a Asking<'a>>,
}

impl Check<'_> {
    fn holds(&self, flag: &Flag, before: Option<&Asking<'_>>) -> bool {
        let gates = &flag.gates;
        gates.boolean
            || gates.expression.as_ref().is_some_and(|it| self.evaluates(flag, it, before))
            || self.actor.is_some_and(|actor| {
                flag.names(actor)
                    || flag.draws(actor)
                    || gates.groups.iter().any(|it| self.groups.contains(it, actor))
            })
            || (!(self.steady && before.is_some()) && gates.percentage_of_time.holds(random_bucket))
    }

    /// Whether an expression is true for one of the actor's ids, or for nobody where there is none.
    fn evaluates(&self, flag: &Flag, expression: &Expression, before: Option<&Asking<'_>>) -> bool {
        let asking = Asking { flag: &flag.name, before };
        let is_on = |name: &str| self.asks(name, &asking);
        let now = Utc::now();
        let holds = |id: Option<&ActorId>| {
            expression.holds(&expression::Asked {
                flag: &flag.name,
                id,
                admin: self.actor.is_some_and(Actor::is_admin),
                now,
                steady: self.steady,
                budget: self.budget,
                is_on: &is_on,
            })
        };
        let mut ids = self.actor.iter().flat_map(|it| it.ids()).peekable();
        if ids.peek().is_none() {
            return holds(None);
        }
        ids.any(|id| holds(Some(id)))
    }

    /// Whether a flag that an expression asks for is on; one that is being asked already is not.
    fn asks(&self, name: &str, asking: &Asking<'_>) -> bool {
        let mut at = Some(asking);
        while let Some(it) = at {
            if it.flag == name {
                return false;
            }
            at = it.before;
        }
        self.flags.get(name).is_some_and(|flag| self.holds(flag, Some(asking)))
    }
}

/// Who changed a thing, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// A user, a token or a command, as the audit log names it.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// For whom a flag is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlagState {
    /// For everybody.
    On,
    /// For some.
    Conditional,
    /// For nobody.
    Off,
}

/// The gates of a flag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gates {
    /// For everybody.
    pub boolean: bool,
    /// For these.
    pub actors: BTreeSet<ActorId>,
    /// For whoever is in one of these.
    pub groups: BTreeSet<String>,
    /// For whoever it is true of.
    pub expression: Option<Expression>,
    /// For a share of the actors, always the same ones.
    pub percentage_of_actors: Percentage,
    /// For a share of the checks.
    pub percentage_of_time: Percentage,
}

impl Gates {
    /// Says why this flag cannot have these gates, if it cannot.
    ///
    /// # Errors
    ///
    /// As [`Edit::check`].
    pub fn check(&self, flag: &str, groups: &Groups) -> Result<(), BadEdit> {
        Edit::PercentageOfTime(self.percentage_of_time).check(flag, groups)?;
        for group in &self.groups {
            Edit::EnableGroup(group.clone()).check(flag, groups)?;
        }
        match &self.expression {
            Some(it) => Edit::EnableExpression(it.clone()).check(flag, groups),
            None => Ok(()),
        }
    }

    /// Makes the change. Switching the whole flag on or off clears all other gates.
    pub fn apply(&mut self, edit: &Edit) {
        match edit {
            Edit::Enable => *self = Gates { boolean: true, ..Gates::default() },
            Edit::Disable => *self = Gates::default(),
            Edit::EnableActor(actor) => drop(self.actors.insert(*actor)),
            Edit::DisableActor(actor) => drop(self.actors.remove(actor)),
            Edit::EnableGroup(group) => drop(self.groups.insert(group.clone())),
            Edit::DisableGroup(group) => drop(self.groups.remove(group)),
            Edit::PercentageOfActors(share) => self.percentage_of_actors = *share,
            Edit::PercentageOfTime(share) => self.percentage_of_time = *share,
            Edit::EnableExpression(it) => self.expression = Some(it.clone()),
            Edit::DisableExpression => self.expression = None,
        }
    }
}

/// A change to a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// On for everybody; clears all other gates.
    Enable,
    /// Off; clears all gates.
    Disable,
    /// On for this actor too.
    EnableActor(ActorId),
    /// No longer on because of this actor.
    DisableActor(ActorId),
    /// On for this group too.
    EnableGroup(String),
    /// No longer on because of this group.
    DisableGroup(String),
    /// On for this share of the actors; none takes the gate away.
    PercentageOfActors(Percentage),
    /// On for this share of the checks; none takes the gate away.
    PercentageOfTime(Percentage),
    /// On for whoever it is true of.
    EnableExpression(Expression),
    /// No longer on because of an expression.
    DisableExpression,
}

impl Edit {
    /// Says why this flag cannot be changed in this way, if it cannot.
    ///
    /// # Errors
    ///
    /// [`BadEdit`] names the flag, the change and the way out.
    pub fn check(&self, flag: &str, groups: &Groups) -> Result<(), BadEdit> {
        match self {
            Edit::PercentageOfTime(share) if flag.ends_with("_mode") && !share.is_zero() => {
                Err(BadEdit::Flapping { flag: flag.to_owned() })
            }
            Edit::EnableExpression(it) if flag.ends_with("_mode") && it.is_random() => {
                Err(BadEdit::Random { flag: flag.to_owned() })
            }
            Edit::EnableGroup(group) if !groups.has(group) => Err(BadEdit::UnknownGroup {
                group: group.clone(),
                known: groups.names().collect::<Vec<_>>().join(", "),
            }),
            _ => Ok(()),
        }
    }

    /// Whether it sets one gate to what that is already.
    pub(super) fn is_idle(&self, gates: &Gates) -> bool {
        let mut after = gates.clone();
        after.apply(self);
        after == *gates && !matches!(self, Edit::Enable | Edit::Disable)
    }
}

/// A change that a flag does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEdit {
    /// An extension cannot be on for a share of the time.
    #[error(
        "`{flag}` gates an extension, which a percentage of time would make flap: use a percentage of actors"
    )]
    Flapping {
        /// The flag's name.
        flag: String,
    },
    /// Nor can it be on by chance.
    #[error(
        "`{flag}` gates an extension, which `Random` would make flap: use `PercentageOfActors`"
    )]
    Random {
        /// The flag's name.
        flag: String,
    },
    /// There is no such group.
    #[error("there is no group `{group}`; there are: {known}")]
    UnknownGroup {
        /// The name as it was given.
        group: String,
        /// The groups there are.
        known: String,
    },
}

/// A share between 0 and 100, in thousandths of a percent.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "f64", into = "f64")]
pub struct Percentage(u32);

impl Percentage {
    /// Everybody.
    pub const ALL: Percentage = Percentage(100 * SCALE);

    /// Takes a share in percent.
    ///
    /// # Errors
    ///
    /// [`BadPercentage`] when it is outside 0 to 100 or has more than three decimals.
    pub fn new(percent: f64) -> Result<Percentage, BadPercentage> {
        let bad = BadPercentage(percent);
        if !(0.0..=100.0).contains(&percent) {
            return Err(bad);
        }
        let thousandths = (percent * f64::from(SCALE)).round();
        // A division is rounded to the nearest number, as the reading of a decimal is.
        if thousandths / f64::from(SCALE) != percent {
            return Err(bad);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 100,000, rounded"
        )]
        Ok(Percentage(thousandths as u32))
    }

    /// Whether it holds nobody.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    fn holds(self, bucket: impl FnOnce() -> u32) -> bool {
        !self.is_zero() && bucket() < self.0
    }
}

impl TryFrom<f64> for Percentage {
    type Error = BadPercentage;

    fn try_from(percent: f64) -> Result<Self, Self::Error> {
        Percentage::new(percent)
    }
}

impl From<Percentage> for f64 {
    fn from(share: Percentage) -> f64 {
        f64::from(share.0) / f64::from(SCALE)
    }
}

impl fmt::Display for Percentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(*self))
    }
}

/// A number that is no share.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is no percentage: it goes from 0 to 100 with up to three decimals")]
pub struct BadPercentage(f64);

/// Takes the name of a flag as a person or a file wrote it.
///
/// # Errors
///
/// [`BadFlagName`] when it is not 1 to 64 of `a-z`, `0-9` and `_`, a letter first.
pub fn flag_name(text: &str) -> Result<&str, BadFlagName> {
    let good = text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_');
    if good { Ok(text) } else { Err(BadFlagName(text.chars().take(80).collect())) }
}

/// A text that is no flag's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name for a flag: it takes 1 to 64 of a-z, 0-9 and `_`, a letter first")]
pub struct BadFlagName(String);

/// Thousandths of a percent are as fine as shares get.
const SCALE: u32 = 1_000;

/// Where the flag puts these actors, of 100,000 places.
fn bucket<'a>(flag: &str, ids: impl Iterator<Item = &'a ActorId>) -> u32 {
    bucket_of(flag, ids.map(ActorId::as_bytes))
}

/// Where the flag puts these texts, of 100,000 places. The bias of the remainder is Flipper's, and stays.
fn bucket_of<'a>(flag: &str, texts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(flag.as_bytes());
    for text in texts {
        crc.update(text);
    }
    crc.finalize() % (100 * SCALE)
}

fn random_bucket() -> u32 {
    let random = std::hash::RandomState::new().build_hasher().finish();
    #[expect(clippy::cast_possible_truncation, reason = "below 100,000")]
    let place = (random % u64::from(100 * SCALE)) as u32;
    place
}

#[cfg(test)]
mod tests;
