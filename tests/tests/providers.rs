//! What one extension does for others and for the core, through the running platform.

use std::fs;

use anyhow::{Result, ensure};
use powernode_tests::{
    artefacts::fixture,
    instance::Instance,
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
