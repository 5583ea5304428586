//! Campaigns, and the lists that they go to.

use std::thread;

use anyhow::Result;
use serde_json::{Value, json};

use crate::{Marketing, names, on_both, text};

#[test]
fn campaigns_live_from_draft_to_archive() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let campaign = it.campaign("Spring Sale");
        let shown = it.get(&campaign);
        assert_eq!((text(&shown["slug"]), text(&shown["status"])), ("spring-sale", "draft"));
        assert!(text(&shown["id"]).starts_with("camp_"), "{shown}");
        assert!(text(&shown["created_at"]).ends_with('Z'), "{shown}");

        let pause = format!("POST {campaign}/pause");
        it.refused(&pause, json!({}), "422 a draft campaign cannot be paused");
        let schedule = format!("POST {campaign}/schedule");
        let past = json!({ "scheduled_at": "2020-01-01T00:00:00Z" });
        it.refused(&schedule, past, "422 scheduled_at: must be in the future");
        assert_eq!(text(&it.get(&campaign)["status"]), "draft");
        it.ok(&schedule, json!({ "scheduled_at": "2126-01-01T01:00:00+01:00" }));
        assert_eq!(text(&it.get(&campaign)["scheduled_at"]), "2126-01-01T00:00:00Z");

        for (verb, status) in [
            ("execute", "active"),
            ("pause", "paused"),
            ("resume", "active"),
            ("complete", "completed"),
        ] {
            it.ok(&format!("POST {campaign}/{verb}"), json!({}));
            assert_eq!(text(&it.get(&campaign)["status"]), status, "{verb}");
        }
        it.refused(&pause, json!({}), "422 a completed campaign cannot be paused");
        let rename = json!({ "name": "Late" });
        let patch = format!("PATCH {campaign}");
        it.refused(&patch, rename, "422 a completed campaign cannot be changed");
        let delete = format!("DELETE {campaign}");
        it.refused(&delete, json!({}), "422 a completed campaign cannot be deleted");
        it.ok(&format!("POST {campaign}/archive"), json!({}));
        assert_eq!(it.get("campaigns/statistics")["by_status"]["archived"], json!(1));
        it.ok(&delete, json!({}));
        it.refused(&format!("GET {campaign}"), json!({}), "404 campaign not found");
        assert_eq!(it.get("campaigns/statistics")["total"], json!(0));
        Ok(())
    })
}

#[test]
fn of_many_who_take_the_same_step_one_does() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let campaign = it.campaign("Sale");
        let execute = format!("POST {campaign}/execute");
        let statuses: Vec<_> = thread::scope(|scope| {
            let take = || scope.spawn(|| it.send(&execute, &json!({})).status);
            let threads: Vec<_> = (0..8).map(|_| take()).collect();
            threads.into_iter().filter_map(|it| it.join().ok()).collect()
        });
        let count = |status| statuses.iter().filter(|it| **it == status).count();
        assert_eq!((count(200), count(422)), (1, 7), "{statuses:?}");
        Ok(())
    })
}

#[test]
fn campaigns_are_filtered_paged_and_copied() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let sale = it.campaign("50% off");
        it.campaign("Newsletter");
        it.ok("POST campaigns", json!({ "name": "Posts", "campaign_type": "social" }));
        it.ok(&format!("POST {sale}/execute"), json!({}));
        assert_eq!(names(&it.get("campaigns?status=active")), ["50% off"]);
        assert_eq!(names(&it.get("campaigns?campaign_type=social")), ["Posts"]);
        assert_eq!(names(&it.get("campaigns?search=LETTER")), ["Newsletter"]);
        assert_eq!(names(&it.get("campaigns?search=%25")), ["50% off"]);
        assert_eq!(names(&it.get("campaigns")), ["Posts", "Newsletter", "50% off"]);
        let page = it.send("GET campaigns?page=2&per_page=2", &Value::Null).json();
        assert_eq!(names(&page["data"]), ["50% off"]);
        let expected =
            json!({ "current_page": 2, "per_page": 2, "total_pages": 2, "total_count": 3 });
        assert_eq!(page["meta"]["pagination"], expected);
        assert_eq!(it.get("campaigns?page=9"), json!([]));

        let unknown =
            "422 status: must be one of draft, scheduled, active, paused, completed, archived";
        it.refused("GET campaigns?status=lost", json!({}), unknown);
        it.refused("GET campaigns?page=two", json!({}), "422 page: must be a number from 1");

        let content = json!({ "channel": "email", "subject": "Now", "body": "Come." });
        it.ok(&format!("POST {sale}/contents"), content);
        let copy = it.ok(&format!("POST {sale}/clone"), json!({}));
        assert_eq!((text(&copy["name"]), text(&copy["slug"])), ("50% off (copy)", "50-off-copy"));
        let copied = it.get(&format!("campaigns/{}/contents", text(&copy["id"])));
        assert_eq!((text(&copied[0]["body"]), text(&copied[0]["status"])), ("Come.", "draft"));
        Ok(())
    })
}

#[test]
fn wrong_input_is_named_field_by_field() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        it.campaign("Sale");
        for (body, expected) in [
            (json!({}), "422 name: is required"),
            (
                json!({ "name": "", "campaign_type": "email", "budget_cents": -1 }),
                "422 name: must have 1 to 255 characters; budget_cents: must not be negative",
            ),
            (
                json!({ "name": "A", "campaign_type": "post" }),
                "422 campaign_type: must be one of email, social, chat, sms, multi_channel",
            ),
            (
                json!({ "name": "A", "campaign_type": "sms", "channels": ["email"] }),
                "422 channels: email is no channel of the campaign type sms",
            ),
            (
                json!({ "name": "A", "campaign_type": "sms", "currency": "euro" }),
                "422 currency: must be an ISO 4217 code such as EUR",
            ),
            (json!({ "name": "Sale", "campaign_type": "sms" }), "422 name: is already taken"),
        ] {
            it.refused("POST campaigns", body, expected);
        }
        let status = json!({ "name": "A", "campaign_type": "sms", "status": "active" });
        it.refused("POST campaigns", status, "422 status: is unknown");
        assert_eq!(names(&it.get("campaigns")), ["Sale"]);
        Ok(())
    })
}

#[test]
fn a_campaign_goes_to_its_lists() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let (campaign, list) = (it.campaign("Sale"), it.list("News"));
        let audience = format!("{campaign}/email_lists");
        let one = format!("{campaign}/{list}");
        it.ok(&format!("PUT {one}"), json!({}));
        it.ok(&format!("PUT {one}"), json!({}));
        assert_eq!(names(&it.get(&audience)), ["News"]);
        it.ok(&format!("DELETE {one}"), json!({}));
        assert_eq!(it.get(&audience), json!([]));
        let social = it.ok("POST campaigns", json!({ "name": "Posts", "campaign_type": "social" }));
        let put = format!("PUT campaigns/{}/{list}", text(&social["id"]));
        it.refused(
            &put,
            json!({}),
            "422 campaign_type: a campaign of the type social sends no e-mail",
        );
        it.ok(&format!("PUT {one}"), json!({}));
        it.ok(&format!("DELETE {list}"), json!({}));
        assert_eq!(it.get(&audience), json!([]));
        Ok(())
    })
}
