//! The calendar: ranges, recurrence, conflicts.

use anyhow::Result;
use serde_json::{Value, json};

use crate::{Marketing, on_both, text};

#[test]
fn what_recurs_occurs_on_each_of_its_days() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let campaign = it.campaign("Sale");
        let campaign = campaign.trim_start_matches("campaigns/");
        it.entry(
            json!({ "title": "Launch", "scheduled_date": "2027-03-03", "campaign_id": campaign }),
        );
        let weekly = it.entry(json!({
            "title": "Weekly", "scheduled_date": "2027-02-01", "scheduled_time": "09:00:00",
            "recurrence_rule": "FREQ=WEEKLY;BYDAY=MO,WE",
        }));
        it.entry(json!({
            "title": "Twice", "scheduled_date": "2027-02-28",
            "recurrence_rule": "FREQ=DAILY;COUNT=2",
        }));
        let march = "start_date=2027-03-01&end_date=2027-03-07";
        let expected =
            ["2027-03-01 Twice", "2027-03-01 Weekly", "2027-03-03 Launch", "2027-03-03 Weekly"];
        assert_eq!(days(&it.get(&format!("calendar?{march}"))), expected);
        assert_eq!(
            days(&it.get(&format!("calendar?{march}&campaign_id={campaign}"))),
            ["2027-03-03 Launch"]
        );
        assert_eq!(days(&it.get(&format!("calendar?{march}&entry_type=event"))), [""; 0]);
        let page = it.send(&format!("GET calendar?{march}&per_page=3&page=2"), &Value::Null).json();
        assert_eq!(days(&page["data"]), ["2027-03-03 Weekly"]);
        assert_eq!(page["meta"]["pagination"]["total_count"], json!(4));
        assert_eq!(days(&it.get("calendar?start_date=2027-03-02&end_date=2027-03-02")), [""; 0]);

        it.ok(&format!("POST {weekly}/cancel"), json!({}));
        assert_eq!(
            days(&it.get(&format!("calendar?{march}&status=planned"))),
            ["2027-03-01 Twice", "2027-03-03 Launch"]
        );
        it.refused(
            &format!("PATCH {weekly}"),
            json!({ "title": "Late" }),
            "422 a cancelled calendar entry cannot be changed",
        );
        it.ok(&format!("POST {weekly}/plan"), json!({}));
        let once = json!({ "recurrence_rule": null, "scheduled_date": "2027-03-05" });
        it.ok(&format!("PATCH {weekly}"), once);
        assert_eq!(
            days(&it.get("calendar?start_date=2027-03-04&end_date=2027-12-31")),
            ["2027-03-05 Weekly"]
        );
        it.ok(&format!("DELETE {weekly}"), json!({}));
        it.refused(&format!("GET {weekly}"), json!({}), "404 calendar entry not found");
        // An entry outlives its campaign.
        it.ok(&format!("DELETE campaigns/{campaign}"), json!({}));
        let launch = &it.get("calendar?start_date=2027-03-03&end_date=2027-03-03")[0];
        assert_eq!((text(&launch["title"]), &launch["campaign_id"]), ("Launch", &Value::Null));
        Ok(())
    })
}

#[test]
fn conflicts_are_told_and_stop_nothing() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let nine = it.entry(json!({
            "title": "Nine", "scheduled_date": "2027-03-01", "scheduled_time": "09:00:00",
            "recurrence_rule": "FREQ=DAILY",
        }));
        it.entry(json!({ "title": "Day", "entry_type": "event", "scheduled_date": "2027-03-02" }));
        let conflicts = |query: &str| {
            let found = it.get(&format!("calendar/conflicts?{query}"));
            days(&found).join(", ")
        };
        assert_eq!(conflicts("date=2027-03-02"), "2027-03-02 Day, 2027-03-02 Nine");
        assert_eq!(conflicts("date=2027-03-03&time=09:30:00"), "2027-03-03 Nine");
        assert_eq!(conflicts("date=2027-03-03&time=10:00:00"), "");
        assert_eq!(conflicts("date=2027-03-02&time=12:00:00"), "2027-03-02 Day");
        assert_eq!(conflicts("date=2027-03-02&entry_type=event"), "2027-03-02 Day");
        it.entry(json!({
            "title": "Late", "scheduled_date": "2027-03-02", "scheduled_time": "23:45:00",
        }));
        assert_eq!(conflicts("date=2027-03-03&time=00:15:00"), "2027-03-02 Late");
        assert_eq!(conflicts("date=2027-03-03&time=00:45:00"), "");
        let id = nine.trim_start_matches("calendar/");
        assert_eq!(conflicts(&format!("date=2027-03-03&exclude_id={id}")), "");
        it.ok(&format!("POST {nine}/cancel"), json!({}));
        assert_eq!(conflicts("date=2027-03-03"), "");
        it.entry(json!({ "title": "Too", "scheduled_date": "2027-03-02" }));
        Ok(())
    })
}

#[test]
fn what_is_no_range_and_no_rule_is_named() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        for (query, expected) in [
            ("", "422 query: missing field `start_date`"),
            (
                "start_date=2027-03-02&end_date=2027-03-01",
                "422 end_date: must not be before start_date",
            ),
            (
                "start_date=2027-01-01&end_date=2028-12-31",
                "422 end_date: must be at most 366 days from start_date",
            ),
        ] {
            it.refused(&format!("GET calendar?{query}"), json!({}), expected);
        }
        let entry = json!({
            "title": "Post", "entry_type": "post", "scheduled_date": "2027-03-01",
            "recurrence_rule": "FREQ=WEEKLY;BYDAY=2MO",
        });
        let expected = "422 recurrence_rule: a day with a number goes with FREQ=MONTHLY alone";
        it.refused("POST calendar", entry, expected);
        for number in 0..28 {
            it.entry(json!({
                "title": format!("Daily {number}"), "scheduled_date": "2027-01-01",
                "recurrence_rule": "FREQ=DAILY",
            }));
        }
        let year = "GET calendar?start_date=2027-01-01&end_date=2027-12-31";
        let expected = "422 end_date: has more than 10000 entries: ask for a shorter range";
        it.refused(year, json!({}), expected);
        Ok(())
    })
}

fn days(occurrences: &Value) -> Vec<String> {
    let rows = occurrences.as_array().into_iter().flatten();
    rows.map(|it| format!("{} {}", text(&it["occurs_on"]), text(&it["title"]))).collect()
}

impl Marketing {
    fn entry(&self, fields: Value) -> String {
        let mut new = json!({ "entry_type": "post" });
        if let (Some(new), Value::Object(fields)) = (new.as_object_mut(), fields) {
            new.extend(fields);
        }
        format!("calendar/{}", text(&self.ok("POST calendar", new)["id"]))
    }
}
