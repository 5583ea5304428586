use serde_json::json;

use super::*;
use crate::models::{Actor, email_list::NewEmailList};

const STEPS: [&Step<Status>; 4] = [&CONFIRM, &UNSUBSCRIBE, &BOUNCE, &COMPLAIN];

fn subscriber(double_opt_in: bool, fields: Value) -> Result<Subscriber> {
    let actor = Actor { account: Uuid::now_v7(), user: None, now: DateTime::UNIX_EPOCH };
    let new = json!({ "name": "News", "double_opt_in": double_opt_in });
    let new: NewEmailList = serde_json::from_value(new).unwrap();
    let list = EmailList::empty(actor, new, "news".to_owned()).unwrap();
    let mut input = json!({ "email": "ann@example.com" });
    input.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Subscriber::new(&list, serde_json::from_value(input).unwrap(), "api", actor.now)
}

/// Where each of the four steps leads from `status`.
#[track_caller]
fn check(status: Status, expected: [Option<Status>; 4]) {
    let found = STEPS.map(|step| {
        let mut subscriber = Subscriber { status, ..subscriber(true, json!({})).unwrap() };
        subscriber.take(step, DateTime::UNIX_EPOCH).ok().map(|()| subscriber.status)
    });
    assert_eq!(found, expected, "{status}");
}

#[test]
fn each_state_allows_its_own_steps() {
    check(Pending, [Some(Subscribed), Some(Unsubscribed), Some(Bounced), Some(Complained)]);
    check(Subscribed, [None, Some(Unsubscribed), Some(Bounced), Some(Complained)]);
    check(Unsubscribed, [None; 4]);
    check(Bounced, [None; 4]);
    check(Complained, [None; 4]);
}

/// Where a link to confirm and one to unsubscribe lead from `status`.
#[track_caller]
fn by_link(status: Status, confirm: Option<Status>, unsubscribe: Status) {
    let follow = |step| {
        let mut subscriber = Subscriber { status, ..subscriber(true, json!({})).unwrap() };
        let changed = subscriber.follow(step, DateTime::UNIX_EPOCH).ok()?;
        assert_eq!(changed, subscriber.status != status);
        Some(subscriber.status)
    };
    assert_eq!((follow(&CONFIRM), follow(&UNSUBSCRIBE)), (confirm, Some(unsubscribe)), "{status}");
}

#[test]
fn a_link_may_be_followed_twice_and_nobody_is_refused_to_leave() {
    by_link(Pending, Some(Subscribed), Unsubscribed);
    by_link(Subscribed, Some(Subscribed), Unsubscribed);
    by_link(Unsubscribed, None, Unsubscribed);
    by_link(Bounced, None, Bounced);
    by_link(Complained, None, Complained);
}

#[test]
fn a_list_asks_for_a_confirmation_unless_told_otherwise() {
    let new: NewEmailList = serde_json::from_value(json!({ "name": "News" })).unwrap();
    assert!(new.double_opt_in);
    let status = |double_opt_in| subscriber(double_opt_in, json!({})).unwrap().status;
    assert_eq!((status(true), status(false)), (Pending, Subscribed));
}

#[track_caller]
fn invalid(fields: Value, expected: &str) {
    let error = subscriber(true, fields).unwrap_err();
    assert_eq!(error.to_string(), format!("the input is not valid; {expected}"));
}

#[test]
fn what_is_not_valid_is_named() {
    invalid(json!({ "email": "ann" }), "email: must be an e-mail address");
    invalid(json!({ "source": "" }), "source: must have 1 to 100 characters");
    invalid(json!({ "tags": ["a", "b", "a"] }), "tags[2]: is there twice");
}
