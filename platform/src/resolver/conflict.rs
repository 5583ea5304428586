use std::collections::BTreeMap;

use super::Reason;
use crate::manifest::{Manifest, Slug};

/// Tables that could be taken for another extension's; they outlive a disabled extension, so `manifests` are all that are installed.
pub(super) fn tables<'a>(manifests: impl Iterator<Item = &'a Manifest>) -> Vec<(Slug, Reason)> {
    let mut found = Vec::new();
    let prefixes = manifests.map(|it| (&it.slug, it.slug.table_prefix())).collect();
    nested(&mut found, prefixes, |own, other, others| Reason::TablePrefix { own, other, others });
    found
}

/// Things that two of `manifests` own: both stay out, each with the other's name.
pub(super) fn owners<'a>(
    manifests: impl Iterator<Item = &'a Manifest> + Clone,
) -> Vec<(Slug, Reason)> {
    let mut found = Vec::new();
    let routes = manifests
        .clone()
        .flat_map(|it| it.owned_prefixes().map(|prefix| (&it.slug, closed(&prefix))));
    nested(&mut found, routes.collect(), |own, other, others| {
        let open = |prefix: &str| prefix.trim_end_matches('/').to_owned();
        Reason::RoutePrefix { own: open(&own), other, others: open(&others) }
    });
    let capabilities = manifests
        .clone()
        .flat_map(|it| it.capabilities.iter().map(|name| (&it.slug, name.as_str())));
    twice(&mut found, capabilities, |capability, other| Reason::Capability { capability, other });
    let permissions =
        manifests.flat_map(|it| it.permissions.iter().map(|one| (&it.slug, one.name.as_str())));
    twice(&mut found, permissions, |permission, other| Reason::Permission { permission, other });
    found
}

/// A route prefix with its last slash, so that containment is that of whole words; underscores stand for hyphens in routes.
fn closed(prefix: &str) -> String {
    prefix.replace('_', "-") + "/"
}

/// Prefixes that are equal, or one inside the other.
fn nested(
    found: &mut Vec<(Slug, Reason)>,
    mut prefixes: Vec<(&Slug, String)>,
    reason: impl Fn(String, Slug, String) -> Reason,
) {
    prefixes.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
    // In this order whatever begins with a prefix stands right behind it.
    for (index, (slug, prefix)) in prefixes.iter().enumerate() {
        for (other, others) in
            prefixes[index + 1..].iter().take_while(|(_, it)| it.starts_with(prefix))
        {
            if slug != other {
                found.push((
                    (*slug).clone(),
                    reason(prefix.clone(), (*other).clone(), others.clone()),
                ));
                found.push((
                    (*other).clone(),
                    reason(others.clone(), (*slug).clone(), prefix.clone()),
                ));
            }
        }
    }
}

/// Names with two owners.
fn twice<'a>(
    found: &mut Vec<(Slug, Reason)>,
    names: impl Iterator<Item = (&'a Slug, &'a str)>,
    reason: impl Fn(String, Slug) -> Reason,
) {
    let mut owners: BTreeMap<&str, &Slug> = BTreeMap::new();
    for (slug, name) in names {
        match owners.get(name) {
            Some(owner) if *owner != slug => {
                found.push((slug.clone(), reason(name.to_owned(), (*owner).clone())));
                found.push(((*owner).clone(), reason(name.to_owned(), slug.clone())));
            }
            Some(_) => {}
            None => drop(owners.insert(name, slug)),
        }
    }
}
