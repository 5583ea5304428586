//! What no database keeps is refused by both alike, and never stored.

use anyhow::Result;
use serde_json::json;

use crate::{BASE, Marketing, on_both, text};

#[test]
fn a_year_that_rfc_3339_cannot_write_is_refused() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let campaign = it.campaign("Far");
        for year in ["+262142-12-31T00:00:00Z", "+10000-01-01T00:00:00Z", "9999-12-31T23:59:60Z"] {
            let answer =
                it.send(&format!("POST {campaign}/schedule"), &json!({ "scheduled_at": year }));
            assert_eq!(answer.status, 422, "{year}: {}", answer.text());
        }
        assert_eq!(it.get(&campaign)["status"], "draft");
        assert_eq!(text(&it.get("campaigns")[0]["name"]), "Far");
        let days = "start_date=-4800-01-01&end_date=-4800-01-02";
        let list = it.list("News");
        for path in [
            format!("calendar?{days}"),
            "calendar/conflicts?date=-4800-01-01".to_owned(),
            format!("analytics/overview?{days}"),
            format!("{list}/statistics?{days}"),
        ] {
            let answer = it.send(&format!("GET {path}"), &json!(null));
            assert_eq!(answer.status, 422, "{path}: {}", answer.text());
        }
        let backwards = "analytics/overview?start_date=2026-03-02&end_date=2026-03-01";
        let expected = "422 end_date: must not be before start_date";
        it.refused(&format!("GET {backwards}"), json!(null), expected);
        let operator = instance.operator();
        for year in ["+10000-01-01T00:00:00Z", "9999-12-31T23:59:60Z"] {
            let asked = json!({ "name": "far", "scopes": [], "expires_at": year });
            let answer = operator.post("/api/v1/admin/tokens", &asked)?;
            assert_eq!(answer.status, 422, "{year}: {}", answer.text());
        }
        assert_eq!(operator.get("/api/v1/admin/audit?since=0000-01-01T00:00:00Z")?.status, 422);
        Ok(())
    })
}

#[test]
fn a_text_with_nul_is_refused_and_of_an_import_the_row_alone() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let list = it.list("News");
        for (request, body) in [
            ("POST campaigns", json!({ "name": "a\0b", "campaign_type": "email" })),
            ("POST campaigns", json!({ "name": "a", "campaign_type": "email", "tags": ["b\0"] })),
            (
                "POST campaigns",
                json!({ "name": "a", "campaign_type": "email", "settings": { "b\0": [1] } }),
            ),
            ("GET campaigns?search=a%00", json!(null)),
        ] {
            let answer = it.send(request, &body);
            assert_eq!(answer.status, 422, "{request} {body}: {}", answer.text());
        }
        let rows = json!([
            { "email": "ann@example.com" },
            { "email": "bob@example.com", "first_name": "B\0b" },
            { "email": "eve@example.com", "custom_fields": { "town": ["Ems\0"] } },
        ]);
        let imported = it.ok(&format!("POST {list}/import"), json!({ "subscribers": rows }));
        assert_eq!(imported["imported"], 1, "{imported}");
        assert_eq!(imported["errors"][0]["message"], "a text must hold no NUL");
        assert_eq!(imported["errors"][1]["index"], 2);
        let csv = [("content-type", "text/csv")];
        let text = b"email,first_name\r\ndan@example.com,D\0\r\n".to_vec();
        let answer = it.0.send("POST", &format!("{BASE}/{list}/import"), &csv, text)?.data();
        assert_eq!(answer["errors"][0]["line"], 2, "{answer}");
        Ok(())
    })
}
