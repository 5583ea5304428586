//! How the platform ends, and what stays.

#![expect(clippy::unwrap_used, reason = "a test ends where its setup fails")]

use std::time::Duration;

use powernode_tests::instance::{Instance, within};
use powernode_tests::raw::Raw;
use powernode_tests::setup::Setup;
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);

const OK: &str = "/api/v1/fixture-000/ok";

fn start() -> Instance {
    Setup::new().unwrap().with_fixture().unwrap().start().unwrap()
}

/// Runs a command that succeeds.
#[track_caller]
fn command(instance: &Instance, words: &[&str]) {
    let said = instance.cli(words).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
}

fn ok(instance: &Instance) -> u16 {
    instance.anonymous().get(OK).unwrap().status
}

/// A request whose body and answer have begun, and end only when the test says so.
fn in_flight(instance: &Instance) -> Raw {
    let mut raw = instance.raw().unwrap();
    raw.send(
        "POST /api/v1/fixture-000/relay HTTP/1.1\r\nhost: x\r\n\
         transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n",
    )
    .unwrap();
    assert!(raw.has_received_within("first", SOON), "the request never was in flight: {raw:?}");
    raw
}

#[test]
fn requests_in_flight_end_before_the_platform_does() {
    let mut instance = start();
    let mut raw = in_flight(&instance);
    instance.terminate().unwrap();
    let refused = || instance.raw().is_err();
    assert!(within(SOON, refused), "it still accepts connections");
    raw.send("5\r\n last\r\n0\r\n\r\n").unwrap();
    let answer = raw.answer(SOON).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "first last"));
    let status = instance.wait(SOON).unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn a_request_that_does_not_end_is_not_waited_for_for_ever() {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    let mut instance = setup.with_setting("server.drain_timeout", "1s").start().unwrap();
    let mut raw = in_flight(&instance);
    instance.terminate().unwrap();
    let status = instance.wait(SOON).unwrap();
    assert!(status.success(), "{status}");
    assert!(raw.is_closed_within(SOON));
}

#[test]
fn an_operators_choice_outlives_a_kill() {
    let instance = start();
    assert_eq!(ok(&instance), 200);
    command(&instance, &["ext", "disable", "fixture-000"]);
    assert!(within(SOON, || ok(&instance) == 404));

    let instance = instance.kill().unwrap().start().unwrap();
    assert_eq!(ok(&instance), 404, "the choice was off, though the manifest says on");
    command(&instance, &["ext", "enable", "fixture-000"]);

    let instance = instance.kill().unwrap().start().unwrap();
    assert_eq!(ok(&instance), 200);
}

#[test]
fn an_extension_that_is_disabled_is_not_loaded_at_the_next_start() {
    let instance = start();
    command(&instance, &["ext", "disable", "fixture-000", "--at-restart"]);
    assert!(
        std::fs::read_to_string(instance.setup().state_file()).unwrap().contains("fixture-000")
    );
    assert_eq!(ok(&instance), 200, "it counts from the next start on");

    let instance = instance.kill().unwrap().start().unwrap();
    assert_eq!(ok(&instance), 404);
    command(&instance, &["ext", "release", "fixture-000"]);

    let instance = instance.stop().unwrap().start().unwrap();
    assert_eq!(ok(&instance), 200);
}

#[test]
fn rows_that_were_acknowledged_outlive_a_kill() {
    let instance = start();
    let notes = "/api/v1/fixture-000/notes";
    let made = instance.anonymous().post(notes, &json!({ "text": "kept" })).unwrap();
    assert!(matches!(made.status, 200 | 201), "{made:?}");
    let instance = instance.kill().unwrap().start().unwrap();
    let found = instance.anonymous().get(notes).unwrap().data();
    assert_eq!(found[0]["text"], "kept", "{found}");
}

#[test]
fn a_malformed_state_file_disables_nothing_and_is_said() {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    std::fs::write(setup.state_file(), "{ no json").unwrap();
    let instance = setup.start().unwrap();
    assert_eq!(ok(&instance), 200);
    assert!(instance.log().contains("extensions_state.json"), "{}", instance.log());
}

#[test]
fn many_instances_run_side_by_side() {
    let (one, other) = (start(), start());
    command(&one, &["ext", "disable", "fixture-000"]);
    assert!(within(SOON, || ok(&one) == 404));
    assert_eq!(ok(&other), 200);
    assert_ne!(one.token(), other.token());
}

#[test]
fn the_platform_runs_as_nobody_where_the_tests_are_root() {
    let instance = Setup::new().unwrap().start().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", instance.id())).unwrap();
    let uid = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert!(!uid.split_whitespace().any(|it| it == "0"), "{uid}");
}
