//! Subscribers: their links, bounces and complaints.

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{BASE, Marketing, on_both, text, with_token};

#[test]
fn subscribers_confirm_and_leave_by_their_links_alone() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let anyone = Marketing(instance.anonymous());
        let list = it.list("News");
        assert_eq!(it.get(&list)["double_opt_in"], json!(true));
        let ann = it.subscriber(&list, " Ann@Example.com");
        let shown = it.get(&ann);
        assert_eq!((text(&shown["email"]), text(&shown["status"])), ("ann@example.com", "pending"));
        assert_eq!(it.get(&list)["subscriber_count"], json!(0));

        let (confirm, unsubscribe) = paths(&it, &ann);
        let expected =
            json!({ "email_list": "News", "email": "ann@example.com", "status": "pending" });
        // Mail programs look at links beforehand.
        assert_eq!(anyone.get(&confirm), expected);
        assert_eq!(anyone.get(&unsubscribe), expected);
        assert_eq!(text(&it.get(&ann)["status"]), "pending");
        anyone.ok(&format!("POST {confirm}"), json!({}));
        assert_eq!(text(&it.get(&ann)["status"]), "subscribed");
        assert_eq!(it.get(&list)["subscriber_count"], json!(1));
        anyone.ok(&format!("POST {confirm}"), json!({}));
        assert_eq!(it.get(&format!("{ann}/links"))["confirm"], Value::Null);

        anyone.ok(&format!("POST {unsubscribe}"), json!({}));
        assert_eq!(text(&it.get(&ann)["status"]), "unsubscribed");
        assert_eq!(it.get(&list)["subscriber_count"], json!(0));
        let again = format!("POST {confirm}");
        anyone.refused(&again, json!({}), "422 an unsubscribed subscriber cannot be confirmed");
        it.ok(&format!("DELETE {ann}"), json!({}));
        anyone.refused(&format!("GET {unsubscribe}"), json!({}), "404 subscription not found");
        Ok(())
    })
}

#[test]
fn a_link_opens_its_own_purpose_as_it_was_signed() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let anyone = Marketing(instance.anonymous());
        let list = it.list("News");
        let ann = it.subscriber(&list, "ann@example.com");
        let (confirm, unsubscribe) = paths(&it, &ann);
        let crossed = confirm.replace("/confirm", "/unsubscribe");
        let middle = confirm.len() / 2;
        let letter = if &confirm[middle..=middle] == "A" { "B" } else { "A" };
        let changed = format!("{}{letter}{}", &confirm[..middle], &confirm[middle + 1..]);
        let another = unsubscribe.replace("/unsubscribe", "/confirm");
        for wrong in [crossed, changed, another, "subscriptions/AAAA/confirm".to_owned()] {
            for method in ["GET", "POST"] {
                let answer = anyone.send(&format!("{method} {wrong}"), &json!({}));
                assert_eq!(answer.failure(), "404 LINK_INVALID", "{method} {wrong}");
            }
        }
        assert_eq!(text(&it.get(&ann)["status"]), "pending");
        let expires_at = it.get(&format!("{ann}/links"))["confirm"]["expires_at"].clone();
        let expires_at: DateTime<Utc> = text(&expires_at).parse()?;
        let days = (expires_at - Utc::now()).num_minutes();
        assert!((7 * 1440 - 5..=7 * 1440).contains(&days), "{expires_at}");
        Ok(())
    })
}

/// The flag is asked for the account that signed the link, and for nobody else's.
#[test]
fn a_link_is_as_open_as_its_account_is() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let anyone = Marketing(instance.anonymous());
        let account = instance.cli(&["--json", "accounts", "create", "Other"])?.json()?;
        let account = text(&account["id"]);
        let other = with_token(instance, Some(account), &["*"])?;
        let ann = it.subscriber(&it.list("News"), "ann@example.com");
        let bob = other.subscriber(&other.list("News"), "bob@example.com");
        let ((ann, _), (bob, _)) = (paths(&it, &ann), paths(&other, &bob));

        let operator = instance.operator();
        let flag = "/api/v1/admin/flags/marketing_mode";
        let off = operator.put(flag, &json!({ "enabled": false }))?;
        assert_eq!(off.status, 200, "{}", off.text());
        let actor = json!({ "actor": format!("Account;{account}") });
        let on = operator.post(&format!("{flag}/actors"), &actor)?;
        assert!(on.status < 300, "{}", on.text());
        assert_eq!(text(&anyone.get(&bob)["email"]), "bob@example.com");
        let closed = anyone.send(&format!("GET {ann}"), &Value::Null);
        assert_eq!(closed.failure(), "404 EXTENSION_DISABLED");
        for (path, enabled) in [(&bob, true), (&ann, false)] {
            let explained =
                operator.get(&format!("/api/v1/admin/explain?path={BASE}/{path}"))?.data();
            assert_eq!(explained["enabled"], enabled, "{explained}");
        }
        let tampered = bob.replace("subscriptions/", "subscriptions/A");
        let tampered =
            operator.get(&format!("/api/v1/admin/explain?path={BASE}/{tampered}"))?.data();
        assert!(text(&tampered["reason"]).contains("link"), "{tampered}");
        Ok(())
    })
}

/// The links of a subscriber, to confirm and to unsubscribe.
pub(crate) fn links(client: &Marketing, subscriber: &str) -> (String, String) {
    let links = client.get(&format!("{subscriber}/links"));
    (text(&links["confirm"]["path"]).to_owned(), text(&links["unsubscribe"]["path"]).to_owned())
}

/// The same, below the extension's base.
fn paths(client: &Marketing, subscriber: &str) -> (String, String) {
    let below = |path: String| path.replacen(&format!("{BASE}/"), "", 1);
    let (confirm, unsubscribe) = links(client, subscriber);
    (below(confirm), below(unsubscribe))
}

#[test]
fn the_third_bounce_ends_a_subscription() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let list = it.list("News");
        it.ok(&format!("PATCH {list}"), json!({ "double_opt_in": false }));
        let ann = it.subscriber(&list, "ann@example.com");
        for (bounces, status) in [(1, "subscribed"), (2, "subscribed"), (3, "bounced")] {
            it.ok(&format!("POST {ann}/bounce"), json!({ "reason": "mailbox full" }));
            let shown = it.get(&ann);
            assert_eq!((&shown["bounce_count"], text(&shown["status"])), (&json!(bounces), status));
        }
        let bob = it.subscriber(&list, "bob@example.com");
        it.ok(&format!("POST {bob}/complain"), json!({}));
        assert_eq!(
            text(&it.get(&format!("{list}/subscribers?status=complained"))[0]["email"]),
            "bob@example.com"
        );
        let unsubscribe = format!("POST {bob}/unsubscribe");
        it.refused(&unsubscribe, json!({}), "422 a complained subscriber cannot be unsubscribed");
        Ok(())
    })
}
