//! Entries of the calendar that come out when it is their time.

use std::time::Duration;

use anyhow::{Result, ensure};
use chrono::{DateTime, Days, TimeDelta, Utc};
use powernode_tests::instance::{Instance, within};
use serde_json::{Value, json};

use crate::{Marketing, SOON, on_both, text};

/// An entry of that kind, since yesterday and each day at the time of `moment`, as it is there.
fn daily(it: &Marketing, kind: &str, moment: DateTime<Utc>, campaign: Option<&str>) -> String {
    let first = moment.date_naive().checked_sub_days(Days::new(1));
    let new = json!({
        "title": format!("Daily {kind}"), "entry_type": kind, "scheduled_date": first,
        "scheduled_time": moment.format("%H:%M:%S").to_string(), "recurrence_rule": "FREQ=DAILY",
        "campaign_id": campaign.map(|it| it.replace("campaigns/", "")),
    });
    format!("calendar/{}", text(&it.ok("POST calendar", new)["id"]))
}

fn publications(it: &Marketing, entry: &str) -> Vec<Value> {
    it.get(&format!("{entry}/publications")).as_array().cloned().unwrap_or_default()
}

fn comes_out(instance: &Instance, it: &Marketing, entry: &str) -> Result<Value> {
    ensure!(within(SOON, || !publications(it, entry).is_empty()), "{}", instance.log());
    Ok(publications(it, entry).remove(0))
}

#[test]
fn a_scheduled_entry_sends_its_campaign_on_its_day_and_once() -> Result<()> {
    on_both(&[], |instance, sink| {
        let it = Marketing::of(&instance);
        let list = it.list("News", &["ann@example.com".to_owned()]);
        let campaign = it.campaign("Sale", &[&list]);
        let moment = Utc::now() + TimeDelta::seconds(4);
        let sent = daily(&it, "email", moment, Some(&campaign));
        let told = daily(&it, "reminder", moment, None);
        let planned = daily(&it, "reminder", moment, None);
        let past = daily(&it, "reminder", Utc::now() - TimeDelta::minutes(5), None);
        for entry in [&sent, &told, &past] {
            it.ok(&format!("POST {entry}/schedule"), json!({}));
        }
        ensure!(sink.mails().is_empty() && publications(&it, &told).is_empty(), "too early");
        let of_sent = comes_out(&instance, &it, &sent)?;
        assert_eq!(
            (&of_sent["outcome"], &of_sent["occurs_on"]),
            (&json!("sent"), &json!(moment.date_naive()))
        );
        assert_eq!(comes_out(&instance, &it, &told)?["outcome"], json!("told"));
        it.becomes(&instance, &campaign, "status", "completed");
        ensure!(!within(Duration::from_secs(2), || sink.mails().len() > 1), "sent twice");
        assert_eq!(sink.mails().len(), 1);
        let counts = [&sent, &told, &planned, &past].map(|entry| publications(&it, entry).len());
        assert_eq!(counts, [1, 1, 0, 0]);
        // Another day is another sending of the same campaign.
        let sendings = it.get(&format!("{campaign}/sendings"));
        let occasion = format!("{}/{}", sent.replace("calendar/", ""), moment.date_naive());
        assert_eq!(sendings[0]["occasion"], json!(occasion));
        Ok(())
    })
}

#[test]
fn what_goes_out_on_two_occasions_reaches_a_reader_twice() -> Result<()> {
    on_both(&[], |instance, sink| {
        let it = Marketing::of(&instance);
        let list = it.list("News", &["ann@example.com".to_owned()]);
        let campaign = it.campaign("Sale", &[&list]);
        it.ok(&format!("POST {campaign}/launch"), json!({}));
        it.becomes(&instance, &campaign, "status", "completed");
        let entry = daily(&it, "email", Utc::now() + TimeDelta::seconds(3), Some(&campaign));
        it.ok(&format!("POST {entry}/schedule"), json!({}));
        ensure!(within(SOON, || sink.mails().len() == 2), "{}", instance.log());
        let mut numbers: Vec<_> =
            sink.mails().iter().filter_map(|it| it.header("message-id")).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), 2, "{numbers:?}");
        Ok(())
    })
}
