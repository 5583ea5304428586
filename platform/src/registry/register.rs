//! Takes what an extension contributes, if the manifest covers it.

use std::{collections::BTreeSet, time::Duration};

use powernode_abi::{MigrationDef, RawRoute};
use powernode_plugin_api::operation::{Identity, Operation};

use super::mount::{Mount, Mounted};
use crate::manifest::{Manifest, Refusal, Stage};

/// Below it all routes stand.
pub const CORE_PREFIX: &str = "/api/v1/";

/// The parameter of a pattern that is the signed part of a link.
pub const LINK: &str = "link";

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
/// Longest deadline that a route may ask for.
const LONGEST_DEADLINE: Duration = Duration::from_secs(600);

/// Checks the contributions of an extension, and mounts its routes.
///
/// `defined` are the permissions that the core defines; the manifest adds its own.
///
/// # Errors
///
/// [`Refusal`], naming the first contribution that the manifest does not cover.
pub fn register(
    index: usize,
    manifest: &Manifest,
    routes: Vec<RawRoute>,
    migrations: &[MigrationDef],
    defined: &BTreeSet<String>,
) -> Result<Vec<Mounted>, Refusal> {
    let slug = manifest.slug.as_str();
    let contributes = !routes.is_empty() || !migrations.is_empty();
    if contributes && !manifest.components.server {
        let message = format!(
            "`{slug}` contributes routes or migrations, and its manifest declares no server: add `\"server\": true` to `components`"
        );
        return Err(refuse("undeclared_component", message));
    }
    if manifest.frontend.is_some() && !manifest.components.frontend {
        let message = format!(
            "`{slug}` brings pages, and its manifest declares no frontend: add `\"frontend\": true` to `components`"
        );
        return Err(refuse("undeclared_component", message));
    }
    let mut versions = BTreeSet::new();
    if let Some(twice) = migrations.iter().find(|it| !versions.insert(it.version.as_str())) {
        let message = format!(
            "`{slug}` has two migrations of version `{}`: give one of them another",
            twice.version
        );
        return Err(refuse("duplicate_migration", message));
    }
    let mut known = BTreeSet::new();
    let mut mounts = Vec::with_capacity(routes.len());
    for route in routes {
        let mounted = mount(index, manifest, route, defined)?;
        if !known.insert((mounted.mount.method.clone(), shape(&mounted.mount.pattern))) {
            let Mount { method, pattern, .. } = &mounted.mount;
            let message = format!("`{slug}` has the route {method} {pattern} twice");
            return Err(refuse("duplicate_route", message));
        }
        mounts.push(mounted);
    }
    Ok(mounts)
}

fn mount(
    index: usize,
    manifest: &Manifest,
    route: RawRoute,
    defined: &BTreeSet<String>,
) -> Result<Mounted, Refusal> {
    let slug = manifest.slug.as_str();
    let (method, given) = (route.method.into_string(), route.pattern.into_string());
    let bad =
        |code, what: String| refuse(code, format!("`{slug}`, route {method} {given}: {what}"));
    if !METHODS.contains(&method.as_str()) {
        return Err(bad("bad_route", format!("the method must be one of {}", METHODS.join(", "))));
    }
    let pattern = absolute(&given, &manifest.slug.route_prefix());
    let owned = |prefix: String| pattern == prefix || pattern.starts_with(&format!("{prefix}/"));
    if !manifest.owned_prefixes().any(owned) {
        let prefixes: Vec<_> = manifest.owned_prefixes().collect();
        let what = format!(
            "it stands outside of {}: add its prefix to `prefixes` in the manifest",
            prefixes.join(", ")
        );
        return Err(bad("foreign_route", what));
    }
    let operation: Operation = serde_json::from_str(&route.operation)
        .map_err(|error| bad("bad_route", format!("its operation cannot be read: {error}")))?;
    match &operation.identity {
        Identity::Undeclared => {
            let what = "it says not who may call it: add `.permission(…)`, `.public()` or `.own_identity()`";
            return Err(bad("undeclared_identity", what.to_owned()));
        }
        Identity::Permission(permission) => {
            let own = manifest.permissions.iter().any(|it| it.name == *permission);
            if !own && !defined.contains(permission) {
                let what = format!(
                    "nobody defines the permission `{permission}`: add it to `permissions` in the manifest"
                );
                return Err(bad("undefined_permission", what));
            }
        }
        Identity::Signed(_) if !parameters_of(&pattern).iter().any(|it| it == LINK) => {
            let what = format!("it is for signed links, and its pattern has no `{{{LINK}}}`");
            return Err(bad("bad_route", what));
        }
        Identity::Public | Identity::Extension | Identity::Signed(_) => {}
    }
    let deadline = operation.deadline_ms.map(|it| Duration::from_millis(it).min(LONGEST_DEADLINE));
    let parameters = parameters_of(&pattern);
    let mount = Mount { method, pattern, operation };
    let slug = slug.to_owned();
    Ok(Mounted { index, slug, mount, parameters, deadline, handler: route.handler })
}

fn absolute(pattern: &str, prefix: &str) -> String {
    if pattern.starts_with('/') {
        return pattern.to_owned();
    }
    if pattern.is_empty() { prefix.to_owned() } else { format!("{prefix}/{pattern}") }
}

/// Names in braces, in order; `{*rest}` is `rest`.
fn parameters_of(pattern: &str) -> Vec<String> {
    let braces = pattern.split('{').skip(1).filter_map(|it| it.split_once('}'));
    braces.map(|(name, _)| name.trim_start_matches('*').to_owned()).collect()
}

/// The pattern without the names of its parameters.
fn shape(pattern: &str) -> String {
    let mut shape = String::new();
    for part in pattern.split('/').skip(1) {
        shape.push('/');
        shape.push_str(if part.starts_with('{') { "{}" } else { part });
    }
    shape
}

fn refuse(code: &'static str, message: String) -> Refusal {
    Refusal::new(Stage::Register, code, message)
}
