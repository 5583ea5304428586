use super::*;
use crate::registry::quarantine;

const RESCAN: &str = "POST /api/v1/admin/extensions/rescan";
const SHOP: &str = "/api/v1/admin/extensions/shop";

/// What a rescan says of `shop`, and whether it asks for a restart.
#[track_caller]
fn rescanned(house: &House) -> (Vec<String>, Value) {
    let mut said = house.operator(RESCAN);
    let all = said["extensions"].as_array().cloned().unwrap_or_default();
    let shop = all.iter().find(|it| it["slug"] == "shop");
    let changes = shop.and_then(|it| it["changes"].as_array()).cloned().unwrap_or_default();
    (
        changes.into_iter().map(|mut it| text(it["what"].take())).collect(),
        said["restart_required"].take(),
    )
}

#[track_caller]
fn rescan_says(change: impl FnOnce(&House), expected: &[&str]) {
    let house = House::having(&["shop", "basket"]);
    assert_eq!(rescanned(&house), (Vec::new(), json!(false)), "nothing changed yet");
    change(&house);
    let expected: Vec<_> = expected.iter().map(|it| (*it).to_owned()).collect();
    assert_eq!(rescanned(&house), (expected, json!(true)));
}

#[test]
fn a_rescan_tells_what_came_and_went() {
    let house = House::new();
    install(house.directory.path(), "shop", json!({}));
    assert_eq!(rescanned(&house), (vec!["added".to_owned()], json!(true)));
    rescan_says(
        |house| fs::remove_dir_all(house.directory.path().join("extensions/shop")).unwrap(),
        &["vanished"],
    );
}

#[test]
fn a_rescan_tells_a_manifest_and_a_library_that_changed() {
    let changed =
        |change: Value| move |house: &House| install(house.directory.path(), "shop", change);
    let library = json!({ powernode_abi::note::TARGET: {
        "path": "lib/libshop.so", "sha256": "0".repeat(64), "sdk": "1.0.0", "panic": "unwind",
    } });
    rescan_says(changed(json!({ "version": "1.0.1" })), &["manifest"]);
    rescan_says(changed(json!({ "capabilities": ["sell"] })), &["manifest"]);
    rescan_says(changed(json!({ "library": library })), &["library", "manifest"]);
    rescan_says(changed(json!({ "version": "one" })), &["manifest"]);
    rescan_says(
        |house| {
            install(
                house.directory.path(),
                "basket",
                json!({ "capabilities": ["shop"], "dependencies": ["shop"] }),
            )
        },
        &[],
    );
}

#[test]
fn a_rescan_tells_the_state_file_also_where_an_editor_changed_it() {
    rescan_says(
        |house| {
            let file = house.directory.path().join("extensions.json");
            fs::write(file, r#"{"disabled":["shop"]}"#).unwrap();
        },
        &["state"],
    );
    let house = House::having(&["shop"]);
    let said = house.operator(&format!(r#"PUT {SHOP}/state <- {{"disabled":true}}"#));
    assert_eq!((&said["changed"], &said["restart_required"]), (&json!(true), &json!(true)));
    assert_eq!(rescanned(&house).1, json!(true));
    let said = house.operator(&format!(r#"PUT {SHOP}/state <- {{"disabled":false}}"#));
    assert_eq!((&said["changed"], &said["restart_required"]), (&json!(true), &json!(false)));
    assert_eq!(rescanned(&house).1, json!(false));
    assert_eq!(house.audited("extension.state").len(), 2);
}

#[test]
fn a_rescan_tells_what_is_behind_an_extension_that_changed() {
    let directory = tempfile::tempdir().unwrap();
    install(directory.path(), "basket", json!({}));
    install(directory.path(), "shop", json!({ "dependencies": ["basket"] }));
    let house = House::boot(directory, &[]);
    assert_eq!(rescanned(&house).1, json!(false));
    fs::remove_dir_all(house.directory.path().join("extensions/basket")).unwrap();
    assert_eq!(rescanned(&house), (vec!["plan".to_owned()], json!(true)));
}

#[test]
fn an_extension_is_released_over_http() {
    let directory = tempfile::tempdir().unwrap();
    install(directory.path(), "shop", json!({}));
    let before = House::boot(directory, &[]);
    let keep = quarantine::keep(&before.platform.core, "shop".to_owned(), "it hung".to_owned());
    before.serving.block_on(keep).unwrap();
    let house = before.restart();

    let shown = house.operator(&format!("GET {SHOP}"));
    assert_eq!((&shown["state"], &shown["enabled"]), (&json!("quarantined"), &json!(false)));
    assert_eq!(rescanned(&house).1, json!(false));
    let (other, _) = house.token(&["admin.extensions.read"]);
    house.refuses(&other, &format!("POST {SHOP}/release"), "403 FORBIDDEN");
    let release = || house.operator(&format!("POST {SHOP}/release"));
    let said = release();
    assert_eq!((&said["released"], &said["restart_required"]), (&json!(true), &json!(true)));
    assert_eq!(rescanned(&house), (vec!["released".to_owned()], json!(true)));
    assert_eq!(house.audited("extension.release").len(), 1);
    assert_eq!(release()["released"], json!(false));

    let house = house.restart();
    assert_ne!(house.operator(&format!("GET {SHOP}"))["state"], "quarantined");
    house.refuses(&house.operator, "POST /api/v1/admin/extensions/none/release", "404 NOT_FOUND");
}

#[test]
fn an_extensions_flag_is_switched_shown_and_audited() {
    let house = House::having(&["shop"]);
    let switched = |on: bool| {
        house.operator(&format!(r#"PUT {SHOP}/flag <- {{"enabled":{on}}}"#));
        let flag = house.operator("GET /api/v1/admin/flags/shop_mode");
        (flag["gates"]["boolean"].clone(), flag["chosen"].clone())
    };
    assert_eq!(house.operator("GET /api/v1/admin/flags/shop_mode")["chosen"], json!(false));
    assert_eq!(switched(true), (json!(true), json!(true)));
    assert_eq!(switched(false), (json!(false), json!(true)));
    assert_eq!(house.audited("flag.enable")[0]["subject"], "flag/shop_mode");
    let (other, _) = house.token(&["admin.extensions.read"]);
    let request = format!(r#"PUT {SHOP}/flag <- {{"enabled":true}}"#);
    house.refuses(&other, &request, "403 FORBIDDEN");
    house.refuses("", &request, "401 UNAUTHORIZED");
    let none = r#"PUT /api/v1/admin/extensions/none/flag <- {"enabled":true}"#;
    house.refuses(&house.operator, none, "404 NOT_FOUND");
    assert_eq!(switched(false), (json!(false), json!(true)), "a refusal changes nothing");
}
