//! What goes in and comes out.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{get, setup};

const SLUG: &str = "bodies-0001";

#[test]
fn a_request_arrives_whole() -> Result<()> {
    let instance = setup(&[SLUG])?.start()?;
    let client = instance.anonymous();
    let path = format!("/api/v1/{SLUG}/echo/a%20b/7?x=1&y=%20");
    let answer = client.send("GET", &path, &[("X-Test", "tested")], Vec::new())?;
    let data = answer.data();
    let found = json!([
        data["method"],
        data["path"],
        data["query"],
        data["one"],
        data["two"],
        data["header"],
        data["peer"]
    ]);
    let expected = json!([
        "GET",
        format!("/api/v1/{SLUG}/echo/a%20b/7"),
        "x=1&y=%20",
        "a b",
        7,
        "tested",
        "127.0.0.1"
    ]);
    ensure!(found == expected, "{found}");
    ensure!(data["id"].as_str() == answer.header("x-request-id"), "{data}, {:?}", answer.headers);
    ensure!(data["time_left_ms"].as_u64().is_some_and(|it| it > 20_000 && it <= 30_000), "{data}");
    let missing = client.get(&format!("/api/v1/{SLUG}/echo/a/seven"))?;
    ensure!(missing.failure() == "404 NOT_FOUND", "{}", missing.failure());
    Ok(())
}

#[test]
fn json_is_read_and_its_faults_are_named() -> Result<()> {
    let instance = setup(&[SLUG])?.start()?;
    let client = instance.anonymous();
    let path = format!("/api/v1/{SLUG}/orders");
    let answer = client.post(&path, &json!({ "name": "a", "amount": 2 }))?;
    ensure!(
        answer.status == 201 && answer.data() == json!({ "name": "a", "amount": 2 }),
        "{}",
        answer.text()
    );
    let json = [("content-type", "application/json")];
    for (headers, body, expected) in [
        (json, "{", "400 INVALID_JSON"),
        (json, r#"{"name": 1, "amount": 2}"#, "422 VALIDATION_FAILED"),
        (json, r#"{"name": "a"}"#, "422 VALIDATION_FAILED"),
        ([("content-type", "text/plain")], "{}", "415 UNSUPPORTED_MEDIA_TYPE"),
    ] {
        let answer = client.send("POST", &path, &headers, body.into())?;
        ensure!(answer.failure() == expected, "{body}: {}", answer.failure());
    }
    let answer = client.send("POST", &path, &json, vec![b' '; 2 << 20])?;
    ensure!(answer.failure() == "413 BODY_TOO_LARGE", "{}", answer.failure());
    Ok(())
}

#[test]
fn answers_of_any_kind_leave_as_they_are() -> Result<()> {
    let instance = setup(&[SLUG])?.start()?;
    let client = instance.anonymous();
    let teapot = get(&client, SLUG, "teapot")?;
    let found =
        (teapot.status, teapot.text(), teapot.header("x-pot"), teapot.header("content-type"));
    ensure!(found == (418, "short and stout".into(), Some("tea"), Some("text/plain")), "{found:?}");
    let failure = get(&client, SLUG, "failure")?;
    ensure!(failure.failure() == "500 INTERNAL_ERROR", "{}", failure.failure());
    ensure!(!failure.text().contains("secret") && instance.log().contains("a secret cause"));
    Ok(())
}

#[test]
fn bodies_stream_both_ways() -> Result<()> {
    let instance = setup(&[SLUG])?.start()?;
    let client = instance.anonymous();
    let answer = get(&client, SLUG, "stream?parts=100&size=30000")?;
    ensure!(answer.body.len() == 3_000_000, "{} bytes", answer.body.len());
    ensure!(answer.header("content-length").is_none(), "{:?}", answer.headers);

    let body: Vec<u8> = (0..900_000_u32).map(|it| it as u8).collect();
    for route in ["raw", "relay"] {
        let answer = client.send("POST", &format!("/api/v1/{SLUG}/{route}"), &[], body.clone())?;
        ensure!(
            answer.status == 200 && answer.body == body,
            "{route}: {} bytes",
            answer.body.len()
        );
    }

    // Parts that come one after the other are seen one after the other.
    let mut raw = instance.raw()?;
    raw.send(format!(
        "POST /api/v1/{SLUG}/chunks HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    ))?;
    for part in ["one", "two", "three"] {
        raw.send(format!("{:x}\r\n{part}\r\n", part.len()))?;
        std::thread::sleep(Duration::from_millis(50));
    }
    raw.send("0\r\n\r\n")?;
    let answer = raw.answer(Duration::from_secs(10))?;
    ensure!(answer.data() == json!({ "chunks": 3, "bytes": 11 }), "{}", answer.text());
    Ok(())
}

#[test]
fn each_route_says_who_answers_for_identity() -> Result<()> {
    let instance = setup(&[SLUG])?.start()?;
    let (nobody, operator) = (instance.anonymous(), instance.operator());
    let answer = get(&nobody, SLUG, "guarded")?;
    ensure!(answer.failure() == "401 UNAUTHORIZED", "{}", answer.failure());
    let answer = get(&operator, SLUG, "guarded")?;
    ensure!(answer.status == 200 && answer.data().is_string(), "{}", answer.text());
    // Its own headers reach an extension that identifies; nobody else looks at them.
    let path = format!("/api/v1/{SLUG}/own");
    let answer = nobody.send("GET", &path, &[("authorization", "Basic abc")], Vec::new())?;
    ensure!(answer.data() == json!("Basic abc"), "{}", answer.text());
    let answer = get(&nobody, SLUG, "own")?;
    ensure!(answer.data() == Value::Null && answer.status == 200, "{}", answer.text());
    Ok(())
}
