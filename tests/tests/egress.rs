//! Requests that an extension sends to other servers, and to this platform.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    thread,
};

use anyhow::{Context as _, Result, ensure};
use powernode_tests::{
    artefacts::fixture,
    instance::Instance,
    setup::{Setup, manifest},
};
use serde_json::{Value, json};

const BASE: &str = "/api/v1/fixture-000";

fn started(setup: Setup) -> Result<Instance> {
    let mut manifest = manifest("fixture-000", "1.0.0");
    manifest["default_enabled"] = true.into();
    manifest["permissions"] = json!([{ "name": "fixture_000.read", "description": "Read" }]);
    setup.with_extension(&fixture("worker")?, &manifest)?.start()
}

/// A server that answers everybody `hello`.
fn server() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Ok(copy) = stream.try_clone() else { return };
            // The head ends with an empty line.
            for line in BufReader::new(copy).lines() {
                if line.is_ok_and(|it| it.is_empty()) {
                    break;
                }
            }
            // Who asked may be gone.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
        }
    });
    Ok(url)
}

fn fetch(instance: &Instance, url: &str) -> Result<Value> {
    let answer = instance
        .anonymous()
        .post(&format!("{BASE}/fetch"), &json!({ "method": "GET", "url": url }))?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(answer.data())
}

#[test]
fn a_server_on_this_machine_is_refused_until_the_operator_allows_it() -> Result<()> {
    let url = server()?;
    let closed = started(Setup::new()?)?;
    let metadata = "http://169.254.169.254/latest/meta-data";
    for target in [url.as_str(), &url.replace("127.0.0.1", "localhost"), metadata] {
        let refused = fetch(&closed, target)?;
        let error = refused["error"].as_str().context("it was fetched")?;
        ensure!(error.starts_with("Refused(") && error.contains("egress.allow"), "{error}");
    }
    let open = started(Setup::new()?.with_setting("egress.allow", "127.0.0.0/8"))?;
    ensure!(fetch(&open, &url)? == json!({ "status": 200, "body": "hello" }));
    ensure!(fetch(&open, metadata)?["error"].is_string());
    Ok(())
}

#[test]
fn the_platform_s_own_api_is_asked_with_a_token_of_few_rights() -> Result<()> {
    let instance = started(Setup::new()?)?;
    let me = instance.operator().get("/api/v1/me")?.data();
    let account = me["account"]["id"].as_str().context("no account")?.to_owned();
    let ask = |url: &str, account: &str, permissions: &[&str]| {
        let asked =
            json!({ "method": "GET", "url": url, "account": account, "permissions": permissions });
        instance.anonymous().post(&format!("{BASE}/api"), &asked)
    };
    let shown = ask("/api/v1/me", &account, &["fixture_000.read"])?;
    ensure!(shown.status == 200 && shown.data()["status"] == 200, "{}", shown.text());
    ensure!(shown.text().contains(&account), "{}", shown.text());
    let admin = ask("/api/v1/admin/flags", &account, &[])?;
    ensure!(admin.data()["status"] == 403, "{}", admin.text());
    for (account, permission) in [
        (account.as_str(), "admin.flags.manage"),
        ("00000000-0000-7000-8000-000000000000", "fixture_000.read"),
    ] {
        let refused = ask("/api/v1/me", account, &[permission])?;
        ensure!(refused.status >= 400, "{}", refused.text());
    }
    Ok(())
}
