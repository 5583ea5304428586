//! Who may do what. Whose rows they are, `account_isolation` shows.

use anyhow::Result;
use serde_json::{Value, json};

use crate::{Marketing, names, on_both, text, with_token};

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
        let planner = with_token(
            instance,
            None,
            &["marketing.calendar.read", "marketing.social.read", "marketing.analytics.read"],
        )?;
        planner.get("calendar?start_date=2027-01-01&end_date=2027-01-31");
        planner.get("social_accounts");
        planner.get("analytics/overview");
        assert_eq!(names(&reader.get("campaigns")), ["Sale"]);
        assert_eq!(text(&reader.get(&ann)["email"]), "ann@example.com");
        for (client, request) in [
            (&reader, "POST campaigns".to_owned()),
            (&reader, format!("PATCH {campaign}")),
            (&reader, format!("DELETE {campaign}")),
            (&reader, format!("POST {campaign}/execute")),
            (&reader, format!("POST {campaign}/contents")),
            (&reader, format!("POST {content}/approve")),
            (&reader, format!("POST {content}/variants")),
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
            (&manager, format!("GET {list}/statistics")),
            (&manager, "GET calendar?start_date=2027-01-01&end_date=2027-01-31".to_owned()),
            (&manager, "POST calendar".to_owned()),
            (&manager, "GET social_accounts".to_owned()),
            (&manager, "POST social_accounts".to_owned()),
            (&manager, "GET analytics/overview".to_owned()),
            (&manager, format!("PUT {campaign}/metrics")),
            (&planner, format!("GET {campaign}")),
            (&planner, "POST calendar".to_owned()),
            (&planner, "POST social_accounts".to_owned()),
            (&planner, format!("PUT {campaign}/metrics")),
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
