//! How the platform ends, and what stays.

#![expect(clippy::unwrap_used, reason = "a test ends where its setup fails")]

use std::os::unix::fs::{MetadataExt as _, chown};
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use powernode_tests::instance::{Instance, within};
use powernode_tests::postgres::Cluster;
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

/// Writes a file as the one who runs the platform.
fn write(setup: &Setup, name: &str, text: &str) {
    let path = setup.data().join(name);
    std::fs::write(&path, text).unwrap();
    let owner = std::fs::metadata(setup.data()).unwrap();
    chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
}

/// What the platform says instead of serving.
#[track_caller]
fn refused(setup: &Setup) -> String {
    let said = setup.cli(&["serve", "--port", "0"]).unwrap();
    assert_eq!(said.code, Some(1), "{said:?}");
    said.stderr
}

#[test]
fn a_database_starts_with_its_own_master_key_alone() {
    let stopped = Setup::new().unwrap().start().unwrap().stop().unwrap();
    let setup = stopped.setup();
    let path = setup.data().join("master.key");
    let own = std::fs::read_to_string(&path).unwrap();
    let id = |setup: &Setup| {
        let shown = setup.cli(&["key", "show", "--json"]).unwrap();
        (shown.code, shown.json().unwrap()["key"].as_str().unwrap_or_default().to_owned())
    };
    let (code, former) = id(setup);
    assert_eq!((code, former.len()), (Some(0), 16));

    write(setup, "master.key", &"5e".repeat(32));
    let (code, other) = id(setup);
    assert_eq!(code, Some(3));
    let said = refused(setup);
    for part in [&*former, &*other, "powernode key adopt"] {
        assert!(said.contains(part), "{part}: {said}");
    }

    std::fs::remove_file(&path).unwrap();
    let said = refused(setup);
    for part in [&*former, "no master key", "master.key", "powernode key adopt"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let planned = setup.cli(&["migrate", "--dry-run"]).unwrap();
    assert!(planned.code == Some(1) && planned.stderr.contains(&former), "{planned:?}");
    assert!(!path.exists(), "a new key was made, and the links and backups of the former are void");

    write(setup, "master.key", &own);
    stopped.start().unwrap();
}

#[test]
fn another_master_key_is_taken_where_an_operator_says_so() {
    let stopped = Setup::new().unwrap().start().unwrap().stop().unwrap();
    let setup = stopped.setup();
    write(setup, "master.key", &"5e".repeat(32));
    let planned = setup.cli(&["key", "adopt"]).unwrap();
    assert!(planned.code == Some(0) && planned.stdout.contains("links"), "{planned:?}");
    refused(setup);
    let adopted = setup.cli(&["key", "adopt", "--yes"]).unwrap();
    assert_eq!(adopted.code, Some(0), "{adopted:?}");
    let log = setup.cli(&["audit", "export"]).unwrap();
    assert!(log.stdout.contains("key.adopt"), "{log:?}");
    let stopped = stopped.start().unwrap().stop().unwrap();

    // Without any key a new one is made, by this command alone.
    let path = stopped.setup().data().join("master.key");
    std::fs::remove_file(&path).unwrap();
    refused(stopped.setup());
    let adopted = stopped.setup().cli(&["key", "adopt", "--yes"]).unwrap();
    assert_eq!(adopted.code, Some(0), "{adopted:?}");
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    stopped.start().unwrap();
}

#[test]
fn login_roles_go_on_with_another_master_key() {
    let Some(cluster) = Cluster::shared() else { return };
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    let setup = setup.with_setting("database.url", &cluster.database().unwrap());
    let stopped = setup.start().unwrap().stop().unwrap();
    write(stopped.setup(), "master.key", &"5e".repeat(32));
    let adopted = stopped.setup().cli(&["key", "adopt", "--yes"]).unwrap();
    assert!(adopted.stdout.contains("the login role of `fixture-000`"), "{adopted:?}");
    let notes = stopped.start().unwrap();
    let notes = notes.anonymous().get("/api/v1/fixture-000/notes").unwrap();
    assert_eq!(notes.status, 200, "{notes:?}");
}

#[test]
fn a_database_from_before_adopts_the_key_that_it_starts_with() {
    let stopped = Setup::new().unwrap().start().unwrap().stop().unwrap();
    let path = stopped.setup().data().join("powernode.db");
    let mut database = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    database.batch_execute("DELETE FROM core_secrets").unwrap();
    drop(database);
    write(stopped.setup(), "master.key", &"5e".repeat(32));
    let stopped = stopped.start().unwrap().stop().unwrap();
    write(stopped.setup(), "master.key", &"5f".repeat(32));
    refused(stopped.setup());
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
