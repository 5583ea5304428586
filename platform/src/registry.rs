//! The extensions of this process: what became of each, and what it contributes.
//!
//! An extension's place in the list is its number at the gates; nothing is
//! removed while the process runs.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use powernode_abi::{PluginObject, plugin::SeedDef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::{Manifest, Refusal};

mod faults;
mod mount;
mod register;
pub mod quarantine;
pub mod report;
pub mod rescan;

pub use self::{
    faults::{FaultLimit, Faults},
    mount::{Mount, Mounted},
    register::{CORE_PREFIX, LINK, register},
};

/// How far an extension came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It lies on disk.
    Discovered,
    /// Its library is what its manifest says.
    Verified,
    /// All that it depends on is there.
    Resolved,
    /// Its migrations ran.
    Migrated,
    /// It runs; whether it may be called is the gates' business.
    Started,
    /// The state file disables it.
    Disabled,
    /// It stays out; the refusal says why.
    Failed,
    /// It stays out until an operator releases it.
    Quarantined,
}

impl State {
    /// The state's name, as it is serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discovered => "discovered",
            Self::Verified => "verified",
            Self::Resolved => "resolved",
            Self::Migrated => "migrated",
            Self::Started => "started",
            Self::Disabled => "disabled",
            Self::Failed => "failed",
            Self::Quarantined => "quarantined",
        }
    }
}

/// One extension.
pub struct Entry {
    /// Its slug, or its directory's name where its manifest cannot be read.
    pub slug: String,
    /// Where it lies.
    pub directory: PathBuf,
    /// Whether it lies among the private ones.
    pub private: bool,
    /// Its manifest, if it can be read.
    pub manifest: Option<Arc<Manifest>>,
    /// How far it came.
    pub state: State,
    /// Why it stays out.
    pub refusal: Option<Refusal>,
    /// What may go wrong with it, in sentences.
    pub warnings: Vec<String>,
    /// Its library, once it was verified.
    pub library: Option<LibraryFacts>,
    /// What it contributes, once it was loaded.
    pub contributions: Contributions,
    /// The extension itself, once it was loaded.
    pub plugin: Option<Arc<PluginObject>>,
    /// Its panics.
    pub faults: Faults,
}

/// What is known of a library.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LibraryFacts {
    /// Its hash.
    pub sha256: String,
    /// The file of the store that was opened.
    pub path: PathBuf,
    /// The interface's version that it was built against.
    pub abi: String,
    /// The SDK's version.
    pub sdk: String,
    /// The compiler's version.
    pub rustc: String,
    /// The target triple.
    pub target: String,
    /// The cargo profile.
    pub profile: String,
    /// The oldest glibc that it runs with.
    pub glibc: Option<String>,
}

/// What an extension contributes.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Contributions {
    /// `GET /api/v1/marketing/campaigns`, …
    pub routes: Vec<String>,
    /// `2026-01-31-120000_create_campaigns`, …
    pub migrations: Vec<String>,
    /// Names of seeds.
    pub seeds: Vec<String>,
}

/// The extensions, in the order of their numbers at the gates.
#[derive(Debug, Default)]
pub struct Registry {
    /// The extensions.
    pub entries: Vec<Entry>,
    /// The routes of those that run.
    pub mounts: Vec<Arc<Mounted>>,
    /// The seeds of those that run, by slug; taken once, by `powernode seed`.
    pub seeds: Mutex<Vec<(String, Vec<SeedDef>)>>,
    /// Slugs that the state file disabled at the start.
    pub disabled: BTreeSet<String>,
}

impl Registry {
    /// The extension with that slug.
    pub fn find(&self, slug: &str) -> Option<&Entry> {
        self.entries.iter().find(|it| it.slug == slug)
    }

    /// The routes of one extension.
    pub fn mounts_of(&self, slug: &str) -> impl Iterator<Item = &Arc<Mounted>> {
        self.mounts.iter().filter(move |it| it.slug == slug)
    }
}

impl Entry {
    /// Takes the extension out, with the reason.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.state = State::Failed;
        self.refusal = Some(refusal);
        self.contributions = Contributions::default();
        self.plugin = None;
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` is {:?}", self.slug, self.state)
    }
}
