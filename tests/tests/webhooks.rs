//! Webhooks out and in: a running platform sends events to itself, where a built library receives them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use powernode_tests::{
    artefacts::fixture,
    instance::{Instance, within},
    postgres::Cluster,
    setup::{Setup, manifest},
};
use serde_json::{Value, json};

const BASE: &str = "/api/v1/fixture-000";
const HOOKS: &str = "/api/v1/webhooks";
const SOON: Duration = Duration::from_secs(20);

fn on_both(test: impl Fn(Instance) -> Result<()>) -> Result<()> {
    test(started(Setup::new()?)?).context("on SQLite")?;
    if let Some(cluster) = Cluster::shared() {
        let setup = Setup::new()?.with_setting("database.url", &cluster.database()?);
        test(started(setup.with_variable("HOME", "/nonexistent"))?).context("on PostgreSQL")?;
    }
    Ok(())
}

fn started(setup: Setup) -> Result<Instance> {
    let mut manifest = manifest("fixture-000", "1.0.0");
    manifest["default_enabled"] = true.into();
    let setup = setup.with_setting("egress.allow", "127.0.0.0/8");
    setup.with_extension(&fixture("worker")?, &manifest)?.start()
}

/// An address of the platform's own.
fn own(instance: &Instance, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", instance.port())
}

/// Makes a webhook for these topics; answers its path and its secret.
fn hook(instance: &Instance, url: &str, topic: &str) -> Result<(String, String)> {
    let made = instance.operator().post(HOOKS, &json!({ "url": url, "topics": [topic] }))?;
    ensure!(made.status == 201, "{}", made.text());
    let id = made.data()["webhook"]["id"].as_str().context("no id")?.to_owned();
    let secret = made.data()["secret"].as_str().context("no secret")?.to_owned();
    Ok((format!("{HOOKS}/{id}"), secret))
}

/// The receiver knows that secret from now on.
fn share(instance: &Instance, secret: &str) -> Result<()> {
    let path = format!("{BASE}/inbound/secret");
    let kept = instance.anonymous().put(&path, &json!({ "secret": secret }))?;
    ensure!(kept.status == 204, "{}", kept.text());
    Ok(())
}

/// Publishes an event of the operator's account.
fn publish(instance: &Instance, topic: &str, payload: Value) -> Result<()> {
    let me = instance.operator().get("/api/v1/me")?.data();
    let event = json!({ "topic": topic, "payload": payload, "account": me["account"]["id"] });
    let said = instance.anonymous().post(&format!("{BASE}/events"), &event)?;
    ensure!(said.status == 201, "{}", said.text());
    Ok(())
}

/// How often something was marked under a name.
fn marks(instance: &Instance, name: &str) -> usize {
    let marks = instance.anonymous().get(&format!("{BASE}/marks/{name}"));
    marks.ok().and_then(|it| it.data().as_array().map(Vec::len)).unwrap_or(0)
}

fn deliveries(instance: &Instance, hook: &str) -> Vec<Value> {
    let listed = instance.operator().get(&format!("{hook}/deliveries"));
    listed.ok().and_then(|it| it.data().as_array().cloned()).unwrap_or_default()
}

fn becomes(instance: &Instance, hook: &str, what: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
    ensure!(
        within(SOON, || what(&deliveries(instance, hook))),
        "{:#?}\n{}",
        deliveries(instance, hook),
        instance.log()
    );
    Ok(deliveries(instance, hook))
}

#[test]
fn an_event_is_sent_signed_received_and_processed_once() -> Result<()> {
    on_both(|instance| {
        let url = own(&instance, &format!("{BASE}/inbound"));
        let (hook, secret) = hook(&instance, &url, "fixture-000.order.*")?;
        share(&instance, &secret)?;
        publish(&instance, "fixture-000.order.paid", json!({ "name": "paid" }))?;
        publish(&instance, "fixture-000.basket.left", json!({ "name": "left" }))?;
        let sent =
            becomes(&instance, &hook, |all| all.iter().any(|it| it["state"] == "delivered"))?;
        ensure!(sent.len() == 1 && sent[0]["topic"] == "fixture-000.order.paid", "{sent:?}");
        ensure!(sent[0]["status"] == 202 && sent[0]["attempts"] == 1, "{sent:?}");
        ensure!(sent[0]["response"].as_str().is_some_and(|it| it.contains("duplicate")));
        ensure!(within(SOON, || marks(&instance, "paid") == 1), "{}", instance.log());

        // Sent again, the receiver knows it.
        let id = sent[0]["id"].as_str().context("no id")?;
        let again =
            instance.operator().post(&format!("{hook}/deliveries/{id}/redeliver"), &json!({}))?;
        ensure!(again.status == 200, "{}", again.text());
        becomes(&instance, &hook, |all| all[0]["status"] == 200 && all[0]["attempts"] == 2)?;
        let listed = instance.cli(&["--json", "deliveries", "list"])?.json()?;
        ensure!(listed["deliveries"][0]["id"] == *id, "{listed}");
        ensure!(marks(&instance, "paid") == 1 && marks(&instance, "left") == 0);
        Ok(())
    })
}

#[test]
fn a_receiver_answers_before_it_processes_and_tries_that_again() -> Result<()> {
    on_both(|instance| {
        let url = own(&instance, &format!("{BASE}/inbound"));
        let (hook, secret) = hook(&instance, &url, "*.*.*")?;
        share(&instance, &secret)?;
        publish(&instance, "fixture-000.order.paid", json!({ "name": "later", "fails": true }))?;
        becomes(&instance, &hook, |all| all.iter().any(|it| it["state"] == "delivered"))?;
        ensure!(
            within(Duration::from_secs(60), || marks(&instance, "later") == 1),
            "{}",
            instance.log()
        );
        Ok(())
    })
}

#[test]
fn what_is_not_signed_by_the_sender_is_401() -> Result<()> {
    let instance = started(Setup::new()?)?;
    share(&instance, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
    let now = chrono::Utc::now().timestamp().to_string();
    let old = "1614265330";
    let mark = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    for (stamp, mark) in [(old, mark), (&now, mark), (&now, ""), (&now, "v1,"), ("soon", mark)] {
        let headers =
            [("webhook-id", id), ("webhook-timestamp", stamp), ("webhook-signature", mark)];
        let body = br#"{"test": 2432232314}"#.to_vec();
        let path = format!("{BASE}/inbound");
        let refused = instance.anonymous().send("POST", &path, &headers, body)?;
        ensure!(refused.status == 401, "{stamp} {mark}: {}", refused.text());
    }
    // Another form, whose example is GitHub's own.
    share(&instance, "It's a Secret to Everybody")?;
    let mark = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let path = format!("{BASE}/inbound/body");
    let send = |mark: &str| {
        let headers = [("x-hub-signature-256", mark)];
        instance.anonymous().send("POST", &path, &headers, b"Hello, World!".to_vec())
    };
    // It is the sender's, and names no event.
    ensure!(send(mark)?.status == 422, "{}", send(mark)?.text());
    ensure!(send(&mark.replace('7', "8"))?.status == 401);
    Ok(())
}

#[test]
fn an_endpoint_that_fails_is_logged_tried_again_and_left_alone() -> Result<()> {
    on_both(|instance| {
        let (hook, _) = hook(&instance, "http://127.0.0.1:9/", "fixture-000.order.*")?;
        for _ in 0..5 {
            let sent = instance.operator().post(&format!("{hook}/test"), &json!({}))?;
            ensure!(sent.status == 201, "{}", sent.text());
        }
        let all = becomes(&instance, &hook, |all| {
            all.len() == 5 && all.iter().all(|it| it["attempts"] == 1)
        })?;
        ensure!(all.iter().all(|it| it["state"] == "pending"), "{all:?}");
        let error = all[0]["error"].as_str().context("no error")?;
        ensure!(error.contains("http://127.0.0.1:9 cannot be reached"), "{error}");
        let shown = instance.operator().get(&hook)?.data();
        ensure!(shown["failures"] == 5 && shown["paused_until"].is_string(), "{shown}");
        // While it is left alone, what comes waits and is not tried.
        instance.operator().post(&format!("{hook}/test"), &json!({}))?;
        std::thread::sleep(Duration::from_secs(1));
        let waits = deliveries(&instance, &hook);
        ensure!(waits.len() == 6 && waits[0]["attempts"] == 0, "{waits:?}");
        Ok(())
    })
}

#[test]
fn addresses_of_this_machine_are_refused_unless_the_operator_allows_them() -> Result<()> {
    let instance = Setup::new()?.start()?;
    for url in ["https://127.0.0.1/", "https://[::1]/", "http://example.com/", "https://10.0.0.1/"]
    {
        let new = json!({ "url": url, "topics": ["*.*.*"] });
        let refused = instance.operator().post(HOOKS, &new)?;
        ensure!(refused.status == 422, "{url}: {}", refused.text());
    }
    // Where a name leads shows where it connects.
    let (hook, _) = hook(&instance, "https://localhost:1/", "*.*.*")?;
    instance.operator().post(&format!("{hook}/test"), &json!({}))?;
    let tried = becomes(&instance, &hook, |all| all.iter().any(|it| it["attempts"] == 1))?;
    let error = tried[0]["error"].as_str().context("no error")?;
    ensure!(error.contains("is refused") && error.contains("egress.allow"), "{error}");
    Ok(())
}

#[test]
fn another_account_sees_none_of_it() -> Result<()> {
    let instance = started(Setup::new()?)?;
    let (hook, _) = hook(&instance, &own(&instance, "/healthz"), "*.*.*")?;
    instance.operator().post(&format!("{hook}/test"), &json!({}))?;
    let sent = becomes(&instance, &hook, |all| all.iter().any(|it| it["attempts"] == 1))?;
    let delivery = sent[0]["id"].as_str().context("no id")?;
    let made = instance.operator().post("/api/v1/admin/accounts", &json!({ "name": "Other" }))?;
    let account = made.data()["id"].as_str().context("no account")?.to_owned();
    let said =
        instance.cli(&["--json", "tokens", "create", "--account", &account, "--scope", "*"])?;
    let other = instance.client(said.json()?["token"].as_str().context("no token")?);
    ensure!(other.get(HOOKS)?.data() == json!([]));
    for (method, path) in [
        ("GET", hook.clone()),
        ("DELETE", hook.clone()),
        ("POST", format!("{hook}/secret")),
        ("POST", format!("{hook}/test")),
        ("GET", format!("{hook}/deliveries")),
        ("POST", format!("{hook}/deliveries/{delivery}/redeliver")),
    ] {
        let refused = other.send(method, &path, &[], Vec::new())?;
        ensure!(refused.status == 404, "{method} {path}: {}", refused.text());
    }
    Ok(())
}

#[test]
fn while_a_secret_is_rotated_both_are_good() -> Result<()> {
    on_both(|instance| {
        let url = own(&instance, &format!("{BASE}/inbound"));
        let (hook, first) = hook(&instance, &url, "*.*.*")?;
        share(&instance, &first)?;
        let rotated = instance.operator().post(&format!("{hook}/secret"), &json!({}))?;
        let second = rotated.data()["secret"].as_str().context("no secret")?.to_owned();
        ensure!(first != second && rotated.data()["webhook"]["previous_until"].is_string());
        for (count, secret) in [(1, &first), (2, &second)] {
            share(&instance, secret)?;
            instance.operator().post(&format!("{hook}/test"), &json!({}))?;
            becomes(&instance, &hook, |all| {
                all.len() == count && all.iter().all(|it| it["state"] == "delivered")
            })?;
        }
        let removed = instance.operator().send("DELETE", &hook, &[], Vec::new())?;
        ensure!(removed.status == 200 && instance.operator().get(&hook)?.status == 404);
        Ok(())
    })
}
