//! Every role against every route: what each answers follows from the permission that its operation declares.

#![expect(clippy::unwrap_used, reason = "a test ends where its setup fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use powernode_tests::artefacts::{plugin, root};
use powernode_tests::client::{Answer, Client};
use powernode_tests::instance::Instance;
use powernode_tests::report::{Failure, Report};
use powernode_tests::setup::Setup;
use serde_json::{Value, json};

/// The core's one route that asks for an extension before it asks who calls: without it, it is there for nobody.
const GUARDED: &str = "/api/v1/reports/advanced";

/// No job and no event is written here: whoever may ask for one is told that.
const NONE: [&str; 2] = ["/api/v1/admin/jobs/{id}", "/api/v1/admin/events/{id}"];

/// A method on a path, as the description has it.
#[derive(Clone, Debug)]
struct Operation {
    method: String,
    path: String,
    identity: String,
    permission: Option<String>,
    query: String,
    body: Option<Value>,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// Who calls.
struct Role {
    name: String,
    client: Client,
    holds: Holds,
    /// Whether the rows of the table's paths are another account's.
    foreign: bool,
}

/// What a role may.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holds {
    NoToken,
    These(BTreeSet<String>),
    All,
}

impl Holds {
    fn one(permission: &str) -> Holds {
        Holds::These(BTreeSet::from([permission.to_owned()]))
    }

    fn covers(&self, permission: &str) -> bool {
        match self {
            Holds::NoToken => false,
            Holds::These(these) => these.contains(permission),
            Holds::All => true,
        }
    }
}

/// The class of the status that a role gets on a route.
fn expected(operation: &Operation, role: &Role) -> &'static str {
    if operation.path == GUARDED {
        return "404";
    }
    let permission = operation.permission.as_deref();
    match operation.identity.as_str() {
        // Nobody signed the link that the table's path has.
        "signed" => "404",
        "public" => "2xx",
        "token" | "permission" if role.holds == Holds::NoToken => "401",
        "permission" if !permission.is_some_and(|it| role.holds.covers(it)) => "403",
        "permission" if role.foreign && operation.path.contains('{') => "404",
        "token" | "permission"
            if operation.method == "GET" && !NONE.contains(&operation.path.as_str()) =>
        {
            "2xx"
        }
        // What it does depends on the row's state by now; it was let in.
        "token" | "permission" => "let in",
        _ => "a known identity",
    }
}

/// The class of a status, in the words of `expected`.
fn class(expected: &'static str, answer: &Answer) -> String {
    let status = answer.status;
    match expected {
        "2xx" if (200..300).contains(&status) => expected.to_owned(),
        "let in" if (200..300).contains(&status) || [404, 409, 422].contains(&status) => {
            expected.to_owned()
        }
        "401" | "403" | "404" => match answer.failure().split_once(' ') {
            Some((status, _)) => status.trim_end_matches(',').to_owned(),
            None => answer.failure(),
        },
        _ => format!("{status}: {}", answer.text().chars().take(200).collect::<String>()),
    }
}

/// The table's routes: those of the merged description, without anything that the test chose.
fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, it) in methods.as_object().unwrap() {
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                identity: text(&it["x-powernode-identity"]),
                permission: it["x-powernode-permission"].as_str().map(str::to_owned),
                query: required(&it["parameters"]),
                body: it.get("requestBody").cloned(),
            });
        }
    }
    // What takes rows away comes last, so that all others find them.
    all.sort_by_key(|it| it.method == "DELETE");
    all
}

/// The least query that an operation takes.
fn required(parameters: &Value) -> String {
    let parameters = parameters.as_array().into_iter().flatten();
    let must = parameters.filter(|it| it["in"] == "query" && it["required"] == true);
    let pair = |it: &Value| {
        let name = text(&it["name"]);
        format!("{name}={}", text(&sample(&it["schema"], &name)))
    };
    must.map(pair).collect::<Vec<_>>().join("&")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The least value that a schema takes.
fn sample(schema: &Value, name: &str) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|it| it.first()) {
        return first.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(types) => types.first().cloned().unwrap_or_default(),
        kind => kind.clone(),
    };
    match (kind.as_str().unwrap_or_default(), name) {
        ("object", _) => {
            let required = schema["required"].as_array().into_iter().flatten();
            // An e-mail needs one, and no schema of an object says so.
            let subject = schema["properties"].get("subject").map(|_| "subject");
            let fields = required.filter_map(Value::as_str).chain(subject);
            fields.map(|it| (it.to_owned(), sample(&schema["properties"][it], it))).collect()
        }
        ("array", "topics") => json!(["*.*.*"]),
        ("array", _) => json!([]),
        ("boolean", _) => json!(true),
        ("integer" | "number", _) => json!(1),
        (_, "name" | "platform_account_id") => json!(format!("some_{}", next())),
        (_, "email") => json!(format!("somebody{}@example.org", next())),
        (_, "url") => json!("https://hooks.example.org/in"),
        (_, "actor") => json!("User;1"),
        _ if schema["format"] == "date-time" => json!("2999-01-01T00:00:00Z"),
        _ if schema["format"] == "date" => json!("2026-03-01"),
        _ if schema["format"] == "uuid" => json!("00000000-0000-7000-8000-000000000000"),
        _ => json!("some"),
    }
}

/// A number that nothing else has: some names may be there once.
fn next() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The rows that paths name, by the path up to the parameter.
type Rows = BTreeMap<String, String>;

/// The operation's path with its parameters filled in.
fn fill(operation: &Operation, rows: &Rows) -> String {
    let mut path = String::new();
    for segment in operation.path.split('/').skip(1) {
        let is_parameter = segment.starts_with('{');
        // An order to an extension or a flag is for one that is not there: the test needs those that are.
        let admin = operation.path.starts_with("/api/v1/admin/") && operation.method != "GET";
        let row = rows.get(&path).filter(|_| is_parameter && !admin);
        path.push('/');
        match row {
            Some(row) => path.push_str(row),
            None if segment == "{value}" => path.push_str("User;1"),
            None if is_parameter => path.push_str("none"),
            None => path.push_str(segment),
        }
    }
    path
}

/// Asks as a role.
fn ask(operation: &Operation, role: &Role, rows: &Rows) -> Answer {
    let mut path = fill(operation, rows);
    if operation.path == "/api/v1/admin/explain" {
        path.push_str("?path=/api/v1/marketing/campaigns");
    } else if operation.path == "/api/v1/changes" {
        path.push_str("?topics=gates&follow=false");
    } else if !operation.query.is_empty() {
        path = format!("{path}?{}", operation.query);
    }
    match operation.body.as_ref() {
        None => role.client.send(&operation.method, &path, &[], Vec::new()),
        Some(body) => {
            let body = sample(&body["content"]["application/json"]["schema"], "");
            let headers = [("content-type", "application/json")];
            role.client.send(&operation.method, &path, &headers, body.to_string().into_bytes())
        }
    }
    .unwrap()
}

/// What every role gets on every route; those who may do the least come first.
fn judge(operations: &[Operation], roles: &[Role], rows: &Rows) -> Vec<Result<(), Failure>> {
    let mut outcomes = Vec::new();
    for role in roles {
        for operation in operations {
            let expected = expected(operation, role);
            let answer = ask(operation, role, rows);
            let got = class(expected, &answer);
            outcomes.push(if got == expected {
                Ok(())
            } else {
                let case = format!("{}: {}", role.name, operation.name());
                Err(Failure { case, expected: expected.to_owned(), got })
            });
        }
    }
    outcomes
}

/// A platform with marketing on, the description of its API, and rows for its paths.
struct House {
    instance: Instance,
    document: Value,
}

impl House {
    fn new() -> House {
        let text = fs::read_to_string(root().join("plugins/marketing/extension.json")).unwrap();
        let mut manifest: Value = serde_json::from_str(&text).unwrap();
        manifest["default_enabled"] = json!(true);
        let setup = Setup::new().unwrap();
        let setup = setup.with_extension(&plugin("powernode-marketing").unwrap(), &manifest);
        let instance = setup
            .unwrap()
            .with_setting("limits.per_address", "1000000000")
            .with_setting("limits.per_token", "1000000000")
            .with_setting("extension.marketing.social_adapter", "dry_run")
            .start()
            .unwrap();
        let document = instance.anonymous().get("/api/openapi.json").unwrap().json();
        House { instance, document }
    }

    /// Makes a row wherever a collection takes one, the outer ones first, as its description says.
    fn rows(&self) -> Rows {
        let mut rows = Rows::new();
        let mut row =
            |collection: &str, id: &str| rows.insert(collection.to_owned(), id.to_owned());
        let operator = self.operator();
        let account = operator.client.get("/api/v1/me").unwrap().data()["account"]["id"].take();
        row("/api/v1/admin/extensions", "marketing");
        row("/api/v1/admin/flags", "marketing_mode");
        row("/api/v1/admin/accounts", account.as_str().unwrap());
        let mut collections: Vec<_> = operations(&self.document);
        let has_rows = |path: &str| {
            let one = format!("{path}/{{");
            let mut paths = self.document["paths"].as_object().unwrap().keys();
            paths.any(|it| it.strip_prefix(&one).is_some_and(|rest| !rest.contains('/')))
        };
        collections.retain(|it| {
            it.method == "POST" && it.path.contains("/marketing/") && has_rows(&it.path)
        });
        collections.sort_by_key(|it| it.path.len());
        for collection in collections {
            let answer = ask(&collection, &operator, &rows);
            assert_eq!(answer.status, 201, "{}: {}", collection.name(), answer.text());
            let id = text(&answer.data()["id"]);
            assert!(!id.is_empty(), "{}: {}", collection.name(), answer.text());
            rows.insert(fill(&collection, &rows), id);
        }
        let new = json!({ "url": "https://hooks.example.org/in", "topics": ["*.*.*"] });
        let made = operator.client.post("/api/v1/webhooks", &new).unwrap();
        assert_eq!(made.status, 201, "{}", made.text());
        rows.insert("/api/v1/webhooks".to_owned(), text(&made.data()["webhook"]["id"]));
        // A list of a campaign is a list, attached.
        let campaign = rows["/api/v1/marketing/campaigns"].clone();
        rows.insert("/api/v1/marketing/analytics/campaigns".to_owned(), campaign.clone());
        let list = rows["/api/v1/marketing/email_lists"].clone();
        rows.insert(format!("/api/v1/marketing/campaigns/{campaign}/email_lists"), list);
        rows
    }

    fn operator(&self) -> Role {
        let client = self.instance.operator();
        Role { name: "operator".to_owned(), client, holds: Holds::All, foreign: false }
    }

    fn anonymous(&self) -> Role {
        let client = self.instance.anonymous();
        Role { name: "anonymous".to_owned(), client, holds: Holds::NoToken, foreign: false }
    }

    /// A token with those permissions alone.
    fn holder(&self, name: &str, account: Option<&str>, permissions: &BTreeSet<String>) -> Role {
        let mut words = vec!["--json", "tokens", "create"];
        words.extend(account.into_iter().flat_map(|it| ["--account", it]));
        words.extend(permissions.iter().flat_map(|it| ["--scope", it.as_str()]));
        let said = self.instance.cli(&words).unwrap();
        let token = said.json().unwrap()["token"].take();
        let client = self.instance.client(token.as_str().unwrap());
        let holds = Holds::These(permissions.clone());
        Role { name: name.to_owned(), client, holds, foreign: account.is_some() }
    }

    /// Every permission that some operation declares.
    fn permissions(&self) -> BTreeSet<String> {
        operations(&self.document).into_iter().filter_map(|it| it.permission).collect()
    }

    fn roles(&self) -> Vec<Role> {
        let permissions = self.permissions();
        let new = json!({ "name": "Another" });
        let made = self.instance.operator().post("/api/v1/admin/accounts", &new).unwrap();
        let another = text(&made.data()["id"]);
        let of_accounts =
            |it: &&String| it.starts_with("marketing.") || it.starts_with("webhooks.");
        let of_accounts = permissions.iter().filter(of_accounts).cloned().collect();
        let mut roles = vec![
            self.anonymous(),
            self.holder("a token of nothing", None, &BTreeSet::from(["nothing.read".to_owned()])),
            self.holder("another account", Some(&another), &of_accounts),
        ];
        for permission in &permissions {
            let Holds::These(one) = Holds::one(permission) else { continue };
            roles.push(self.holder(permission, None, &one));
        }
        roles.push(self.operator());
        roles
    }
}

#[test]
fn each_role_gets_on_each_route_what_the_routes_permission_says() {
    let mut report = Report::begin("role_by_route");
    let house = House::new();
    let operations = operations(&house.document);
    let roles = house.roles();

    // The table is whole: both parts, all permissions that somebody defines, and no extension's route without its say.
    let of = |part: &str| operations.iter().filter(|it| it.path.starts_with(part)).count();
    assert!(of("/api/v1/admin/") > 20 && of("/api/v1/marketing/") > 30, "{}", operations.len());
    let manifest = house.instance.operator().get("/api/v1/admin/extensions/marketing").unwrap();
    let defined = manifest.data().to_string();
    for permission in house.permissions() {
        let of_core = ["admin.", "webhooks.", "reports."];
        let is_known = of_core.iter().any(|it| permission.starts_with(it));
        assert!(is_known || defined.contains(&format!("\"{permission}\"")), "{permission}");
    }

    // Rows of paths go where a role may delete: each role that may finds them made anew.
    let rows = house.rows();
    let (lesser, greater) = roles.split_at(3);
    for outcome in judge(&operations, lesser, &rows) {
        report.count(outcome);
    }
    for role in greater {
        for outcome in judge(&operations, std::slice::from_ref(role), &house.rows()) {
            report.count(outcome);
        }
    }
    let judged: BTreeSet<_> = operations.iter().map(Operation::name).collect();
    let paths = house.document["paths"].as_object().unwrap();
    let described: usize = paths.values().map(|it| it.as_object().unwrap().len()).sum();
    report.case("every route that is described", described.to_string(), judged.len().to_string());

    for (method, path) in undescribed(&house.document) {
        let filled = Operation {
            method: method.clone(),
            path: path.clone(),
            identity: "permission".to_owned(),
            permission: None,
            query: String::new(),
            body: None,
        };
        let answer = ask(&filled, &house.operator(), &rows);
        report.case(format!("{method} {path}"), "405 METHOD_NOT_ALLOWED", answer.failure());
    }
    report.finish();
}

/// Methods that no description names, on paths that it does: nothing hides there.
fn undescribed(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let fits = |pattern: &str, path: &str| {
        let (pattern, path): (Vec<_>, Vec<_>) =
            (pattern.split('/').collect(), path.split('/').collect());
        let same = |(a, b): (&&str, &&str)| a == b || a.starts_with('{') || b.starts_with('{');
        pattern.len() == path.len() && pattern.iter().zip(&path).all(same)
    };
    let mut left = Vec::new();
    for path in paths.keys() {
        for method in ["get", "post", "put", "patch", "delete"] {
            let is_described =
                paths.iter().any(|(it, methods)| fits(it, path) && methods.get(method).is_some());
            if !is_described {
                left.push((method.to_uppercase(), path.clone()));
            }
        }
    }
    left
}

#[test]
fn a_route_that_asks_for_too_little_and_a_role_that_holds_too_much_are_found() {
    let house = House::new();
    let all = operations(&house.document);
    let rows = house.rows();

    // A description that asks for another permission than the platform does.
    let mut planted = all.clone();
    let list = planted.iter_mut().find(|it| it.name() == "GET /api/v1/admin/tokens").unwrap();
    list.permission = Some("admin.audit.read".to_owned());
    let one = BTreeSet::from(["admin.audit.read".to_owned()]);
    let holder = [house.holder("admin.audit.read", None, &one)];
    let found: Vec<_> =
        judge(&planted, &holder, &rows).into_iter().filter_map(Result::err).collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].case, "admin.audit.read: GET /api/v1/admin/tokens");

    // A platform that lets in whoever comes: the operator's token stands in for none.
    let reads: Vec<_> = all.iter().filter(|it| it.method == "GET").cloned().collect();
    let impostor = [Role { client: house.instance.operator(), ..house.anonymous() }];
    let found = judge(&reads, &impostor, &rows).into_iter().filter(Result::is_err).count();
    let guarded = reads
        .iter()
        .filter(|it| ["token", "permission"].contains(&it.identity.as_str()) && it.path != GUARDED);
    assert_eq!(found, guarded.count());
}
