//! Double opt-in: who is asked, how often, and when nobody asks any more.

use std::time::Duration;

use anyhow::{Result, ensure};
use powernode_tests::instance::within;
use serde_json::json;

use crate::{Marketing, SOON, on_both, text};

#[test]
fn who_does_not_confirm_is_asked_three_times_and_given_up() -> Result<()> {
    on_both(&[("confirm_reminder_seconds", "2")], |instance, sink| {
        let it = Marketing::of(&instance);
        let list = text(&it.ok("POST email_lists", json!({ "name": "News" }))["id"]).to_owned();
        let subscribers = format!("email_lists/{list}/subscribers");
        for name in ["ann", "ben", "gone"] {
            it.ok(
                &format!("POST {subscribers}"),
                json!({ "email": format!("{name}@example.com") }),
            );
        }
        let rows = json!({ "subscribers": [{ "email": "cleo@example.com" }] });
        it.ok(&format!("POST email_lists/{list}/import"), rows);
        let asked = |name: &str| sink.to(&format!("{name}@example.com"));
        ensure!(within(SOON, || !asked("ann").is_empty()), "{}", instance.log());
        let confirm = asked("ann").remove(0).path("/confirm").unwrap_or_default();
        let confirmed = instance.anonymous().post(&confirm, &json!({}))?;
        assert_eq!(confirmed.status, 200, "{confirm}: {}", confirmed.text());

        let state = |name: &str| {
            let found = it.get(&format!("{subscribers}?search={name}"));
            text(&found[0]["status"]).to_owned()
        };
        ensure!(
            within(SOON, || state("ben") == "expired" && state("cleo") == "expired"),
            "{}",
            instance.log()
        );
        assert_eq!((state("ann"), state("gone")), ("subscribed".to_owned(), "bounced".to_owned()));
        let counts = ["ann", "ben", "cleo", "gone"].map(|name| asked(name).len());
        assert_eq!(counts, [1, 3, 3, 0]);
        let subjects: Vec<_> = asked("ben").iter().filter_map(|it| it.header("subject")).collect();
        assert!(
            subjects[1].starts_with("Reminder: ") && !subjects[0].starts_with("Reminder: "),
            "{subjects:?}"
        );
        ensure!(!within(Duration::from_secs(3), || asked("ben").len() > 3), "asked once more");

        // Somebody asks for it: it begins anew, and the link works.
        let ben = it.get(&format!("{subscribers}?search=ben"))[0]["id"].clone();
        it.ok(&format!("POST {subscribers}/{}/ask", text(&ben)), json!({}));
        ensure!(within(SOON, || asked("ben").len() == 4), "{}", instance.log());
        let confirm = asked("ben").remove(3).path("/confirm").unwrap_or_default();
        instance.anonymous().post(&confirm, &json!({}))?;
        assert_eq!(state("ben"), "subscribed");
        assert_eq!(it.told("marketing.subscriber.*"), ["marketing.subscriber.confirmed"; 2]);
        Ok(())
    })
}
