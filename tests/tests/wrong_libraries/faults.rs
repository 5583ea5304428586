//! Libraries that are what they say, and misbehave once they run.

use anyhow::Result;
use serde_json::json;

use crate::bench::Bench;

pub(crate) fn plant(bench: &mut Bench) -> Result<()> {
    for (name, fault, expected) in [
        ("(control) no fault", "none", "started"),
        ("settings of a wrong type", "no_such_fault", "register init_failed"),
        ("init panics", "init_panic", "register panicked"),
        ("init panics with a payload that panics", "init_payload", "register panicked"),
        ("init answers an error", "init_error", "register init_failed"),
        ("init hangs", "init_hang", "register timed_out"),
        ("routes panic", "routes_panic", "register panicked"),
        ("start panics", "start_panic", "start panicked"),
        ("start answers an error", "start_error", "start init_failed"),
        ("start hangs", "start_hang", "start timed_out"),
        ("route without identity", "undeclared_identity", "register undeclared_identity"),
        ("permission that nobody defines", "undefined_permission", "register undefined_permission"),
        ("route for links without one", "unlinked_route", "register bad_route"),
        ("route twice", "duplicate_route", "register duplicate_route"),
        ("route of somebody else", "foreign_route", "register foreign_route"),
        ("route of the core", "reserved_route", "register foreign_route"),
        ("pattern with an open brace", "bad_pattern", "register route_conflict"),
        ("patterns that clash", "clashing_patterns", "register route_conflict"),
        ("migration twice", "duplicate_migration", "register duplicate_migration"),
        ("migration that fails", "broken_migration", "migrate migration_failed"),
        ("migration of the core's tables", "trespass", "migrate migration_failed"),
    ] {
        bench.fault(name, fault, expected)?;
    }
    components(bench)
}

/// What an extension contributes to, and what its manifest says of it.
fn components(bench: &mut Bench) -> Result<()> {
    bench.plant("component not declared: server", "register undeclared_component", |plot| {
        plot.manifest(|it| it["components"] = json!({ "server": false }))
    })?;
    let pages = json!({ "api": 1, "entry": "frontend/index.js" });
    bench.plant("component not declared: frontend", "register undeclared_component", |plot| {
        plot.manifest(|it| it["frontend"] = pages.clone())
    })?;
    bench.plant("(control) component declared: frontend", "started", |plot| {
        plot.manifest(|it| {
            it["components"]["frontend"] = json!(true);
            it["frontend"] = pages;
        })
    })?;
    // The interface has no jobs, so no library contributes to it without saying so.
    for worker in [json!(true), json!({ "api_only": true })] {
        let name = format!("(control) component declared, nothing contributed: worker {worker}");
        bench.plant(&name, "started", |plot| {
            plot.manifest(|it| it["components"]["worker"] = worker)
        })?;
    }
    for component in ["server", "frontend", "worker"] {
        let name = format!("component is neither true nor false: {component}");
        bench.plant(&name, "manifest manifest_field", |plot| {
            plot.manifest(|it| it["components"][component] = json!("maybe"))
        })?;
    }
    bench.plant("component that is not known", "started", |plot| {
        plot.manifest(|it| it["components"]["mobile"] = json!(true))
    })
}
