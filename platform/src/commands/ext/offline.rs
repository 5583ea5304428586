//! The extensions as the last start left them, and as they lie on disk since.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{Extensions, flag_of};
use crate::{
    boot::{self, Core},
    commands::{by, exit, place::unknown},
    config::Settings,
    gate::{Edit, Explanation, Installed, StateSwitch},
    manifest::{Manifest, Slug},
    package::scan,
    registry::{
        quarantine,
        report::{self, Shown},
    },
};

/// Works on the database and the files.
pub(super) struct Offline {
    runtime: Runtime,
    core: Core,
    known: Vec<Shown>,
    switch: StateSwitch,
}

impl Offline {
    pub(super) fn open(settings: &Settings) -> anyhow::Result<Self> {
        let runtime = crate::commands::runtime()?;
        let core = boot::core(settings, runtime.handle())?;
        let quarantined = runtime.block_on(quarantine::all(&core.db))?;
        let known = known(settings, &core, &quarantined)?;
        let switch = StateSwitch::new(core.db.clone(), core.state.clone());
        Ok(Self { runtime, core, known, switch })
    }

    fn explain(&self, slug: &str) -> anyhow::Result<Explanation> {
        let context = self.runtime.block_on(self.switch.context(slug))?;
        Ok(self.core.gate.explain(slug, None, context))
    }

    fn find(&self, slug: &str) -> Option<&Shown> {
        self.known.iter().find(|it| it.slug == slug)
    }
}

impl Extensions for Offline {
    fn list(&self) -> anyhow::Result<Vec<Value>> {
        let row = |it: &Shown| {
            let gate = self.explain(&it.slug)?;
            Ok(json!({
                "slug": it.slug, "name": it.name, "version": it.version, "state": it.state,
                "enabled": gate.enabled, "code": gate.code, "reason": it.reason, "why": gate.reason,
                "private": it.private,
            }))
        };
        self.known.iter().map(row).collect()
    }

    fn show(&self, slug: &str) -> anyhow::Result<Option<Value>> {
        let Some(shown) = self.find(slug) else { return Ok(None) };
        Ok(Some(json!({ "extension": shown, "gates": self.explain(slug)? })))
    }

    fn route(&self, _: &str, path: &str) -> anyhow::Result<Value> {
        Err(exit::conflict(format!(
            "which extension answers `{path}` is known to a running platform alone: start it, or name the extension"
        )))
    }

    fn switch(&self, slug: &str, on: bool) -> anyhow::Result<Value> {
        let (name, edit) = (flag_of(slug), if on { Edit::Enable } else { Edit::Disable });
        let flag = self.runtime.block_on(self.core.flags.edit(&name, edit, by()))?;
        Ok(json!({ "slug": slug, "flag": name, "enabled": flag.gates.boolean, "code": null }))
    }

    fn state(&self, slug: &str, disabled: bool) -> anyhow::Result<Value> {
        // What vanished can be taken out of the file, and not be written into it.
        if disabled && self.find(slug).is_none() {
            return Err(unknown("extension", slug, "ext list"));
        }
        let changed = self.runtime.block_on(self.switch.set(slug, disabled, by()))?;
        Ok(json!({
            "slug": slug, "disabled": disabled, "changed": changed, "restart_required": changed,
        }))
    }

    fn release(&self, slug: &str) -> anyhow::Result<Value> {
        let released =
            self.runtime.block_on(quarantine::release(&self.core.db, slug.to_owned(), by()))?;
        Ok(json!({ "slug": slug, "released": released, "restart_required": released }))
    }
}

/// What the last start says, and what lies on disk since; the gates then know both.
fn known(
    settings: &Settings,
    core: &Core,
    quarantined: &BTreeMap<String, String>,
) -> anyhow::Result<Vec<Shown>> {
    let mut known = report::read(&settings.data)?.unwrap_or_default();
    let found = scan(&settings.extensions.dir);
    known.retain(|it| {
        found.iter().any(|found| found.directory.display().to_string() == it.directory)
    });
    for found in &found {
        if known.iter().all(|it| it.directory != found.directory.display().to_string()) {
            known.push(Shown::found(found));
        }
    }
    let disabled = core.state.read().disabled;
    let place = |slug: &str| known.iter().position(|it| it.slug == slug);
    let installed = known.iter().map(|it| {
        let manifest =
            it.manifest.clone().and_then(|it| serde_json::from_value::<Manifest>(it).ok());
        let dependencies = manifest.iter().flat_map(|it| &it.dependencies);
        Installed {
            slug: it.slug.clone(),
            flag: it.slug.parse::<Slug>().map(|it| it.flag()).unwrap_or_default(),
            loaded: match it.state.as_str() {
                "started" => Ok(()),
                _ => Err(it.why()),
            },
            state_disabled: disabled.contains(&it.slug),
            // A running platform may have put it there since it started.
            quarantined: match it.state.as_str() {
                "quarantined" => Some(it.why()),
                _ => quarantined.get(&it.slug).cloned(),
            },
            capabilities: manifest.as_ref().map(|it| it.capabilities.clone()).unwrap_or_default(),
            dependencies: dependencies.filter_map(|it| place(it.slug.as_str())).collect(),
        }
    });
    core.gate.install(installed.collect());
    Ok(known)
}
