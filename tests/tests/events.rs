//! Events of a built library through the running platform, on both databases: what is committed is heard, once for
//! each that hears it, and what is not is not.

use std::{
    collections::BTreeSet,
    fs,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use powernode_tests::{
    artefacts::fixture,
    instance::{Instance, within},
    postgres::Cluster,
    report::{Report, cases},
    setup::{Setup, manifest},
};
use serde_json::{Value, json};

const BASE: &str = "/api/v1/fixture-000";
const FLAG: &str = "/api/v1/admin/extensions/fixture-000/flag";
const SOON: Duration = Duration::from_secs(20);
const HEARS: &str = r#"
[extension.fixture-000]
hears = [{ pattern = "fixture-000.order.*", ordered = true }, { pattern = "*.mail.sent" }]
"#;

fn setups() -> Result<Vec<(&'static str, Setup)>> {
    let mut setups = vec![("sqlite", Setup::new()?)];
    if let Some(cluster) = Cluster::shared() {
        let setup = Setup::new()?.with_setting("database.url", &cluster.database()?);
        setups.push(("postgres", setup.with_variable("HOME", "/nonexistent")));
    }
    setups
        .into_iter()
        .map(|(name, setup)| {
            let mut manifest = manifest("fixture-000", "1.0.0");
            manifest["default_enabled"] = true.into();
            let setup = setup.with_extension(&fixture("worker")?, &manifest)?;
            let config = setup.directory().join("config");
            fs::create_dir_all(&config)?;
            fs::write(config.join("powernode.toml"), HEARS)?;
            Ok((name, setup))
        })
        .collect()
}

fn on_both(test: impl Fn(&Instance) -> Result<()>) -> Result<()> {
    for (name, setup) in setups()? {
        let instance = setup.start()?;
        test(&instance).with_context(|| format!("on {name}: {}", instance.log()))?;
    }
    Ok(())
}

fn say(instance: &Instance, event: &Value) -> Result<Value> {
    let answer = instance.anonymous().post(&format!("{BASE}/events"), event)?;
    ensure!(answer.status == 201, "{}", answer.text());
    Ok(answer.data())
}

/// How many marks with that word stand under a name.
fn marks(instance: &Instance, name: &str, word: &str) -> Result<usize> {
    let found = instance.anonymous().get(&format!("{BASE}/marks/{name}?per_page=100"))?.data();
    Ok(found.as_array().into_iter().flatten().filter(|it| it["word"] == word).count())
}

fn heard(instance: &Instance, name: &str, times: usize) -> Result<()> {
    let is = || marks(instance, name, "heard").is_ok_and(|it| it == times);
    ensure!(within(SOON, is), "{name} was heard {} times", marks(instance, name, "heard")?);
    Ok(())
}

#[test]
fn what_is_committed_is_heard_and_what_is_rolled_back_is_not() -> Result<()> {
    on_both(|instance| {
        let topic = "fixture-000.order.paid";
        let refused = json!({ "topic": topic, "payload": { "name": "never" }, "roll_back": true });
        let refused = instance.anonymous().post(&format!("{BASE}/events"), &refused)?;
        ensure!(refused.status == 409, "{}", refused.text());
        let number =
            say(instance, &json!({ "topic": topic, "payload": { "name": "one" }, "uid": "u-1" }))?;
        ensure!(number.is_i64(), "{number}");
        heard(instance, "one", 1)?;
        ensure!(marks(instance, "never", "heard")? == 0);
        // The same uid is not published again.
        let again =
            say(instance, &json!({ "topic": topic, "payload": { "name": "one" }, "uid": "u-1" }))?;
        ensure!(again.is_null(), "{again}");
        // Nobody hears it, and it is kept.
        say(instance, &json!({ "topic": "fixture-000.stock.low", "payload": {} }))?;
        // A topic of another's, and one that is none.
        for topic in ["other.order.paid", "fixture-000.order", "fixture-000.Order.paid"] {
            let refused = json!({ "topic": topic, "payload": {}, "mark": "refused" });
            let refused = instance.anonymous().post(&format!("{BASE}/events"), &refused)?;
            ensure!(refused.status >= 400, "{topic}: {}", refused.text());
        }
        ensure!(marks(instance, "refused", "said")? == 0);
        let operator = instance.operator();
        let listed = operator.get("/api/v1/admin/events?topic=fixture-000.*.*")?.data();
        let topics: Vec<_> =
            listed.as_array().into_iter().flatten().map(|it| it["topic"].clone()).collect();
        ensure!(topics == ["fixture-000.stock.low", "fixture-000.order.paid"], "{listed}");
        ensure!(
            listed[1]["payload"] == json!({ "name": "one" }) && listed[1]["uid"] == "u-1",
            "{listed}"
        );
        let subscriptions = operator.get("/api/v1/admin/subscriptions")?.data();
        ensure!(subscriptions[0]["pattern"] == "*.mail.sent", "{subscriptions}");
        Ok(())
    })
}

#[test]
fn a_delivery_waits_while_the_flag_is_off_and_comes_once() -> Result<()> {
    on_both(|instance| {
        // The deliveries wait in a queue that is paused while its extension still publishes.
        let operator = instance.operator();
        let pause = |word: &str| {
            operator.post(&format!("/api/v1/admin/queues/fixture-000/{word}"), &json!({}))
        };
        ensure!(pause("pause")?.status == 200);
        for number in 0..5 {
            let event = json!({ "topic": "fixture-000.mail.sent", "payload": { "name": format!("m{number}") } });
            say(instance, &event)?;
        }
        let off = operator.put(FLAG, &json!({ "enabled": false }))?;
        ensure!(off.status == 200 && pause("resume")?.status == 200);
        within(Duration::from_secs(2), || false);
        let on = operator.put(FLAG, &json!({ "enabled": true }))?;
        ensure!(on.status == 200);
        for number in 0..5 {
            heard(instance, &format!("m{number}"), 1)?;
        }
        Ok(())
    })
}

#[test]
fn events_of_one_key_come_in_their_order_and_a_replay_comes_again() -> Result<()> {
    on_both(|instance| {
        let first = say(
            instance,
            &json!({ "topic": "fixture-000.order.paid", "payload": { "name": "row" }, "key": "k" }),
        )?;
        for _ in 0..9 {
            say(
                instance,
                &json!({ "topic": "fixture-000.order.sent", "payload": { "name": "row" }, "key": "k" }),
            )?;
        }
        heard(instance, "row", 10)?;
        let found = instance.anonymous().get(&format!("{BASE}/marks/row?per_page=100"))?.data();
        let jobs = found.as_array().into_iter().flatten().filter(|it| it["word"] == "heard");
        let jobs: Vec<_> = jobs.filter_map(|it| it["job"].as_i64()).collect();
        ensure!(jobs.is_sorted(), "{jobs:?}");
        ensure!(within(SOON, || marks(instance, "row", "once").is_ok_and(|it| it == 10)));
        // Again, from the first on: heard twice, and its effects happened once.
        let operator = instance.operator();
        let place = "/api/v1/admin/subscriptions/fixture-000/on:fixture-000.order.*/replay";
        let replayed = operator.post(place, &json!({ "from_id": first }))?;
        ensure!(replayed.data()["events"] == 10, "{}", replayed.text());
        heard(instance, "row", 20)?;
        ensure!(marks(instance, "row", "once")? == 10);
        let since = json!({ "from_time": "2000-01-01T00:00:00Z" });
        ensure!(within(SOON, || operator
            .post(place, &since)
            .is_ok_and(|it| it.data()["events"] == 10)));
        heard(instance, "row", 30)?;
        ensure!(operator.post(place, &json!({}))?.status == 422);
        let nobody = "/api/v1/admin/subscriptions/fixture-000/on:nothing/replay";
        ensure!(operator.post(nobody, &json!({ "from_id": 1 }))?.status == 404);
        let said = instance.cli(&["events", "list", "--topic", "fixture-000.order.*", "--json"])?;
        ensure!(said.json()?["events"].as_array().is_some_and(|it| it.len() == 10), "{said:?}");
        let said = instance.cli(&[
            "events",
            "replay",
            "fixture-000/on:fixture-000.order.*",
            "--from",
            &first.to_string(),
        ])?;
        ensure!(said.stdout.contains("10 events"), "{said:?}");
        Ok(())
    })
}

/// Publishes until it is killed; what was committed is what is heard.
#[test]
fn a_publisher_that_is_killed_between_write_and_publish_loses_nothing() -> Result<()> {
    let mut report = Report::begin("outbox_crash");
    let kills = cases(6);
    let setups = setups()?;
    let each = kills.div_ceil(u32::try_from(setups.len())?);
    for (engine, setup) in setups {
        let number = AtomicU32::new(0);
        let mut instance = setup.start()?;
        for kill in 0..each {
            let begun = number.load(Ordering::Relaxed);
            instance = thread::scope(|scope| -> Result<Instance> {
                for _ in 0..3 {
                    let client = instance.anonymous();
                    let number = &number;
                    scope.spawn(move || {
                        loop {
                            let name = format!("e{}", number.fetch_add(1, Ordering::Relaxed));
                            let event = json!({
                                "topic": "fixture-000.mail.sent", "payload": { "name": name }, "mark": name,
                            });
                            if client.post(&format!("{BASE}/events"), &event).is_err() {
                                break;
                            }
                        }
                    });
                }
                // At another moment each time.
                within(Duration::from_millis(u64::from(40 + kill * 37 % 200)), || false);
                instance.kill()?.start()
            })?;
            ensure!(
                number.load(Ordering::Relaxed) > begun,
                "nothing was published before the kill"
            );
        }
        let (said, heard) = words(&instance)?;
        for name in said.union(&heard) {
            let got = match (said.contains(name), heard.contains(name)) {
                (true, true) => "said and heard",
                (true, false) => "said and not heard",
                _ => "heard and not said",
            };
            report.case(format!("{engine}: {name}"), "said and heard", got);
        }
    }
    report.finish();
    Ok(())
}

/// The names of what was said, and of what was heard, once all that waits has been delivered.
fn words(instance: &Instance) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let all = |word: &str| -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for page in 1.. {
            let path = format!("{BASE}/marks?per_page=100&page={page}");
            let found = instance.anonymous().get(&path)?.data();
            let rows = found.as_array().cloned().unwrap_or_default();
            let of = rows.iter().filter(|it| it["word"] == word);
            names.extend(of.filter_map(|it| it["name"].as_str().map(str::to_owned)));
            if rows.len() < 100 {
                break;
            }
        }
        Ok(names)
    };
    ensure!(!all("said")?.is_empty(), "nothing was said");
    within(SOON, || all("said").is_ok_and(|said| all("heard").is_ok_and(|heard| said == heard)));
    Ok((all("said")?, all("heard")?))
}

#[test]
fn an_event_that_was_lost_is_found() -> Result<()> {
    let (_, setup) = setups()?.remove(0);
    let instance = setup.start()?;
    let event =
        json!({ "topic": "fixture-000.mail.sent", "payload": { "name": "x" }, "mark": "x" });
    say(&instance, &event)?;
    heard(&instance, "x", 1)?;
    let (said, found) = words(&instance)?;
    ensure!(said == found, "{said:?} {found:?}");
    // As if it were published elsewhere than in the transaction: it is written, and nobody hears of it.
    let lost = json!({ "topic": "fixture-000.stock.low", "payload": { "name": "y" }, "mark": "y" });
    say(&instance, &lost)?;
    let (said, found) = words(&instance)?;
    ensure!(said.difference(&found).eq(["y"]), "{said:?} {found:?}");
    Ok(())
}
