//! What one extension does for others and for the core, through the running platform.

use std::fs;

use anyhow::{Result, ensure};
use powernode_tests::{
    artefacts::fixture,
    instance::Instance,
    library::{Build, Library},
    setup::{Setup, manifest},
};
use serde_json::{Value, json};

const FLAG: &str = "/api/v1/admin/extensions/fixture-000/flag";

/// A platform whose extension provides entitlements and metering as `provides` says, or not at all.
fn started(provides: Option<&str>) -> Result<Instance> {
    let mut manifest = manifest("fixture-000", "1.0.0");
    manifest["default_enabled"] = true.into();
    let setup = Setup::new()?.with_extension(&fixture("worker")?, &manifest)?;
    if let Some(provides) = provides {
        let config = setup.directory().join("config");
        fs::create_dir_all(&config)?;
        let text = format!("[extension.fixture-000]\nprovides = {provides}\n");
        fs::write(config.join("powernode.toml"), text)?;
    }
    setup.start()
}

/// What the extension hears when it asks whether an account may have `amount` more.
fn check(instance: &Instance, amount: u64) -> Result<Value> {
    let account = "00000000-0000-7000-8000-000000000000";
    let ask = json!({ "account": account, "resource": "orders", "current": 0, "amount": amount });
    let answer = instance.anonymous().post("/api/v1/fixture-000/ask/check", &ask)?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(answer.data()["verdict"].take())
}

/// The status of the core's next token, and its code.
fn token(instance: &Instance) -> Result<String> {
    let new = json!({ "name": "one more", "scopes": [] });
    let answer = instance.operator().post("/api/v1/admin/tokens", &new)?;
    Ok(if answer.status == 201 { "201".to_owned() } else { answer.failure() })
}

/// What comes of a user more, and of a webhook more.
fn user_and_webhook(instance: &Instance, number: u32) -> Result<[String; 2]> {
    let me = instance.operator().get("/api/v1/me")?.data();
    let account = me["account"]["id"].as_str().unwrap_or_default().to_owned();
    let user = json!({ "email": format!("user{number}@example.org"), "name": "One more" });
    let webhook = json!({ "url": "https://hooks.example.org/in", "topics": ["*.*.*"] });
    let ask = |path: &str, new: &Value| -> Result<String> {
        let answer = instance.operator().post(path, new)?;
        Ok(if answer.status == 201 { "201".to_owned() } else { answer.failure() })
    };
    Ok([
        ask(&format!("/api/v1/admin/accounts/{account}/users"), &user)?,
        ask("/api/v1/webhooks", &webhook)?,
    ])
}

#[test]
fn users_and_webhooks_ask_too() -> Result<()> {
    let instance = started(Some("{ limit = 2 }"))?;
    // The first user is the operator.
    ensure!(user_and_webhook(&instance, 1)? == ["201", "201"]);
    ensure!(user_and_webhook(&instance, 2)? == ["403 NOT_ENTITLED", "201"]);
    ensure!(user_and_webhook(&instance, 3)? == ["403 NOT_ENTITLED", "403 NOT_ENTITLED"]);
    let off = instance.operator().put(FLAG, &json!({ "enabled": false }))?;
    ensure!(off.status == 200, "{}", off.text());
    ensure!(user_and_webhook(&instance, 4)? == ["201", "201"]);
    Ok(())
}

#[test]
fn a_key_has_one_owner_and_the_other_extension_stays_out() -> Result<()> {
    let mut setup = Setup::new()?;
    for slug in ["fixture-000", "fixture-001"] {
        let path = setup.directory().join(format!("{slug}.so"));
        let library = Library::built("worker", Build::Plain)?.stamped(slug)?;
        fs::write(&path, library.bytes())?;
        let mut manifest = manifest(slug, "1.0.0");
        manifest["default_enabled"] = true.into();
        setup = setup.with_extension(&path, &manifest)?;
    }
    let config = setup.directory().join("config");
    fs::create_dir_all(&config)?;
    let text = "[extension.fixture-000]\nprovides = { limit = 2 }\n[extension.fixture-001]\nprovides = { limit = 9 }\n";
    fs::write(config.join("powernode.toml"), text)?;
    let instance = setup.start()?;
    let listed = instance.operator().get("/api/v1/admin/extensions")?.data();
    let state = |slug: &str| {
        let all = listed.as_array().into_iter().flatten();
        all.clone().find(|it| it["slug"] == slug).cloned().unwrap_or_default()
    };
    ensure!(state("fixture-000")["state"] == "started", "{listed}");
    let other = state("fixture-001");
    ensure!(other["state"] == "failed", "{other}");
    ensure!(other.to_string().contains("provider_duplicate"), "{other}");
    ensure!(check(&instance, 2)?["limit"] == 2);
    Ok(())
}

#[test]
fn without_a_provider_everything_is_allowed() -> Result<()> {
    let instance = started(None)?;
    ensure!(check(&instance, 1_000)?["allowed"] == true);
    ensure!(token(&instance)? == "201");
    Ok(())
}

#[test]
fn a_provider_decides_until_it_is_switched_off() -> Result<()> {
    let instance = started(Some("{ limit = 2 }"))?;
    ensure!(check(&instance, 2)?["limit"] == 2);
    let denied = check(&instance, 3)?;
    ensure!(denied["allowed"] == false && denied["reason"] == "the plan has 2 orders", "{denied}");
    // The first token is the operator's own.
    ensure!(token(&instance)? == "201");
    let told = token(&instance)?;
    ensure!(told == "403 NOT_ENTITLED", "{told}");
    let off = instance.operator().put(FLAG, &json!({ "enabled": false }))?;
    ensure!(off.status == 200, "{}", off.text());
    ensure!(token(&instance)? == "201", "switched off, the default holds at once");
    Ok(())
}

#[test]
fn a_provider_that_fails_panics_or_hangs_denies() -> Result<()> {
    for provides in ["\"fail\"", "\"panic\"", "\"hang\""] {
        let instance = started(Some(provides))?;
        let told = token(&instance)?;
        ensure!(told == "403 NOT_ENTITLED", "{provides}: {told}");
        ensure!(check(&instance, 1)?["allowed"] == false, "{provides}");
        ensure!(instance.log().contains("which provides `entitlements`"), "{}", instance.log());
        ensure!(instance.anonymous().get("/readyz")?.status == 200);
    }
    Ok(())
}
