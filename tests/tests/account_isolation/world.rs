//! Rows of one account: one of each kind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};
use powernode_tests::client::Client;
use serde_json::{Value, json};

use crate::description::Route;

const BASE: &str = "/api/v1/marketing";

/// One row of each kind, that hang together.
#[derive(Debug)]
pub(crate) struct World {
    client: Client,
    ids: BTreeMap<&'static str, String>,
}

impl World {
    /// Writes the rows.
    pub(crate) fn fill(client: &Client, name: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{name} {}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut world = Self { client: client.clone(), ids: BTreeMap::new() };
        let campaign =
            world.made("camp", "campaigns", json!({ "name": name, "campaign_type": "email" }))?;
        let content = json!({
            "channel": "email", "variant_name": "World", "subject": name, "body": name,
        });
        world.made("cont", &format!("campaigns/{campaign}/contents"), content)?;
        let list = world.made("list", "email_lists", json!({ "name": name }))?;
        let email = format!("{}@example.com", name.replace(' ', "."));
        let subscribers = format!("email_lists/{list}/subscribers");
        world.made("subr", &subscribers, json!({ "email": email }))?;
        let entry = json!({
            "title": name, "entry_type": "event", "scheduled_date": "2026-03-01",
            "campaign_id": campaign,
        });
        world.made("cale", "calendar", entry)?;
        let social = json!({
            "platform": "twitter", "platform_account_id": name, "username": name,
            "access_token": "good", "refresh_token": "good",
        });
        world.made("soca", "social_accounts", social)?;
        world.put(&format!("campaigns/{campaign}/email_lists/{list}"), &json!({}))?;
        let figures = json!({
            "channel": "email", "date": "2026-03-01",
            "figures": { "sends": 10, "clicks": 5, "revenue_cents": 7 },
        });
        world.put(&format!("campaigns/{campaign}/metrics"), &figures)?;
        Ok(world)
    }

    fn made(&mut self, kind: &'static str, path: &str, body: Value) -> Result<String> {
        let answer = self.client.post(&format!("{BASE}/{path}"), &body)?;
        ensure!(answer.status == 201, "POST {path}: {}", answer.text());
        let id = answer.data()["id"].as_str().context("no id")?.to_owned();
        self.ids.insert(kind, id.clone());
        Ok(id)
    }

    fn put(&self, path: &str, body: &Value) -> Result<()> {
        let answer = self.client.put(&format!("{BASE}/{path}"), body)?;
        ensure!((200..300).contains(&answer.status), "PUT {path}: {}", answer.text());
        Ok(())
    }

    /// The id of the row of a kind.
    pub(crate) fn id(&self, kind: &str) -> Result<&str> {
        self.ids.get(kind).map(String::as_str).with_context(|| format!("no row of `{kind}`"))
    }

    /// Everything that its owner reads of it, and of all other rows of the account.
    pub(crate) fn fingerprint(&self, routes: &[Route]) -> Result<String> {
        let mut all = String::new();
        let reads = routes.iter().filter(|it| it.is_read() && !it.is_for_links() && !it.is_fresh());
        for route in reads {
            let ids: Vec<_> = route.kinds.iter().map(|it| self.id(it)).collect::<Result<_>>()?;
            let answer = route.send(&self.client, &ids, None)?;
            all += &format!("{} {} {}\n", route.name(), answer.status, answer.text());
        }
        Ok(all)
    }
}
