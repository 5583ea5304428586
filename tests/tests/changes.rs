//! The stream of changes: gates, queues, jobs, and live channels of a built library, on both databases.

#![expect(clippy::unwrap_used, reason = "a lock is poisoned where a test failed already")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use powernode_tests::{
    artefacts::fixture,
    instance::{Instance, within},
    postgres::Cluster,
    setup::{Setup, manifest},
};
use serde_json::{Value, json};

const BASE: &str = "/api/v1/fixture-000";
const FLAG: &str = "/api/v1/admin/extensions/fixture-000/flag";
const LIVE: &str = "fixture-000.live";
const SOON: Duration = Duration::from_secs(10);

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
    setup.with_extension(&fixture("worker")?, &manifest)?.start()
}

/// A message.
#[derive(Clone, Debug)]
struct Message {
    id: String,
    event: String,
    data: Value,
}

/// Somebody who follows, until dropped.
struct Follower {
    stream: TcpStream,
    heard: Arc<Mutex<Vec<Message>>>,
    ended: Arc<Mutex<Option<Instant>>>,
}

impl Follower {
    /// Follows with a token, after the message of that id.
    fn new(instance: &Instance, token: &str, topics: &str, last: Option<&str>) -> Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", instance.port()))?;
        let last = last.map(|it| format!("Last-Event-ID: {it}\r\n")).unwrap_or_default();
        write!(
            stream,
            "GET /api/v1/changes?topics={topics} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{last}\r\n"
        )?;
        let heard = Arc::<Mutex<Vec<Message>>>::default();
        let ended = Arc::<Mutex<Option<Instant>>>::default();
        let (reader, all, end) = (stream.try_clone()?, heard.clone(), ended.clone());
        thread::spawn(move || {
            let (mut id, mut event) = (String::new(), String::new());
            // Sizes of chunks stand between, and are none of these.
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                if let Some(it) = line.strip_prefix("id: ") {
                    id = it.to_owned();
                } else if let Some(it) = line.strip_prefix("event: ") {
                    event = it.to_owned();
                } else if let Some(it) = line.strip_prefix("data: ") {
                    let data = serde_json::from_str(it).unwrap_or_default();
                    let message = Message { id: id.clone(), event: event.clone(), data };
                    all.lock().unwrap().push(message);
                } else if line == "0" {
                    break;
                }
            }
            *end.lock().unwrap() = Some(Instant::now());
        });
        Ok(Self { stream, heard, ended })
    }

    fn heard(&self, event: &str) -> Vec<Message> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|it| it.event == event).cloned().collect()
    }

    /// Waits until it heard so many of a kind.
    fn hears(&self, event: &str, count: usize) -> Result<Vec<Message>> {
        ensure!(
            within(SOON, || self.heard(event).len() >= count),
            "{event}: {:?}",
            self.heard.lock()
        );
        Ok(self.heard(event))
    }

    fn ends(&self) -> Result<()> {
        ensure!(within(SOON, || self.ended.lock().unwrap().is_some()), "it goes on");
        Ok(())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

fn tell(instance: &Instance, account: Option<&str>, number: u32) -> Result<()> {
    let told = json!({ "account": account, "data": { "number": number } });
    let answer = instance.anonymous().post(&format!("{BASE}/told"), &told)?;
    ensure!(answer.status == 204, "{}", answer.text());
    Ok(())
}

fn switch(instance: &Instance, on: bool) -> Result<()> {
    ensure!(instance.operator().put(FLAG, &json!({ "enabled": on }))?.status == 200);
    Ok(())
}

fn token(instance: &Instance, words: &[&str]) -> Result<String> {
    let said = instance.cli(&[&["--json", "tokens", "create"], words].concat())?.json()?;
    Ok(said["token"].as_str().context("no token")?.to_owned())
}

fn numbers(messages: &[Message]) -> Vec<u64> {
    messages.iter().filter_map(|it| it.data["number"].as_u64()).collect()
}

#[test]
fn gates_queues_and_jobs_are_followed() -> Result<()> {
    on_both(|instance| {
        let operator = instance.token().context("no token")?.to_owned();
        let follower = Follower::new(&instance, &operator, "gates,queues,jobs", None)?;
        let first = follower.hears("gates", 1)?;
        ensure!(first[0].data["extensions"]["fixture-000"] == true, "{first:?}");
        switch(&instance, false)?;
        let gates = follower.hears("gates", 2)?;
        ensure!(gates[1].data["extensions"]["fixture-000"] == false, "{gates:?}");
        switch(&instance, true)?;

        instance.operator().post("/api/v1/admin/queues/fixture-000/pause", &json!({}))?;
        let queues = follower.hears("queues", 1)?;
        ensure!(queues[0].data == json!({ "queue": "fixture-000", "paused": true }), "{queues:?}");
        instance.operator().post("/api/v1/admin/queues/fixture-000/resume", &json!({}))?;

        let job = json!({ "handler": "ok", "args": null });
        ensure!(instance.anonymous().post(&format!("{BASE}/jobs"), &job)?.status == 201);
        let jobs = follower.hears("jobs", 1)?;
        ensure!(jobs[0].data["ended"][0]["handler"] == "ok", "{jobs:?}");
        ensure!(jobs[0].data["ended"][0]["outcome"] == "done", "{jobs:?}");
        Ok(())
    })
}

#[test]
fn a_channel_goes_on_where_its_follower_was() -> Result<()> {
    on_both(|instance| {
        let operator = instance.token().context("no token")?.to_owned();
        let follower = Follower::new(&instance, &operator, LIVE, None)?;
        // It follows once it is answered.
        ensure!(within(SOON, || {
            tell(&instance, None, 0).is_ok_and(|()| !follower.heard(LIVE).is_empty())
        }));
        for number in 1..=3 {
            tell(&instance, None, number)?;
        }
        ensure!(within(SOON, || numbers(&follower.heard(LIVE)).ends_with(&[1, 2, 3])));
        let last = follower.heard(LIVE).last().context("nothing")?.id.clone();
        drop(follower);
        for number in 4..=200 {
            tell(&instance, None, number)?;
        }
        let again = Follower::new(&instance, &operator, LIVE, Some(&last))?;
        ensure!(within(SOON, || again.heard(LIVE).len() >= 197), "{}", again.heard(LIVE).len());
        ensure!(numbers(&again.heard(LIVE)) == (4..=200).collect::<Vec<_>>());
        // Also on another process of the same database.
        drop(again);
        let instance = instance.stop()?.start()?;
        let later = Follower::new(&instance, &operator, LIVE, Some(&last))?;
        ensure!(within(SOON, || later.heard(LIVE).len() == 197));
        // What was never there is said to be lost.
        let future = Follower::new(&instance, &operator, LIVE, Some("999999"))?;
        future.hears("lost", 1)?;
        Ok(())
    })
}

#[test]
fn a_channel_closes_with_its_extension_s_gate() -> Result<()> {
    on_both(|instance| {
        let operator = instance.token().context("no token")?.to_owned();
        let alone = Follower::new(&instance, &operator, LIVE, None)?;
        let beside = Follower::new(&instance, &operator, &format!("gates,{LIVE}"), None)?;
        ensure!(within(SOON, || {
            tell(&instance, None, 0)
                .is_ok_and(|()| !alone.heard(LIVE).is_empty() && !beside.heard(LIVE).is_empty())
        }));
        switch(&instance, false)?;
        let switched = Instant::now();
        let closed = alone.hears("closed", 1)?;
        ensure!(closed[0].data["topic"] == LIVE, "{closed:?}");
        alone.ends()?;
        let ended = alone.ended.lock().unwrap().context("not ended")?;
        ensure!(ended.saturating_duration_since(switched) < Duration::from_secs(1));
        // What else is followed goes on.
        beside.hears("closed", 1)?;
        let refused = instance.operator().get(&format!("/api/v1/changes?topics={LIVE}"))?;
        ensure!(refused.status == 404, "{}", refused.text());
        switch(&instance, true)?;
        ensure!(within(SOON, || beside.heard("gates").len() >= 3), "{:?}", beside.heard("gates"));
        Ok(())
    })
}

#[test]
fn followers_see_what_is_theirs_and_what_they_may() -> Result<()> {
    let instance = started(Setup::new()?)?;
    let operator = instance.token().context("no token")?.to_owned();
    let me = instance.operator().get("/api/v1/me")?.data();
    let own = me["account"]["id"].as_str().context("no account")?.to_owned();
    let made = instance.operator().post("/api/v1/admin/accounts", &json!({ "name": "Other" }))?;
    let other = made.data()["id"].as_str().context("no account")?.to_owned();
    let theirs = token(&instance, &["--account", &other, "--scope", "accounts.read"])?;
    let (mine, theirs) = (
        Follower::new(&instance, &operator, LIVE, None)?,
        Follower::new(&instance, &theirs, LIVE, None)?,
    );
    ensure!(within(SOON, || {
        tell(&instance, None, 0)
            .is_ok_and(|()| !mine.heard(LIVE).is_empty() && !theirs.heard(LIVE).is_empty())
    }));
    tell(&instance, Some(&own), 1)?;
    tell(&instance, Some(&other), 2)?;
    tell(&instance, None, 3)?;
    ensure!(within(SOON, || numbers(&mine.heard(LIVE)).ends_with(&[1, 3])));
    ensure!(within(SOON, || numbers(&theirs.heard(LIVE)).ends_with(&[2, 3])));

    let none = instance.client(&token(&instance, &["--scope", "reports.read"])?);
    for (topics, status) in [
        (LIVE, 403),
        ("jobs", 403),
        ("queues", 403),
        ("nothing", 404),
        ("fixture-000.other", 404),
        ("", 422),
        ("gates&follow=perhaps", 422),
        ("gates&after=soon", 422),
    ] {
        let refused = none.get(&format!("/api/v1/changes?topics={topics}"))?;
        ensure!(refused.status == status, "{topics}: {}", refused.text());
    }
    ensure!(instance.anonymous().get("/api/v1/changes?topics=gates")?.status == 401);
    let told = json!({ "channel": "other", "data": {} });
    let refused = instance.anonymous().post(&format!("{BASE}/told"), &told)?;
    ensure!(
        refused.status == 500 && instance.log().contains("names no channel"),
        "{}",
        refused.text()
    );
    Ok(())
}

#[test]
fn a_platform_that_stops_lets_its_followers_go_and_a_revoked_token_ends() -> Result<()> {
    let mut instance = started(Setup::new()?)?;
    let operator = instance.token().context("no token")?.to_owned();
    let made = instance.cli(&["--json", "tokens", "create", "--scope", "*"])?.json()?;
    let revoked = made["token"].as_str().context("no token")?.to_owned();
    let follower = Follower::new(&instance, &revoked, "gates", None)?;
    follower.hears("gates", 1)?;
    // `pn_` and eight letters are what is shown of it.
    let said = instance.cli(&["tokens", "revoke", &revoked[..11]])?;
    ensure!(said.code == Some(0), "{said:?}");
    ensure!(within(Duration::from_secs(15), || follower.ended.lock().unwrap().is_some()));
    let stays = Follower::new(&instance, &operator, "gates", None)?;
    stays.hears("gates", 1)?;
    instance.terminate()?;
    stays.ends()?;
    let status = instance.wait(Duration::from_secs(10))?;
    ensure!(status.success(), "{status}");
    Ok(())
}
