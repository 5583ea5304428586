//! The description of the API is true: of routes, permissions, statuses and bodies.

use std::collections::BTreeSet;

use super::*;
use crate::{
    access::permissions,
    http::{
        openapi::{CORE, describe},
        route::{self, Asks, CoreRoute},
    },
    manifest::CORE_ROUTES,
};

const RESCAN: &str = "POST /api/v1/admin/extensions/rescan";

/// The core's part of the description, as a schema can refer to it.
fn components() -> Value {
    json!({ "schemas": CORE.1, "responses": describe::responses() })
}

/// The operation that a request was for, if the core has one.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let method =
        if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
    let fits = |pattern: &str| {
        let (pattern, path): (Vec<_>, Vec<_>) =
            (pattern.split('/').collect(), path.split('/').collect());
        let same = |(a, b): (&&str, &&str)| a == b || (a.starts_with('{') && !b.is_empty());
        pattern.len() == path.len() && pattern.iter().zip(&path).all(same)
    };
    let exact = CORE.0.get(path);
    let found = exact.or_else(|| CORE.0.iter().find(|it| fits(it.0)).map(|it| it.1));
    found?.get(&method)
}

/// Whether a value is as a schema says.
#[track_caller]
fn is_valid(schema: &Value, value: &Value, what: &str) {
    let schema = json!({ "allOf": [schema], "components": components() });
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let errors: Vec<_> =
        validator.iter_errors(value).map(|it| format!("{}: {it}", it.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {errors:?} in {value:#}");
}

/// Holds an answer against what the description promises for its status.
#[track_caller]
pub(super) fn conforms((method, path): &(Method, String), answer: &Answer) {
    let Some(operation) = operation(method, path) else { return };
    let what = format!("{method} {path}: {}", answer.status);
    let responses = &operation["responses"];
    let response = responses.get(answer.status.to_string());
    let response = response.unwrap_or_else(|| panic!("{what} is not described"));
    let components = components();
    let response = match response["$ref"].as_str() {
        Some(name) => &components["responses"][name.rsplit('/').next().unwrap()],
        None => response,
    };
    let media = answer.header("content-type").unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default();
    let content = response["content"].get(media);
    let content = content.unwrap_or_else(|| panic!("{what}: `{media}` is not described"));
    if media == "application/json" {
        is_valid(&content["schema"], &answer.json(), &what);
    }
}

/// A request for a route that gets as far as its handler.
fn sample(route: &CoreRoute) -> String {
    let path = route.path.replace("{slug}", "none").replace("{name}", "none");
    let path = path.replace("{id}", &uuid::Uuid::nil().to_string()).replace("{token}", "none");
    let path = path.replace("{delivery}", "none");
    let path = path.replace("{value}", "User;1");
    // It would stay.
    let end = if path.ends_with("/changes") { "?topics=gates&follow=false" } else { "" };
    format!("{} {path}{end}", route.method)
}

#[test]
fn each_route_asks_for_what_its_table_says_and_for_no_more() {
    let house = House::new();
    let all: BTreeSet<_> = permissions::core().collect();
    let (without, _) = house.token(&[]);
    for route in route::all() {
        let request = sample(&route);
        // Its guard comes before anybody is asked who they are.
        let is_guarded = route.path == "/api/v1/reports/advanced";
        let code = |token: &str| {
            let answer = house.ask(token, &request);
            if answer.status < 400 { String::new() } else { answer.failure() }
        };
        let (nobody, somebody) = (code(""), code(&without));
        match route.asks {
            Asks::Nothing => assert_eq!(nobody, "", "{request}"),
            _ if is_guarded => assert_eq!(nobody, "404 FEATURE_UNAVAILABLE"),
            Asks::Token => {
                assert_eq!(
                    (nobody.as_str(), somebody.as_str()),
                    ("401 UNAUTHORIZED", ""),
                    "{request}"
                );
            }
            Asks::Permission(permission) => {
                assert!(all.contains(permission), "nobody defines {permission}");
                assert_eq!(nobody, "401 UNAUTHORIZED", "{request}");
                let others: Vec<_> = all.iter().copied().filter(|it| *it != permission).collect();
                assert_eq!(code(&house.token(&others).0), "403 FORBIDDEN", "{request}");
                let held = code(&house.token(&[permission]).0);
                let refused = held.starts_with("401") || held.starts_with("403");
                assert!(!refused, "{request}: {held}");
            }
        }
    }
}

#[test]
fn each_route_is_described_whole() {
    let house = House::new();
    let document = house.ask("", "GET /api/openapi.json").json();
    let mut names = BTreeSet::new();
    for route in route::all() {
        let method = route.method.as_str().to_lowercase();
        let operation = &document["paths"][route.path][&method];
        let what = format!("{route:?}");
        assert!(names.insert(operation["operationId"].to_string()), "{what} has another's name");
        assert!(!route.summary.is_empty(), "{what} says nothing");
        let statuses: Vec<_> = operation["responses"].as_object().unwrap().keys().collect();
        let successes = statuses.iter().filter(|it| it.starts_with('2')).count();
        assert_eq!(successes, 1, "{what} succeeds as {statuses:?}");
        let parameters = operation["parameters"].as_array().unwrap();
        let is_whole = |it: &Value| {
            it["schema"]["type"].is_string() && it.get("description").is_none_or(Value::is_string)
        };
        assert!(parameters.iter().all(is_whole), "{what}: {parameters:?}");
        let in_path = parameters.iter().filter(|it| it["in"] == "path").count();
        assert_eq!(in_path, route.path.matches('{').count(), "{what}");
    }
    let paths = document["paths"].as_object().unwrap();
    let described: usize = paths.values().map(|it| it.as_object().unwrap().len()).sum();
    assert_eq!(described, route::all().len(), "nothing is described that is not there");
}

#[test]
fn whatever_is_referred_to_is_there() {
    let house = House::new();
    let document = house.ask("", "GET /api/openapi.json").json();
    let mut left = vec![&document];
    let mut seen = 0;
    while let Some(value) = left.pop() {
        if let Some(name) = value.get("$ref").and_then(Value::as_str) {
            let pointer = name.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{name} is not there");
            seen += 1;
        }
        left.extend(value.as_object().into_iter().flat_map(|it| it.values()));
        left.extend(value.as_array().into_iter().flatten());
    }
    assert!(seen > 100, "{seen}");
}

/// Sends a body, and holds whether it was taken against what the schema says of it.
#[track_caller]
fn body_agrees(house: &House, request: &str, body: &Value) {
    let (method, path) = request.split_once(' ').unwrap();
    let schema = &operation(&method.parse().unwrap(), path).unwrap()["requestBody"];
    let schema = &schema["content"]["application/json"]["schema"];
    let expected =
        jsonschema::options().should_validate_formats(true).build(schema).unwrap().is_valid(body);
    let status = house.ask(&house.operator, &format!("{request} <- {body}")).status;
    assert_eq!(status != 422, expected, "{request} <- {body}: {status}");
}

#[test]
fn a_body_is_taken_exactly_where_its_schema_says_so() {
    let house = House::having(&["shop"]);
    let flag = "/api/v1/admin/flags/shop_mode";
    for name in ["beta", "", "Beta", "b c", "1b", "b\0", &"b".repeat(65)] {
        body_agrees(&house, "POST /api/v1/admin/flags", &json!({ "name": name }));
    }
    let flags = "POST /api/v1/admin/flags";
    body_agrees(&house, flags, &json!({ "name": "gamma", "description": "a\0b" }));
    body_agrees(&house, flags, &json!({ "name": "delta", "description": null }));
    body_agrees(&house, flags, &json!({}));
    for actor in [
        "User;1",
        "User",
        ";1",
        "User;",
        "User; 1",
        "User;\u{7f}",
        &format!("User;{}", "1".repeat(60)),
    ] {
        body_agrees(&house, &format!("POST {flag}/actors"), &json!({ "actor": actor }));
    }
    for group in ["admins", "users", "others", ""] {
        body_agrees(&house, &format!("POST {flag}/groups"), &json!({ "group": group }));
    }
    for share in [
        json!(0),
        json!(100),
        json!(0.5),
        json!(12.345),
        json!(0.0001),
        json!(5.6e-176),
        json!(-1),
        json!(101),
        json!("1"),
        json!(null),
    ] {
        body_agrees(
            &house,
            &format!("PUT {flag}/percentage_of_actors"),
            &json!({ "percentage": share }),
        );
    }
    for body in [
        json!({ "enabled": true }),
        json!({ "enabled": 1 }),
        json!({}),
        json!({ "enabled": true, "more": 1 }),
        json!([true]),
    ] {
        body_agrees(&house, &format!("PUT {flag}"), &body);
        body_agrees(&house, "PUT /api/v1/admin/extensions/shop/flag", &body);
    }
    for body in [json!({ "disabled": false }), json!({ "disabled": null }), json!([])] {
        body_agrees(&house, "PUT /api/v1/admin/extensions/shop/state", &body);
    }
    for name in ["some", "", " ", "a\0", &"x".repeat(200), &"x".repeat(201)] {
        body_agrees(&house, "POST /api/v1/admin/tokens", &json!({ "name": name, "scopes": [] }));
        body_agrees(&house, "POST /api/v1/admin/accounts", &json!({ "name": name }));
    }
    for scope in ["*", "a.b", "a.*", "", "A", "a.", ".a", "a*"] {
        body_agrees(
            &house,
            "POST /api/v1/admin/tokens",
            &json!({ "name": "some", "scopes": [scope] }),
        );
    }
    for field in ["account_id", "user_id", "expires_at"] {
        for value in [json!(null), json!("nothing"), json!(7)] {
            let body = json!({ "name": "some", "scopes": [], field: value });
            body_agrees(&house, "POST /api/v1/admin/tokens", &body);
        }
    }
}

#[test]
fn a_text_with_nul_is_refused_before_any_database_sees_it() {
    let house = House::new();
    let operator = house.operator.as_str();
    house.refuses(operator, "GET /api/v1/admin/audit?actor=%00", "422 VALIDATION_FAILED");
    house.refuses(operator, "DELETE /api/v1/admin/tokens/%00", "404 NOT_FOUND");
    house.refuses(operator, "GET /api/v1/admin/extensions/a%00b", "404 NOT_FOUND");
}

/// Each answer is held against the description where it is asked for.
#[test]
fn each_route_succeeds_as_it_is_described() {
    let directory = tempfile::tempdir().unwrap();
    let manifest = json!({
        "description": "Sells", "author": "Somebody", "homepage": "https://shop.example", "license": "MIT",
        "visibility": "public", "feature_flag": "shop_mode", "capabilities": ["sell"], "api": "^1.0",
        "components": { "server": true, "worker": { "api_only": true } },
        "dependencies": ["basket", { "slug": "cellar", "version": "^2.0" }],
        "prefixes": ["/api/v1/till"], "settings": { "type": "object" },
        "permissions": [{ "name": "shop.read", "description": "Look" }],
        "nav": [{ "label": "Shop", "href": "/shop", "order": 1, "businessOnly": true }],
        "frontend": { "api": 1, "entry": "dist/index.js" },
    });
    install(directory.path(), "shop", manifest);
    let house = House::boot(directory, &[]);
    let account = text(house.operator("GET /api/v1/me")["account"]["id"].take());
    let (_, token) = house.token(&["accounts.read"]);
    let flag = "/api/v1/admin/flags/beta";
    let shop = "/api/v1/admin/extensions/shop";
    let job = house.job("shop", "tidy");
    let mut succeeded = BTreeSet::new();
    let mut ask = |request: &str| {
        let answer = house.ask(&house.operator, request);
        assert!(answer.status < 300, "{request}: {}", answer.text());
        let (method, path) = request.split(" <- ").next().unwrap().split_once(' ').unwrap();
        let path = path.split('?').next().unwrap();
        let found = operation(&method.parse().unwrap(), path).unwrap();
        succeeded.insert(found["operationId"].to_string());
    };
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/openapi.json",
        "/api/docs",
        "/api/docs/docs.js",
        "/api/docs/docs.css",
        "/api/v1/config",
        "/api/v1/extensions/ui",
        "/api/v1/me",
        "/api/v1/admin/extensions",
        "/api/v1/admin/audit?action=token.create&since=2020-01-01T00:00:00Z",
        "/api/v1/admin/audit/verify",
        "/api/v1/admin/explain?path=/api/v1/shop/items&method=post",
        "/api/v1/admin/tokens?page=1&per_page=2",
        "/api/v1/admin/accounts",
        "/api/v1/changes?topics=gates,queues,jobs&follow=false&after=0",
    ] {
        ask(&format!("GET {path}"));
    }
    ask(&format!("GET {shop}"));
    ask(&format!("GET {shop}/explain"));
    ask(RESCAN);
    ask(&format!(r#"PUT {shop}/flag <- {{"enabled":true}}"#));
    ask(&format!(r#"PUT {shop}/state <- {{"disabled":true}}"#));
    ask(&format!("POST {shop}/release"));
    ask(r#"POST /api/v1/admin/flags <- {"name":"beta"}"#);
    ask("GET /api/v1/admin/flags");
    ask(&format!("GET {flag}"));
    ask(&format!(r#"PUT {flag} <- {{"enabled":false}}"#));
    ask(&format!(r#"POST {flag}/actors <- {{"actor":"User;1"}}"#));
    ask(&format!("DELETE {flag}/actors/User;1"));
    ask(&format!(r#"POST {flag}/groups <- {{"group":"admins"}}"#));
    ask(&format!("DELETE {flag}/groups/admins"));
    ask(&format!(r#"PUT {flag}/percentage_of_actors <- {{"percentage":25}}"#));
    ask(&format!(r#"PUT {flag}/percentage_of_time <- {{"percentage":1}}"#));
    ask(&format!(r#"PUT {flag}/expression <- {{"expression":{{"Equal":[1,{{"Now":[]}}]}}}}"#));
    ask("GET /api/v1/admin/flipper");
    ask(&format!("DELETE {flag}/expression"));
    ask(
        r#"PUT /api/v1/admin/flipper <- {"version":1,"features":{"beta":{"percentage_of_actors":"2"}}}"#,
    );
    ask(
        r#"POST /api/v1/admin/tokens <- {"name":"more","scopes":["*"],"expires_at":"2999-01-01T00:00:00Z"}"#,
    );
    ask(&format!("DELETE /api/v1/admin/tokens/{token}"));
    ask(&format!("GET /api/v1/admin/accounts/{account}/users"));

    for path in [
        "queues",
        "jobs?state=ready&per_page=2",
        "schedules",
        "nodes",
        "events?topic=shop.*.*&per_page=2",
        "events/1",
        "subscriptions",
    ] {
        ask(&format!("GET /api/v1/admin/{path}"));
    }
    ask(r#"PUT /api/v1/admin/queues/shop <- {"max_per_node":2,"max_global":0}"#);
    ask("POST /api/v1/admin/queues/shop/pause");
    ask("POST /api/v1/admin/queues/shop/resume");
    ask("POST /api/v1/admin/schedules/shop/tidy/run");
    ask(r#"POST /api/v1/admin/subscriptions/shop/tidy/replay <- {"from_id":1}"#);
    ask(&format!("GET /api/v1/admin/jobs/{job}"));
    for action in ["cancel", "retry", "cancel", "discard"] {
        ask(&format!("POST /api/v1/admin/jobs/{job}/{action}"));
        ask(&format!(r#"POST /api/v1/admin/jobs/{action} <- {{"extension":"shop"}}"#));
    }

    ask(&format!(
        r#"POST /api/v1/admin/accounts/{account}/users <- {{"email":"a@example.org","name":"A"}}"#
    ));
    let new = r#"{"url":"https://hooks.example.org/in","topics":["shop.*.*"]}"#;
    let mut made = house.operator(&format!("POST /api/v1/webhooks <- {new}"));
    let hook = format!("/api/v1/webhooks/{}", text(made["webhook"]["id"].take()));
    ask(&format!("POST /api/v1/webhooks <- {new}"));
    ask("GET /api/v1/webhooks");
    ask(&format!("GET {hook}"));
    ask(&format!("PUT {hook} <- {new}"));
    ask(&format!("POST {hook}/secret"));
    ask(&format!("POST {hook}/test"));
    ask(&format!("GET {hook}/deliveries?state=pending&per_page=1"));
    ask("GET /api/v1/admin/deliveries");
    let sent = house.operator(&format!("POST {hook}/test"));
    let delivery = text(sent["id"].clone());
    house.ended(&delivery);
    ask(&format!("POST {hook}/deliveries/{delivery}/redeliver"));
    house.ended(&delivery);
    ask(&format!("POST /api/v1/admin/deliveries/{delivery}/redeliver"));
    ask(&format!("DELETE {hook}"));

    // Core mode has neither.
    let unavailable = ["\"postApiV1AdminAccounts\"", "\"getApiV1ReportsAdvanced\""];
    let all = CORE.0.values().flat_map(|it| it.values()).map(|it| it["operationId"].to_string());
    let missing: Vec<_> = all.filter(|it| !succeeded.contains(it)).collect();
    assert_eq!(missing, unavailable);
}

#[test]
fn no_extension_can_take_a_path_of_the_core() {
    for route in route::all() {
        let Some(path) = route.path.strip_prefix("/api/v1/") else { continue };
        let word = path.split('/').next().unwrap();
        assert!(CORE_ROUTES.contains(&word), "{route:?}: `{word}` is free for extensions");
    }
}
