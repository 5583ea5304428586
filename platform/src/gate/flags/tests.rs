use expect_test::{Expect, expect};

use super::*;

fn id(text: &str) -> ActorId {
    text.parse().unwrap()
}

fn flag(name: &str, edits: &[Edit]) -> Flag {
    let mut gates = Gates::default();
    for edit in edits {
        gates.apply(edit);
    }
    Flag {
        name: name.to_owned(),
        description: String::new(),
        created_at: DateTime::UNIX_EPOCH,
        chosen: false,
        gates,
        changed: None,
    }
}

fn share(percent: f64) -> Edit {
    Edit::PercentageOfActors(Percentage::new(percent).unwrap())
}

#[track_caller]
fn place(name: &str, account: &str, user: Option<&str>, expected: u32) {
    let actor = Actor::of_account(id(account));
    let actor = user.map_or(actor, |user| actor.with_user(id(user)));
    assert_eq!(bucket(name, actor.ids()), expected);
    // One thousandth beside the place, the answer turns.
    let on = |percent| flag(name, &[share(percent)]).is_on(Some(&actor), &Groups::default());
    assert!(!on(f64::from(expected) / 1000.0));
    assert!(on(f64::from(expected + 1) / 1000.0));
}

#[track_caller]
fn check(edits: &[Edit], outcome: Expect) {
    let flag = flag("marketing_mode", edits);
    let on = |actor: Option<Actor>| flag.is_on(actor.as_ref(), &Groups::standard());
    outcome.assert_eq(&format!(
        "{:?}: nobody {}, Account;1 {}, Account;2 {}, admin {}, somebody {}",
        flag.state(),
        on(None),
        on(Some(Actor::of_account(id("Account;1")))),
        on(Some(Actor::of_account(id("Account;2")))),
        on(Some(Actor::of_account(id("Account;3")).with_admin(true))),
        flag.is_on_for_somebody(&Groups::standard()),
    ));
}

#[test]
fn actors_fall_where_flipper_puts_them() {
    place("marketing_mode", "Account;1", None, 32908);
    place("marketing_mode", "Account;2", None, 71094);
    place("marketing_mode", "User;42", None, 94135);
    place("billing_mode", "Account;1", None, 35719);
    place("marketing_mode", "User;42", Some("Account;1"), 49618);
    place("marketing_mode", "Account;1", Some("User;42"), 49618);
}

#[test]
fn a_flag_without_gates_is_off() {
    check(
        &[],
        expect!["Off: nobody false, Account;1 false, Account;2 false, admin false, somebody false"],
    );
}

#[test]
fn enabled_is_on_for_all() {
    check(
        &[Edit::Enable],
        expect!["On: nobody true, Account;1 true, Account;2 true, admin true, somebody true"],
    );
}

#[test]
fn an_actor_is_on_alone() {
    check(
        &[Edit::EnableActor(id("Account;1"))],
        expect![
            "Conditional: nobody false, Account;1 true, Account;2 false, admin false, somebody true"
        ],
    );
}

#[test]
fn a_group_is_on_for_its_members() {
    check(
        &[Edit::EnableGroup("admins".into())],
        expect![
            "Conditional: nobody false, Account;1 false, Account;2 false, admin true, somebody true"
        ],
    );
}

#[test]
fn a_group_that_nobody_registered_opens_nothing() {
    check(
        &[Edit::EnableGroup("testers".into())],
        expect![
            "Conditional: nobody false, Account;1 false, Account;2 false, admin false, somebody false"
        ],
    );
}

#[test]
fn a_share_is_on_below_its_mark() {
    check(
        &[share(50.0)],
        expect![
            "Conditional: nobody false, Account;1 true, Account;2 false, admin true, somebody true"
        ],
    );
}

#[test]
fn all_actors_are_not_all() {
    check(
        &[share(100.0)],
        expect![
            "Conditional: nobody false, Account;1 true, Account;2 true, admin true, somebody true"
        ],
    );
}

#[test]
fn all_of_the_time_is_on() {
    check(
        &[Edit::PercentageOfTime(Percentage::ALL)],
        expect!["On: nobody true, Account;1 true, Account;2 true, admin true, somebody true"],
    );
}

#[test]
fn switching_clears_the_other_gates() {
    let all = [
        Edit::EnableActor(id("Account;1")),
        Edit::EnableGroup("admins".into()),
        share(50.0),
        Edit::PercentageOfTime(Percentage::ALL),
    ];
    for (switch, boolean) in [(Edit::Enable, true), (Edit::Disable, false)] {
        let edits = [&all[..], &[switch]].concat();
        assert_eq!(flag("f", &edits).gates, Gates { boolean, ..Gates::default() });
    }
}

#[test]
fn each_gate_can_be_taken_away_alone() {
    let edits = [
        Edit::EnableActor(id("Account;1")),
        Edit::EnableGroup("admins".into()),
        share(50.0),
        Edit::DisableActor(id("Account;1")),
        Edit::DisableGroup("admins".into()),
        share(0.0),
    ];
    check(
        &edits,
        expect!["Off: nobody false, Account;1 false, Account;2 false, admin false, somebody false"],
    );
}

#[test]
fn an_extension_does_not_flap() {
    let edit = Edit::PercentageOfTime(Percentage::new(10.0).unwrap());
    expect!["`marketing_mode` gates an extension, which a percentage of time would make flap: use a percentage of actors"]
        .assert_eq(&edit.check("marketing_mode", &Groups::standard()).unwrap_err().to_string());
    assert_eq!(edit.check("new_editor", &Groups::standard()), Ok(()));
}

#[test]
fn a_group_must_be_known_to_be_enabled_and_not_to_be_disabled() {
    expect!["there is no group `admns`; there are: admins, users"].assert_eq(
        &Edit::EnableGroup("admns".into()).check("f", &Groups::standard()).unwrap_err().to_string(),
    );
    assert_eq!(Edit::DisableGroup("admns".into()).check("f", &Groups::standard()), Ok(()));
}

#[test]
fn a_share_has_three_decimals() {
    assert_eq!(Percentage::new(33.333).unwrap().to_string(), "33.333");
    for wrong in [-0.001, 100.001, 33.3333, f64::NAN, f64::INFINITY] {
        assert!(Percentage::new(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_flag_has_a_plain_name() {
    assert!(flag_name("supply_chain_mode").is_ok());
    for wrong in ["", "9lives", "_mode", "Marketing", "a b", "a;b", &"x".repeat(65)] {
        assert!(flag_name(wrong).is_err(), "{wrong}");
    }
}
