//! What became of a list's subscribers, and how the list grows.

use anyhow::Result;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{Marketing, on_both, text};

#[test]
fn a_lists_subscribers_are_counted_by_status_and_by_day() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let list = it.list("News");
        let statistics = format!("{list}/statistics");
        // Another list's subscribers are not among them.
        it.subscriber(&it.list("Other"), "ann@example.com");
        let none = it.get(&statistics);
        assert_eq!((&none["total"], &none["rates"]["confirmation_rate"]), (&json!(0), &json!(0.0)));

        it.subscriber(&list, "pending@example.com");
        it.ok(&format!("PATCH {list}"), json!({ "double_opt_in": false }));
        for name in ["one", "two", "left", "spam"] {
            it.subscriber(&list, &format!("{name}@example.com"));
        }
        let one = |name: &str| {
            let found = it.get(&format!("{list}/subscribers?search={name}"));
            format!("{list}/subscribers/{}", text(&found[0]["id"]))
        };
        it.ok(&format!("POST {}/unsubscribe", one("left")), json!({}));
        it.ok(&format!("POST {}/complain", one("spam")), json!({}));
        let gone = it.subscriber(&list, "gone@example.com");
        for _ in 0..3 {
            it.ok(&format!("POST {gone}/bounce"), json!({ "reason": "no such mailbox" }));
        }
        it.ok(&format!("POST {}/bounce", one("two")), json!({ "reason": "mailbox full" }));

        let found = it.get(&statistics);
        let by_status = json!({
            "pending": 1, "subscribed": 2, "unsubscribed": 1, "bounced": 1, "complained": 1, "expired": 0,
        });
        assert_eq!((&found["total"], &found["by_status"]), (&json!(6), &by_status));
        let rates = json!({
            "confirmation_rate": 83.33, "unsubscribe_rate": 16.67, "bounce_rate": 16.67,
            "complaint_rate": 16.67,
        });
        assert_eq!(found["rates"], rates);
        let moved = json!({ "added": 6, "subscribed": 5, "unsubscribed": 1, "bounces": 4 });
        assert_eq!(found["growth"]["total"], moved);
        let days = found["growth"]["by_day"].as_array().map_or(0, Vec::len);
        assert_eq!(days, 30);

        // All of it happened today, or at midnight on two days.
        let (yesterday, today) = (Utc::now() - TimeDelta::days(1), Utc::now());
        let period = |from: String, to: String| {
            it.get(&format!("{statistics}?start_date={from}&end_date={to}"))["growth"].clone()
        };
        let both = period(yesterday.date_naive().to_string(), today.date_naive().to_string());
        assert_eq!(both["total"], moved);
        let sum = |name: &str| -> i64 {
            let days = both["by_day"].as_array().into_iter().flatten();
            days.filter_map(|it| it[name].as_i64()).sum()
        };
        assert_eq!(["added", "subscribed", "unsubscribed", "bounces"].map(sum), [6, 5, 1, 4]);
        let long_ago = period("2020-02-28".to_owned(), "2020-03-01".to_owned());
        let nothing = json!({ "added": 0, "subscribed": 0, "unsubscribed": 0, "bounces": 0 });
        assert_eq!(long_ago["total"], nothing);
        let day = |date: &str| {
            let mut day = nothing.clone();
            day["date"] = json!(date);
            day
        };
        let days = ["2020-02-28", "2020-02-29", "2020-03-01"].map(day);
        assert_eq!(long_ago["by_day"], Value::from(days.to_vec()));

        let refused = |query: &str, expected: &str| {
            it.refused(&format!("GET {statistics}?{query}"), Value::Null, expected);
        };
        let before = "422 end_date: must not be before start_date";
        refused("start_date=2026-02-02&end_date=2026-02-01", before);
        let far = "422 end_date: must be at most 366 days from start_date";
        refused("start_date=2024-01-01&end_date=2026-02-01", far);
        Ok(())
    })
}
