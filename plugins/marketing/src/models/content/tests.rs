use serde_json::json;

use super::*;
use crate::models::campaign::NewCampaign;

fn actor() -> Actor {
    Actor { account: Uuid::now_v7(), user: Some(Uuid::now_v7()), now: DateTime::UNIX_EPOCH }
}

fn draft(kind: &str, fields: Value) -> Result<Content> {
    let new = json!({ "name": "Sale", "campaign_type": kind });
    let new: NewCampaign = serde_json::from_value(new).unwrap();
    let campaign = Campaign::draft(actor(), new, "sale".to_owned()).unwrap();
    let mut input = json!({ "channel": "email", "subject": "Sale!", "body": "Come." });
    input.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Content::draft(&campaign, serde_json::from_value(input).unwrap(), actor().now)
}

fn in_state(status: Status) -> Content {
    Content { status, ..draft("email", json!({})).unwrap() }
}

#[track_caller]
fn check(status: Status, step: &Step<Status>, expected: &str) {
    let mut content = in_state(status);
    let found = match content.take(step, actor()) {
        Ok(()) => content.status.to_string(),
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expected);
}

#[test]
fn only_a_draft_is_reviewed() {
    check(Draft, &APPROVE, "approved");
    check(Draft, &REJECT, "rejected");
    check(Approved, &APPROVE, "an approved content cannot be approved");
    check(Approved, &REJECT, "an approved content cannot be rejected");
    check(Rejected, &APPROVE, "a rejected content cannot be approved");
    check(Rejected, &REJECT, "a rejected content cannot be rejected");
}

#[test]
fn an_approval_names_who_gave_it_and_ends_with_a_change() {
    let mut content = in_state(Draft);
    let reviewer = actor();
    content.take(&APPROVE, reviewer).unwrap();
    assert_eq!((content.approved_by, content.approved_at), (reviewer.user, Some(reviewer.now)));
    content.change(ChangeContent::default(), reviewer.now).unwrap();
    assert_eq!((content.status, content.approved_by, content.approved_at), (Draft, None, None));
}

#[track_caller]
fn invalid(kind: &str, fields: Value, expected: &str) {
    let error = draft(kind, fields).unwrap_err();
    assert_eq!(error.to_string(), format!("the input is not valid; {expected}"));
}

#[test]
fn what_is_not_valid_is_named() {
    invalid("sms", json!({}), "channel: email is no channel of the campaign type sms");
    invalid("email", json!({ "subject": "" }), "subject: must have 1 to 255 characters");
    invalid("email", json!({ "body": "\n" }), "body: must have 1 to 100000 characters");
    let url = "cta_url: must be a URL that begins with https:// or http://";
    invalid("email", json!({ "cta_url": "javascript:alert(1)" }), url);
    let media = "media_urls[1]: must be a URL that begins with https:// or http://";
    invalid("email", json!({ "media_urls": ["https://example.com/a.png", "a.png"] }), media);
}

#[test]
fn a_short_message_needs_no_subject() {
    assert!(draft("sms", json!({ "channel": "sms", "subject": "" })).is_ok());
}

#[test]
fn a_variant_is_a_draft_that_says_one_thing_otherwise() {
    let original = in_state(Approved);
    let change = ChangeContent { subject: Some("Now!".to_owned()), ..ChangeContent::default() };
    let variant = original.variant(change, &["A".to_owned()], original.created_at).unwrap();
    assert_eq!((variant.variant_name.as_str(), variant.status), ("B", Draft));
    assert_eq!((variant.subject.as_str(), &variant.body), ("Now!", &original.body));
    assert_ne!(variant.id, original.id);
}

#[track_caller]
fn free(taken: &[&str], expected: &str) {
    let taken: Vec<_> = taken.iter().map(ToString::to_string).collect();
    assert_eq!(free_name(&taken).as_deref(), Some(expected));
}

#[test]
fn a_variant_is_called_by_the_first_free_letter() {
    free(&[], "A");
    free(&["A", "C", "short"], "B");
    let letters: Vec<_> = ('A'..='Z').map(String::from).collect();
    free(&letters.iter().map(String::as_str).collect::<Vec<_>>(), "A2");
}
