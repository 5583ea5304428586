//! The marketing extension through the running platform: what is written by one endpoint shows in another.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use powernode_tests::{
    artefacts::{plugin, root},
    client::{Answer, Client},
    instance::Instance,
    postgres::Cluster,
    setup::Setup,
};
use serde_json::{Value, json};

mod accounts;
mod bounds;
mod analytics;
mod calendar;
mod campaigns;
mod contents;
mod import;
mod pages;
mod seeds;
mod social;
mod statistics;
mod subscribers;

const BASE: &str = "/api/v1/marketing";

/// Runs a test on SQLite and, where there is one, on PostgreSQL, with the same library.
fn on_both(test: impl Fn(&Instance) -> Result<()>) -> Result<()> {
    let on_sqlite = started(Setup::new()?)?;
    test(&on_sqlite)?;
    if let Some(cluster) = Cluster::shared() {
        let setup = Setup::new()?.with_setting("database.url", &cluster.database()?);
        let on_postgres = started(setup)?;
        test(&on_postgres).context("on PostgreSQL")?;
        ensure!(on_sqlite.library("marketing")? == on_postgres.library("marketing")?);
    }
    Ok(())
}

/// Starts a platform whose only extension is marketing, switched on.
fn started(setup: Setup) -> Result<Instance> {
    let text = fs::read_to_string(root().join("plugins/marketing/extension.json"))?;
    let mut manifest: Value = serde_json::from_str(&text)?;
    manifest["default_enabled"] = json!(true);
    setup.with_extension(&plugin("powernode-marketing")?, &manifest)?.start()
}

/// A client of the extension's routes; the verb and the path are one text: `POST campaigns`.
struct Marketing(Client);

impl Marketing {
    #[track_caller]
    fn send(&self, request: &str, body: &Value) -> Answer {
        let (method, path) = request.split_once(' ').unwrap_or(("GET", request));
        let json = [("content-type", "application/json")];
        let (headers, body) = match method {
            "GET" | "DELETE" => (&[][..], Vec::new()),
            _ => (&json[..], body.to_string().into_bytes()),
        };
        let answer = self.0.send(method, &format!("{BASE}/{path}"), headers, body);
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
        self.ok(&format!("GET {path}"), Value::Null)
    }

    /// Sends a request that must fail as `expected` says: `422 a draft campaign cannot be paused`.
    #[track_caller]
    fn refused(&self, request: &str, body: Value, expected: &str) {
        let answer = self.send(request, &body);
        let json = answer.json();
        let fields = json["errors"].as_array().into_iter().flatten();
        let fields: Vec<_> =
            fields.map(|it| format!("{}: {}", text(&it["field"]), text(&it["message"]))).collect();
        let said =
            if fields.is_empty() { text(&json["error"]).to_owned() } else { fields.join("; ") };
        assert_eq!(format!("{} {said}", answer.status), expected, "{request}");
        assert_eq!(json["success"], json!(false));
        assert!(json["request_id"].is_string(), "{json}");
    }

    fn campaign(&self, name: &str) -> String {
        let new = json!({ "name": name, "campaign_type": "email" });
        format!("campaigns/{}", text(&self.ok("POST campaigns", new)["id"]))
    }

    fn list(&self, name: &str) -> String {
        format!("email_lists/{}", text(&self.ok("POST email_lists", json!({ "name": name }))["id"]))
    }

    fn subscriber(&self, list: &str, email: &str) -> String {
        let added = self.ok(&format!("POST {list}/subscribers"), json!({ "email": email }));
        format!("{list}/subscribers/{}", text(&added["id"]))
    }
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn names(rows: &Value) -> Vec<&str> {
    rows.as_array().into_iter().flatten().map(|it| text(&it["name"])).collect()
}

/// A client with a token of that account and those rights.
fn with_token(instance: &Instance, account: Option<&str>, scopes: &[&str]) -> Result<Marketing> {
    let mut arguments = vec!["--json", "tokens", "create"];
    arguments.extend(account.into_iter().flat_map(|it| ["--account", it]));
    arguments.extend(scopes.iter().flat_map(|it| ["--scope", it]));
    let said = instance.cli(&arguments)?;
    let token = said.json()?["token"].as_str().map(str::to_owned);
    Ok(Marketing(instance.client(&token.with_context(|| format!("no token: {said:?}"))?)))
}
