//! The admin API: each change shows through another endpoint, and nobody changes what they may not.

#![expect(clippy::unwrap_used, reason = "a test ends where its setup fails")]

use std::time::Duration;

use powernode_tests::instance::Instance;
use powernode_tests::setup::Setup;
use serde_json::{Value, json};

const EXTENSION: &str = "/api/v1/admin/extensions/fixture-000";
const FLAG: &str = "/api/v1/admin/extensions/fixture-000/flag";
const STATE: &str = "/api/v1/admin/extensions/fixture-000/state";
const SOON: Duration = Duration::from_secs(10);

fn start() -> Instance {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    setup
        .with_setting("server.body_limit", "2000")
        .with_setting("server.body_timeout", "300ms")
        .start()
        .unwrap()
}

fn ok(instance: &Instance) -> u16 {
    instance.anonymous().get("/api/v1/fixture-000/ok").unwrap().status
}

/// What the operator reads at a path.
#[track_caller]
fn read(instance: &Instance, path: &str) -> Value {
    let answer = instance.operator().get(path).unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.data()
}

/// What the operator's request is refused with; a body is sent as JSON.
#[track_caller]
fn refused(instance: &Instance, request: &str, expected: &str) {
    let (head, body) = request.split_once(" <- ").unwrap_or((request, ""));
    let (method, path) = head.split_once(' ').unwrap();
    let headers = [("content-type", "application/json")];
    let headers = if body.is_empty() { &[] } else { &headers[..] };
    let answer = instance.operator().send(method, path, headers, body.as_bytes().to_vec()).unwrap();
    assert_eq!(answer.failure(), expected, "{request}");
}

#[test]
fn a_flag_switches_at_once_and_is_audited() {
    let instance = start();
    assert_eq!(ok(&instance), 200);
    let answer = instance.operator().put(FLAG, &json!({ "enabled": false })).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(ok(&instance), 404);
    let listed = read(&instance, "/api/v1/admin/audit").to_string();
    assert!(listed.contains("fixture_000_mode"), "{listed}");
    assert!(read(&instance, EXTENSION).to_string().contains("fixture_000_mode"));
    instance.operator().put(FLAG, &json!({ "enabled": true })).unwrap();
    assert_eq!(ok(&instance), 200);
    let verified = instance.cli(&["audit", "verify", "--json"]).unwrap();
    assert_eq!(verified.json().unwrap()["intact"], true);
}

#[test]
fn a_flags_choice_outlives_a_kill() {
    let instance = start();
    instance.operator().put(FLAG, &json!({ "enabled": false })).unwrap();
    let instance = instance.kill().unwrap().start().unwrap();
    assert_eq!(ok(&instance), 404, "the choice was off, though the manifest says on");
    instance.operator().put(FLAG, &json!({ "enabled": true })).unwrap();
    let instance = instance.kill().unwrap().start().unwrap();
    assert_eq!(ok(&instance), 200);
}

#[test]
fn a_state_counts_from_the_next_start_on() {
    let instance = start();
    let answer = instance.operator().put(STATE, &json!({ "disabled": true })).unwrap();
    assert_eq!((answer.status, &answer.data()["restart_required"]), (200, &json!(true)));
    assert_eq!(ok(&instance), 200);
    let instance = instance.kill().unwrap().start().unwrap();
    assert_eq!(ok(&instance), 404);
    assert_eq!(read(&instance, EXTENSION)["state"], "disabled");
    instance.operator().put(STATE, &json!({ "disabled": false })).unwrap();
    let instance = instance.stop().unwrap().start().unwrap();
    assert_eq!(ok(&instance), 200);
}

#[test]
fn an_unknown_thing_is_404_and_a_wrong_method_405() {
    let instance = start();
    refused(&instance, "GET /api/v1/admin/nowhere", "404 NOT_FOUND");
    refused(&instance, "GET /api/v1/admin/extensions/nobody", "404 NOT_FOUND");
    refused(&instance, "GET /api/v1/admin/flags/nobody_mode", "404 NOT_FOUND");
    refused(&instance, "DELETE /api/v1/admin/extensions", "405 METHOD_NOT_ALLOWED");
}

#[test]
fn a_bad_body_changes_nothing() {
    let instance = start();
    refused(&instance, &format!("PUT {FLAG} <- {{"), "400 INVALID_JSON");
    refused(&instance, &format!("PUT {FLAG} <- {{\"enabled\":\"no\"}}"), "422 VALIDATION_FAILED");
    refused(&instance, &format!("PUT {FLAG} <- {{}}"), "422 VALIDATION_FAILED");
    let long = format!("{{\"enabled\":false,\"more\":\"{}\"}}", "x".repeat(3000));
    refused(&instance, &format!("PUT {FLAG} <- {long}"), "413 BODY_TOO_LARGE");
    let headers = [("content-type", "text/plain")];
    let answer = instance.operator().send("PUT", FLAG, &headers, b"{}".to_vec()).unwrap();
    assert_eq!(answer.failure(), "415 UNSUPPORTED_MEDIA_TYPE");
    let mut raw = instance.raw().unwrap();
    let token = instance.token().unwrap();
    raw.send(format!(
        "PUT {FLAG} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    ))
    .unwrap();
    assert_eq!(raw.answer(SOON).unwrap().failure(), "408 BODY_TOO_SLOW");
    assert_eq!(ok(&instance), 200);
}

#[test]
fn pages_are_numbers_and_clamped() {
    let instance = start();
    for query in ["page=abc", "page=0", "per_page=-1"] {
        let request = format!("GET /api/v1/admin/audit?{query}");
        refused(&instance, &request, "422 VALIDATION_FAILED");
    }
    let answer = instance.operator().get("/api/v1/admin/audit?per_page=1000").unwrap();
    assert_eq!(answer.json()["meta"]["pagination"]["per_page"], 100, "{}", answer.text());
}

#[test]
fn nobody_and_somebody_without_the_right_change_nothing() {
    let instance = start();
    let words = ["tokens", "create", "--scope", "nothing.read", "--json"];
    let made = instance.cli(&words).unwrap().json().unwrap();
    let other = instance.client(made["token"].as_str().unwrap());
    let nobody = instance.anonymous();
    for path in [
        "/api/v1/admin/extensions",
        EXTENSION,
        "/api/v1/admin/flags",
        "/api/v1/admin/flags/fixture_000_mode",
        "/api/v1/admin/audit",
        "/api/v1/admin/explain?method=GET&path=/api/v1/fixture-000/ok",
    ] {
        assert_eq!(other.get(path).unwrap().failure(), "403 FORBIDDEN", "{path}");
        assert_eq!(nobody.get(path).unwrap().failure(), "401 UNAUTHORIZED", "{path}");
    }
    for (path, body) in [(FLAG, json!({ "enabled": false })), (STATE, json!({ "disabled": true }))]
    {
        assert_eq!(other.put(path, &body).unwrap().failure(), "403 FORBIDDEN", "{path}");
        assert_eq!(nobody.put(path, &body).unwrap().failure(), "401 UNAUTHORIZED", "{path}");
    }
    assert_eq!(ok(&instance), 200);
    assert!(!instance.setup().state_file().exists(), "nothing was disabled");
}

#[test]
fn a_closed_gate_is_explained() {
    let instance = start();
    let asked = "/api/v1/admin/explain?method=GET&path=/api/v1/fixture-000/ok";
    read(&instance, asked);
    instance.operator().put(FLAG, &json!({ "enabled": false })).unwrap();
    let said = read(&instance, asked).to_string();
    assert!(said.contains("fixture_000_mode"), "{said}");
    let said = read(&instance, "/api/v1/admin/extensions/fixture-000/explain").to_string();
    assert!(said.contains("fixture_000_mode") && said.contains("closed"), "{said}");
}

/// What callers and the operator are told of the path of an extension that stays out, and the command that mends it.
#[track_caller]
fn stays_out(instance: &Instance, expected: &str, gate: &str, reason: &str, fix: &str) {
    let paths =
        ["/api/v1/fixture-000/ok", "/api/v1/fixture_000/no/such?x=1", "/api/v1/fixture-000"];
    for path in paths {
        assert_eq!(instance.anonymous().get(path).unwrap().failure(), expected, "{path}");
        let asked = format!("/api/v1/admin/explain?path={}", path.replace('?', "%3F"));
        let said = read(instance, &asked);
        assert_eq!((&said["extension"], &said["route"]), (&json!("fixture-000"), &json!(null)));
        assert_eq!(said["gates"]["code"], expected.split_once(' ').unwrap().1);
        let gates = said["gates"]["gates"].as_array().unwrap().clone();
        let closed = gates.iter().find(|it| it["gate"] == gate).unwrap();
        assert_eq!((&closed["verdict"], &closed["fix"]), (&json!("closed"), &json!(fix)), "{said}");
        assert!(closed["reason"].as_str().unwrap().contains(reason), "{said}");
        let why = instance.cli(&["ext", "why", path]).unwrap();
        assert_eq!(why.code, Some(3), "{why:?}");
        for word in ["fixture-000", reason, fix] {
            assert!(why.stdout.contains(word), "no `{word}`: {}", why.stdout);
        }
    }
    // Others' paths are nobody's business of theirs.
    let beside = instance.anonymous().get("/api/v1/fixture-0000/ok").unwrap();
    assert_eq!(beside.failure(), "404 NOT_FOUND");
}

#[test]
fn the_paths_of_an_extension_that_is_disabled_say_so() {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    std::fs::write(setup.state_file(), r#"{"disabled":["fixture-000"]}"#).unwrap();
    let instance = setup.start().unwrap();
    let fix = "powernode state enable fixture-000, and restart";
    stays_out(&instance, "404 EXTENSION_DISABLED", "state", "the state file disables it", fix);
}

#[test]
fn the_paths_of_an_extension_that_failed_say_so() {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    let setup = setup.with_setting("extension.fixture-000.fault", "start_error");
    let (instance, fix) = (setup.start().unwrap(), "mend what the reason names, and restart");
    stays_out(&instance, "404 EXTENSION_NOT_LOADED", "load", "start fails on purpose", fix);
}

#[test]
fn the_paths_of_an_extension_with_a_manifest_that_cannot_be_read_say_so() {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    let manifest = setup.extensions().join("fixture-000/extension.json");
    std::fs::write(manifest, "{").unwrap();
    let (instance, fix) = (setup.start().unwrap(), "mend what the reason names, and restart");
    stays_out(&instance, "404 EXTENSION_NOT_LOADED", "load", "extension.json", fix);
}

#[test]
fn the_paths_of_an_extension_in_quarantine_say_so_until_it_is_released() {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    let setup = setup.with_setting("extension.fixture-000.fault", "init_hang");
    let setup = setup.with_setting("extensions.init_timeout", "300ms");
    let fix = "powernode ext release fixture-000, and restart";
    let check = |instance: &Instance| {
        stays_out(instance, "503 EXTENSION_QUARANTINED", "quarantine", "quarantined", fix);
        let answer = instance.anonymous().get("/api/v1/fixture-000/ok").unwrap();
        assert_eq!(answer.header("retry-after"), None, "it lasts until somebody releases it");
    };
    let instance = setup.start().unwrap();
    check(&instance);
    let instance = instance.kill().unwrap().start().unwrap();
    check(&instance);
    assert_eq!(instance.cli(&["ext", "release", "fixture-000"]).unwrap().code, Some(0));
    let answer = instance.anonymous().get("/api/v1/fixture-000/ok").unwrap();
    assert_eq!(answer.failure(), "404 EXTENSION_NOT_LOADED", "until the next start");
}

#[test]
fn a_route_of_the_core_is_explained_as_a_fact() {
    let instance = start();
    let explain = |query: &str| read(&instance, &format!("/api/v1/admin/explain?{query}"));
    let said = explain("path=/api/v1/admin/flags/some_mode&method=put");
    let route = json!({ "method": "PUT", "pattern": "/api/v1/admin/flags/{name}" });
    assert_eq!((&said["route"], &said["enabled"]), (&route, &json!(true)), "{said}");
    assert_eq!(said["identity"], json!({ "permission": "admin.flags.manage" }));
    assert_eq!(explain("path=/api/v1/config")["identity"], "public");
    assert_eq!(explain("path=/api/v1/me")["identity"], "token");
    let said = explain("path=/api/v1/config&method=DELETE");
    assert_eq!(said["enabled"], false);
    assert!(said["reason"].as_str().unwrap().ends_with("GET, HEAD"), "{said}");

    let said = explain("path=/api/v1/reports/advanced");
    assert_eq!((&said["enabled"], &said["extension"]), (&json!(false), &json!(null)));
    assert_eq!(said["identity"], json!({ "permission": "reports.read" }));
    let predicate = json!({
        "name": "business_loaded", "holds": false,
        "refusal": "Advanced reporting requires the business extension",
    });
    assert_eq!(said["predicate"], predicate);
    for (path, code, word) in [
        ("/api/v1/config", 0, "anybody"),
        ("/api/v1/admin/flags", 0, "admin.flags.read"),
        ("/api/v1/reports/advanced", 3, "business_loaded"),
        ("/api/v1/nowhere", 3, "neither the core nor"),
    ] {
        let why = instance.cli(&["ext", "why", path]).unwrap();
        assert_eq!(why.code, Some(code), "{why:?}");
        assert!(why.stdout.contains(word), "{why:?}");
    }
}

#[test]
fn an_account_that_is_not_there_is_not_explained() {
    let instance = start();
    let asked = "/api/v1/admin/explain?path=/api/v1/fixture-000/ok&account";
    let account = read(&instance, "/api/v1/me")["account"]["id"].as_str().unwrap().to_owned();
    assert_eq!(read(&instance, &format!("{asked}={account}"))["enabled"], true);
    let nobody = "00000000-0000-0000-0000-000000000000";
    refused(&instance, &format!("GET {asked}={nobody}"), "404 NOT_FOUND");
    let answer = instance.operator().get(&format!("{asked}={nobody}")).unwrap();
    assert!(answer.json()["error"].as_str().unwrap().contains(nobody), "{}", answer.text());
}

#[test]
fn with_no_extension_the_lists_are_empty() {
    let instance = Setup::new().unwrap().start().unwrap();
    assert_eq!(read(&instance, "/api/v1/admin/extensions"), json!([]));
    assert_eq!(read(&instance, "/api/v1/admin/flags"), json!([]));
    read(&instance, "/api/v1/admin/audit");
}

#[test]
fn the_description_has_the_core_and_what_is_on() {
    let instance = start();
    let paths = || instance.anonymous().get("/api/openapi.json").unwrap().json()["paths"].take();
    let before = paths();
    assert!(before["/api/v1/config"]["get"].is_object(), "{before}");
    assert!(before["/api/v1/fixture-000/ok"]["get"].is_object(), "{before}");
    instance.operator().put(FLAG, &json!({ "enabled": false })).unwrap();
    assert!(paths()["/api/v1/fixture-000/ok"].is_null());
}

#[test]
fn a_library_that_was_exchanged_on_disk_asks_for_a_restart() {
    let instance = start();
    let rescan = || {
        let none = json!({});
        let said = instance.operator().post("/api/v1/admin/extensions/rescan", &none).unwrap();
        let said = said.data();
        (said["restart_required"].clone(), said["extensions"][0]["changes"][0]["what"].clone())
    };
    assert_eq!(rescan(), (json!(false), json!(null)));
    let lib = instance.setup().extensions().join("fixture-000/lib");
    let library = std::fs::read_dir(lib).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&library).unwrap();
    bytes.push(0);
    std::fs::remove_file(&library).unwrap();
    std::fs::write(&library, bytes).unwrap();
    assert_eq!(rescan(), (json!(true), json!("library")));
    assert_eq!(ok(&instance), 200, "what runs is another file");
}

#[test]
fn a_tokens_limit_holds_on_an_extensions_routes_and_is_shown() {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    let instance = setup.with_setting("limits.per_token", "2").start().unwrap();
    let ask = || instance.operator().get("/api/v1/fixture-000/guarded").unwrap();
    let (first, second, third) = (ask(), ask(), ask());
    assert_eq!([first.status, second.status], [200, 200], "{}", first.text());
    assert_eq!(third.failure(), "429 RATE_LIMITED");
    for (answer, remaining) in [(&first, "1"), (&second, "0"), (&third, "0")] {
        assert_eq!(answer.header("x-ratelimit-limit"), Some("2"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(remaining));
        assert!(answer.header("x-ratelimit-reset").is_some());
    }
    assert!(third.header("retry-after").is_some());
}

#[test]
fn a_probe_is_neither_limited_nor_counted() {
    let setup = Setup::new().unwrap();
    let instance = setup.with_setting("limits.per_address", "40").start().unwrap();
    let get = |path: &str| instance.anonymous().get(path).unwrap();
    for _ in 0..50 {
        for path in ["/healthz", "/readyz", "/metrics", "/healthz/"] {
            let answer = get(path);
            assert_eq!((answer.status, answer.header("x-ratelimit-limit")), (200, None), "{path}");
        }
    }
    let first = get("/api/v1/config");
    assert_eq!((first.status, first.header("x-ratelimit-remaining")), (200, Some("39")));
    assert!((0..50).any(|_| get("/api/v1/config").failure() == "429 RATE_LIMITED"));
    assert_eq!(get("/readyz").status, 200);
}

#[test]
fn what_is_installed_while_it_runs_is_shown_and_waits_for_a_restart() {
    let instance = Setup::new().unwrap().start().unwrap();
    refused(&instance, &format!("GET {EXTENSION}"), "404 NOT_FOUND");
    let mut manifest = powernode_tests::setup::manifest("fixture-000", "1.0.0");
    manifest["default_enabled"] = true.into();
    manifest["permissions"] = json!([{ "name": "fixture_000.read", "description": "Reads." }]);
    let library = powernode_tests::artefacts::fixture("faulty").unwrap();
    instance.setup().stage(&library, &manifest).unwrap();
    let none = json!({});
    let said = instance.operator().post("/api/v1/admin/extensions/rescan", &none).unwrap().data();
    assert_eq!(said["restart_required"], true, "{said}");

    let shown = read(&instance, EXTENSION);
    assert_eq!((&shown["state"], &shown["enabled"]), (&json!("discovered"), &json!(false)));
    assert_eq!((&shown["version"], &shown["restart_required"]), (&json!("1.0.0"), &json!(true)));
    assert_eq!(shown["reason"]["code"], "restart_required", "{shown}");
    assert_eq!(shown["gates"][0]["fix"], "restart the platform");
    let explained = read(&instance, &format!("{EXTENSION}/explain"));
    assert_eq!(explained["gates"], shown["gates"]);
    let listed = instance.operator().get("/api/v1/admin/extensions").unwrap().json();
    assert_eq!(listed["data"][0]["slug"], "fixture-000");
    assert_eq!(listed["meta"]["pagination"]["total_count"], 1);
    let list = instance.cli(&["ext", "list"]).unwrap();
    assert!(list.stdout.contains("was not started since"), "{list:?}");
    let why = instance.cli(&["ext", "why", "fixture-000"]).unwrap();
    assert_eq!(why.code, Some(3), "{why:?}");
    assert!(why.stdout.contains("restart the platform"), "{why:?}");
    assert_eq!(ok(&instance), 404);
    refused(&instance, "GET /api/v1/admin/extensions/nobody", "404 NOT_FOUND");

    // It can be disabled before any start has seen it.
    for disabled in [true, false] {
        let answer = instance.operator().put(STATE, &json!({ "disabled": disabled })).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = std::fs::read_to_string(instance.setup().state_file()).unwrap();
        assert_eq!(text.contains("fixture-000"), disabled, "{text}");
    }
    let instance = instance.stop().unwrap().start().unwrap();
    assert_eq!(ok(&instance), 200);
    assert_eq!(read(&instance, EXTENSION)["restart_required"], false);
    instance.operator().put(STATE, &json!({ "disabled": true })).unwrap();
    assert_eq!(read(&instance, EXTENSION)["restart_required"], true);
}

#[test]
fn what_changes_nothing_of_a_flag_leaves_no_trace() {
    let instance = start();
    let flag = "/api/v1/admin/flags/fixture_000_mode";
    let operator = instance.operator();
    operator.put(flag, &json!({ "enabled": false })).unwrap();
    operator.post(&format!("{flag}/groups"), &json!({ "group": "admins" })).unwrap();
    let log = || read(&instance, "/api/v1/admin/audit?subject=flag/fixture_000_mode");
    let (before, logged) = (read(&instance, flag), log());
    for gate in ["actors/Account;1", "groups/users", "groups/nobody", "expression"] {
        let answer = operator.delete(&format!("{flag}/{gate}")).unwrap();
        assert_eq!((answer.status, answer.data()), (200, before.clone()), "{gate}");
    }
    let answer = operator.post(&format!("{flag}/groups"), &json!({ "group": "admins" })).unwrap();
    assert_eq!(answer.data(), before);
    assert_eq!((read(&instance, flag), log()), (before.clone(), logged));
    let answer = operator.delete(&format!("{flag}/groups/admins")).unwrap();
    assert_ne!(answer.data()["changed"], before["changed"], "what changes something does");
    let group = json!({ "group": "nobody" });
    let answer = operator.post(&format!("{flag}/groups"), &group).unwrap();
    assert_eq!(answer.failure(), "422 VALIDATION_FAILED");
}
