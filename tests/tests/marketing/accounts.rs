//! Whose rows they are, and who may do what with them.

use anyhow::Result;
use serde_json::{Value, json};

use crate::{Marketing, names, on_both, text, with_token};

#[test]
fn rows_of_another_account_do_not_exist() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let account = instance.cli(&["--json", "accounts", "create", "Other"])?.json()?;
        let other = with_token(instance, Some(text(&account["id"])), &["*"])?;
        let (campaign, list) = (it.campaign("Sale"), it.list("News"));
        let ann = it.subscriber(&list, "ann@example.com");
        let new = json!({ "channel": "email", "subject": "Now", "body": "Come." });
        let made = it.ok(&format!("POST {campaign}/contents"), new.clone());
        let content = format!("{campaign}/contents/{}", text(&made["id"]));
        let subscriber = json!({ "email": "eve@example.com" });
        let (no_body, rename) = (json!({}), json!({ "name": "Mine" }));
        let text_change = json!({ "body": "Mine" });
        let import = json!({ "subscribers": [subscriber] });

        for (what, requests) in [
            (
                "campaign",
                vec![
                    (format!("GET {campaign}"), &no_body),
                    (format!("PATCH {campaign}"), &rename),
                    (format!("PUT {campaign}"), &rename),
                    (format!("DELETE {campaign}"), &no_body),
                    (format!("POST {campaign}/execute"), &no_body),
                    (format!("POST {campaign}/archive"), &no_body),
                    (format!("POST {campaign}/clone"), &no_body),
                    (format!("GET {campaign}/contents"), &no_body),
                    (format!("POST {campaign}/contents"), &new),
                    (format!("PATCH {content}"), &text_change),
                    (format!("POST {content}/approve"), &no_body),
                    (format!("DELETE {content}"), &no_body),
                    (format!("GET {campaign}/email_lists"), &no_body),
                    (format!("PUT {campaign}/{list}"), &no_body),
                ],
            ),
            ("content", vec![(format!("GET {content}"), &no_body)]),
            (
                "e-mail list",
                vec![
                    (format!("GET {list}"), &no_body),
                    (format!("PATCH {list}"), &rename),
                    (format!("DELETE {list}"), &no_body),
                    (format!("POST {list}/import"), &import),
                    (format!("GET {list}/subscribers"), &no_body),
                    (format!("POST {list}/subscribers"), &subscriber),
                ],
            ),
            (
                "subscriber",
                vec![
                    (format!("GET {ann}"), &no_body),
                    (format!("GET {ann}/links"), &no_body),
                    (format!("POST {ann}/unsubscribe"), &no_body),
                    (format!("DELETE {ann}"), &no_body),
                ],
            ),
        ] {
            for (request, body) in requests {
                other.refused(&request, body.clone(), &format!("404 {what} not found"));
            }
        }
        assert_eq!((other.get("campaigns"), other.get("email_lists")), (json!([]), json!([])));
        // Names are unique within an account alone.
        assert_eq!(text(&other.get(&other.campaign("Sale"))["slug"]), "sale");
        assert_eq!(names(&it.get("campaigns")), ["Sale"]);
        assert_eq!(text(&it.get(&ann)["status"]), "pending");
        Ok(())
    })
}

#[test]
fn each_write_needs_its_own_permission() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let campaign = it.campaign("Sale");
        let new = json!({ "channel": "email", "subject": "Now", "body": "Come." });
        let made = it.ok(&format!("POST {campaign}/contents"), new);
        let content = format!("{campaign}/contents/{}", text(&made["id"]));
        let list = it.list("News");
        let ann = it.subscriber(&list, "ann@example.com");
        let reader = with_token(
            instance,
            None,
            &["marketing.campaigns.read", "marketing.email_lists.read"],
        )?;
        let manager = with_token(instance, None, &["marketing.campaigns.manage"])?;
        assert_eq!(names(&reader.get("campaigns")), ["Sale"]);
        assert_eq!(text(&reader.get(&ann)["email"]), "ann@example.com");
        for (client, request) in [
            (&reader, "POST campaigns".to_owned()),
            (&reader, format!("PATCH {campaign}")),
            (&reader, format!("DELETE {campaign}")),
            (&reader, format!("POST {campaign}/execute")),
            (&reader, format!("POST {campaign}/contents")),
            (&reader, format!("POST {content}/approve")),
            (&reader, "POST email_lists".to_owned()),
            (&reader, format!("DELETE {list}")),
            (&reader, format!("POST {list}/import")),
            (&reader, format!("GET {ann}/links")),
            (&reader, format!("DELETE {ann}")),
            (&manager, format!("GET {campaign}")),
            (&manager, format!("POST {campaign}/execute")),
            (&manager, format!("POST {content}/approve")),
            (&manager, format!("POST {content}/reject")),
            (&manager, format!("GET {list}")),
        ] {
            assert_eq!(client.send(&request, &json!({})).failure(), "403 FORBIDDEN", "{request}");
        }
        let anyone = Marketing(instance.anonymous());
        assert_eq!(anyone.send("GET campaigns", &Value::Null).failure(), "401 UNAUTHORIZED");
        assert_eq!(text(&it.get(&campaign)["status"]), "draft");
        assert_eq!(text(&it.get(&content)["status"]), "draft");
        Ok(())
    })
}
