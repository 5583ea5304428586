//! Contents and their review.

use anyhow::Result;
use serde_json::{Value, json};

use crate::{Marketing, on_both, text};

#[test]
fn contents_are_reviewed_and_a_change_ends_the_approval() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let campaign = it.campaign("Sale");
        let contents = format!("{campaign}/contents");
        let new =
            json!({ "channel": "email", "variant_name": "A", "subject": "Now", "body": "Come." });
        let made = it.ok(&format!("POST {contents}"), new.clone());
        let content = format!("{contents}/{}", text(&made["id"]));
        it.refused(&format!("POST {contents}"), new, "422 variant_name: is already taken");
        let sms = json!({ "channel": "sms", "body": "Come." });
        let kind = json!({ "campaign_type": "social" });
        let expected = "422 campaign_type: social does not fit a content on the channel email";
        it.refused(&format!("PATCH {campaign}"), kind, expected);
        let expected = "422 channel: sms is no channel of the campaign type email";
        it.refused(&format!("POST {contents}"), sms, expected);

        it.ok(&format!("POST {content}/approve"), json!({}));
        let shown = it.get(&content);
        assert_eq!(text(&shown["status"]), "approved");
        assert!(shown["approved_by"].is_string() && shown["approved_at"].is_string(), "{shown}");
        let reject = format!("POST {content}/reject");
        it.refused(&reject, json!({}), "422 an approved content cannot be rejected");
        assert_eq!(it.get(&format!("{contents}?status=draft")), json!([]));

        it.ok(&format!("PATCH {content}"), json!({ "body": "Come today." }));
        let shown = it.get(&content);
        assert_eq!((text(&shown["status"]), &shown["approved_by"]), ("draft", &Value::Null));
        it.ok(&reject, json!({}));
        assert_eq!(text(&it.get(&contents)[0]["status"]), "rejected");

        let other = it.campaign("Other");
        let elsewhere = content.replace(&campaign, &other);
        it.refused(&format!("GET {elsewhere}"), json!({}), "404 content not found");
        it.ok(&format!("DELETE {content}"), json!({}));
        assert_eq!(it.get(&contents), json!([]));
        Ok(())
    })
}

#[test]
fn a_variant_is_a_draft_beside_its_original() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let campaign = it.campaign("Sale");
        let contents = format!("{campaign}/contents");
        let new = json!({
            "channel": "email", "subject": "Now", "body": "Come.", "cta_url": "https://example.com/",
        });
        let made = it.ok(&format!("POST {contents}"), new);
        let original = format!("{contents}/{}", text(&made["id"]));
        it.ok(&format!("POST {original}/approve"), json!({}));

        let variants = format!("POST {original}/variants");
        let made = it.ok(&variants, json!({ "subject": "At last" }));
        assert_eq!(it.get(&format!("{contents}/{}", text(&made["id"]))), made);
        let said = ["variant_name", "channel", "status", "subject", "body", "cta_url"];
        let said = said.map(|it| text(&made[it]));
        assert_eq!(said, ["B", "email", "draft", "At last", "Come.", "https://example.com/"]);
        it.ok(&variants, json!({ "variant_name": "short", "body": "!" }));
        it.ok(&variants, json!({}));
        let rows = it.get(&contents);
        let all: Vec<_> =
            rows.as_array().into_iter().flatten().map(|it| text(&it["variant_name"])).collect();
        assert_eq!(all, ["A", "B", "C", "short"]);
        assert_eq!(text(&it.get(&original)["status"]), "approved", "the original stays");

        let taken = json!({ "variant_name": "short" });
        it.refused(&variants, taken, "422 variant_name: is already taken");
        let empty = json!({ "subject": "" });
        it.refused(&variants, empty, "422 subject: must have 1 to 255 characters");
        it.refused(&variants, json!({ "channel": "sms" }), "422 channel: is unknown");
        it.ok(&format!("POST {campaign}/archive"), json!({}));
        it.refused(&variants, json!({}), "422 an archived campaign cannot be changed");
        Ok(())
    })
}
