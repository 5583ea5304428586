use expect_test::{Expect, expect};

use super::super::tests::{account, flag, installed};
use super::super::{Edit, FlagSet, Groups};
use super::*;

#[track_caller]
fn check(
    installed: &[Installed],
    flags: &[(&str, Edit)],
    actor: Option<Actor>,
    context: Context,
    outcome: Expect,
) {
    let gate = Gate::new(Groups::standard());
    gate.install(installed.to_vec());
    gate.publish(FlagSet::new(1, flags.iter().map(|(name, edit)| flag(name, edit))));
    let explanation = gate.explain("marketing", actor.as_ref(), context);
    let mut text = match explanation.code {
        None => "enabled".to_owned(),
        Some(code) => code.to_string(),
    };
    assert_eq!(explanation.enabled, explanation.code.is_none());
    for step in &explanation.gates {
        text += &format!("\n{:?} {:?}: {}", step.gate, step.verdict, step.reason);
        if let Some(Change { by, at }) = &step.changed {
            text += &format!(" ({by}, {})", at.date_naive());
        }
        if let Some(fix) = &step.fix {
            text += &format!(" -> {fix}");
        }
    }
    outcome.assert_eq(&text);
}

#[test]
fn all_open() {
    check(
        &[installed("marketing", &[])],
        &[("marketing_mode", Edit::Enable)],
        None,
        Context::default(),
        expect![[r#"
            enabled
            Install Open: it lies on disk
            State Open: the state file does not disable it
            Load Open: this process loaded it
            Flag Open: the flag `marketing_mode` is on (cli, 1970-01-01)
            Quarantine Open: it is not in quarantine
            Dependencies Open: it depends on none"#]],
    );
}

#[test]
fn not_there() {
    check(
        &[],
        &[],
        None,
        Context::default(),
        expect![[r#"
        EXTENSION_NOT_INSTALLED
        Install Closed: no extension `marketing` lies on disk -> put it into the extensions directory with `powernode ext stage`, and restart"#]],
    );
}

#[test]
fn off_by_its_flag() {
    check(
        &[installed("marketing", &[])],
        &[("marketing_mode", Edit::Disable)],
        None,
        Context::default(),
        expect![[r#"
            EXTENSION_DISABLED
            Install Open: it lies on disk
            State Open: the state file does not disable it
            Load Open: this process loaded it
            Flag Closed: the flag `marketing_mode` is off (cli, 1970-01-01) -> powernode flags enable marketing_mode
            Quarantine Open: it is not in quarantine
            Dependencies Open: it depends on none"#]],
    );
}

#[test]
fn on_for_another_actor() {
    check(
        &[installed("marketing", &[])],
        &[("marketing_mode", Edit::EnableActor("Account;2".parse().unwrap()))],
        Some(account(1)),
        Context::default(),
        expect![[r#"
            EXTENSION_DISABLED
            Install Open: it lies on disk
            State Open: the state file does not disable it
            Load Open: this process loaded it
            Flag Closed: the flag `marketing_mode` is off for this actor (it is on for 1 actor(s)) (cli, 1970-01-01) -> powernode flags enable marketing_mode --actor 'Account;1', or powernode flags enable marketing_mode
            Quarantine Open: it is not in quarantine
            Dependencies Open: it depends on none"#]],
    );
}

#[test]
fn on_for_some() {
    check(
        &[installed("marketing", &[])],
        &[("marketing_mode", Edit::EnableGroup("admins".into()))],
        None,
        Context::default(),
        expect![[r#"
            enabled
            Install Open: it lies on disk
            State Open: the state file does not disable it
            Load Open: this process loaded it
            Flag Conditional: the flag `marketing_mode` is on for group `admins` (cli, 1970-01-01) -> powernode flags enable marketing_mode
            Quarantine Open: it is not in quarantine
            Dependencies Open: it depends on none"#]],
    );
}

#[test]
fn disabled_by_the_state_file_and_enabled_since() {
    let it = Installed {
        state_disabled: true,
        loaded: Err("disabled".into()),
        ..installed("marketing", &[])
    };
    let context = Context {
        disabled_on_disk: Some(false),
        state_changed: Some(Change { by: "User;1".into(), at: chrono::DateTime::UNIX_EPOCH }),
        ..Context::default()
    };
    check(
        &[it],
        &[("marketing_mode", Edit::Enable)],
        None,
        context,
        expect![[r#"
        EXTENSION_DISABLED
        Install Open: it lies on disk
        State Closed: the state file disabled it at the start, and no longer does (User;1, 1970-01-01) -> restart
        Load Closed: it was not loaded, since the state file disabled it -> restart
        Flag Open: the flag `marketing_mode` is on (cli, 1970-01-01)
        Quarantine Open: it is not in quarantine
        Dependencies Open: it depends on none"#]],
    );
}

#[test]
fn everything_closed_at_once_is_shown_at_once() {
    let below =
        Installed { loaded: Err("its library is truncated".into()), ..installed("fleet", &[]) };
    let it = Installed {
        state_disabled: true,
        loaded: Err("disabled".into()),
        quarantined: Some("5 panics".into()),
        dependencies: vec![1],
        ..installed("marketing", &[])
    };
    check(
        &[it, below],
        &[],
        None,
        Context::default(),
        expect![[r#"
            EXTENSION_DISABLED
            Install Open: it lies on disk
            State Closed: the state file disables it -> powernode state enable marketing, and restart
            Load Closed: it was not loaded, since the state file disabled it -> open the gate `state` first
            Flag Closed: there is no flag `marketing_mode`, and an unknown flag is off -> open the gate `load` first: the flag is made when the extension is first seen
            Quarantine Closed: it is quarantined: 5 panics -> powernode ext release marketing, and restart
            Dependencies Closed: it depends on `fleet`, which is off: its library is truncated -> powernode ext why fleet"#]],
    );
}

#[test]
fn as_json() {
    let gate = Gate::new(Groups::standard());
    gate.install(vec![installed("marketing", &[])]);
    gate.publish(FlagSet::new(1, [flag("marketing_mode", &Edit::Disable)]));
    let explanation = gate.explain("marketing", None, Context::default());
    expect![[r#"
        [
          {
            "gate": "load",
            "verdict": "open",
            "reason": "this process loaded it",
            "changed": null,
            "fix": null
          },
          {
            "gate": "flag",
            "verdict": "closed",
            "reason": "the flag `marketing_mode` is off",
            "changed": {
              "by": "cli",
              "at": "1970-01-01T00:00:00Z"
            },
            "fix": "powernode flags enable marketing_mode"
          }
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&explanation.gates[2..4]).unwrap());
}
