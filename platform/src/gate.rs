//! Whether an extension may be called: installed, not disabled by the state file, its flag on, and in good standing.
//!
//! Every check reads one immutable snapshot behind one pointer. Writers build the next snapshot, swap the pointer, and
//! return only when nobody is still deciding by the one before.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use actor::{ACTOR_ID_MAX, Actor, ActorId, BadActorId, Groups};
pub use admit::{Code, Pass, Refusal};
pub use explain::{Context, Explanation, GateName, Step, Verdict};
pub use flags::{
    BadEdit, BadExpression, BadFlagName, BadPercentage, Change, Edit, Expression, Flag, FlagState,
    Gates, Percentage, flag_name,
    flipper::{BadExport, Export},
};
pub use snapshot::FlagSet;
pub use state::{State, StateError, StateFile};
pub use store::{FlagError, FlagStore, Seen};
pub use switch::{StateSwitch, SwitchError};

mod actor;
mod admit;
mod explain;
mod flags;
mod predicates;
mod snapshot;
mod state;
mod store;
mod switch;

use snapshot::Snapshot;

/// The gates of all extensions.
#[derive(Debug)]
pub struct Gate {
    current: ArcSwap<Snapshot>,
    inputs: Mutex<Inputs>,
    changed: watch::Sender<u64>,
}

/// What the next snapshot is built from.
#[derive(Debug)]
struct Inputs {
    number: u64,
    installed: Arc<[Installed]>,
    flags: Option<Arc<FlagSet>>,
    groups: Arc<Groups>,
}

/// The number of an extension in this process, by which the gates are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extension(u32);

impl Extension {
    /// Its place in the list that [`Gate::install`] took.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What the gates need to know of an extension that lies on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its slug.
    pub slug: String,
    /// The name of its flag.
    pub flag: String,
    /// Whether this process loaded it, or why not.
    pub loaded: Result<(), String>,
    /// Whether the state file disabled it when this process started.
    pub state_disabled: bool,
    /// Why it is in quarantine, if it is.
    pub quarantined: Option<String>,
    /// The capabilities that it declares.
    pub capabilities: Vec<String>,
    /// The extensions that it depends on, as places in the same list.
    pub dependencies: Vec<usize>,
}

impl Gate {
    /// Gates that are all closed, until extensions and flags are known.
    pub fn new(groups: Groups) -> Gate {
        let groups = Arc::new(groups);
        let inputs =
            Inputs { number: 0, installed: Arc::new([]), flags: None, groups: groups.clone() };
        let first = Snapshot::new(0, inputs.installed.clone(), None, groups);
        Gate {
            current: ArcSwap::from_pointee(first),
            inputs: Mutex::new(inputs),
            changed: watch::Sender::new(0),
        }
    }

    /// Says which extensions there are. The number of each is its place in this list: an extension that is met later
    /// is appended, and none changes its place while the process runs.
    pub fn install(&self, installed: Vec<Installed>) {
        self.change(|inputs| {
            inputs.installed = installed.into();
            true
        });
    }

    /// Takes the flags as they stand in the store, unless newer ones are here already.
    pub fn publish(&self, flags: FlagSet) {
        self.change(|inputs| {
            if inputs.flags.as_ref().is_some_and(|known| known.epoch > flags.epoch) {
                return false;
            }
            inputs.flags = Some(Arc::new(flags));
            true
        });
    }

    /// Closes an extension that failed too often, until it is released.
    pub fn quarantine(&self, extension: Extension, reason: &str) {
        self.set_quarantine(extension, Some(reason.to_owned()));
    }

    /// Lets an extension out of quarantine.
    pub fn release(&self, extension: Extension) {
        self.set_quarantine(extension, None);
    }

    /// The number of an extension.
    pub fn find(&self, slug: &str) -> Option<Extension> {
        self.current.load().find(slug)
    }

    /// The flags as this node knows them; nothing before the first were read.
    pub fn flags(&self) -> Option<Vec<Flag>> {
        self.current
            .load()
            .flags()
            .map(|set| set.flags.values().map(|flag| Flag::clone(flag)).collect())
    }

    /// One flag as this node knows it.
    pub fn flag(&self, name: &str) -> Option<Flag> {
        self.current.load().flag(name).map(|flag| Flag::clone(flag))
    }

    /// Whether a flag is on for an actor, as Flipper means it: an unknown flag is off, and without an actor only the
    /// gates that ask for none can be open.
    pub fn flag_is_on(&self, name: &str, actor: Option<&Actor>) -> bool {
        let snapshot = self.current.load();
        snapshot.is_on(name, actor)
    }

    /// Which state of the flags this node knows; nothing before the first were read.
    pub fn epoch(&self) -> Option<i64> {
        self.current.load().flags().map(|set| set.epoch)
    }

    /// The groups that flags can be opened for.
    pub fn groups(&self) -> Groups {
        self.current.load().groups().clone()
    }

    /// Counts the snapshots, so that whoever follows the gates (tasks, pages) wakes when they change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn set_quarantine(&self, extension: Extension, reason: Option<String>) {
        self.change(|inputs| {
            let mut installed = inputs.installed.to_vec();
            match installed.get_mut(extension.index()) {
                Some(it) if it.quarantined != reason => it.quarantined = reason,
                _ => return false,
            }
            inputs.installed = installed.into();
            true
        });
    }

    /// Changes the inputs, swaps the snapshot in, and waits until the one before is in nobody's hands: whoever decided
    /// by it has decided. This holds for the change of another writer too, since they come one after the other.
    fn change(&self, change: impl FnOnce(&mut Inputs) -> bool) {
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        if !change(&mut inputs) {
            return;
        }
        inputs.number += 1;
        let Inputs { number, installed, flags, groups } = &*inputs;
        let next = Snapshot::new(*number, installed.clone(), flags.clone(), groups.clone());
        let before = self.current.swap(Arc::new(next));
        // The swap turned every borrow of the old snapshot into a count. They are held for a check, never across a
        // wait, so this ends within microseconds.
        while Arc::strong_count(&before) > 1 {
            std::thread::yield_now();
        }
        std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
        self.changed.send_replace(*number);
    }
}

#[cfg(test)]
mod tests;
