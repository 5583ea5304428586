//! Campaigns: launched, scheduled, paused; what arrives, and what is counted.

use std::time::Duration;

use anyhow::{Result, ensure};
use chrono::{TimeDelta, Utc};
use powernode_tests::instance::within;
use serde_json::json;

use crate::{BASE, Marketing, SOON, addresses, on_both, switch, text};

#[test]
fn a_launch_reaches_each_subscriber_once_and_is_counted() -> Result<()> {
    on_both(&[], |instance, sink| {
        let it = Marketing::of(&instance);
        let both = ["ann@example.com".to_owned(), "ben@example.com".to_owned()];
        let one = it.list("One", &[&both[..], &["gone@example.com".to_owned()]].concat());
        let other = it.list("Other", &[&both[..1], &["cleo@example.com".to_owned()]].concat());
        let left = it.get(&format!("email_lists/{other}/subscribers?search=cleo"))[0]["id"].clone();
        it.ok(
            &format!("POST email_lists/{other}/subscribers/{}/unsubscribe", text(&left)),
            json!({}),
        );
        let campaign = it.campaign("Sale", &[&one, &other]);
        it.ok(&format!("POST {campaign}/launch"), json!({}));
        it.becomes(&instance, &campaign, "status", "completed");

        let mut reached: Vec<_> = sink.mails().into_iter().map(|it| it.to).collect();
        reached.sort();
        assert_eq!(reached, both);
        let mail = sink.to("ann@example.com").remove(0);
        assert_eq!(mail.header("subject").as_deref(), Some("Hello Ann"));
        assert_eq!(
            mail.header("list-unsubscribe-post").as_deref(),
            Some("List-Unsubscribe=One-Click")
        );
        let figures = it.figures(&campaign);
        assert_eq!(
            (&figures["sends"], &figures["deliveries"], &figures["bounces"]),
            (&json!(3), &json!(2), &json!(1))
        );
        let gone = &it.get(&format!("email_lists/{one}/subscribers?search=gone"))[0];
        assert_eq!((text(&gone["status"]), &gone["bounce_count"]), ("bounced", &json!(1)));
        let refused = it.get(&format!("{campaign}/deliveries?state=bounced"));
        assert_eq!(
            (text(&refused[0]["email"]), refused.as_array().map(Vec::len)),
            ("gone@example.com", Some(1))
        );
        assert!(text(&refused[0]["answer"]).contains("no such user"), "{refused}");
        assert_eq!(
            it.told("marketing.campaign.*"),
            ["marketing.campaign.executed", "marketing.campaign.completed"]
        );
        Ok(())
    })
}

#[test]
fn links_in_an_email_count_lead_and_unsubscribe() -> Result<()> {
    on_both(&[], |instance, sink| {
        let it = Marketing::of(&instance);
        let anyone = instance.anonymous();
        let list = it.list("News", &["ann@example.com".to_owned()]);
        let campaign = it.campaign("Sale", &[&list]);
        it.ok(&format!("POST {campaign}/execute"), json!({}));
        ensure!(within(SOON, || sink.mails().len() == 1), "{}", instance.log());
        let mail = sink.mails().remove(0);
        let path =
            |end: &str| mail.path(end).unwrap_or_else(|| panic!("no {end} in {}", mail.text));

        for _ in 0..2 {
            let picture = anyone.get(&path("/open"))?;
            assert_eq!((picture.status, picture.header("content-type")), (200, Some("image/gif")));
        }
        let click = path("/click");
        let answer = anyone.get(&click)?;
        assert_eq!(
            (answer.status, answer.header("location")),
            (302, Some("https://example.com/new?a=1&b=2"))
        );
        // The target is in no link, and a link that nobody signed leads nowhere.
        assert!(!mail.plain().contains("href=\"https://example.com"), "{}", mail.plain());
        let forged = click.replace("/track/", "/track/A");
        assert_eq!(anyone.get(&forged)?.failure(), "404 LINK_INVALID");
        let other = click.replace("/click", "/open");
        assert_eq!(anyone.get(&other)?.failure(), "404 LINK_INVALID");

        let unsubscribe = mail.header("list-unsubscribe").unwrap_or_default();
        let at = unsubscribe.find("/api/").unwrap_or_else(|| panic!("{unsubscribe}"));
        let unsubscribe = unsubscribe[at..].trim_end_matches('>').to_owned();
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let left =
            anyone.send("POST", &unsubscribe, &form, b"List-Unsubscribe=One-Click".to_vec())?;
        assert_eq!(left.status, 200, "{}", left.text());
        let shown = &it.get(&format!("email_lists/{list}/subscribers"))[0];
        assert_eq!(text(&shown["status"]), "unsubscribed");
        let figures = it.figures(&campaign);
        for (name, count) in [("opens", 2), ("unique_opens", 1), ("clicks", 1), ("unsubscribes", 1)]
        {
            assert_eq!(figures[name], json!(count), "{name} of {figures}");
        }
        Ok(())
    })
}

#[test]
fn a_scheduled_campaign_launches_by_itself_and_not_before() -> Result<()> {
    on_both(&[], |instance, sink| {
        let it = Marketing::of(&instance);
        let list = it.list("News", &["ann@example.com".to_owned(), "ben@example.com".to_owned()]);
        let campaign = it.campaign("Sale", &[&list]);
        let at = |seconds| json!({ "scheduled_at": Utc::now() + TimeDelta::seconds(seconds) });
        it.ok(&format!("POST {campaign}/schedule"), at(2));
        // It is moved: the first time does not count any more.
        it.ok(&format!("POST {campaign}/schedule"), at(5));
        let ben = it.get(&format!("email_lists/{list}/subscribers?search=ben"))[0]["id"].clone();
        it.ok(
            &format!("POST email_lists/{list}/subscribers/{}/unsubscribe", text(&ben)),
            json!({}),
        );
        ensure!(!within(Duration::from_secs(3), || !sink.mails().is_empty()), "too early");
        assert_eq!(text(&it.get(&campaign)["status"]), "scheduled");
        it.becomes(&instance, &campaign, "status", "completed");
        let reached: Vec<_> = sink.mails().into_iter().map(|it| it.to).collect();
        assert_eq!(reached, ["ann@example.com"]);
        Ok(())
    })
}

#[test]
fn a_pause_and_the_flag_hold_a_campaign_and_it_goes_on() -> Result<()> {
    on_both(&[("batch_size", "20")], |instance, sink| {
        let it = Marketing::of(&instance);
        let list = it.list("News", &addresses(60));
        let campaign = it.campaign("Sale", &[&list]);
        sink.slow(Duration::from_millis(40));
        it.ok(&format!("POST {campaign}/launch"), json!({}));
        ensure!(within(SOON, || sink.mails().len() > 5), "{}", instance.log());
        let stands = |why: &str| {
            // What was being spoken about when it was held still arrives.
            within(Duration::from_millis(500), || false);
            let count = sink.mails().len();
            ensure!(
                !within(Duration::from_secs(1), || sink.mails().len() > count),
                "{why}: it goes on"
            );
            ensure!(count < 60, "{why}: all {count} went out");
            Ok(count)
        };
        it.ok(&format!("POST {campaign}/pause"), json!({}));
        let paused = stands("paused")?;
        it.ok(&format!("POST {campaign}/resume"), json!({}));
        ensure!(within(SOON, || sink.mails().len() > paused + 5), "{}", instance.log());
        switch(&instance, false)?;
        stands("off")?;
        switch(&instance, true)?;
        it.becomes(&instance, &campaign, "status", "completed");
        let mut reached: Vec<_> = sink.mails().into_iter().map(|it| it.to).collect();
        reached.sort();
        assert_eq!(reached, addresses(60));
        Ok(())
    })
}

#[test]
fn notices_of_mail_servers_close_an_address() -> Result<()> {
    on_both(&[], |instance, sink| {
        let it = Marketing::of(&instance);
        let list = it.list("News", &["ann@example.com".to_owned(), "ben@example.com".to_owned()]);
        let campaign = it.campaign("Sale", &[&list]);
        it.ok(&format!("POST {campaign}/launch"), json!({}));
        it.becomes(&instance, &campaign, "status", "completed");
        let number =
            |address: &str| sink.to(address).remove(0).header("message-id").unwrap_or_default();
        let notices = json!({ "notices": [
            { "kind": "bounce", "message_id": number("ann@example.com"), "reason": "550 gone" },
            { "kind": "complaint", "message_id": number("ben@example.com") },
            { "kind": "bounce", "message_id": "<somebody@else>" },
        ] });
        let account = instance.cli(&["--json", "accounts", "create", "Other"])?.json()?;
        let scope =
            ["--json", "tokens", "create", "--account", text(&account["id"]), "--scope", "*"];
        let other = Marketing(instance.client(text(&instance.cli(&scope)?.json()?["token"])));
        let strange = other.ok("POST deliveries/notices", notices.clone());
        assert_eq!(strange, json!({ "taken": 0, "known": 0, "unknown": [0, 1, 2] }));
        let taken = it.ok("POST deliveries/notices", notices.clone());
        assert_eq!(taken, json!({ "taken": 2, "known": 0, "unknown": [2] }));
        assert_eq!(
            it.ok("POST deliveries/notices", notices),
            json!({ "taken": 0, "known": 2, "unknown": [2] })
        );
        let shown = it.get(&format!("email_lists/{list}/subscribers"));
        let states: Vec<_> = [0, 1].map(|at| text(&shown[at]["status"])).to_vec();
        assert_eq!(states, ["bounced", "complained"]);
        assert_eq!(it.figures(&campaign)["bounces"], json!(1));
        // Neither gets anything again, from whichever list.
        let other =
            it.list("Other", &["ann@example.com".to_owned(), "cleo@example.com".to_owned()]);
        let second = it.campaign("Another", &[&other]);
        it.ok(&format!("POST {second}/launch"), json!({}));
        it.becomes(&instance, &second, "status", "completed");
        let reached: Vec<_> = sink.mails().into_iter().skip(2).map(|it| it.to).collect();
        assert_eq!(reached, ["cleo@example.com"]);
        let nobody =
            instance.anonymous().post(&format!("{BASE}/deliveries/notices"), &json!({}))?;
        assert_eq!(nobody.status, 401);
        Ok(())
    })
}
