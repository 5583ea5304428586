use serde_json::json;

use super::*;

fn entry(fields: serde_json::Value) -> Result<Entry> {
    let actor = Actor { account: Uuid::now_v7(), user: None, now: DateTime::UNIX_EPOCH };
    let mut input =
        json!({ "title": "Post", "entry_type": "post", "scheduled_date": "2027-03-01" });
    input.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Entry::planned(actor, serde_json::from_value(input).unwrap())
}

#[track_caller]
fn check(status: Status, expected: [Option<Status>; 3]) {
    let found = [&SCHEDULE, &CANCEL, &PLAN].map(|step| {
        let mut entry = Entry { status, ..entry(json!({})).unwrap() };
        entry.take(step, DateTime::UNIX_EPOCH).ok().map(|()| entry.status)
    });
    assert_eq!(found, expected, "{status}");
}

#[test]
fn each_state_allows_its_own_steps() {
    check(Planned, [Some(Scheduled), Some(Cancelled), None]);
    check(Scheduled, [None, Some(Cancelled), Some(Planned)]);
    check(Cancelled, [None, None, Some(Planned)]);
}

#[track_caller]
fn invalid(fields: serde_json::Value, expected: &str) {
    let error = entry(fields).unwrap_err();
    assert_eq!(error.to_string(), format!("the input is not valid; {expected}"));
}

#[test]
fn what_is_not_valid_is_named() {
    invalid(json!({ "title": " " }), "title: must have 1 to 255 characters");
    invalid(json!({ "color": "blue" }), "color: must be six digits such as #3b82f6");
    invalid(json!({ "scheduled_date": "1969-12-31" }), "scheduled_date: must be from 1970 to 9999");
    invalid(
        json!({ "recurrence_rule": "daily" }),
        "recurrence_rule: DAILY is unknown here; FREQ, INTERVAL, COUNT, UNTIL, BYDAY and BYMONTHDAY are not",
    );
}

#[test]
fn null_takes_away_and_nothing_leaves_alone() {
    let mut entry = entry(json!({ "scheduled_time": "09:00:00" })).unwrap();
    let mut change = |fields| {
        entry.change(serde_json::from_value(fields).unwrap(), DateTime::UNIX_EPOCH).unwrap();
        entry.scheduled_time.is_some()
    };
    assert!(change(json!({})));
    assert!(!change(json!({ "scheduled_time": null })));
}

#[test]
fn near_is_less_than_an_hour() {
    let entry = entry(json!({ "scheduled_time": "09:00:00" })).unwrap();
    let near = |time: &str| entry.is_near(Some(time.parse().unwrap()));
    assert!(near("09:59:00") && near("08:01:00") && entry.is_near(None));
    assert!(!near("10:00:00") && !near("08:00:00"));
}
