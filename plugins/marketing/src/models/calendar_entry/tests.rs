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

/// Whether an entry at that time on the second of March is near another moment of the month.
#[track_caller]
fn near(scheduled_time: Option<&str>, day: &str, time: Option<&str>, expected: bool) {
    let entry = entry(json!({ "scheduled_time": scheduled_time })).unwrap();
    let occurrence = Occurrence { entry, occurs_on: "2027-03-02".parse().unwrap() };
    let day = format!("2027-03-{day}").parse().unwrap();
    let found = occurrence.is_near(day, time.map(|it| it.parse().unwrap()));
    assert_eq!(found, expected, "{scheduled_time:?} {day} {time:?}");
}

#[test]
fn near_is_less_than_an_hour_also_across_midnight() {
    let nine = Some("09:00:00");
    near(nine, "02", Some("09:59:59"), true);
    near(nine, "02", Some("08:00:01"), true);
    near(nine, "02", Some("10:00:00"), false);
    near(nine, "02", Some("08:00:00"), false);
    near(nine, "03", nine, false);
    near(Some("23:45:00"), "03", Some("00:15:00"), true);
    near(Some("00:15:00"), "01", Some("23:45:00"), true);
    near(Some("23:45:00"), "02", Some("00:15:00"), false);
}

#[test]
fn a_whole_day_is_in_the_way_of_that_day() {
    near(None, "02", Some("09:00:00"), true);
    near(Some("23:45:00"), "02", None, true);
    near(None, "01", None, false);
    near(Some("23:45:00"), "03", None, false);
}
