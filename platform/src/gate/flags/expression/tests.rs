use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::super::{Edit, Flag, Gates};
use super::*;
use crate::gate::{Actor, Groups};

fn flag(name: &str, expression: Json) -> Flag {
    let mut gates = Gates::default();
    gates.apply(&Edit::EnableExpression(Expression::new(expression).unwrap()));
    Flag {
        name: name.to_owned(),
        description: String::new(),
        created_at: DateTime::UNIX_EPOCH,
        chosen: true,
        gates,
        changed: None,
    }
}

fn user() -> Actor {
    Actor::of_account("Account;1".parse().unwrap()).with_user("User;42".parse().unwrap())
}

/// Whether it is true of user 42, who administers the platform.
#[track_caller]
fn holds(expression: Json, expected: bool) {
    let actor = user().with_admin(true);
    let flag = flag("marketing_mode", expression.clone());
    assert_eq!(flag.is_on(Some(&actor), &Groups::standard()), expected, "{expression}");
}

#[track_caller]
fn refused(expression: Json, expected: &str) {
    let said = Expression::new(expression).map(drop).unwrap_err().to_string();
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn constants_are_compared() {
    holds(json!({ "Equal": [1, 1.0] }), true);
    holds(json!({ "Equal": ["basic", "plus"] }), false);
    holds(json!({ "NotEqual": ["basic", "plus"] }), true);
    holds(json!({ "GreaterThan": [2, 1] }), true);
    holds(json!({ "GreaterThan": [2, 2] }), false);
    holds(json!({ "GreaterThanOrEqualTo": [2, 2] }), true);
    holds(json!({ "LessThan": ["a", "b"] }), true);
    holds(json!({ "LessThanOrEqualTo": [3, 2] }), false);
}

#[test]
fn what_cannot_be_compared_is_false() {
    holds(json!({ "GreaterThan": ["2", 1] }), false);
    holds(json!({ "LessThan": [true, false] }), false);
    holds(json!({ "GreaterThan": [{ "Property": "age" }, 1] }), false);
    holds(json!({ "Equal": [{ "Now": [] }, 1] }), false);
    holds(json!({ "NotEqual": ["1", 1] }), true);
    holds(json!({ "GreaterThan": [{ "Time": "some day" }, { "Now": [] }] }), false);
}

#[test]
fn properties_are_those_of_any_of_the_actors() {
    holds(json!({ "Equal": [{ "Property": ["flipper_id"] }, "User;42"] }), true);
    holds(json!({ "Equal": [{ "Property": "flipper_id" }, "Account;1"] }), true);
    holds(json!({ "Equal": [{ "Property": ["flipper_id"] }, "User;1"] }), false);
    holds(json!({ "Equal": [{ "Property": ["admin"] }, true] }), true);
    holds(json!({ "Property": ["admin"] }), true);
    holds(json!({ "Property": ["plan"] }), false);
    let nobody = flag("beta", json!({ "Property": ["flipper_id"] }));
    assert!(!nobody.is_on(None, &Groups::standard()));
    assert!(flag("beta", json!({ "Equal": [1, 1] })).is_on(None, &Groups::standard()));
}

#[test]
fn groups_of_conditions() {
    let (yes, no) = (json!({ "Equal": [1, 1] }), json!({ "Equal": [1, 2] }));
    holds(json!({ "All": [yes, yes] }), true);
    holds(json!({ "All": [yes, no] }), false);
    holds(json!({ "Any": [no, yes] }), true);
    holds(json!({ "Any": [no, no] }), false);
    holds(json!({ "Any": yes }), true);
    refused(json!({ "All": [] }), "`All` of nothing");
    refused(json!({ "Any": [{ "All": [] }] }), "`All` of nothing");
}

/// The places that zlib's CRC-32 gives: 32,908, 94,135, 35,719 of 100,000.
#[test]
fn shares_of_actors_are_drawn_as_flipper_draws_them() {
    let of = |text: &str, share: f64| json!({ "PercentageOfActors": [text, share] });
    holds(of("Account;1", 32.909), true);
    holds(of("Account;1", 32.908), false);
    holds(of("User;42", 94.136), true);
    holds(of("User;42", 94.135), false);
    let billing = flag("billing_mode", of("Account;1", 35.720));
    assert!(billing.is_on(Some(&user()), &Groups::standard()));
    let billing = flag("billing_mode", of("Account;1", 35.719));
    assert!(!billing.is_on(Some(&user()), &Groups::standard()));
    holds(json!({ "PercentageOfActors": [{ "Property": "flipper_id" }, 32.909] }), true);
    holds(json!({ "PercentageOfActors": ["Account;1", "all"] }), false);
}

#[test]
fn casts_and_times() {
    holds(json!({ "Equal": [{ "Percentage": 140 }, 100] }), true);
    holds(json!({ "Equal": [{ "Number": "2.5" }, 2.5] }), true);
    holds(json!({ "Equal": [{ "String": 1 }, "1"] }), true);
    holds(json!({ "Boolean": "true" }), true);
    holds(json!({ "Boolean": "no" }), false);
    holds(json!({ "Equal": [{ "Duration": [2, "weeks"] }, 1_209_600] }), true);
    holds(json!({ "GreaterThan": [{ "Now": [] }, { "Time": "2020-01-01" }] }), true);
    holds(json!({ "GreaterThan": [{ "Time": "2999-01-01T00:00:00Z" }, { "Now": [] }] }), true);
    holds(
        json!({ "Equal": [{ "Time": "2020-01-01 01:00:00" }, { "Time": "2020-01-01T02:00:00+01:00" }] }),
        true,
    );
}

#[test]
fn another_flag_is_asked_and_a_circle_is_false() {
    let asks = |name: &str| json!({ "FeatureEnabled": [name] });
    let mut on = flag("on", json!({ "Equal": [1, 1] }));
    on.gates.apply(&Edit::Enable);
    let flags: BTreeMap<_, _> = [
        on,
        flag("a", asks("on")),
        flag("b", asks("c")),
        flag("c", asks("b")),
        flag("d", json!({ "Any": [asks("d"), asks("a")] })),
    ]
    .into_iter()
    .map(|it| (it.name.clone(), Arc::new(it)))
    .collect();
    let is_on = |name: &str| flags[name].is_on_among(Some(&user()), &Groups::standard(), &flags);
    assert_eq!(["a", "b", "c", "d"].map(is_on), [true, false, false, true]);
    holds(asks("nobody"), false);
}

#[test]
fn flags_that_ask_each_other_without_end_are_off() {
    // Each asks the next one many times: 20 to the power of 20 questions.
    let asks =
        |next: usize| json!({ "Any": vec![json!({ "FeatureEnabled": [format!("f{next}")] }); 20] });
    let flags: BTreeMap<_, _> = (0..20)
        .map(|it| flag(&format!("f{it}"), asks(it + 1)))
        .map(|it| (it.name.clone(), Arc::new(it)))
        .collect();
    assert!(!flags["f0"].is_on_among(Some(&user()), &Groups::standard(), &flags));
}

#[test]
fn what_is_no_expression_is_refused() {
    refused(json!("on"), "`\"on\"` is no expression");
    refused(json!({ "Equal": [1] }), "`Equal` takes 2 arguments, and has 1");
    refused(json!({ "Duration": [5, "fortnight"] }), "`fortnight` is no unit of a `Duration`");
    refused(json!({ "Shell": ["ls"] }), "there is no function `Shell`; there are: All, Any");
    refused(json!({ "Equal": [null, 1] }), "`null` is no expression");
    refused(json!({ "Equal": [1, 1], "Any": [1] }), "`{\"");
    refused(json!({ "Any": ["x".repeat(3_000)] }), "an expression has 2000 bytes at most");
    let deep = (0..30).fold(json!(true), |it, _| json!({ "Any": [it] }));
    refused(deep, "an expression is 16 functions deep");
}

#[test]
fn an_extension_is_not_on_by_chance() {
    let random = Expression::new(json!({ "LessThan": [{ "Random": 10 }, 5] })).unwrap();
    let edit = Edit::EnableExpression(random);
    let groups = Groups::standard();
    assert!(edit.check("marketing_mode", &groups).unwrap_err().to_string().contains("flap"));
    assert_eq!(edit.check("beta", &groups), Ok(()));
}
