use chrono::TimeDelta;

use super::*;
use crate::{gate::Installed, manifest::Slug};

const TOKENS: &str = "/api/v1/admin/tokens";

#[test]
fn a_token_is_made_used_and_revoked_at_once() {
    let house = House::new();
    let (token, id) = house.token(&["accounts.read"]);
    assert_eq!(house.ask(&token, "GET /api/v1/me").status, 200);
    house.operator(&format!("DELETE {TOKENS}/{id}"));
    house.refuses(&token, "GET /api/v1/me", "401 UNAUTHORIZED");
    assert!(!house.operator(&format!("GET {TOKENS}")).to_string().contains(&token));
    let (made, revoked) = (house.audited("token.create"), house.audited("token.revoke"));
    assert_eq!(revoked[0]["subject"], made[0]["subject"]);
    assert!(made[0]["after"]["account_id"].is_string(), "{}", made[0]);
    assert!(made[0]["request_id"].is_string() && revoked[0]["request_id"].is_string());
}

#[test]
fn a_token_that_expired_meanwhile_is_401_though_it_was_remembered() {
    let house = House::new();
    let ends = Utc::now() + TimeDelta::minutes(5);
    let body = json!({ "name": "short", "scopes": ["accounts.read"], "expires_at": ends });
    let token = text(house.operator(&format!("POST {TOKENS} <- {body}"))["token"].take());
    assert_eq!(house.ask(&token, "GET /api/v1/me").status, 200);
    // Within the time for which a bearer is remembered.
    house.pass(Duration::from_secs(5 * 60 - 1));
    assert_eq!(house.ask(&token, "GET /api/v1/me").status, 200);
    house.pass(Duration::from_secs(2));
    house.refuses(&token, "GET /api/v1/me", "401 UNAUTHORIZED");
    let late = json!({ "name": "late", "scopes": [], "expires_at": ends });
    let request = format!("POST {TOKENS} <- {late}");
    house.refuses(&house.operator, &request, "422 VALIDATION_FAILED");
}

#[test]
fn what_cannot_be_made_is_422_and_names_the_field() {
    let house = House::new();
    let refused = |change: Value, field: &str| {
        let mut body = json!({ "name": "some", "scopes": ["reports.read"] });
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        let answer = house.ask(&house.operator, &format!("POST {TOKENS} <- {body}"));
        assert_eq!(answer.failure(), "422 VALIDATION_FAILED", "{change}");
        assert_eq!(answer.fields(), [field], "{change}");
    };
    let nobody = uuid::Uuid::now_v7();
    refused(json!({ "user_id": nobody }), "user_id");
    refused(json!({ "account_id": nobody }), "account_id");
    refused(json!({ "expires_at": "+12345-01-01T00:00:00Z" }), "expires_at");
    refused(json!({ "expires_at": "2001-01-01T00:00:00Z" }), "expires_at");
    refused(json!({ "name": " " }), "name");
    refused(json!({ "name": "x".repeat(201) }), "name");
    refused(json!({ "scopes": ["No Scope"] }), "scopes");
    assert_eq!(house.operator(&format!("GET {TOKENS}")).as_array().unwrap().len(), 1);
}

#[test]
fn nobody_gives_or_takes_what_they_do_not_hold() {
    let house = House::new();
    let (keeper, _) = house.token(&["admin.tokens.manage"]);
    let operators = house.operator("GET /api/v1/admin/tokens")[0].clone();
    let (id, user) = (operators["id"].as_str().unwrap(), operators["user_id"].as_str().unwrap());

    let all = json!({ "name": "all", "scopes": ["*"] });
    house.refuses(&keeper, &format!("POST {TOKENS} <- {all}"), "403 FORBIDDEN");
    let disguised = json!({ "name": "as", "scopes": ["admin.tokens.manage"], "user_id": user });
    house.refuses(&keeper, &format!("POST {TOKENS} <- {disguised}"), "403 FORBIDDEN");
    house.refuses(&keeper, &format!("DELETE {TOKENS}/{id}"), "403 FORBIDDEN");
    assert_eq!(house.ask(&house.operator, "GET /api/v1/me").status, 200);

    let own = json!({ "name": "own", "scopes": ["admin.tokens.manage"] });
    let made = house.ask(&keeper, &format!("POST {TOKENS} <- {own}")).json();
    let own = made["data"]["details"]["id"].as_str().unwrap().to_owned();
    assert_eq!(house.ask(&keeper, &format!("DELETE {TOKENS}/{own}")).status, 200);
}

#[test]
fn another_accounts_token_is_404_and_not_listed() {
    let house = House::new();
    let (keeper, _) = house.token(&["admin.tokens.manage"]);
    // Core mode has one account over HTTP; the database may have more from before.
    let make = house.platform.access.create_account("Other", false, By::new("test", Utc::now()));
    let other = house.serving.block_on(make).unwrap().id;
    let there = json!({ "name": "there", "scopes": ["admin.tokens.manage"], "account_id": other });
    let made = house.operator(&format!("POST {TOKENS} <- {there}"));
    let id = made["details"]["id"].as_str().unwrap();

    house.refuses(&keeper, &format!("DELETE {TOKENS}/{id}"), "404 NOT_FOUND");
    let listed = house.ask(&keeper, &format!("GET {TOKENS}"));
    assert!(listed.status == 200 && !listed.text().contains(id), "{}", listed.text());
    house.refuses(&keeper, &format!("POST {TOKENS} <- {there}"), "422 VALIDATION_FAILED");
    assert!(house.operator(&format!("GET {TOKENS}")).to_string().contains(id));
}

#[test]
fn what_is_no_token_is_401_or_404() {
    let house = House::new();
    house.refuses("", "GET /api/v1/me", "401 UNAUTHORIZED");
    house.refuses("pn_nonsense", "GET /api/v1/me", "401 UNAUTHORIZED");
    house.refuses(&house.operator, &format!("DELETE {TOKENS}/nothing"), "404 NOT_FOUND");
}

#[test]
fn a_token_of_an_extension_is_void_while_its_gates_are_closed() {
    let house = House::having(&["shop"]);
    let me = house.operator("GET /api/v1/me");
    let account = text(me["account"]["id"].clone()).parse().unwrap();
    let scopes = vec!["notes.read".to_owned()];
    let issuer = &house.booted.issuer;
    let issued = issuer.issue("shop", account, scopes, Duration::from_secs(60), Utc::now());
    let token = issued.unwrap().token;
    house.platform.gate.install(vec![Installed {
        slug: "shop".to_owned(),
        flag: "shop".parse::<Slug>().unwrap().flag(),
        loaded: Ok(()),
        state_disabled: false,
        quarantined: None,
        capabilities: Vec::new(),
        dependencies: Vec::new(),
    }]);
    let switch = |on| {
        let body = json!({ "enabled": on });
        house.operator(&format!("PUT /api/v1/admin/extensions/shop/flag <- {body}"));
    };
    house.refuses(&token, "GET /api/v1/me", "401 UNAUTHORIZED");
    switch(true);
    assert_eq!(house.ask(&token, "GET /api/v1/me").status, 200);
    house.refuses(&token, "GET /api/v1/admin/flags", "403 FORBIDDEN");
    switch(false);
    house.refuses(&token, "GET /api/v1/me", "401 UNAUTHORIZED");
    switch(true);
    house.pass(Duration::from_secs(61));
    house.refuses(&token, "GET /api/v1/me", "401 UNAUTHORIZED");
}
