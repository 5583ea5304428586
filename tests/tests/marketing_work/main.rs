//! What marketing does by itself, seen from outside: e-mails at a mail server, posts, figures.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use powernode_tests::{
    artefacts::{plugin, root},
    client::{Answer, Client},
    instance::{Instance, within},
    postgres::Cluster,
    setup::Setup,
    smtp::Sink,
};
use serde_json::{Value, json};

mod calendar;
mod campaigns;
mod confirmations;
mod crash;
mod mail;
mod social;

const BASE: &str = "/api/v1/marketing";
const FLAG: &str = "/api/v1/admin/extensions/marketing/flag";
/// How long something may take that happens by itself.
const SOON: Duration = Duration::from_secs(60);

/// Runs a test on SQLite and, where there is one, on PostgreSQL, each with a mail server of its own.
fn on_both(settings: &[(&str, &str)], test: impl Fn(Instance, &Sink) -> Result<()>) -> Result<()> {
    let sink = Sink::start()?;
    test(started(Setup::new()?, &sink, settings)?, &sink).context("on SQLite")?;
    if let Some(cluster) = Cluster::shared() {
        let sink = Sink::start()?;
        let setup = Setup::new()?
            .with_setting("database.url", &cluster.database()?)
            .with_variable("HOME", "/nonexistent");
        test(started(setup, &sink, settings)?, &sink).context("on PostgreSQL")?;
    }
    Ok(())
}

fn started(setup: Setup, sink: &Sink, settings: &[(&str, &str)]) -> Result<Instance> {
    let text = fs::read_to_string(root().join("plugins/marketing/extension.json"))?;
    let mut manifest: Value = serde_json::from_str(&text)?;
    manifest["default_enabled"] = json!(true);
    let port = sink.port().to_string();
    let mut setup = setup;
    for (key, value) in [
        ("transport", "smtp"),
        ("smtp.host", "127.0.0.1"),
        ("smtp.port", &port),
        ("smtp.tls", "none"),
        ("from", "Shop <news@example.com>"),
        ("public_url", "https://shop.example.com"),
        ("social_adapter", "dry_run"),
    ]
    .iter()
    .chain(settings)
    {
        setup.set(&format!("extension.marketing.{key}"), value);
    }
    setup.with_extension(&plugin("powernode-marketing")?, &manifest)?.start()
}

/// A client of the extension's routes.
struct Marketing(Client);

impl Marketing {
    fn of(instance: &Instance) -> Self {
        Self(instance.operator())
    }

    /// The topics of what was told others, in their order.
    fn told(&self, pattern: &str) -> Vec<String> {
        let events = self.0.get(&format!("/api/v1/admin/events?topic={pattern}"));
        let events = events.map(|it| it.data()).unwrap_or_default();
        let topics =
            events.as_array().into_iter().flatten().map(|it| text(&it["topic"]).to_owned());
        topics.rev().collect()
    }

    #[track_caller]
    fn send(&self, request: &str, body: &Value) -> Answer {
        let (method, path) = request.split_once(' ').unwrap_or(("GET", request));
        let answer = match method {
            "POST" => self.0.post(&format!("{BASE}/{path}"), body),
            "PUT" => self.0.put(&format!("{BASE}/{path}"), body),
            "PATCH" => self.0.patch(&format!("{BASE}/{path}"), body),
            _ => self.0.get(&format!("{BASE}/{path}")),
        };
        answer.unwrap_or_else(|error| panic!("{request}: {error:#}"))
    }

    /// Sends a request that must succeed, and returns its data.
    #[track_caller]
    fn ok(&self, request: &str, body: Value) -> Value {
        let answer = self.send(request, &body);
        assert!((200..300).contains(&answer.status), "{request}: {}", answer.text());
        answer.data()
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        self.ok(path, Value::Null)
    }

    /// A list whose subscribers need not confirm, and these addresses on it.
    fn list(&self, name: &str, addresses: &[String]) -> String {
        let new = json!({ "name": name, "double_opt_in": false });
        let list = text(&self.ok("POST email_lists", new)["id"]).to_owned();
        for part in addresses.chunks(500) {
            let rows: Vec<_> =
                part.iter().map(|it| json!({ "email": it, "first_name": "Ann" })).collect();
            let imported =
                self.ok(&format!("POST email_lists/{list}/import"), json!({ "subscribers": rows }));
            assert_eq!(imported["imported"], json!(part.len()), "{imported}");
        }
        list
    }

    /// A campaign with one approved e-mail, to these lists.
    fn campaign(&self, name: &str, lists: &[&str]) -> String {
        let new = json!({ "name": name, "campaign_type": "multi_channel" });
        let campaign = format!("campaigns/{}", text(&self.ok("POST campaigns", new)["id"]));
        self.content(
            &campaign,
            json!({ "channel": "email", "subject": "Hello {{first_name}}",
                "body": "Look at https://example.com/new?a=1&b=2 now.",
                "cta_text": "Buy", "cta_url": "https://example.com/buy" }),
        );
        for list in lists {
            self.ok(&format!("PUT {campaign}/email_lists/{list}"), json!({}));
        }
        campaign
    }

    fn content(&self, campaign: &str, content: Value) -> String {
        let content =
            text(&self.ok(&format!("POST {campaign}/contents"), content)["id"]).to_owned();
        self.ok(&format!("POST {campaign}/contents/{content}/approve"), json!({}));
        content
    }

    /// Waits until a row's field says so.
    #[track_caller]
    fn becomes(&self, instance: &Instance, path: &str, field: &str, expected: &str) {
        let is = || self.get(path)[field] == expected;
        assert!(within(SOON, is), "{}\n{}", self.get(path), instance.log());
    }

    fn figures(&self, campaign: &str) -> Value {
        self.get(&campaign.replace("campaigns/", "analytics/campaigns/"))["total"]["figures"]
            .clone()
    }
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn addresses(count: usize) -> Vec<String> {
    (0..count).map(|it| format!("reader{it:04}@example.com")).collect()
}

fn switch(instance: &Instance, enabled: bool) -> Result<()> {
    let answer = instance.operator().put(FLAG, &json!({ "enabled": enabled }))?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}
