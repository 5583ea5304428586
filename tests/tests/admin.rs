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
