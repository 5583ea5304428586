//! The platform's services, asked from the other side.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use powernode_tests::{
    instance::{Instance, within},
    setup::Setup,
};
use serde_json::json;

use crate::{get, setup};

const ONE: &str = "serves-0001";
const OTHER: &str = "serves-0002";

#[test]
fn tasks_are_not_polled_while_the_flag_is_off() -> Result<()> {
    let instance = setup(&[ONE, OTHER])?.start()?;
    let client = instance.anonymous();
    for slug in [ONE, OTHER] {
        let answer = client.post(&format!("/api/v1/{slug}/ticks"), &json!(null))?;
        ensure!(answer.status == 204, "{}", answer.text());
    }
    let ticks = |slug: &str| -> Option<u64> { get(&client, slug, "ticks").ok()?.data().as_u64() };
    ensure!(within(Duration::from_secs(5), || ticks(ONE) > Some(5)), "the task does not run");

    let mut last = 0;
    let off = instance.cli(&["ext", "disable", ONE])?;
    ensure!(off.code == Some(0), "{off:?}");
    let closed = within(Duration::from_secs(5), || match ticks(ONE) {
        Some(count) => {
            last = count;
            false
        }
        None => true,
    });
    ensure!(closed, "the extension is still on");
    // The other's task is the clock: two hundred of its ticks.
    let begin = ticks(OTHER).unwrap_or_default();
    ensure!(within(Duration::from_secs(20), || ticks(OTHER) >= Some(begin + 200)), "no ticks");

    let on = instance.cli(&["ext", "enable", ONE])?;
    ensure!(on.code == Some(0), "{on:?}");
    let mut first = None;
    ensure!(within(Duration::from_secs(5), || {
        first = ticks(ONE);
        first.is_some()
    }));
    let while_off = first.unwrap_or_default() - last;
    ensure!(while_off < 50, "{while_off} ticks while it was off");
    ensure!(within(Duration::from_secs(5), || ticks(ONE) > first), "it does not go on");
    let ended = client.delete(&format!("/api/v1/{ONE}/ticks"))?;
    ensure!(ended.data() == json!(true), "{}", ended.text());
    Ok(())
}

#[test]
fn secrets_lie_encrypted_and_belong_to_one_extension() -> Result<()> {
    const SECRET: &str = "a-very-secret-value-4711";
    const PLAIN: &str = "a-value-without-secret-4712";
    let instance = setup(&[ONE, OTHER])?.start()?;
    let put = |slug: &str, path: &str, value: &str| -> Result<()> {
        let path = format!("/api/v1/{slug}/{path}");
        let answer = instance.anonymous().send("PUT", &path, &[], value.into())?;
        ensure!(answer.status == 204, "{}", answer.text());
        Ok(())
    };
    put(ONE, "secrets/key", SECRET)?;
    put(ONE, "kv/key", PLAIN)?;
    put(OTHER, "secrets/key", "another")?;
    let instance = instance.stop()?.start()?;
    let read = |slug: &str, path: &str| -> Result<String> {
        Ok(get(&instance.anonymous(), slug, path)?.text())
    };
    ensure!(read(ONE, "secrets/key")? == SECRET && read(ONE, "kv/key")? == PLAIN);
    ensure!(read(OTHER, "secrets/key")? == "another");
    let foreign = get(&instance.anonymous(), OTHER, "kv/key")?;
    ensure!(foreign.failure() == "404 NOT_FOUND", "{}", foreign.failure());
    // The plain value shows that looking into the files finds what is there.
    ensure!(lies(instance.setup(), PLAIN)?, "the values are not where this test looks");
    ensure!(!lies(instance.setup(), SECRET)?, "the secret can be read in the database's files");
    ensure!(!instance.log().contains(SECRET), "the secret is logged");

    let removed = instance.anonymous().delete(&format!("/api/v1/{ONE}/secrets/key"))?;
    ensure!(removed.data() == json!(true), "{}", removed.text());
    let gone = get(&instance.anonymous(), ONE, "secrets/key")?;
    ensure!(gone.failure() == "404 NOT_FOUND", "{}", gone.failure());
    Ok(())
}

/// Whether a text stands in any file of the database.
fn lies(setup: &Setup, text: &str) -> Result<bool> {
    let mut found = false;
    for entry in fs::read_dir(setup.data())? {
        let path = entry?.path();
        if path.file_name().is_some_and(|it| it.to_string_lossy().starts_with("powernode.db")) {
            found |= fs::read(path)?.windows(text.len()).any(|it| it == text.as_bytes());
        }
    }
    Ok(found)
}

#[test]
fn keys_expire_and_are_listed() -> Result<()> {
    let instance = setup(&[ONE])?.start()?;
    let client = instance.anonymous();
    for (key, time) in [("a1", ""), ("a2", ""), ("b1", ""), ("a3", "?200")] {
        let path = format!("/api/v1/{ONE}/kv/{key}{time}");
        ensure!(client.send("PUT", &path, &[], b"x".to_vec())?.status == 204);
    }
    let gone = || get(&client, ONE, "kv/a3").is_ok_and(|it| it.status == 404);
    ensure!(within(Duration::from_secs(5), gone), "the key does not expire");
    let keys = get(&client, ONE, "kv?a")?;
    ensure!(keys.data() == json!(["a1", "a2"]), "{}", keys.text());
    let removed = client.delete(&format!("/api/v1/{ONE}/kv/a1"))?;
    ensure!(removed.data() == json!(true), "{}", removed.text());
    ensure!(get(&client, ONE, "kv?a")?.data() == json!(["a2"]));
    Ok(())
}

#[test]
fn rows_logs_metrics_and_accounts_are_there() -> Result<()> {
    let instance =
        setup(&[ONE])?.with_setting(&format!("extension.{ONE}.colour"), "green").start()?;
    let client = instance.operator();
    let settings = get(&client, ONE, "settings")?;
    ensure!(settings.data() == json!({ "colour": "green" }), "{}", settings.text());
    rows(&instance)?;

    let path = |route: &str| format!("/api/v1/{ONE}/{route}");
    ensure!(
        client.send("POST", &path("log"), &[], b"a line of the fixture".to_vec())?.status == 204
    );
    ensure!(
        within(Duration::from_secs(5), || instance.log().contains("a line of the fixture")),
        "{}",
        instance.log()
    );
    ensure!(client.post(&path("metrics"), &json!(null))?.status == 204);
    let metrics = client.get("/metrics")?.text();
    let line = metrics.lines().find(|it| it.starts_with("fixture_calls_total") && it.contains(ONE));
    ensure!(line.is_some_and(|it| it.ends_with(" 2.0")), "{metrics}");

    let me = client.get("/api/v1/me")?.data();
    let id = me["account"]["id"].as_str().unwrap_or_default().to_owned();
    let account = get(&client, ONE, &format!("accounts/{id}"))?;
    ensure!(account.data()["name"] == me["account"]["name"], "{} is not {me}", account.text());

    let gates = get(&client, ONE, &format!("gates/{ONE}"))?.data();
    let expected = json!({ "loaded": true, "enabled": true, "core_mode": false, "business_loaded": false, "billing_enabled": false });
    ensure!(gates == expected, "{gates}");
    let clock = get(&client, ONE, "clock")?.data();
    ensure!(clock["slept_us"].as_u64().is_some_and(|it| it >= 10_000), "{clock}");
    Ok(())
}

#[test]
fn a_link_names_its_account_until_it_expires() -> Result<()> {
    const ACCOUNT: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    let instance = setup(&[ONE, OTHER])?.start()?;
    let client = instance.operator();
    let sign = |expires: &str| -> Result<String> {
        let path = format!("/api/v1/{ONE}/links/{ACCOUNT}{expires}");
        let signed = client.send("POST", &path, &[], b"what it says".to_vec())?;
        Ok(signed.data().as_str().unwrap_or_default().to_owned())
    };
    let follow = |slug: &str, link: &str| get(&client, slug, &format!("links/{link}/followed"));
    // The operator's token counts for nothing here.
    let expected =
        json!({ "account": ACCOUNT, "user": null, "link": "what it says", "permitted": false });
    for link in [sign("")?, sign("?4102444800")?] {
        let found = follow(ONE, &link)?;
        ensure!(found.data() == expected, "{}", found.text());
        let foreign = follow(OTHER, &link)?;
        ensure!(foreign.failure() == "404 LINK_INVALID", "{}", foreign.text());
    }
    let late = follow(ONE, &sign("?86400")?)?;
    ensure!(late.failure() == "410 LINK_EXPIRED", "{}", late.text());
    ensure!(late.text().contains("expired at 1970-01-02T00:00:00Z"), "{}", late.text());
    let long = client.send("POST", &format!("/api/v1/{ONE}/links/{ACCOUNT}"), &[], vec![b'x'; 201]);
    ensure!(long?.status == 413);
    Ok(())
}

fn rows(instance: &Instance) -> Result<()> {
    let client = instance.operator();
    let path = format!("/api/v1/{ONE}/notes");
    for text in ["first", "second"] {
        ensure!(client.post(&path, &json!({ "text": text }))?.status == 201);
    }
    let list = client.get(&format!("{path}?per_page=1&page=2"))?.json();
    ensure!(
        list["data"][0]["text"] == "second" && list["meta"]["pagination"]["total_count"] == 2,
        "{list}"
    );
    for sql in
        ["UPDATE core_users SET name = 'owned'", "DELETE FROM core_audit", "DROP TABLE core_flags"]
    {
        let answer = client.send("POST", &format!("/api/v1/{ONE}/trespass"), &[], sql.into())?;
        ensure!(answer.status == 500, "{sql}: {} {}", answer.status, answer.text());
    }
    Ok(())
}
