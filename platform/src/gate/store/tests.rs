use std::io::{self, Write};
use std::sync::Mutex;

use super::super::tests::{account, installed};
use super::super::{Change, FlagState, Groups, Percentage};
use super::*;
use crate::audit::tests::{CoreDb, by};

/// A node: its gates with the extension `marketing`, and the flags that it shares with others.
fn node(core: &CoreDb) -> (Arc<Gate>, FlagStore) {
    let gate = Arc::new(Gate::new(Groups::standard()));
    gate.install(vec![installed("marketing", &[])]);
    let store = FlagStore::new(core.db.clone(), gate.clone());
    (gate, store)
}

fn marketing(default_enabled: bool) -> Vec<Seen> {
    vec![Seen { name: "marketing_mode".into(), description: "Marketing".into(), default_enabled }]
}

fn admits(gate: &Gate) -> bool {
    gate.find("marketing").is_some_and(|it| gate.admit(it, None).is_ok())
}

#[tokio::test]
async fn a_flag_is_made_off_at_first_sight() {
    let core = CoreDb::new();
    let (gate, store) = node(&core);
    assert_eq!(store.ensure(marketing(false), by("platform")).await.unwrap(), ["marketing_mode"]);
    let flag = gate.flag("marketing_mode").unwrap();
    assert_eq!((flag.state(), flag.chosen, flag.changed), (FlagState::Off, false, None));
    assert!(!admits(&gate));
    assert_eq!(store.ensure(marketing(true), by("platform")).await.unwrap(), [""; 0]);
    assert!(!admits(&gate), "a flag that is there stays as it is");
}

#[tokio::test]
async fn a_manifest_can_say_that_its_flag_begins_on() {
    let core = CoreDb::new();
    let (gate, store) = node(&core);
    store.ensure(marketing(true), by("platform")).await.unwrap();
    assert!(admits(&gate));
}

#[tokio::test]
async fn an_operators_choice_outlives_a_restart_and_a_directory_that_vanished() {
    let core = CoreDb::new();
    let (_, store) = node(&core);
    store.ensure(marketing(true), by("platform")).await.unwrap();
    store.edit("marketing_mode", Edit::Disable, by("User;1")).await.unwrap();

    let (_, without_it) = node(&core);
    without_it.ensure(Vec::new(), by("platform")).await.unwrap();
    let (gate, again) = node(&core);
    again.ensure(marketing(true), by("platform")).await.unwrap();
    let flag = gate.flag("marketing_mode").unwrap();
    let changed = Change { by: "User;1".into(), at: flag.changed.clone().unwrap().at };
    assert_eq!((flag.state(), flag.chosen, flag.changed), (FlagState::Off, true, Some(changed)));
    assert!(!admits(&gate));
}

#[tokio::test]
async fn a_change_stands_when_it_is_acknowledged() {
    let core = CoreDb::new();
    let (gate, store) = node(&core);
    store.ensure(marketing(false), by("platform")).await.unwrap();
    for _ in 0..10 {
        store.edit("marketing_mode", Edit::Enable, by("User;1")).await.unwrap();
        assert!(admits(&gate));
        store.edit("marketing_mode", Edit::Disable, by("User;1")).await.unwrap();
        assert!(!admits(&gate));
    }
}

#[tokio::test]
async fn every_gate_is_kept_as_it_was_set() {
    let core = CoreDb::new();
    let (gate, store) = node(&core);
    store.create("new_editor", "The editor", by("User;1")).await.unwrap();
    let share = |percent| Percentage::new(percent).unwrap();
    let mut expected = Gates::default();
    for edit in [
        Edit::EnableActor("Account;1".parse().unwrap()),
        Edit::EnableActor("Account;2".parse().unwrap()),
        Edit::EnableActor("Account;2".parse().unwrap()),
        Edit::EnableGroup("admins".into()),
        Edit::EnableGroup("users".into()),
        Edit::PercentageOfActors(share(12.5)),
        Edit::PercentageOfActors(share(33.333)),
        Edit::PercentageOfTime(share(1.0)),
        Edit::DisableActor("Account;1".parse().unwrap()),
        Edit::DisableGroup("users".into()),
        Edit::PercentageOfTime(share(0.0)),
        Edit::Enable,
        Edit::EnableActor("Account;1".parse().unwrap()),
        Edit::Disable,
    ] {
        expected.apply(&edit);
        assert_eq!(store.edit("new_editor", edit, by("User;1")).await.unwrap().gates, expected);
        let (other, reader) = node(&core);
        reader.load().await.unwrap();
        assert_eq!(other.flag("new_editor"), gate.flag("new_editor"));
        assert_eq!(other.flag("new_editor").unwrap().gates, expected);
    }
}

#[tokio::test]
async fn an_actor_is_let_in_alone() {
    let core = CoreDb::new();
    let (gate, store) = node(&core);
    store.ensure(marketing(false), by("platform")).await.unwrap();
    let edit = Edit::EnableActor("Account;1".parse().unwrap());
    store.edit("marketing_mode", edit, by("User;1")).await.unwrap();
    let it = gate.find("marketing").unwrap();
    assert!(gate.admit(it, Some(&account(1))).is_ok());
    assert!(gate.admit(it, Some(&account(2))).is_err());
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let core = CoreDb::new();
    let (gate, store) = node(&core);
    store.ensure(marketing(false), by("platform")).await.unwrap();
    let epoch = gate.epoch();
    let time = Edit::PercentageOfTime(Percentage::new(10.0).unwrap());
    for (error, text) in [
        (
            store.edit("marketting_mode", Edit::Enable, by("a")).await.unwrap_err(),
            "there is no flag `marketting_mode`: `powernode flags` lists those there are",
        ),
        (
            store.edit("marketing_mode", time, by("a")).await.unwrap_err(),
            "`marketing_mode` gates an extension, which a percentage of time would make flap: use a percentage of actors",
        ),
        (
            store.edit("marketing_mode", Edit::EnableGroup("x".into()), by("a")).await.unwrap_err(),
            "there is no group `x`; there are: admins, users",
        ),
        (
            store.create("marketing_mode", "", by("a")).await.unwrap_err(),
            "there is a flag `marketing_mode` already",
        ),
        (
            store.create("Marketing", "", by("a")).await.unwrap_err(),
            "`Marketing` is no name for a flag: it takes 1 to 64 of a-z, 0-9 and `_`, a letter first",
        ),
    ] {
        assert_eq!(error.to_string(), text);
    }
    store.load().await.unwrap();
    assert_eq!(gate.epoch(), epoch);
}

#[tokio::test]
async fn every_change_is_in_the_audit_log() {
    let core = CoreDb::new();
    let (_, store) = node(&core);
    store.ensure(marketing(false), by("platform")).await.unwrap();
    store.edit("marketing_mode", Edit::Enable, by("User;1").with_request("r-7")).await.unwrap();
    let (rows, verified) = core
        .db
        .read(|conn| {
            let rows = audit::list(conn, &audit::Filter::default(), 1, 10)?.0;
            Ok::<_, RunError>((rows, audit::verify(conn)?))
        })
        .await
        .unwrap();
    assert_eq!(verified, Ok(2));
    let enabled = &rows[0];
    assert_eq!(
        (
            enabled.action.as_str(),
            enabled.subject.as_str(),
            enabled.actor.as_str(),
            enabled.request_id.as_deref()
        ),
        ("flag.enable", "flag/marketing_mode", "User;1", Some("r-7"))
    );
    let boolean = |value: &Option<serde_json::Value>| value.as_ref().unwrap()["boolean"].clone();
    assert_eq!((boolean(&enabled.before), boolean(&enabled.after)), (json!(false), json!(true)));
    assert_eq!(rows[1].action, "flag.create");
}

#[tokio::test]
async fn another_node_follows() {
    let core = CoreDb::new();
    let (_, store) = node(&core);
    let (other, follower) = node(&core);
    store.ensure(marketing(false), by("platform")).await.unwrap();
    let follow = tokio::spawn(async move { follower.follow(Duration::from_millis(5)).await });
    let mut changes = other.changes();
    for (edit, expected) in [(Edit::Enable, true), (Edit::Disable, false)] {
        store.edit("marketing_mode", edit, by("User;1")).await.unwrap();
        let deadline = Duration::from_secs(30);
        tokio::time::timeout(deadline, changes.wait_for(|_| admits(&other) == expected))
            .await
            .unwrap()
            .unwrap();
    }
    follow.abort();
}

#[tokio::test]
async fn an_outage_warns_once_and_keeps_the_last_flags_then_reads_them_again() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer({
        let log = log.clone();
        move || log.clone()
    });
    let guard = tracing::subscriber::set_default(subscriber.finish());
    let mut core = CoreDb::new();
    let (gate, store) = node(&core);
    store.ensure(marketing(true), by("platform")).await.unwrap();

    core.meddle("ALTER TABLE core_epoch RENAME TO gone");
    let mut reachable = true;
    for _ in 0..5 {
        reachable = store.poll(reachable).await;
        assert!(!reachable);
        assert!(admits(&gate), "the last flags stand");
    }
    let refused = store.edit("marketing_mode", Edit::Disable, by("User;1")).await;
    assert!(matches!(refused, Err(FlagError::Database(_))));
    assert!(admits(&gate), "what was not stored was not done");

    // Changed meanwhile, without the epoch: coming back reads in any case.
    core.meddle(
        "UPDATE core_flag_gates SET value = 'false'; ALTER TABLE gone RENAME TO core_epoch",
    );
    reachable = store.poll(reachable).await;
    assert!(reachable && !admits(&gate));
    assert!(store.poll(reachable).await);
    drop(guard);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!((log.matches(" WARN ").count(), log.matches(" INFO ").count()), (1, 1), "{log}");
}

#[tokio::test]
async fn rows_that_make_no_sense_open_nothing() {
    let mut core = CoreDb::new();
    let (gate, store) = node(&core);
    store.ensure(marketing(false), by("platform")).await.unwrap();
    for (kind, value) in [
        ("boolean", "yes"),
        ("actors", "42"),
        ("percentage_of_actors", "lots"),
        ("percentage_of_actors", "101"),
        ("percentage_of_time", "100"),
        ("expression", "{}"),
    ] {
        core.meddle(&format!("INSERT INTO core_flag_gates VALUES ('marketing_mode', '{kind}', '{value}', '2026-01-01 00:00:00', 'x')"));
    }
    store.load().await.unwrap();
    assert_eq!(gate.flag("marketing_mode").unwrap().state(), FlagState::Off);
    store.edit("marketing_mode", Edit::Enable, by("User;1")).await.unwrap();
    assert!(admits(&gate));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
