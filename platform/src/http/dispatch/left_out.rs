//! Whose a path is that no table has: an extension that stays out has no routes, and owns its prefixes all the same.

use crate::registry::{CORE_PREFIX, Entry, Registry, State};

/// The place of the extension that owns a path and stays out.
///
/// Nothing where an extension that runs owns the path, or nobody does. The longest prefix decides. This looks at each
/// extension, and is for paths alone that the table does not know.
pub fn left_out(registry: &Registry, path: &str) -> Option<usize> {
    let owners = registry.entries.iter().enumerate().filter_map(|(place, it)| {
        let length = owned(it, path)?;
        Some((length, it.state == State::Started, place))
    });
    let (_, is_running, place) = owners.max()?;
    (!is_running).then_some(place)
}

/// The length of the longest prefix that an extension owns and that a path stands below.
fn owned(entry: &Entry, path: &str) -> Option<usize> {
    let own = path.strip_prefix(CORE_PREFIX).filter(|it| is_below_slug(it, &entry.slug));
    let own = own.map(|_| CORE_PREFIX.len() + entry.slug.len());
    let manifest = entry.manifest.iter();
    let others = manifest.flat_map(|it| &it.prefixes).filter(|it| is_below(path, it));
    others.map(String::len).chain(own).max()
}

/// Underscores are as good as the slug's hyphens.
fn is_below_slug(path: &str, slug: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default().bytes();
    let same = |(a, b): (u8, u8)| a == b || (a == b'_' && b == b'-');
    first.len() == slug.len() && first.zip(slug.bytes()).all(same)
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|it| it.is_empty() || it.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::registry::{Contributions, Faults};

    fn entry(slug: &str, prefixes: &[&str], state: State) -> Entry {
        let manifest =
            json!({ "name": slug, "slug": slug, "version": "1.0.0", "prefixes": prefixes });
        Entry {
            slug: slug.to_owned(),
            directory: slug.into(),
            private: false,
            manifest: Some(Arc::new(serde_json::from_value(manifest).unwrap())),
            state,
            refusal: None,
            warnings: Vec::new(),
            library: None,
            contributions: Contributions::default(),
            plugin: None,
            faults: Faults::default(),
        }
    }

    #[track_caller]
    fn check(path: &str, expected: Option<&str>) {
        let entries = vec![
            entry("supply-chain", &[], State::Failed),
            entry("business", &["/api/v1/baas"], State::Disabled),
            entry("fleet", &["/api/v1/baas/fleet"], State::Started),
            entry("other", &["/api/v1/fleet"], State::Failed),
        ];
        let registry = Registry { entries, ..Registry::default() };
        let found = left_out(&registry, path).and_then(|it| registry.entries.get(it));
        assert_eq!(found.map(|it| it.slug.as_str()), expected, "{path}");
    }

    #[test]
    fn the_longest_prefix_decides_and_one_that_runs_has_its_own() {
        check("/api/v1/supply-chain/parts/1", Some("supply-chain"));
        check("/api/v1/supply_chain", Some("supply-chain"));
        check("/api/v1/supply-chains", None);
        check("/api/v1/baas/tenant", Some("business"));
        check("/api/v1/baass", None);
        check("/api/v1/baas/fleet/x", None);
        check("/api/v1/fleet/x", None);
        check("/api/v1/nobody", None);
        check("/supply-chain", None);
    }
}
