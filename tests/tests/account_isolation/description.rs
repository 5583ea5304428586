//! The routes of marketing, as the merged OpenAPI describes them, and requests made from that.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};
use powernode_tests::client::{Answer, Client};
use serde_json::{Map, Value, json};

/// A route, and where ids stand in its requests.
#[derive(Debug)]
pub(crate) struct Route {
    method: String,
    path: String,
    /// Kinds of the ids in the path, by their prefixes.
    pub(crate) kinds: Vec<String>,
    /// Fields of the body and the query that are ids, with their kinds.
    pub(crate) fields: Vec<(String, String)>,
    body: Option<Value>,
    /// Parameters of the query that must be there.
    query: Vec<String>,
}

/// The routes of marketing.
pub(crate) fn routes(openapi: &Value) -> Result<Vec<Route>> {
    let mut found = Vec::new();
    for (path, operations) in openapi["paths"].as_object().context("no paths")? {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            if operation["x-powernode-extension"] == "marketing" {
                let route = Route::new(&method.to_uppercase(), path, operation);
                found.push(route.with_context(|| format!("{method} {path}"))?);
            }
        }
    }
    Ok(found)
}

impl Route {
    fn new(method: &str, path: &str, operation: &Value) -> Result<Self> {
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let parameters: Vec<_> = parameters.filter(|it| it["in"] == "query").collect();
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, schema) in body["properties"].as_object().into_iter().flatten() {
            fields.extend(kind_of(schema).map(|it| (name.clone(), it)));
        }
        for parameter in &parameters {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            fields.extend(kind_of(&parameter["schema"]).map(|it| (name, it)));
        }
        let required = parameters.iter().filter(|it| it["required"] == true);
        Ok(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            kinds: kinds(path)?,
            fields,
            body: body.is_object().then(|| body.clone()),
            query: required.filter_map(|it| it["name"].as_str().map(str::to_owned)).collect(),
        })
    }

    /// What people call it.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether a signed link says whose row it is, whoever follows it.
    pub(crate) fn is_for_links(&self) -> bool {
        self.kinds.iter().any(|it| it == "link")
    }

    /// Whether it is about the installation, and there for its first account alone.
    pub(crate) fn is_of_installation(&self) -> bool {
        self.path.ends_with("/mail/password")
    }

    /// Whether it changes nothing.
    pub(crate) fn is_read(&self) -> bool {
        self.method == "GET"
    }

    /// Whether it shows rows of the account as a whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_read() && self.kinds.is_empty()
    }

    /// Whether it writes and names no row. A notice names an e-mail in its own way, and creates nothing.
    pub(crate) fn creates(&self) -> bool {
        !self.is_read() && self.kinds.is_empty() && !self.path.ends_with("/notices")
    }

    /// Whether its answer is another each time.
    pub(crate) fn is_fresh(&self) -> bool {
        self.path.ends_with("/links")
    }

    /// Sends a valid request with these ids in the path, and perhaps one in the body or the query.
    pub(crate) fn send(
        &self,
        client: &Client,
        ids: &[&str],
        nested: Option<(&str, &str)>,
    ) -> Result<Answer> {
        let mut ids = ids.iter();
        let parts = self.path.split('/').map(|it| match it.starts_with('{') {
            true => ids.next().copied().context("too few ids"),
            false => Ok(it),
        });
        let mut path = parts.collect::<Result<Vec<_>>>()?.join("/");
        let mut body = self.body.as_ref().map(example);
        let value = |name: &str| word(name, &Value::Null).as_str().unwrap_or_default().to_owned();
        let mut query: Vec<_> = self.query.iter().map(|it| format!("{it}={}", value(it))).collect();
        if let Some((name, id)) = nested {
            match body.as_mut().and_then(Value::as_object_mut) {
                Some(body) => _ = body.insert(name.to_owned(), id.into()),
                None => query.push(format!("{name}={id}")),
            }
        }
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        match body {
            None => client.send(&self.method, &path, &[], Vec::new()),
            Some(body) => {
                let json = [("content-type", "application/json")];
                client.send(&self.method, &path, &json, body.to_string().into_bytes())
            }
        }
    }
}

/// What the ids of a path are of, by the segment before each.
fn kinds(path: &str) -> Result<Vec<String>> {
    let mut kinds = Vec::new();
    let mut before = "";
    for part in path.split('/') {
        if part.starts_with('{') {
            kinds.push(match before {
                "campaigns" => "camp".to_owned(),
                "contents" => "cont".to_owned(),
                "email_lists" => "list".to_owned(),
                "subscribers" => "subr".to_owned(),
                "calendar" => "cale".to_owned(),
                "social_accounts" => "soca".to_owned(),
                "subscriptions" | "track" => "link".to_owned(),
                other => bail!("nobody said here what the ids behind `{other}` are of"),
            });
        }
        before = part;
    }
    Ok(kinds)
}

/// The prefix of the ids that a schema describes.
fn kind_of(schema: &Value) -> Option<String> {
    let inner = schema["anyOf"].as_array().into_iter().flatten();
    let pattern =
        |it: &Value| Some(it["pattern"].as_str()?.strip_prefix('^')?.get(..4)?.to_owned());
    std::iter::once(schema).chain(inner).find_map(pattern)
}

/// A value that the schema of a body allows: what must be there, or one thing to change.
fn example(schema: &Value) -> Value {
    let none = Vec::new();
    let required = schema["required"].as_array().unwrap_or(&none);
    let mut names: Vec<_> = required.iter().filter_map(Value::as_str).collect();
    if names.is_empty() {
        let texts = ["name", "title", "username", "body", "first_name", "reason"];
        names.extend(texts.into_iter().find(|it| schema["properties"].get(it).is_some()));
    }
    // An e-mail must have one, which no schema says.
    names.extend(Some("subject").filter(|it| schema["properties"].get(it).is_some()));
    let field = |name: &str| (name.to_owned(), word(name, &schema["properties"][name]));
    names.into_iter().map(field).collect::<Map<_, _>>().into()
}

/// A value for a field, by its name and its schema.
fn word(name: &str, schema: &Value) -> Value {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    match name {
        "email" => json!(format!("reader{number}@example.com")),
        "subscribers" => json!([{ "email": format!("reader{number}@example.com") }]),
        "notices" => json!([{ "kind": "bounce", "message_id": "<word@example.com>" }]),
        "scheduled_at" => json!("2126-01-01T00:00:00Z"),
        "start_date" | "end_date" | "date" | "scheduled_date" => Value::String("2026-03-01".into()),
        "figures" => json!({ "sends": 1 }),
        _ if schema["enum"][0].is_string() => schema["enum"][0].clone(),
        _ => json!(format!("word-{number}")),
    }
}
