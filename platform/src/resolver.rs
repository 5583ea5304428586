//! The load plan: which extensions load, in which order, and why the others do not.
//!
//! Pure and deterministic: the same manifests give the same plan, in the order
//! of slugs where dependencies leave a choice. One bad extension takes those
//! that need it out with it, and nobody else.

mod conflict;
mod reason;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use semver::Version;

pub use self::reason::Reason;
use crate::{
    manifest::{Manifest, Refusal, Slug},
    package::Found,
};

/// What loads, and what does not.
#[derive(Clone, Debug, Default)]
pub struct LoadPlan {
    /// The extensions to load, each behind those that it needs.
    pub order: Vec<Slug>,
    /// The others with their reasons, in the order of their names.
    pub refused: Vec<(String, Reason)>,
    needs: BTreeMap<Slug, Vec<Slug>>,
}

impl LoadPlan {
    /// Those in [`LoadPlan::order`] that need `slug`, directly or through others, in that order.
    ///
    /// They stay out when `slug` cannot be loaded after all.
    pub fn dependents(&self, slug: &str) -> Vec<Slug> {
        let mut out = BTreeSet::from([slug]);
        let mut dependents = Vec::new();
        for candidate in &self.order {
            let needs = self.needs.get(candidate).map(Vec::as_slice).unwrap_or_default();
            if needs.iter().any(|it| out.contains(it.as_str())) {
                out.insert(candidate.as_str());
                dependents.push(candidate.clone());
            }
        }
        dependents
    }

    /// The refusals as the admin API shows them.
    pub fn refusals(&self) -> impl Iterator<Item = (&str, Refusal)> {
        self.refused.iter().map(|(slug, reason)| (slug.as_str(), reason.refusal(slug)))
    }
}

/// The version of plugin-api that this platform offers.
pub fn api() -> Version {
    Version::parse(powernode_plugin_api::VERSION).unwrap_or(Version::new(1, 0, 0))
}

/// Plans the loading of what a scan found; `disabled` are the state file's slugs, `api` is the version of plugin-api.
pub fn resolve(found: &[Found], disabled: &BTreeSet<String>, api: &Version) -> LoadPlan {
    let mut plan = Planner::default();
    for it in found {
        match &it.manifest {
            Err(refusal) => plan.refuse(&it.name, Reason::Broken(refusal.clone())),
            Ok(_) if disabled.contains(&it.name) => plan.refuse(&it.name, Reason::Disabled),
            Ok(manifest) => match &manifest.api {
                Some(range) if !range.matches(api) => plan
                    .refuse(&it.name, Reason::Api { range: range.clone(), platform: api.clone() }),
                _ => drop(plan.candidates.insert(manifest.slug.clone(), manifest)),
            },
        }
        if let Ok(manifest) = &it.manifest {
            plan.versions.insert(manifest.slug.as_str(), &manifest.version);
        }
    }
    let mut conflicts = conflict::tables(found.iter().filter_map(|it| it.manifest.as_ref().ok()));
    conflicts.extend(conflict::owners(plan.candidates.values().copied()));
    for (slug, reason) in conflicts {
        plan.refuse(slug.as_str(), reason);
    }
    plan.check_dependencies();
    plan.spread();
    plan.order()
}

/// A plan in the making.
#[derive(Default)]
struct Planner<'a> {
    candidates: BTreeMap<Slug, &'a Manifest>,
    versions: BTreeMap<&'a str, &'a Version>,
    refused: BTreeMap<String, Reason>,
}

impl<'a> Planner<'a> {
    /// The first reason counts.
    fn refuse(&mut self, slug: &str, reason: Reason) {
        self.refused.entry(slug.to_owned()).or_insert(reason);
        self.candidates.remove(slug);
    }

    /// Refuses those whose dependencies can never be met.
    fn check_dependencies(&mut self) {
        let mut refused = Vec::new();
        for (slug, manifest) in &self.candidates {
            let reason = manifest.dependencies.iter().find_map(|needed| {
                let dependency = needed.slug.clone();
                if dependency == *slug {
                    return Some(Reason::NeedsItself);
                }
                match self.versions.get(dependency.as_str()) {
                    None if self.refused.contains_key(dependency.as_str()) => None,
                    None => Some(Reason::Missing { dependency }),
                    Some(found) if !needed.version.matches(found) => Some(Reason::Version {
                        dependency,
                        required: needed.version.clone(),
                        found: (*found).clone(),
                    }),
                    Some(_) => None,
                }
            });
            refused.extend(reason.map(|it| (slug.clone(), it)));
        }
        for (slug, reason) in refused {
            self.refuse(slug.as_str(), reason);
        }
    }

    /// Refuses those that need a refused one, until nobody is left who does.
    fn spread(&mut self) {
        loop {
            let next = self.candidates.iter().find_map(|(slug, manifest)| {
                let needed = manifest
                    .dependencies
                    .iter()
                    .find(|it| self.refused.contains_key(it.slug.as_str()))?;
                let reason = Reason::behind(&needed.slug, self.refused.get(needed.slug.as_str())?);
                Some((slug.clone(), reason))
            });
            match next {
                Some((slug, reason)) => self.refuse(slug.as_str(), reason),
                None => return,
            }
        }
    }

    /// Takes, again and again, the first slug whose dependencies are all taken; what is left stands in a cycle or behind one.
    fn order(mut self) -> LoadPlan {
        let mut order: Vec<Slug> = Vec::new();
        let mut left = self.candidates.clone();
        while let Some(next) = left
            .iter()
            .find(|(_, manifest)| {
                !manifest.dependencies.iter().any(|it| left.contains_key(&it.slug))
            })
            .map(|(slug, _)| slug.clone())
        {
            left.remove(&next);
            order.push(next);
        }
        let cycles: Vec<_> = left
            .keys()
            .filter_map(|slug| Some((slug.clone(), cycle_through(slug, &left)?)))
            .collect();
        for (slug, path) in cycles {
            self.refuse(slug.as_str(), Reason::Cycle { path });
        }
        self.spread();
        let needs =
            |manifest: &Manifest| manifest.dependencies.iter().map(|it| it.slug.clone()).collect();
        let needs = self.candidates.iter().map(|(slug, it)| (slug.clone(), needs(it))).collect();
        LoadPlan { order, refused: self.refused.into_iter().collect(), needs }
    }
}

/// A shortest way from `start` along dependencies back to it.
fn cycle_through(start: &Slug, left: &BTreeMap<Slug, &Manifest>) -> Option<Vec<Slug>> {
    let mut came_from: BTreeMap<&Slug, &Slug> = BTreeMap::new();
    let mut queue = VecDeque::from([left.get_key_value(start)?]);
    while let Some((slug, manifest)) = queue.pop_front() {
        for needed in &manifest.dependencies {
            if needed.slug == *start {
                let mut path = vec![start.clone()];
                let mut at = slug;
                while at != start {
                    path.push(at.clone());
                    at = came_from.get(at)?;
                }
                path.push(start.clone());
                path.reverse();
                return Some(path);
            }
            if let Some((next, manifest)) = left.get_key_value(&needed.slug)
                && !came_from.contains_key(next)
            {
                came_from.insert(next, slug);
                queue.push_back((next, manifest));
            }
        }
    }
    None
}
