use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::manifest;

/// One extension a line: `slug version needs a b@^1 can x may y.z owns /p api ^1`, `-slug` is disabled, `!slug` broken.
#[track_caller]
fn check(installed: &str, outcome: Expect) {
    let plan = plan(installed);
    let order: Vec<_> = plan.order.iter().map(Slug::as_str).collect();
    let refused = plan.refusals().map(|(_, it)| format!("{}: {}", it.code, it.message));
    outcome.assert_eq(&[vec![order.join(" ")], refused.collect()].concat().join("\n"));
}

fn plan(installed: &str) -> LoadPlan {
    let mut disabled = BTreeSet::new();
    let found: Vec<_> = installed
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap();
            let slug = name.trim_start_matches(['-', '!']).to_owned();
            if name.starts_with('-') {
                disabled.insert(slug.clone());
            }
            let manifest = if name.starts_with('!') {
                Err(Refusal::new(manifest::Stage::Manifest, "manifest_not_json", "cannot use it"))
            } else {
                Ok(manifest(&slug, words))
            };
            Found { name: slug, directory: "x".into(), private: false, manifest, warnings: vec![] }
        })
        .collect();
    resolve(&found, &disabled, &Version::new(1, 2, 0))
}

fn manifest<'a>(slug: &str, mut words: impl Iterator<Item = &'a str>) -> Manifest {
    let mut json = json!({"name": slug, "slug": slug, "version": words.next().unwrap_or("1.0.0"),
        "dependencies": [], "capabilities": [], "permissions": [], "prefixes": []});
    let mut verb = "";
    for word in words {
        let (list, entry) = match (verb, word) {
            (_, "needs" | "can" | "may" | "owns" | "api") => {
                verb = word;
                continue;
            }
            ("needs", word) => match word.split_once('@') {
                Some((slug, version)) => {
                    ("dependencies", json!({"slug": slug, "version": version}))
                }
                None => ("dependencies", json!(word)),
            },
            ("can", word) => ("capabilities", json!(word)),
            ("may", word) => ("permissions", json!({"name": word, "description": ""})),
            ("owns", word) => ("prefixes", json!(word)),
            (_, word) => {
                json["api"] = json!(word);
                continue;
            }
        };
        json[list].as_array_mut().unwrap().push(entry);
    }
    manifest::parse(json.to_string().as_bytes()).unwrap().manifest
}

#[test]
fn nothing_installed_is_a_plan() {
    check("", expect![""]);
}

#[test]
fn equals_go_by_slug() {
    check("c\nb\na", expect!["a b c"]);
}

#[test]
fn dependencies_go_first() {
    check("a 1.0.0 needs z\nb\nz 1.0.0 needs y\ny", expect!["b y z a"]);
}

#[test]
fn a_missing_dependency_takes_its_dependents_out() {
    check(
        "a 1.0.0 needs b\nb 1.0.0 needs gone\nc",
        expect![[r#"
        c
        dependency_refused: cannot load `a`: it needs `b`, which stays out: `b`: it needs `gone`, which is not installed; install that first
        dependency_missing: cannot load `b`: it needs `gone`, which is not installed; install that first"#]],
    );
}

#[test]
fn a_disabled_dependency_is_named() {
    check(
        "a 1.0.0 needs b\nb 1.0.0 needs c\n-c\nd",
        expect![[r#"
        d
        dependency_disabled: cannot load `a`: it needs `b`, which stays out: `c`: it is listed under `disabled` in extensions_state.json; take it out there and restart
        dependency_disabled: cannot load `b`: it needs `c`, which stays out: `c`: it is listed under `disabled` in extensions_state.json; take it out there and restart
        disabled: cannot load `c`: it is listed under `disabled` in extensions_state.json; take it out there and restart"#]],
    );
}

#[test]
fn a_broken_dependency_is_named() {
    check(
        "a 1.0.0 needs b\n!b\nc",
        expect![[r#"
        c
        dependency_refused: cannot load `a`: it needs `b`, which stays out: `b`: cannot use it
        manifest_not_json: cannot use it"#]],
    );
}

#[test]
fn a_dependency_may_be_too_old() {
    check(
        "a 1.0.0 needs b@^1.2\nb 1.1.9\nc 1.0.0 needs b@^1.0",
        expect![[r#"
        b c
        dependency_version: cannot load `a`: it needs `b` ^1.2, found 1.1.9; install a version of `b` that fits"#]],
    );
}

#[test]
fn the_platform_may_be_too_old() {
    check(
        "a 1.0.0 api ^1.3\nb 1.0.0 api ^1.0\nc 1.0.0 api ^2",
        expect![[r#"
        b
        api_range: cannot load `a`: it works with plugin-api ^1.3, this platform has 1.2.0; install a version of it for this platform
        api_range: cannot load `c`: it works with plugin-api ^2, this platform has 1.2.0; install a version of it for this platform"#]],
    );
}

#[test]
fn nobody_needs_itself() {
    check(
        "a 1.0.0 needs a\nb",
        expect![[r#"
        b
        dependency_self: cannot load `a`: it names itself among its dependencies; remove that line from its manifest"#]],
    );
}

#[test]
fn a_cycle_is_printed_with_its_path() {
    check(
        "a 1.0.0 needs b\nb 1.0.0 needs c\nc 1.0.0 needs a\nd 1.0.0 needs c\ne",
        expect![[r#"
            e
            dependency_cycle: cannot load `a`: its dependencies lead back to it: a → b → c → a; remove one of them
            dependency_cycle: cannot load `b`: its dependencies lead back to it: b → c → a → b; remove one of them
            dependency_cycle: cannot load `c`: its dependencies lead back to it: c → a → b → c; remove one of them
            dependency_refused: cannot load `d`: it needs `c`, which stays out: `c`: its dependencies lead back to it: c → a → b → c; remove one of them"#]],
    );
}

#[test]
fn a_table_prefix_inside_anothers_names_both() {
    check(
        "supply\nsupply-chain\nsupplier",
        expect![[r#"
        supplier
        table_prefix_conflict: cannot load `supply`: its tables begin with `supply_`, those of `supply-chain` with `supply_chain_`, so that one extension's tables could be taken for the other's; rename or uninstall one of them
        table_prefix_conflict: cannot load `supply-chain`: its tables begin with `supply_chain_`, those of `supply` with `supply_`, so that one extension's tables could be taken for the other's; rename or uninstall one of them"#]],
    );
}

#[test]
fn a_disabled_extension_owns_no_capability() {
    check(
        "-a 1.0.0 can x\nb 1.0.0 can x",
        expect![[r#"
        b
        disabled: cannot load `a`: it is listed under `disabled` in extensions_state.json; take it out there and restart"#]],
    );
}

#[test]
fn a_disabled_extension_still_owns_its_tables() {
    check(
        "-supply-chain\nsupply",
        expect![[r#"

        table_prefix_conflict: cannot load `supply`: its tables begin with `supply_`, those of `supply-chain` with `supply_chain_`, so that one extension's tables could be taken for the other's; rename or uninstall one of them
        disabled: cannot load `supply-chain`: it is listed under `disabled` in extensions_state.json; take it out there and restart"#]],
    );
}

#[test]
fn a_capability_has_one_owner() {
    check(
        "a 1.0.0 can x y\nb 1.0.0 can y\nc 1.0.0 can z",
        expect![[r#"
        c
        capability_conflict: cannot load `a`: capability `y` is also declared by `b`; disable one of them
        capability_conflict: cannot load `b`: capability `y` is also declared by `a`; disable one of them"#]],
    );
}

#[test]
fn a_permission_has_one_owner() {
    check(
        "a 1.0.0 may x.read\nb 1.0.0 may x.read",
        expect![[r#"

        permission_conflict: cannot load `a`: permission `x.read` is also defined by `b`; disable one of them
        permission_conflict: cannot load `b`: permission `x.read` is also defined by `a`; disable one of them"#]],
    );
}

#[test]
fn a_route_prefix_has_one_owner() {
    check(
        "a 1.0.0 owns /api/v1/baas\nb 1.0.0 owns /api/v1/baas",
        expect![[r#"

        prefix_conflict: cannot load `a`: its routes under `/api/v1/baas` collide with those of `b` under `/api/v1/baas`; disable one of them
        prefix_conflict: cannot load `b`: its routes under `/api/v1/baas` collide with those of `a` under `/api/v1/baas`; disable one of them"#]],
    );
    check(
        "a 1.0.0 owns /api/v1/baas\nb 1.0.0 owns /api/v1/baas/x",
        expect![[r#"

        prefix_conflict: cannot load `a`: its routes under `/api/v1/baas` collide with those of `b` under `/api/v1/baas/x`; disable one of them
        prefix_conflict: cannot load `b`: its routes under `/api/v1/baas/x` collide with those of `a` under `/api/v1/baas`; disable one of them"#]],
    );
    check("a 1.0.0 owns /api/v1/baas\nb 1.0.0 owns /api/v1/baas2 /api/v1/b/x", expect!["a b"]);
    check(
        "supply-chain\nb 1.0.0 owns /api/v1/supply_chain/x",
        expect![[r#"

        prefix_conflict: cannot load `b`: its routes under `/api/v1/supply-chain/x` collide with those of `supply-chain` under `/api/v1/supply-chain`; disable one of them
        prefix_conflict: cannot load `supply-chain`: its routes under `/api/v1/supply-chain` collide with those of `b` under `/api/v1/supply-chain/x`; disable one of them"#]],
    );
}

#[test]
fn dependents_are_all_who_need_it() {
    let plan = plan("a\nb 1.0.0 needs a\nc 1.0.0 needs b\nd\ne 1.0.0 needs d c");
    assert_eq!(plan.dependents("a"), ["b", "c", "e"].map(|it| it.parse().unwrap()));
    assert_eq!(plan.dependents("e"), []);
}

#[test]
fn the_order_of_what_was_found_is_no_matter() {
    let lines = [
        "a 1.0.0 needs c",
        "b",
        "c 1.0.0 needs b",
        "d 1.0.0 needs gone",
        "e 1.0.0 needs f",
        "f 1.0.0 needs e",
    ];
    let expected = format!("{:?}", plan(&lines.join("\n")));
    for turn in 1..lines.len() {
        let mut turned = lines;
        turned.rotate_left(turn);
        assert_eq!(format!("{:?}", plan(&turned.join("\n"))), expected);
    }
}

proptest! {
    #[test]
    fn any_graph_gives_a_plan_that_holds(
        graph in prop::collection::vec(prop::collection::btree_set(0..14usize, 0..4), 1..12),
        off in prop::collection::btree_set(0..12usize, 0..3),
    ) {
        // Names from n12 on are not installed.
        let lines: Vec<_> = graph.iter().enumerate().map(|(index, needs)| {
            let needs: Vec<_> = needs.iter().map(|it| format!("n{it}")).collect();
            let mark = if off.contains(&index) { "-" } else { "" };
            format!("{mark}n{index} 1.0.0 needs {}", needs.join(" "))
        }).collect();
        let plan = plan(&lines.join("\n"));
        let mut loaded = BTreeSet::new();
        for slug in &plan.order {
            let index: usize = slug.as_str()[1..].parse().unwrap();
            prop_assert!(!off.contains(&index));
            prop_assert!(graph[index].iter().all(|it| loaded.contains(it)), "{slug} before its dependencies");
            loaded.insert(index);
        }
        prop_assert_eq!(plan.order.len() + plan.refused.len(), graph.len());
        // Whatever could have loaded did.
        for (slug, _) in &plan.refused {
            let index: usize = slug[1..].parse().unwrap();
            prop_assert!(off.contains(&index) || !graph[index].iter().all(|it| loaded.contains(it)));
        }
    }
}
