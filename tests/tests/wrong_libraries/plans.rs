//! Extensions that are sound alone, and cannot stand beside the others.

use std::fs;

use anyhow::Result;
use serde_json::{Value, json};

use crate::bench::{Bench, sound};

pub(crate) fn plant(bench: &mut Bench) -> Result<()> {
    dependencies(bench)?;
    owners(bench)
}

fn dependencies(bench: &mut Bench) -> Result<()> {
    // Which is no fault of its own.
    let disabled = bench.plot();
    disabled.package()?.write(&disabled.directory)?;
    fs::write(bench.setup.state_file(), json!({ "disabled": [disabled.slug] }).to_string())?;
    bench.expect("disabled by the state file", &disabled.slug, "disabled");

    let mut needs = |name: &str, expected: &str, needed: Value| {
        bench.plant(name, expected, |plot| plot.manifest(|it| it["dependencies"] = needed))
    };
    needs("(control) dependency there", "started", json!([sound(1)]))?;
    needs("dependency missing", "resolve dependency_missing", json!(["nowhere"]))?;
    let newer = json!([{ "slug": sound(1), "version": "^2.0" }]);
    needs("dependency too old", "resolve dependency_version", newer)?;
    needs("dependency disabled", "resolve dependency_disabled", json!([disabled.slug]))?;

    bench.plant("needs itself", "resolve dependency_self", |plot| {
        plot.manifest(|it| it["dependencies"] = json!([plot.slug]))
    })?;
    let (one, two, three) = (bench.plot(), bench.plot(), bench.plot());
    for (plot, needed) in [(&one, &two), (&two, &one), (&three, &one)] {
        plot.manifest(|it| it["dependencies"] = json!([needed.slug]))?;
    }
    bench.expect("dependencies in a cycle, one", &one.slug, "resolve dependency_cycle");
    bench.expect("dependencies in a cycle, other", &two.slug, "resolve dependency_cycle");
    bench.expect("needs one in a cycle", &three.slug, "resolve dependency_refused");

    let broken =
        bench.fault("(what the next needs) init fails", "init_error", "register init_failed")?;
    bench.plant("needs one whose init fails", "resolve dependency_refused", |plot| {
        plot.manifest(|it| it["dependencies"] = json!([broken]))
    })?;
    let broken =
        bench.fault("(what the next needs) start fails", "start_error", "start init_failed")?;
    bench.plant("needs one whose start fails", "resolve dependency_refused", |plot| {
        plot.manifest(|it| it["dependencies"] = json!([broken]))
    })
}

/// Two owners of one thing: neither can be preferred.
fn owners(bench: &mut Bench) -> Result<()> {
    let mut both = |name: &str, expected: &str, key: &str, value: Value| -> Result<()> {
        for side in ["one", "other"] {
            bench.plant(&format!("{name}, {side}"), expected, |plot| {
                plot.manifest(|it| it[key] = value.clone())
            })?;
        }
        Ok(())
    };
    both(
        "two owners of a capability",
        "resolve capability_conflict",
        "capabilities",
        json!(["billing"]),
    )?;
    both(
        "two owners of a route",
        "resolve prefix_conflict",
        "prefixes",
        json!(["/api/v1/shared"]),
    )?;
    let permission = json!([{ "name": "shared.read", "description": "Reads." }]);
    both("two owners of a permission", "resolve permission_conflict", "permissions", permission)?;

    // One's tables begin like the other's; the libraries are never looked at.
    let plot = bench.plot();
    for slug in ["nested", "nested-inside"] {
        let mut package = plot.package()?;
        package.manifest["slug"] = json!(slug);
        package.manifest["permissions"] = json!([]);
        package.write(&bench.setup.extensions().join(slug))?;
        let name = format!("table prefix of another, `{slug}`");
        bench.expect(&name, slug, "resolve table_prefix_conflict");
    }

    // Hyphens become underscores, so a slug with an underscore would have the prefix of the one with a hyphen: no
    // slug may have one, and of two equal slugs both stay out.
    let slug = "nested_inside";
    let mut package = plot.package()?;
    package.manifest["slug"] = json!(slug);
    package.write(&bench.setup.extensions().join(slug))?;
    let name = "table prefix equal to another's: slug with an underscore";
    bench.expect(name, slug, "manifest manifest_field");

    let plot = bench.plot();
    plot.package()?.write(&plot.directory)?;
    plot.package()?.write(&bench.setup.extensions().join("private").join(&plot.slug))?;
    bench.expect(
        "table prefix equal to another's: slug installed twice",
        &plot.slug,
        "scan slug_duplicate",
    );
    Ok(())
}
