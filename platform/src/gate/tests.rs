use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use chrono::DateTime;
use expect_test::{Expect, expect};

use super::*;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// An extension that is loaded, with its flag; `a <- b` reads "b depends on a".
pub(super) fn installed(slug: &str, dependencies: &[usize]) -> Installed {
    Installed {
        slug: slug.to_owned(),
        flag: format!("{slug}_mode"),
        loaded: Ok(()),
        state_disabled: false,
        quarantined: None,
        capabilities: Vec::new(),
        dependencies: dependencies.to_vec(),
    }
}

pub(super) fn flag(name: &str, edit: &Edit) -> Flag {
    let mut gates = Gates::default();
    gates.apply(edit);
    Flag {
        name: name.to_owned(),
        description: String::new(),
        created_at: DateTime::UNIX_EPOCH,
        chosen: true,
        gates,
        changed: Some(Change { by: "cli".into(), at: DateTime::UNIX_EPOCH }),
    }
}

pub(super) fn account(number: u32) -> Actor {
    Actor::of_account(format!("Account;{number}").parse().unwrap())
}

fn for_account(number: u32) -> Edit {
    Edit::EnableActor(format!("Account;{number}").parse().unwrap())
}

fn gate(installed: &[Installed], flags: &[(&str, Edit)]) -> Gate {
    let gate = Gate::new(Groups::standard());
    gate.install(installed.to_vec());
    gate.publish(FlagSet::new(1, flags.iter().map(|(name, edit)| flag(name, edit))));
    gate
}

/// Asks for the last extension: without an actor, for account 1 and for account 2.
#[track_caller]
fn check(installed: &[Installed], flags: &[(&str, Edit)], outcome: Expect) {
    let gate = gate(installed, flags);
    let last = gate.find(&installed.last().unwrap().slug).unwrap();
    let answer = |actor: Option<Actor>| match gate.admit(last, actor.as_ref()) {
        Ok(pass) => {
            assert_eq!(pass.extension(), last);
            "admitted".to_owned()
        }
        Err(refusal) => {
            let said = gate.explain(refusal.slug(), actor.as_ref(), Context::default());
            assert_eq!(said.code, Some(refusal.code()));
            format!("{}: {}", refusal.code(), said.reason.unwrap())
        }
    };
    let answers = [answer(None), answer(Some(account(1))), answer(Some(account(2)))];
    let [nobody, one, two] = &answers;
    outcome.assert_eq(&if nobody == one && one == two {
        nobody.clone()
    } else {
        answers.join("\n")
    });
}

#[test]
fn all_gates_open() {
    check(&[installed("a", &[])], &[("a_mode", Edit::Enable)], expect!["admitted"]);
}

#[test]
fn a_flag_that_is_off_closes() {
    check(
        &[installed("a", &[])],
        &[("a_mode", Edit::Disable)],
        expect!["EXTENSION_DISABLED: its flag `a_mode` is off"],
    );
}

#[test]
fn an_unknown_flag_is_off() {
    check(
        &[installed("a", &[])],
        &[],
        expect!["EXTENSION_DISABLED: there is no flag `a_mode`, and an unknown flag is off"],
    );
}

#[test]
fn the_state_file_comes_before_the_flag() {
    let it =
        Installed { state_disabled: true, loaded: Err("disabled".into()), ..installed("a", &[]) };
    check(
        &[it],
        &[("a_mode", Edit::Enable)],
        expect!["EXTENSION_DISABLED: the state file disables it"],
    );
}

#[test]
fn what_could_not_be_loaded_says_why() {
    let it = Installed { loaded: Err("its library is truncated".into()), ..installed("a", &[]) };
    check(
        &[it],
        &[("a_mode", Edit::Enable)],
        expect!["EXTENSION_NOT_LOADED: its library is truncated"],
    );
}

#[test]
fn quarantine_closes_what_is_on() {
    let it = Installed { quarantined: Some("5 panics".into()), ..installed("a", &[]) };
    check(
        &[it],
        &[("a_mode", Edit::Enable)],
        expect!["EXTENSION_QUARANTINED: it is quarantined: 5 panics"],
    );
}

#[test]
fn what_was_in_quarantine_at_the_start_answers_as_what_was_put_there_since() {
    let it = Installed {
        loaded: Err("it is in quarantine".into()),
        quarantined: Some("it hung".into()),
        ..installed("a", &[])
    };
    check(
        &[it],
        &[("a_mode", for_account(1))],
        expect![[r#"
            EXTENSION_QUARANTINED: it is quarantined: it hung
            EXTENSION_QUARANTINED: it is quarantined: it hung
            EXTENSION_DISABLED: its flag `a_mode` is not on for this actor"#]],
    );
}

#[test]
fn quarantine_does_not_show_where_the_flag_is_off() {
    let it = Installed { quarantined: Some("5 panics".into()), ..installed("a", &[]) };
    check(
        &[it],
        &[("a_mode", for_account(1))],
        expect![[r#"
            EXTENSION_QUARANTINED: it is quarantined: 5 panics
            EXTENSION_QUARANTINED: it is quarantined: 5 panics
            EXTENSION_DISABLED: its flag `a_mode` is not on for this actor"#]],
    );
}

#[test]
fn without_an_actor_on_for_somebody_counts_as_on() {
    check(
        &[installed("a", &[])],
        &[("a_mode", for_account(1))],
        expect![[r#"
            admitted
            admitted
            EXTENSION_DISABLED: its flag `a_mode` is not on for this actor"#]],
    );
}

#[test]
fn a_dependency_that_is_off_closes_its_dependents_to_the_last() {
    check(
        &[installed("a", &[]), installed("b", &[0]), installed("c", &[1])],
        &[("a_mode", Edit::Disable), ("b_mode", Edit::Enable), ("c_mode", Edit::Enable)],
        expect![
            "EXTENSION_DEPENDENCY_OFF: it depends on `a`, which is off: its flag `a_mode` is off"
        ],
    );
}

#[test]
fn a_dependency_in_quarantine_closes_its_dependents() {
    let first = Installed { quarantined: Some("5 panics".into()), ..installed("a", &[]) };
    check(
        &[first, installed("b", &[0])],
        &[("a_mode", Edit::Enable), ("b_mode", Edit::Enable)],
        expect![
            "EXTENSION_DEPENDENCY_OFF: it depends on `a`, which is off: it is quarantined: 5 panics"
        ],
    );
}

#[test]
fn a_dependency_is_asked_for_the_same_actor() {
    check(
        &[installed("a", &[]), installed("b", &[0])],
        &[("a_mode", for_account(1)), ("b_mode", Edit::Enable)],
        expect![[r#"
            admitted
            admitted
            EXTENSION_DEPENDENCY_OFF: it depends on `a`, which is off: its flag `a_mode` is not on for this actor"#]],
    );
}

#[test]
fn a_cycle_closes_whoever_is_in_it() {
    check(
        &[installed("a", &[1]), installed("b", &[0])],
        &[("a_mode", Edit::Enable), ("b_mode", Edit::Enable)],
        expect!["EXTENSION_DEPENDENCY_OFF: its dependencies form a cycle"],
    );
}

#[test]
fn a_dependency_that_is_not_there_closes() {
    check(
        &[installed("a", &[7])],
        &[("a_mode", Edit::Enable)],
        expect!["EXTENSION_DEPENDENCY_OFF: it depends on `?`, which is off: it is not installed"],
    );
}

#[test]
fn everything_is_closed_until_the_flags_were_read() {
    let gate = Gate::new(Groups::standard());
    gate.install(vec![installed("a", &[])]);
    let refusal = gate.admit(gate.find("a").unwrap(), None).unwrap_err();
    expect!["EXTENSION_DISABLED: no flags were read yet"].assert_eq(&format!(
        "{}: {}",
        refusal.code(),
        gate.explain("a", None, Context::default()).reason.unwrap()
    ));
    expect!["Extension 'a' is not enabled"].assert_eq(&refusal.to_string());
}

#[test]
fn a_reason_lives_no_longer_than_its_snapshot() {
    let gate = gate(&[installed("a", &[])], &[("a_mode", Edit::Enable)]);
    let a = gate.find("a").unwrap();
    let refused_for = |reason: &str| {
        gate.quarantine(a, reason);
        let said = gate.explain("a", None, Context::default()).reason.unwrap();
        assert!(said.ends_with(reason), "{said}");
        gate.admit(a, None).unwrap_err()
    };
    let (first, second) = (refused_for("it panicked: 1"), refused_for("it panicked: 2"));
    assert!(std::ptr::eq(first.slug(), second.slug()), "both are kept once");
}

#[test]
fn a_number_that_no_extension_has_is_refused() {
    let gate = gate(&[], &[]);
    assert_eq!(gate.admit(Extension(3), None).unwrap_err().code(), Code::NotInstalled);
}

#[test]
fn quarantine_takes_effect_at_once_and_release_ends_it() {
    let gate = gate(&[installed("a", &[])], &[("a_mode", Edit::Enable)]);
    let a = gate.find("a").unwrap();
    let mut changes = gate.changes();
    gate.quarantine(a, "5 panics");
    assert_eq!(gate.admit(a, None).unwrap_err().code(), Code::Quarantined);
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    gate.release(a);
    assert!(gate.admit(a, None).is_ok());
    assert!(changes.has_changed().unwrap());
}

#[test]
fn older_flags_do_not_undo_newer_ones() {
    let gate = gate(&[installed("a", &[])], &[]);
    let a = gate.find("a").unwrap();
    gate.publish(FlagSet::new(3, [flag("a_mode", &Edit::Disable)]));
    gate.publish(FlagSet::new(2, [flag("a_mode", &Edit::Enable)]));
    assert!(gate.admit(a, None).is_err());
}

#[test]
fn a_change_returns_only_when_nobody_decides_by_what_was() {
    let (arrived, arrivals) = mpsc::channel();
    let (go_on, leave) = mpsc::channel();
    let leave = Mutex::new(leave);
    let left = Arc::new(AtomicBool::new(false));
    let has_left = left.clone();
    let groups = Groups::default().with("slow", move |_| {
        arrived.send(()).unwrap();
        leave.lock().unwrap().recv_timeout(LONG).unwrap();
        has_left.store(true, Ordering::SeqCst);
        true
    });
    let gate = Arc::new(Gate::new(groups));
    gate.install(vec![installed("a", &[])]);
    gate.publish(FlagSet::new(1, [flag("a_mode", &Edit::EnableGroup("slow".into()))]));
    let a = gate.find("a").unwrap();

    let decider = thread::spawn({
        let gate = gate.clone();
        move || gate.admit(a, Some(&account(1))).is_ok()
    });
    arrivals.recv_timeout(LONG).unwrap();
    let (acknowledge, acknowledged) = mpsc::channel();
    let toggler = thread::spawn({
        let gate = gate.clone();
        move || {
            gate.publish(FlagSet::new(2, [flag("a_mode", &Edit::Disable)]));
            acknowledge.send(left.load(Ordering::SeqCst)).unwrap();
        }
    });
    // The new snapshot is there, and the toggle is still not acknowledged, since one decides by the old.
    while gate.admit(a, None).is_ok() {
        thread::yield_now();
    }
    assert_eq!(
        acknowledged.recv_timeout(Duration::from_millis(100)),
        Err(mpsc::RecvTimeoutError::Timeout)
    );
    go_on.send(()).unwrap();
    assert_eq!(acknowledged.recv_timeout(LONG), Ok(true));
    assert!(decider.join().unwrap());
    toggler.join().unwrap();
}

#[test]
fn a_flag_is_asked_by_its_name() {
    let gate = gate(&[], &[("new_editor", for_account(1))]);
    assert!(gate.flag_is_on("new_editor", Some(&account(1))));
    assert!(!gate.flag_is_on("new_editor", None));
    assert!(!gate.flag_is_on("old_editor", Some(&account(1))));
}

#[test]
fn between_two_acknowledged_toggles_every_answer_is_the_same() {
    let gate = gate(&[installed("a", &[])], &[("a_mode", Edit::Enable)]);
    let a = gate.find("a").unwrap();
    // Even while a toggle is under way; odd once it was acknowledged: 1 on, 3 off, 5 on, …
    let phase = AtomicU64::new(1);
    let (done, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let before = phase.load(Ordering::SeqCst);
                    let admitted = gate.admit(a, None).is_ok();
                    if before % 2 == 1 && before == phase.load(Ordering::SeqCst) {
                        assert_eq!(admitted, before % 4 == 1);
                        asked.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        for toggle in 1..=200 {
            phase.fetch_add(1, Ordering::SeqCst);
            let edit = if toggle % 2 == 1 { Edit::Disable } else { Edit::Enable };
            gate.publish(FlagSet::new(1 + toggle, [flag("a_mode", &edit)]));
            phase.fetch_add(1, Ordering::SeqCst);
            let (asked_so_far, deadline) = (asked.load(Ordering::SeqCst), Instant::now() + LONG);
            while asked.load(Ordering::SeqCst) == asked_so_far {
                if Instant::now() > deadline {
                    // Those who ask found a wrong answer, and ask no more.
                    done.store(true, Ordering::SeqCst);
                    return;
                }
                thread::yield_now();
            }
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(asked.load(Ordering::SeqCst) >= 200);
}
