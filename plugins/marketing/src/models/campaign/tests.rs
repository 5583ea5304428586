use serde_json::json;

use super::*;

const STEPS: [&Step<Status>; 6] = [&SCHEDULE, &EXECUTE, &PAUSE, &RESUME, &COMPLETE, &ARCHIVE];

fn actor() -> Actor {
    Actor { account: Uuid::now_v7(), user: None, now: DateTime::UNIX_EPOCH }
}

fn draft(fields: Value) -> Result<Campaign> {
    let mut input = json!({ "name": "Sale", "campaign_type": "email" });
    input.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Campaign::draft(actor(), serde_json::from_value(input).unwrap(), "sale".to_owned())
}

fn in_state(status: Status) -> Campaign {
    Campaign { status, ..draft(json!({})).unwrap() }
}

/// Where each of the six steps leads from `status`.
#[track_caller]
fn check(status: Status, expected: [Option<Status>; 6]) {
    let found = STEPS.map(|step| {
        let mut campaign = in_state(status);
        campaign.take(step, DateTime::UNIX_EPOCH).ok().map(|()| campaign.status)
    });
    assert_eq!(found, expected, "{status}");
}

#[test]
fn each_state_allows_its_own_steps() {
    //                schedule         execute       pause         resume        complete         archive
    check(Draft, [Some(Scheduled), Some(Active), None, None, None, Some(Archived)]);
    check(Scheduled, [Some(Scheduled), Some(Active), None, None, None, None]);
    check(Active, [None, None, Some(Paused), None, Some(Completed), None]);
    check(Paused, [None, None, None, Some(Active), None, None]);
    check(Completed, [None, None, None, None, None, Some(Archived)]);
    check(Archived, [None; 6]);
}

#[track_caller]
fn refused(status: Status, step: &Step<Status>, expected: &str) {
    let error = in_state(status).take(step, DateTime::UNIX_EPOCH).unwrap_err();
    assert_eq!((error.status(), error.to_string().as_str()), (422, expected));
}

#[test]
fn a_refused_step_is_said_in_a_sentence() {
    refused(Completed, &PAUSE, "a completed campaign cannot be paused");
    refused(Archived, &EXECUTE, "an archived campaign cannot be executed");
}

#[test]
fn moments_follow_the_steps() {
    let mut campaign = in_state(Draft);
    let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
    for (second, step) in [&EXECUTE, &PAUSE, &RESUME, &COMPLETE].into_iter().enumerate() {
        campaign.take(step, at(i64::try_from(second).unwrap())).unwrap();
    }
    assert_eq!((campaign.started_at, campaign.paused_at), (Some(at(0)), None));
    assert_eq!((campaign.completed_at, campaign.updated_at), (Some(at(3)), at(3)));
}

#[track_caller]
fn invalid(fields: Value, expected: &str) {
    let error = draft(fields).unwrap_err();
    assert_eq!(error.to_string(), format!("the input is not valid; {expected}"));
}

#[test]
fn what_is_not_valid_is_named() {
    let two = json!({ "name": " ", "budget_cents": -1 });
    invalid(two, "name: must have 1 to 255 characters; budget_cents: must not be negative");
    invalid(json!({ "name": "x".repeat(256) }), "name: must have 1 to 255 characters");
    invalid(json!({ "currency": "eur" }), "currency: must be an ISO 4217 code such as EUR");
    invalid(json!({ "tags": ["a", "a"] }), "tags[1]: is there twice");
    invalid(json!({ "tags": [""] }), "tags[0]: must have 1 to 50 characters");
    let channels = "channels: sms is no channel of the campaign type email";
    invalid(json!({ "channels": ["email", "sms"] }), channels);
}

#[test]
fn the_longest_name_is_valid() {
    assert_eq!(draft(json!({ "name": "ü".repeat(255) })).unwrap().status, Draft);
}

#[test]
fn what_is_over_cannot_be_changed_and_what_ran_cannot_be_deleted() {
    let changeable = |it: &Status| in_state(*it).change(ChangeCampaign::default(), actor().now);
    let changeable: Vec<_> = Status::ALL.iter().filter(|it| changeable(it).is_ok()).collect();
    assert_eq!(changeable, [&Draft, &Scheduled, &Active, &Paused]);
    let deletable = |it: &&Status| in_state(**it).may_be_deleted().is_ok();
    let deletable: Vec<_> = Status::ALL.iter().filter(deletable).collect();
    assert_eq!(deletable, [&Draft, &Scheduled, &Archived]);
}

#[test]
fn a_copy_is_a_draft_of_its_own() {
    let original = Campaign { started_at: Some(DateTime::UNIX_EPOCH), ..in_state(Active) };
    let copy = original.duplicate(actor(), "Sale (copy)".to_owned(), "sale-copy".to_owned());
    assert_ne!(copy.id, original.id);
    assert_eq!((copy.account_id, copy.status, copy.started_at), (original.account_id, Draft, None));
}
