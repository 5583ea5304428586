//! Flags and their gates, with Flipper's meaning: the first open gate wins, and no gate can say no.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher, Hasher};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::actor::{Actor, ActorId, Groups};

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
    /// Whether it is on for `actor`. Without an actor only the boolean gate and the share of time can be open.
    pub fn is_on(&self, actor: Option<&Actor>, groups: &Groups) -> bool {
        self.gates.boolean
            || actor.is_some_and(|actor| {
                self.names(actor)
                    || self.draws(actor)
                    || self.gates.groups.iter().any(|g| groups.contains(g, actor))
            })
            || self.gates.percentage_of_time.holds(random_bucket)
    }

    /// Whether there can be somebody for whom it is on.
    pub fn is_on_for_somebody(&self, groups: &Groups) -> bool {
        self.gates.boolean
            || !self.gates.actors.is_empty()
            || !self.gates.percentage_of_actors.is_zero()
            || !self.gates.percentage_of_time.is_zero()
            || self.gates.groups.iter().any(|group| groups.has(group))
    }

    /// On for all, for some, or off.
    pub fn state(&self) -> FlagState {
        let gates = &self.gates;
        if gates.boolean || gates.percentage_of_time == Percentage::ALL {
            FlagState::On
        } else if gates.actors.is_empty()
            && gates.groups.is_empty()
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
    /// For a share of the actors, always the same ones.
    pub percentage_of_actors: Percentage,
    /// For a share of the checks.
    pub percentage_of_time: Percentage,
}

impl Gates {
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
            Edit::EnableGroup(group) if !groups.has(group) => Err(BadEdit::UnknownGroup {
                group: group.clone(),
                known: groups.names().collect::<Vec<_>>().join(", "),
            }),
            _ => Ok(()),
        }
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

/// Where the flag puts these actors, of 100,000 places. The bias of the remainder is Flipper's, and stays.
fn bucket<'a>(flag: &str, ids: impl Iterator<Item = &'a ActorId>) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(flag.as_bytes());
    for id in ids {
        crc.update(id.as_bytes());
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
