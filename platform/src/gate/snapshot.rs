//! What the gates answer, worked out beforehand: immutable, and swapped as a whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::actor::{Actor, Groups};
use super::admit::{Closed, Code};
use super::flags::Flag;
use super::{Extension, Installed};

/// The gates of all extensions at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    number: u64,
    installed: Arc<[Installed]>,
    standings: Vec<Standing>,
    slugs: HashMap<String, Extension>,
    flags: Option<Arc<FlagSet>>,
    groups: Arc<Groups>,
    /// The answer to a number that no extension has.
    unknown: Closed,
}

/// All flags as they stood in the store at one epoch.
#[derive(Clone, Debug, Default)]
pub struct FlagSet {
    /// Counts the changes to the flags.
    pub epoch: i64,
    /// The flags, by name.
    pub flags: BTreeMap<String, Arc<Flag>>,
}

impl FlagSet {
    /// Collects flags under their names.
    pub fn new(epoch: i64, flags: impl IntoIterator<Item = Flag>) -> FlagSet {
        FlagSet {
            epoch,
            flags: flags.into_iter().map(|flag| (flag.name.clone(), Arc::new(flag))).collect(),
        }
    }
}

/// Where an extension stands. The flags that are on for some alone are asked in turn, then what closes it whoever asks.
#[derive(Clone, Debug)]
enum Standing {
    Open,
    Closed(Closed),
    Conditional { conditions: Vec<Condition>, then: Option<Closed> },
}

#[derive(Clone, Debug)]
struct Condition {
    flag: Arc<Flag>,
    otherwise: Closed,
}

impl Snapshot {
    pub(super) fn new(
        number: u64,
        installed: Arc<[Installed]>,
        flags: Option<Arc<FlagSet>>,
        groups: Arc<Groups>,
    ) -> Snapshot {
        let standings = Closure::new(&installed, flags.as_deref(), &groups).standings();
        let slugs = installed
            .iter()
            .zip(0..)
            .map(|(it, index)| (it.slug.clone(), Extension(index)))
            .collect();
        let unknown = Closed::new(Code::NotInstalled, "", "no extension has this number");
        Snapshot { number, installed, standings, slugs, flags, groups, unknown }
    }

    pub(super) fn check(&self, extension: Extension, actor: Option<&Actor>) -> Result<(), &Closed> {
        match self.standings.get(extension.index()) {
            Some(Standing::Open) => Ok(()),
            Some(Standing::Closed(refusal)) => Err(refusal),
            Some(Standing::Conditional { conditions, then }) => {
                if let (Some(actor), Some(set)) = (actor, &self.flags) {
                    for condition in conditions {
                        let flag = &condition.flag;
                        if !flag.is_on_among(Some(actor), &self.groups, &set.flags) {
                            return Err(&condition.otherwise);
                        }
                    }
                }
                then.as_ref().map_or(Ok(()), Err)
            }
            None => Err(&self.unknown),
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn find(&self, slug: &str) -> Option<Extension> {
        self.slugs.get(slug).copied()
    }

    pub(super) fn installed(&self) -> &[Installed] {
        &self.installed
    }

    pub(super) fn get(&self, extension: Extension) -> Option<&Installed> {
        self.installed.get(extension.index())
    }

    pub(super) fn declarers(&self, capability: &str) -> impl Iterator<Item = Extension> {
        let declares =
            move |it: &Installed| it.capabilities.iter().any(|declared| declared == capability);
        self.installed
            .iter()
            .zip(0..)
            .filter(move |(it, _)| declares(it))
            .map(|(_, index)| Extension(index))
    }

    pub(super) fn flags(&self) -> Option<&FlagSet> {
        self.flags.as_deref()
    }

    pub(super) fn flag(&self, name: &str) -> Option<&Arc<Flag>> {
        self.flags.as_ref()?.flags.get(name)
    }

    /// Whether a flag is on; one that is not there is off.
    pub(super) fn is_on(&self, name: &str, actor: Option<&Actor>) -> bool {
        self.flags.as_ref().is_some_and(|set| {
            let flag = set.flags.get(name);
            flag.is_some_and(|it| it.is_on_among(actor, &self.groups, &set.flags))
        })
    }

    pub(super) fn groups(&self) -> &Groups {
        &self.groups
    }
}

/// Works out the standings, each extension after those that it depends on.
struct Closure<'a> {
    installed: &'a [Installed],
    flags: Option<&'a FlagSet>,
    groups: &'a Groups,
    found: Vec<Found>,
}

#[derive(Clone)]
enum Found {
    NotYet,
    /// Being worked out: who comes here again goes in a circle.
    Open,
    Done(Standing),
}

impl<'a> Closure<'a> {
    fn new(installed: &'a [Installed], flags: Option<&'a FlagSet>, groups: &'a Groups) -> Self {
        Closure { installed, flags, groups, found: vec![Found::NotYet; installed.len()] }
    }

    fn standings(mut self) -> Vec<Standing> {
        (0..self.installed.len()).map(|index| self.standing(index)).collect()
    }

    /// The standing of one. The depth is that of the dependencies, which the resolver has bounded by their number.
    fn standing(&mut self, index: usize) -> Standing {
        let Some(it) = self.installed.get(index) else {
            return Standing::Closed(Closed::new(Code::NotInstalled, "", "it is not installed"));
        };
        match self.found.get(index) {
            Some(Found::Done(standing)) => return standing.clone(),
            Some(Found::Open) => {
                return Standing::Closed(Closed::new(
                    Code::DependencyOff,
                    &it.slug,
                    "its dependencies form a cycle",
                ));
            }
            _ => self.mark(index, Found::Open),
        }
        let mut standing = self.alone(it);
        for dependency in &it.dependencies {
            if matches!(standing, Standing::Closed(_) | Standing::Conditional { then: Some(_), .. })
            {
                break;
            }
            let below = self.standing(*dependency);
            standing = standing.under(it, self.slug(*dependency), below);
        }
        self.mark(index, Found::Done(standing.clone()));
        standing
    }

    /// Where it stands as far as it alone is concerned.
    fn alone(&self, it: &Installed) -> Standing {
        let closed = |code, reason: String| Standing::Closed(Closed::new(code, &it.slug, reason));
        if it.state_disabled {
            return closed(Code::Disabled, "the state file disables it".into());
        }
        // What is in quarantine at the start is not loaded for that reason: it answers as one that was loaded does.
        if let (Err(reason), None) = (&it.loaded, &it.quarantined) {
            return closed(Code::NotLoaded, reason.clone());
        }
        let Some(flags) = self.flags else {
            return closed(Code::Disabled, "no flags were read yet".into());
        };
        let Some(flag) = flags.flags.get(&it.flag) else {
            return closed(
                Code::Disabled,
                format!("there is no flag `{}`, and an unknown flag is off", it.flag),
            );
        };
        let quarantine = it.quarantined.as_ref().map(|reason| {
            Closed::new(Code::Quarantined, &it.slug, format!("it is quarantined: {reason}"))
        });
        if flag.gates.boolean {
            return quarantine.map_or(Standing::Open, Standing::Closed);
        }
        if !flag.is_on_for_somebody(self.groups) {
            return closed(Code::Disabled, format!("its flag `{}` is off", it.flag));
        }
        let otherwise = Closed::new(
            Code::Disabled,
            &it.slug,
            format!("its flag `{}` is not on for this actor", it.flag),
        );
        Standing::Conditional {
            conditions: vec![Condition { flag: flag.clone(), otherwise }],
            then: quarantine,
        }
    }

    fn slug(&self, index: usize) -> &'a str {
        self.installed.get(index).map_or("?", |it| &it.slug)
    }

    fn mark(&mut self, index: usize, found: Found) {
        if let Some(slot) = self.found.get_mut(index) {
            *slot = found;
        }
    }
}

impl Standing {
    /// This standing, of `it`, once it also needs `dependency`, which stands `below`.
    fn under(self, it: &Installed, dependency: &str, below: Standing) -> Standing {
        let off = |below: &Closed| {
            let reason = match below.refusal.code() {
                Code::DependencyOff => below.reason.clone(),
                _ => format!("it depends on `{dependency}`, which is off: {}", below.reason),
            };
            Closed::new(Code::DependencyOff, &it.slug, reason)
        };
        let (mut conditions, further, then) = match (self, below) {
            (standing, Standing::Open) => return standing,
            (Standing::Closed(refusal), _) => return Standing::Closed(refusal),
            (Standing::Open, Standing::Closed(refusal)) => return Standing::Closed(off(&refusal)),
            (Standing::Conditional { conditions, .. }, Standing::Closed(refusal)) => {
                (conditions, Vec::new(), Some(off(&refusal)))
            }
            (Standing::Open, Standing::Conditional { conditions, then }) => {
                (Vec::new(), conditions, then)
            }
            (
                Standing::Conditional { conditions, .. },
                Standing::Conditional { conditions: further, then },
            ) => (conditions, further, then),
        };
        let then = then.map(|refusal| match refusal.refusal.slug() == it.slug {
            true => refusal,
            false => off(&refusal),
        });
        for condition in further {
            if !conditions.iter().any(|known| known.flag.name == condition.flag.name) {
                conditions
                    .push(Condition { otherwise: off(&condition.otherwise), flag: condition.flag });
            }
        }
        Standing::Conditional { conditions, then }
    }
}
