//! The platform on PostgreSQL: nodes follow each other, connections have bounds, and the way there is encrypted.

#![expect(clippy::unwrap_used, reason = "a test ends where its setup fails")]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use powernode_tests::artefacts::fixture;
use powernode_tests::instance::{Instance, within};
use powernode_tests::postgres::Cluster;
use powernode_tests::setup::{Setup, manifest};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

const OK: &str = "/api/v1/fixture-000/ok";
const FLAG: &str = "/api/v1/admin/extensions/fixture-000/flag";
const NOTES: &str = "/api/v1/fixture-000/notes";
const TRY: &str = "/api/v1/hostile/try";
const START: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);
/// What both nodes decrypt with: nodes of one database share it.
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn node(database: &str) -> Setup {
    let setup = Setup::new().unwrap().with_setting("database.url", database);
    // The client library looks for certificates at home, where another user than ours may not.
    let setup = setup.with_variable("HOME", "/nonexistent");
    setup.with_variable("POWERNODE_SECRETS__KEY", KEY).with_fixture().unwrap()
}

/// A process of its own that is killed when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn server_and_worker_are_processes_of_their_own() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().unwrap();
    let start = |setup: &Setup, words: &[&str]| {
        let mut command = setup.command();
        let log = File::options().create(true).append(true).open(setup.log_file()).unwrap();
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Process(command.spawn().unwrap())
    };
    let nodes = || cluster.ask(&database, "SELECT pid FROM core.core_nodes").unwrap_or_default();
    let (server, worker) = (node(&database), node(&database));
    let _serving = start(&server, &["serve", "--no-worker", "--port", "0"]);
    let queues = "SELECT count(*) FROM core.core_queues WHERE name = 'fixture-000'";
    let asked = || cluster.ask(&database, queues).unwrap_or_default();
    assert!(within(START, || asked() == "1"), "its queue is there with the extension");
    assert_eq!(nodes(), "");
    let mut working = start(&worker, &["worker"]);
    let log = || fs::read_to_string(worker.log_file()).unwrap_or_default();
    let id = working.0.id();
    assert!(within(START, || nodes() == id.to_string()), "{}", log());
    kill_process(Pid::from_raw(i32::try_from(id).unwrap()).unwrap(), Signal::TERM).unwrap();
    let mut status = None;
    within(SOON, || {
        status = working.0.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.and_then(|it| it.code()), Some(0), "{}", log());
    assert_eq!(nodes(), "");
}

#[test]
fn a_flag_that_one_node_changes_holds_on_the_other_within_a_second() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().unwrap();
    let (first, second) = (node(&database).start().unwrap(), node(&database).start().unwrap());
    assert_ne!(first.id(), second.id());
    let (operator, other) = (first.operator(), second.anonymous());
    for round in 0..20 {
        let enabled = round % 2 == 1;
        let answer = operator.put(FLAG, &json!({ "enabled": enabled })).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let acknowledged = Instant::now();
        let expected = if enabled { 200 } else { 404 };
        assert_eq!(first.anonymous().get(OK).unwrap().status, expected);
        assert!(
            within(SOON, || other.get(OK).unwrap().status == expected),
            "round {round}: the other node never followed"
        );
        let took = acknowledged.elapsed();
        assert!(
            took < Duration::from_secs(1),
            "round {round}: the other node followed after {took:?}"
        );
    }
    // Both write by the same role: what one writes, the other reads.
    assert_eq!(first.anonymous().post(NOTES, &json!({ "text": "x" })).unwrap().status, 201);
    assert_eq!(other.get(NOTES).unwrap().data().as_array().map(Vec::len), Some(1));
}

#[test]
fn nodes_that_start_together_make_one_role() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().unwrap();
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let setup = node(&database);
            thread::spawn(move || setup.start())
        })
        .collect();
    let nodes: Vec<Instance> = starts.into_iter().map(|it| it.join().unwrap().unwrap()).collect();
    for node in &nodes {
        let answer = node.anonymous().post(NOTES, &json!({ "text": "x" })).unwrap();
        assert_eq!(answer.status, 201, "{}: {}", answer.text(), node.log());
    }
    let roles = "SELECT count(*) FROM core.core_roles WHERE extension = 'fixture-000'";
    assert_eq!(cluster.ask(&database, roles).unwrap(), "1");
}

#[test]
fn an_owner_of_the_database_who_makes_roles_runs_the_platform() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database_of_operator("CREATEROLE").unwrap();
    let mut instance = node(&database).start().unwrap();
    for count in 1..=2 {
        let client = instance.anonymous();
        assert_eq!(client.post(NOTES, &json!({ "text": "x" })).unwrap().status, 201);
        assert_eq!(client.get(NOTES).unwrap().data().as_array().map(Vec::len), Some(count));
        assert!(!instance.log().contains(" WARN "), "{}", instance.log());
        instance = instance.stop().unwrap().start().unwrap();
    }
    let everybodys = "SELECT has_schema_privilege('public', 'public', 'USAGE') \
                      OR has_database_privilege('public', current_database(), 'TEMP')";
    assert_eq!(cluster.ask(&database, everybodys).unwrap(), "f");

    let said = node(&cluster.database_of_operator("").unwrap()).cli(&["migrate"]).unwrap();
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("CREATEROLE"), "{said:?}");
    assert!(said.stderr.contains("set `database.confinement` to `search_path`"), "{said:?}");
}

#[test]
fn an_extension_that_uses_all_its_connections_is_told_and_no_other() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().unwrap();
    let mut hostile = manifest("hostile", "1.0.0");
    hostile["default_enabled"] = true.into();
    let setup = node(&database).with_extension(&fixture("hostile").unwrap(), &hostile).unwrap();
    let setup = setup.with_setting("database.pool_size", "1");
    let instance = setup.with_setting("database.acquire_timeout", "200ms").start().unwrap();
    let client = instance.anonymous();
    let sleeper = client.clone();
    let sleeps =
        thread::spawn(move || sleeper.post(TRY, &json!(["SELECT pg_sleep(3)"])).unwrap().status);
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3)%' AND state = 'active' \
                    AND pid <> pg_backend_pid()";
    assert!(within(SOON, || cluster.ask(&database, sleeping).unwrap() == "1"));
    let refused = client.post(TRY, &json!(["SELECT 1"])).unwrap();
    assert_eq!((refused.status, refused.code()), (503, "DATABASE_BUSY".into()));
    assert_eq!(refused.header("retry-after"), Some("1"), "{refused:?}");
    assert!(
        instance
            .log()
            .contains("extension `hostile` uses all 1 that one may have (`database.pool_size`)")
    );
    assert_eq!(client.get(NOTES).unwrap().status, 200);
    assert_eq!(client.get("/readyz").unwrap().status, 200);
    assert_eq!(sleeps.join().unwrap(), 200);
    assert_eq!(client.post(TRY, &json!(["SELECT 1"])).unwrap().status, 200);
}

#[test]
fn the_way_to_the_server_is_encrypted_and_its_name_is_checked() {
    let Some(cluster) = Cluster::with_tls().unwrap() else { return };
    let database = cluster.database().unwrap();
    let named = database.replace("@127.0.0.1:", "@localhost:");
    let right = readable(&cluster.folder().join("ca.crt"), "right");
    let wrong = readable(&cluster.folder().join("other.crt"), "wrong");
    let address = |base: &str, mode: &str, authority: &Path| {
        format!("{base}?sslmode={mode}&sslrootcert={}", authority.display())
    };

    let instance = node(&address(&named, "verify-full", &right)).start().unwrap();
    let answer = instance.anonymous().post(NOTES, &json!({ "text": "x" })).unwrap();
    assert_eq!(answer.status, 201, "{}", instance.log());
    // The extension's own connections, too.
    let encrypted = "SELECT count(*) > 1 AND bool_and(s.ssl) AND count(DISTINCT a.usename) > 1 \
                     FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name LIKE 'powernode%'";
    assert_eq!(cluster.ask(&database, encrypted).unwrap(), "t");

    refused(&address(&named, "verify-full", &wrong), "certificate verify failed");
    refused(&address(&database, "verify-full", &right), "does not match host name");
    refused(&address(&named, "disable", &right), "no pg_hba.conf entry");
    let plain = Cluster::shared().unwrap().database().unwrap();
    refused(&address(&plain, "require", &right), "server does not support SSL");
}

/// A copy that the platform may read, whoever it runs as.
fn readable(file: &Path, name: &str) -> PathBuf {
    let copy = std::env::temp_dir().join(format!("powernode-{}-{name}.crt", std::process::id()));
    fs::copy(file, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    copy
}

/// The platform does not start on this database, says why, and shows no password.
#[track_caller]
fn refused(database: &str, why: &str) {
    let said = node(database).cli(&["migrate"]).unwrap();
    assert_eq!(said.code, Some(1), "{database}: {said:?}");
    assert!(said.stderr.contains(why), "{database}: {said:?}");
    assert!(said.stderr.contains("cannot connect to PostgreSQL at `postgres://…@"), "{said:?}");
    assert!(!said.stderr.contains("of-the-tests"), "{said:?}");
}

#[test]
fn what_must_be_alone_is_refused_beside_nodes_elsewhere() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().unwrap();
    let serving = node(&database).start().unwrap();
    // Another machine's data directory, the same database.
    let elsewhere = node(&database);
    let backup = elsewhere.directory().join("backup");
    let backup = backup.to_str().unwrap();
    assert_eq!(elsewhere.cli(&["backup", "create", "--to", backup]).unwrap().code, Some(0));
    let commands: [&[&str]; 4] = [
        &["migrate", "revert", "fixture-000", "--all"],
        &["migrate", "purge", "fixture-000", "--yes"],
        &["backup", "restore", backup, "--force"],
        &["key", "adopt", "--yes"],
    ];
    let process = format!("process {}", serving.id());
    for words in commands {
        let said = elsewhere.cli(words).unwrap();
        assert_eq!(said.code, Some(5), "{words:?}: {said:?}");
        assert!(
            said.stderr.contains(&process) && said.stderr.contains("stop them all"),
            "{words:?}: {said:?}"
        );
    }
    assert_eq!(serving.anonymous().get(OK).unwrap().status, 200);
    // Its connection is lost and made anew: it is still known.
    cluster.cut(&database).unwrap();
    let refused = || elsewhere.cli(commands[1]).is_ok_and(|it| it.code == Some(5));
    assert!(within(SOON, refused));
    let stopped = serving.stop().unwrap();
    let said = elsewhere.cli(&["backup", "restore", backup, "--force"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    drop(stopped);
}

#[test]
fn a_node_that_starts_beside_a_command_waits_before_it_changes_anything() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().unwrap();
    let mut command = cluster.guest(&database).unwrap();
    // What commands take that must be alone: "pn-serve".
    command.say(&format!("SELECT pg_advisory_lock({});", 0x706e_2d73_6572_7665_u64)).unwrap();
    let setup = node(&database);
    let log = File::options().create(true).append(true).open(setup.log_file()).unwrap();
    let mut starting = setup.command();
    starting.args(["serve", "--port", "0"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let _starting = Process(starting.spawn().unwrap());
    let log = || fs::read_to_string(setup.log_file()).unwrap_or_default();
    assert!(within(START, || log().contains("Waiting for a command")), "{}", log());
    thread::sleep(Duration::from_secs(1));
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'core'";
    assert_eq!(cluster.ask(&database, tables).unwrap(), "0", "{}", log());
    drop(command);
    let nodes =
        || cluster.ask(&database, "SELECT count(*) FROM core.core_nodes").unwrap_or_default();
    assert!(within(START, || nodes() == "1"), "{}", log());
}

#[test]
fn a_rehearsal_names_the_right_that_the_role_lacks() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database_of_operator("CREATEROLE").unwrap();
    let setup = node(&database);
    assert_eq!(setup.cli(&["migrate"]).unwrap().code, Some(0));
    let said = setup.cli(&["migrate", "--rehearse"]).unwrap();
    let role = format!("operator_{}", database.rsplit('/').next().unwrap());
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains(&format!("`ALTER ROLE {role} CREATEDB`")), "{said:?}");
    cluster.ask(&database, &format!("ALTER ROLE {role} CREATEDB")).unwrap();
    let said = setup.cli(&["migrate", "--rehearse"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
}
