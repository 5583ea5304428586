//! The one door: a pass, or the reason why not.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

use super::{Actor, Extension, Gate};

impl Gate {
    /// Lets a call through to an extension, or says which gate is closed.
    ///
    /// Without an actor, a flag that is on for somebody counts as on. This takes no lock, allocates nothing and asks
    /// no database. A toggle is acknowledged only when no admission that saw the flag as it was is still under way.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: the first gate that is closed, in their order.
    pub fn admit(&self, extension: Extension, actor: Option<&Actor>) -> Result<Pass, Refusal> {
        let snapshot = self.current.load();
        match snapshot.check(extension, actor) {
            Ok(()) => Ok(Pass { extension, snapshot: snapshot.number() }),
            Err(closed) => Err(closed.refusal),
        }
    }

    /// Whether a call would be let through now, for whoever shows or wakes extensions and calls none.
    pub fn is_open(&self, extension: Extension, actor: Option<&Actor>) -> bool {
        self.current.load().check(extension, actor).is_ok()
    }
}

/// Proof that the gates of an extension were open when a call came to them. Only [`Gate::admit`] makes one, and
/// whoever calls into an extension demands one by value, so that no path can forget the gate.
#[derive(Debug)]
#[must_use]
pub struct Pass {
    extension: Extension,
    snapshot: u64,
}

impl Pass {
    /// The extension that it is for.
    pub fn extension(&self) -> Extension {
        self.extension
    }

    /// The number of the snapshot that decided.
    pub fn snapshot(&self) -> u64 {
        self.snapshot
    }
}

/// Why a call was not let through, as far as an anonymous caller may know; [`Gate::explain`] tells an operator more.
///
/// It is a reference, so that a refusal allocates nothing and costs no count that other threads share. What it refers
/// to is kept as long as the process: one for each extension and code, whatever the reasons were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(&'static Facts);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Facts {
    code: Code,
    slug: String,
}

static KNOWN: Mutex<BTreeSet<&'static Facts>> = Mutex::new(BTreeSet::new());

impl Refusal {
    fn new(code: Code, slug: &str) -> Refusal {
        let facts = Facts { code, slug: slug.to_owned() };
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        Refusal(known.get(&facts).copied().unwrap_or_else(|| {
            let facts: &'static Facts = Box::leak(Box::new(facts));
            known.insert(facts);
            facts
        }))
    }

    /// What a program tells it by.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The extension that was asked for.
    pub fn slug(&self) -> &'static str {
        &self.0.slug
    }
}

/// A refusal with its whole reason, for an operator. The snapshot owns it.
#[derive(Clone, Debug)]
pub(super) struct Closed {
    pub(super) refusal: Refusal,
    pub(super) reason: String,
}

impl Closed {
    pub(super) fn new(code: Code, slug: &str, reason: impl Into<String>) -> Closed {
        Closed { refusal: Refusal::new(code, slug), reason: reason.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slug = self.slug();
        match self.code() {
            Code::NotInstalled => write!(f, "Extension '{slug}' is not installed"),
            Code::NotLoaded => write!(f, "Extension '{slug}' is not loaded"),
            Code::Disabled | Code::DependencyOff => write!(f, "Extension '{slug}' is not enabled"),
            Code::Quarantined => write!(f, "Extension '{slug}' is quarantined"),
        }
    }
}

impl std::error::Error for Refusal {}

/// The code of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(into = "&'static str")]
pub enum Code {
    /// No such extension lies on disk.
    NotInstalled,
    /// It lies on disk, and could not be loaded.
    NotLoaded,
    /// It is switched off, by the state file or by its flag.
    Disabled,
    /// It failed too often, and waits for an operator.
    Quarantined,
    /// An extension that it depends on is off.
    DependencyOff,
}

impl Code {
    /// The code as it stands in an answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::NotInstalled => "EXTENSION_NOT_INSTALLED",
            Code::NotLoaded => "EXTENSION_NOT_LOADED",
            Code::Disabled => "EXTENSION_DISABLED",
            Code::Quarantined => "EXTENSION_QUARANTINED",
            Code::DependencyOff => "EXTENSION_DEPENDENCY_OFF",
        }
    }
}

impl From<Code> for &'static str {
    fn from(code: Code) -> &'static str {
        code.as_str()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
