//! Posts on social platforms, and tokens whose time is over.

use anyhow::{Result, ensure};
use chrono::{TimeDelta, Utc};
use powernode_tests::instance::within;
use serde_json::{Value, json};

use crate::{Marketing, SOON, on_both, text};

fn connected(it: &Marketing, platform: &str, token: &str, more: Value) -> String {
    let mut new = json!({ "platform": platform, "platform_account_id": token, "username": "shop", "access_token": token });
    if let (Some(new), Some(more)) = (new.as_object_mut(), more.as_object()) {
        new.extend(more.clone());
    }
    let path = format!("social_accounts/{}", text(&it.ok("POST social_accounts", new)["id"]));
    it.ok(&format!("POST {path}/test"), json!({}));
    path
}

#[test]
fn a_launch_posts_what_is_approved_through_the_adapter() -> Result<()> {
    on_both(&[], |instance, sink| {
        let it = Marketing::of(&instance);
        connected(&it, "twitter", "one", json!({}));
        connected(&it, "twitter", "two", json!({}));
        connected(&it, "linkedin", "three", json!({}));
        let campaign = it.campaign("Sale", &[]);
        it.content(&campaign, json!({ "channel": "twitter", "body": "New!" }));
        let draft = json!({ "channel": "linkedin", "body": "Nobody approved this." });
        it.ok(&format!("POST {campaign}/contents"), draft);
        it.ok(&format!("POST {campaign}/launch"), json!({}));
        it.becomes(&instance, &campaign, "status", "completed");
        let posts = it.get(&format!("{campaign}/posts"));
        let said: Vec<_> = posts
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| {
                (text(&it["state"]).to_owned(), text(&it["answer"]).starts_with("dry-run-post_"))
            })
            .collect();
        assert_eq!(said, [("sent".to_owned(), true), ("sent".to_owned(), true)]);
        let figures = it.figures(&campaign);
        assert_eq!((&figures["sends"], &figures["deliveries"]), (&json!(2), &json!(2)));
        assert!(sink.mails().is_empty());
        Ok(())
    })
}

#[test]
fn a_token_whose_time_is_over_is_noticed_by_itself() -> Result<()> {
    on_both(&[], |instance, _| {
        let it = Marketing::of(&instance);
        let soon = Utc::now() + TimeDelta::seconds(4);
        let short = connected(&it, "twitter", "one", json!({ "token_expires_at": soon }));
        let long = connected(
            &it,
            "twitter",
            "two",
            json!({ "token_expires_at": soon + TimeDelta::days(1) }),
        );
        assert_eq!(it.get(&short)["status"], json!("connected"));
        it.becomes(&instance, &short, "status", "expired");
        assert_eq!(it.get(&long)["status"], json!("connected"));
        ensure!(
            within(SOON, || instance.log().contains("The token of shop on twitter expired")),
            "{}",
            instance.log()
        );
        Ok(())
    })
}
