//! What the next start would find otherwise than this one did. Nothing is loaded.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use schemars::JsonSchema;
use serde::Serialize;

use super::{Entry, Registry, State};
use crate::{
    manifest::{Manifest, Refusal, Stage},
    package::{Found, Host, scan, verify},
    resolver,
};

/// What lies on disk now, beside what this process found at its start.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Rescan {
    /// All extensions of either.
    pub extensions: Vec<Rescanned>,
    /// Those that the next start would leave out.
    pub refused: Vec<LeftOut>,
    /// Whether a restart would change anything.
    pub restart_required: bool,
}

/// One extension.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Rescanned {
    /// Its slug, or its directory's name where its manifest cannot be read.
    pub slug: String,
    /// Its version on disk.
    pub version: Option<String>,
    /// Where it lies, or lay.
    pub directory: String,
    /// What a restart would change; nothing where all is as it was.
    pub changes: Vec<Change>,
}

/// What is otherwise than it was at the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Difference")]
pub struct Change {
    /// What changed.
    pub what: What,
    /// How, in a sentence.
    pub reason: String,
}

/// What can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It was not there.
    Added,
    /// It is no longer there.
    Vanished,
    /// Its manifest.
    Manifest,
    /// Its library.
    Library,
    /// Whether the state file disables it.
    State,
    /// It was in quarantine, and was released.
    Released,
    /// What it depends on, or what collides with it.
    Plan,
}

/// An extension that the next start would leave out.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LeftOut {
    /// Its slug.
    pub slug: String,
    /// Why.
    pub reason: Refusal,
}

/// Reads the directory again. `disabled` is what the state file says now, `quarantined` what the database does.
///
/// This blocks: it reads the manifests, and the libraries of those that run.
pub fn rescan(
    registry: &Registry,
    extensions: &Path,
    disabled: &BTreeSet<String>,
    quarantined: &BTreeMap<String, String>,
) -> Rescan {
    let found = scan(extensions);
    let before = registry.entries.iter().map(as_found).collect::<Vec<_>>();
    let then = resolver::resolve(&before, &registry.disabled, &resolver::api());
    let now = resolver::resolve(&found, disabled, &resolver::api());
    let refusals = |plan: &resolver::LoadPlan| {
        plan.refusals().map(|(slug, it)| (slug.to_owned(), it)).collect::<BTreeMap<_, _>>()
    };
    let (then, now) = (refusals(&then), refusals(&now));
    let host = Host::detect();
    let mut all = Vec::new();
    for it in &found {
        let known = registry.entries.iter().find(|entry| entry.directory == it.directory);
        let mut changes =
            known.map_or_else(|| vec![added()], |entry| differences(entry, it, &host));
        let slug = it.name.as_str();
        changes.extend(known.and_then(|_| state(slug, &registry.disabled, disabled)));
        let was_in = known.is_some_and(|it| it.state == State::Quarantined);
        if was_in && !quarantined.contains_key(slug) {
            changes.push(change(What::Released, "it was released from quarantine"));
        }
        if changes.is_empty() {
            changes.extend(planned(then.get(slug), now.get(slug)));
        }
        all.push(Rescanned {
            slug: slug.to_owned(),
            version: it.manifest.as_ref().ok().map(|it| it.version.to_string()),
            directory: it.directory.display().to_string(),
            changes,
        });
    }
    let vanished = |it: &&Entry| found.iter().all(|found| found.directory != it.directory);
    for entry in registry.entries.iter().filter(vanished) {
        let reason = format!("no manifest lies in `{}` any more", entry.directory.display());
        all.push(Rescanned {
            slug: entry.slug.clone(),
            version: None,
            directory: entry.directory.display().to_string(),
            changes: vec![change(What::Vanished, reason)],
        });
    }
    all.sort_by(|a, b| (&a.slug, &a.directory).cmp(&(&b.slug, &b.directory)));
    Rescan {
        restart_required: all.iter().any(|it| !it.changes.is_empty()),
        extensions: all,
        refused: now.into_iter().map(|(slug, reason)| LeftOut { slug, reason }).collect(),
    }
}

/// An entry as the scan at the start found it.
fn as_found(entry: &Entry) -> Found {
    let lost = || Refusal::new(Stage::Manifest, "unreadable", "its manifest cannot be read");
    let manifest = entry.manifest.as_deref().cloned();
    Found {
        name: entry.slug.clone(),
        directory: entry.directory.clone(),
        private: entry.private,
        manifest: manifest.ok_or_else(|| entry.refusal.clone().unwrap_or_else(lost)),
        warnings: Vec::new(),
    }
}

fn added() -> Change {
    change(What::Added, "it was not there at the start")
}

/// What differs between an extension as it was found at the start, and as it lies there now.
fn differences(entry: &Entry, found: &Found, host: &Host) -> Vec<Change> {
    match (entry.manifest.as_deref(), &found.manifest) {
        (Some(was), Ok(is)) if was == is => library(entry, found, host).into_iter().collect(),
        (Some(was), Ok(is)) => fields(was, is, host),
        (None, Err(is)) if entry.refusal.as_ref() == Some(is) => Vec::new(),
        // Quarantine says something else of it than its manifest does.
        (None, Err(_)) if entry.state == State::Quarantined => Vec::new(),
        (None, Ok(_)) => vec![change(What::Manifest, "it can be read now")],
        (_, Err(is)) => {
            vec![change(What::Manifest, format!("it cannot be used: {}", is.message))]
        }
    }
}

/// The manifest says the same; the library beside it may have been exchanged.
fn library(entry: &Entry, found: &Found, host: &Host) -> Option<Change> {
    let refused = entry.refusal.as_ref().filter(|it| it.stage == Stage::Verify);
    if entry.plugin.is_none() && refused.is_none() {
        return None;
    }
    match (verify(found, host), refused) {
        (Ok(_), None) => None,
        (Ok(_), Some(_)) => Some(change(What::Library, "it is what the manifest says now")),
        (Err(is), Some(was)) if is == *was => None,
        (Err(is), _) => Some(change(
            What::Library,
            format!("it is not the one that runs, and cannot be loaded: {}", is.message),
        )),
    }
}

/// Two manifests that differ.
fn fields(was: &Manifest, is: &Manifest, host: &Host) -> Vec<Change> {
    let mut changes = Vec::new();
    let hash = |it: &Manifest| it.library.get(&host.triple).map(|it| it.sha256.to_string());
    let short =
        |it: Option<String>| it.map_or("none".to_owned(), |it| it.chars().take(12).collect());
    if hash(was) != hash(is) {
        let reason =
            format!("its sha256 is {} and was {} at the start", short(hash(is)), short(hash(was)));
        changes.push(change(What::Library, reason));
    }
    let object = |it: &Manifest| serde_json::to_value(it).unwrap_or_default();
    let (before, after) = (object(was), object(is));
    let keys = |it: &serde_json::Value| {
        it.as_object().map(|it| it.keys().cloned().collect::<BTreeSet<_>>()).unwrap_or_default()
    };
    let (names, more) = (keys(&before), keys(&after));
    let differ = |it: &&String| before.get(it.as_str()) != after.get(it.as_str());
    let differing: Vec<_> = names.union(&more).filter(differ).map(|it| format!("`{it}`")).collect();
    changes
        .push(change(What::Manifest, format!("other than at the start: {}", differing.join(", "))));
    changes
}

fn state(slug: &str, then: &BTreeSet<String>, now: &BTreeSet<String>) -> Option<Change> {
    let reason = match (then.contains(slug), now.contains(slug)) {
        (false, true) => "the state file disables it since the start",
        (true, false) => "the state file disabled it at the start, and no longer does",
        _ => return None,
    };
    Some(change(What::State, reason))
}

/// It is as it was, and what it needs is not.
fn planned(then: Option<&Refusal>, now: Option<&Refusal>) -> Option<Change> {
    let reason = match (then, now) {
        (Some(_), None) => "what kept it out at the start no longer does".to_owned(),
        (was, Some(is)) if was != Some(is) => format!("it would stay out: {}", is.message),
        _ => return None,
    };
    Some(change(What::Plan, reason))
}

fn change(what: What, reason: impl Into<String>) -> Change {
    Change { what, reason: reason.into() }
}
