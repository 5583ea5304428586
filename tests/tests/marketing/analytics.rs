//! Analytics: what is entered comes back as sums, rates and returns.

use anyhow::Result;
use serde_json::json;

use crate::{Marketing, on_both, text};

#[test]
fn figures_are_summed_and_rates_follow_the_formulas() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let sale = it.campaign("Sale");
        let posts = json!({ "name": "Posts", "campaign_type": "multi_channel", "currency": "EUR" });
        let posts = format!("campaigns/{}", text(&it.ok("POST campaigns", posts)["id"]));
        let empty = it.get("analytics/overview");
        assert_eq!(empty["rates"]["open_rate"], json!(0.0));
        assert_eq!((&empty["figures"]["sends"], &empty["money"]), (&json!(0), &json!([])));

        let enter = |campaign: &str, channel: &str, date: &str, figures| {
            let body = json!({ "channel": channel, "date": date, "figures": figures });
            it.ok(&format!("PUT {campaign}/metrics"), body)
        };
        // Entered again, a day has the new figures.
        enter(&sale, "email", "2026-03-01", json!({ "sends": 9, "deliveries": 9 }));
        enter(
            &sale,
            "email",
            "2026-03-01",
            json!({
                "sends": 100, "deliveries": 90, "opens": 50, "unique_opens": 30, "clicks": 9,
                "conversions": 3, "bounces": 10, "revenue_cents": 30_000, "cost_cents": 10_000,
            }),
        );
        enter(&sale, "email", "2026-03-02", json!({ "sends": 50, "deliveries": 45, "clicks": 6 }));
        enter(
            &posts,
            "twitter",
            "2026-03-02",
            json!({
                "impressions": 3_000, "engagements": 100, "clicks": 20, "cost_cents": 3_000,
                "revenue_cents": 1_000,
            }),
        );

        let all = it.get("analytics/overview");
        assert_eq!(
            (&all["figures"]["sends"], &all["figures"]["clicks"]),
            (&json!(150), &json!(35))
        );
        let rates = json!({
            "open_rate": 22.22, "click_rate": 25.93, "conversion_rate": 8.57,
            "bounce_rate": 6.67, "engagement_rate": 3.33,
        });
        assert_eq!(all["rates"], rates);
        let money = json!([
            { "currency": "EUR", "revenue_cents": 1_000, "cost_cents": 3_000, "roi": -66.67 },
            { "currency": "USD", "revenue_cents": 30_000, "cost_cents": 10_000, "roi": 200.0 },
        ]);
        assert_eq!(all["money"], money);
        let first = it.get("analytics/overview?end_date=2026-03-01");
        assert_eq!(first["figures"]["sends"], json!(100));

        let one = it.get(&format!("analytics/{sale}"));
        assert_eq!(one["total"]["figures"]["deliveries"], json!(135));
        assert_eq!(one["by_day"][1]["date"], json!("2026-03-02"));
        assert_eq!(one["by_day"][1]["figures"]["sends"], json!(50));
        assert_eq!(one["by_channel"][0]["channel"], json!("email"));
        let channels = it.get("analytics/channels?start_date=2026-03-02");
        assert_eq!(channels[0]["figures"]["sends"], json!(50));
        assert_eq!(channels[1]["channel"], json!("twitter"));

        let roi = it.get("analytics/roi");
        assert_eq!((text(&roi[0]["name"]), &roi[0]["roi"]), ("Sale", &json!(200.0)));
        assert_eq!((text(&roi[1]["name"]), text(&roi[1]["currency"])), ("Posts", "EUR"));
        let top = it.get("analytics/top_performers?metric=clicks&limit=1");
        assert_eq!((text(&top[0]["name"]), &top[0]["value"]), ("Posts", &json!(20)));
        let top = it.get("analytics/top_performers?metric=revenue_cents&currency=USD");
        assert_eq!((top.as_array().map(Vec::len), &top[0]["value"]), (Some(1), &json!(30_000)));
        Ok(())
    })
}

#[test]
fn wrong_figures_are_named() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let put = format!("PUT {}/metrics", it.campaign("Sale"));
        for (body, expected) in [
            (
                json!({ "channel": "sms", "date": "2026-03-01", "figures": { "sends": -1 } }),
                "422 channel: sms is no channel of the campaign type email; sends: must be from 0 to 1000000000000",
            ),
            (
                json!({ "channel": "email", "date": "2999-01-01", "figures": {} }),
                "422 date: must not be in the future",
            ),
            (
                json!({ "channel": "email", "date": "2026-03-01", "figures": { "click": 1 } }),
                "422 figures.click: is unknown",
            ),
        ] {
            it.refused(&put, body, expected);
        }
        let limit = "422 limit: must be from 1 to 100";
        it.refused("GET analytics/top_performers?limit=101", json!({}), limit);
        assert_eq!(it.get("analytics/roi"), json!([]));
        Ok(())
    })
}
