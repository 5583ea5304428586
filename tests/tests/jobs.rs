//! Jobs of a built library through the running platform, on both databases.

use std::{fs, time::Duration};

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
const SOON: Duration = Duration::from_secs(20);

fn on_both(test: impl Fn(Instance) -> Result<()>) -> Result<()> {
    test(started(Setup::new()?)?).context("on SQLite")?;
    if let Some(cluster) = Cluster::shared() {
        let setup = Setup::new()?.with_setting("database.url", &cluster.database()?);
        test(started(setup.with_variable("HOME", "/nonexistent"))?).context("on PostgreSQL")?;
    }
    Ok(())
}

/// With this configuration, and that in the manifest about its worker.
fn on_both_with(config: &str, worker: Value, test: impl Fn(Instance) -> Result<()>) -> Result<()> {
    let start = |setup: Setup| -> Result<Instance> {
        let directory = setup.directory().join("config");
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("powernode.toml"), config)?;
        let mut manifest = manifest("fixture-000", "1.0.0");
        manifest["default_enabled"] = true.into();
        manifest["components"] = json!({ "server": true, "worker": worker });
        setup.with_extension(&fixture("worker")?, &manifest)?.start()
    };
    test(start(Setup::new()?)?).context("on SQLite")?;
    if let Some(cluster) = Cluster::shared() {
        let setup = Setup::new()?.with_setting("database.url", &cluster.database()?);
        test(start(setup.with_variable("HOME", "/nonexistent"))?).context("on PostgreSQL")?;
    }
    Ok(())
}

fn started(setup: Setup) -> Result<Instance> {
    let mut manifest = manifest("fixture-000", "1.0.0");
    manifest["default_enabled"] = true.into();
    setup.with_extension(&fixture("worker")?, &manifest)?.start()
}

/// Asks for a job in a transaction; answers its number.
fn ask(instance: &Instance, job: Value) -> Result<i64> {
    let answer = instance.anonymous().post(&format!("{BASE}/jobs"), &job)?;
    ensure!(answer.status == 201, "{}", answer.text());
    answer.data().as_i64().context("no number")
}

fn job(instance: &Instance, id: i64) -> Result<Value> {
    Ok(instance.anonymous().get(&format!("{BASE}/jobs/{id}"))?.data())
}

fn becomes(instance: &Instance, id: i64, state: &str) -> Result<Value> {
    let is = || job(instance, id).is_ok_and(|it| it["state"] == state);
    ensure!(within(SOON, is), "{}\n{}", job(instance, id)?, instance.log());
    job(instance, id)
}

/// How often a mark was left under a name.
fn marks(instance: &Instance, name: &str) -> Result<usize> {
    let answer = instance.anonymous().get(&format!("{BASE}/marks/{name}"))?;
    Ok(answer.data().as_array().map_or(0, Vec::len))
}

fn switch(instance: &Instance, enabled: bool) -> Result<()> {
    let answer = instance.operator().put(FLAG, &json!({ "enabled": enabled }))?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}

#[test]
fn what_is_committed_runs_and_what_is_rolled_back_does_not() -> Result<()> {
    on_both(|instance| {
        let id = ask(&instance, json!({ "handler": "mark", "args": { "name": "one" } }))?;
        becomes(&instance, id, "done")?;
        ensure!(marks(&instance, "one")? == 1);
        let rolled_back = json!({ "handler": "mark", "args": { "name": "two" }, "mark": "two", "roll_back": true });
        let refused = instance.anonymous().post(&format!("{BASE}/jobs"), &rolled_back)?;
        ensure!(refused.status == 409, "{}", refused.text());
        // Whatever came after it has run.
        let id = ask(&instance, json!({ "handler": "mark", "args": { "name": "three" } }))?;
        becomes(&instance, id, "done")?;
        ensure!(marks(&instance, "two")? == 0);
        Ok(())
    })
}

#[test]
fn a_failure_and_a_panic_are_tried_again_and_then_dead() -> Result<()> {
    on_both(|instance| {
        for handler in ["fail", "panic"] {
            let asked = json!({ "handler": handler, "args": { "times": 9 }, "attempts": 1 });
            let dead = becomes(&instance, ask(&instance, asked)?, "dead")?;
            ensure!(dead["attempt"] == 1, "{dead}");
            let asked = json!({ "handler": handler, "args": { "times": 1 }, "attempts": 2 });
            let waits = becomes(&instance, ask(&instance, asked)?, "scheduled")?;
            ensure!(waits["attempt"] == 1, "{waits}");
        }
        Ok(())
    })
}

#[test]
fn jobs_wait_while_the_flag_is_off_and_nothing_of_them_is_lost() -> Result<()> {
    on_both(|instance| {
        let later = chrono::Utc::now() + chrono::TimeDelta::seconds(2);
        let id = ask(
            &instance,
            json!({ "handler": "mark", "args": { "name": "late" }, "run_at": later }),
        )?;
        switch(&instance, false)?;
        within(Duration::from_secs(4), || false);
        switch(&instance, true)?;
        let done = becomes(&instance, id, "done")?;
        ensure!(done["attempt"] == 1, "an attempt was burnt: {done}");
        ensure!(marks(&instance, "late")? == 1);
        Ok(())
    })
}

#[test]
fn what_a_killed_process_ran_runs_again() -> Result<()> {
    let instance = started(Setup::new()?)?;
    let asked = json!({ "handler": "work", "args": { "name": "long", "ms": 3000 } });
    let id = ask(&instance, asked)?;
    ensure!(within(SOON, || marks(&instance, "long").is_ok_and(|it| it == 1)));
    let instance = instance.kill()?.start()?;
    let done = becomes(&instance, id, "done")?;
    ensure!(done["attempt"] == 2, "{done}");
    ensure!(marks(&instance, "long")? == 3, "began twice, ended once");
    Ok(())
}

#[test]
fn a_job_that_runs_is_told_when_it_is_cancelled() -> Result<()> {
    on_both(|instance| {
        let id = ask(&instance, json!({ "handler": "wait", "args": { "name": "told" } }))?;
        ensure!(within(SOON, || marks(&instance, "told").is_ok_and(|it| it == 1)));
        let answer = instance.anonymous().delete(&format!("{BASE}/jobs/{id}"))?;
        ensure!(answer.data() == json!(true), "{}", answer.text());
        becomes(&instance, id, "cancelled")?;
        ensure!(marks(&instance, "told")? == 2);
        Ok(())
    })
}

#[test]
fn operators_see_queues_and_jobs_pause_retry_and_cancel() -> Result<()> {
    on_both(|instance| {
        let operator = instance.operator();
        let admin = "/api/v1/admin";
        // Paused: it waits; then it runs.
        let paused = operator.post(&format!("{admin}/queues/fixture-000/pause"), &json!({}))?;
        ensure!(
            paused.status == 200 && paused.data()["paused_at"].is_string(),
            "{}",
            paused.text()
        );
        let waits = ask(&instance, json!({ "handler": "mark", "args": { "name": "paused" } }))?;
        ensure!(within(SOON, || {
            let queues = operator.get(&format!("{admin}/queues")).map(|it| it.data());
            queues.is_ok_and(|it| {
                let own =
                    it.as_array().into_iter().flatten().find(|it| it["name"] == "fixture-000");
                own.is_some_and(|it| it["ready"] == 1 && it["latency_ms"].is_u64())
            })
        }));
        ensure!(job(&instance, waits)?["state"] == "ready");
        let resumed = operator.post(&format!("{admin}/queues/fixture-000/resume"), &json!({}))?;
        ensure!(resumed.data()["paused_at"].is_null(), "{}", resumed.text());
        becomes(&instance, waits, "done")?;
        // Dead: it is found by its state, and runs again.
        let asked = json!({ "handler": "fail", "args": { "times": 1 }, "attempts": 1 });
        let dead = ask(&instance, asked)?;
        becomes(&instance, dead, "dead")?;
        let listed = operator.get(&format!("{admin}/jobs?state=dead&handler=fail"))?.data();
        ensure!(listed[0]["id"] == dead && listed[0]["args"] == json!({ "times": 1 }), "{listed}");
        ensure!(
            listed[0]["errors"][0]["error"].as_str().is_some_and(|it| it.contains("on purpose"))
        );
        let refused = operator.post(&format!("{admin}/jobs/{waits}/retry"), &json!({}))?;
        ensure!(refused.status == 409, "{}", refused.text());
        let retried = operator.post(&format!("{admin}/jobs/retry"), &json!({ "state": "dead" }))?;
        ensure!(retried.data()["jobs"] == 1, "{}", retried.text());
        becomes(&instance, dead, "dead")?;
        // The command line does the same, and what was done is written down.
        let told = instance.cli(&["jobs", "discard", &dead.to_string(), "--json"])?;
        ensure!(told.json()?["jobs"] == 1, "{told:?}");
        ensure!(operator.get(&format!("{admin}/jobs/{dead}"))?.status == 404);
        let told = instance.cli(&["queues", "set", "fixture-000:few", "--max-global", "1"])?;
        ensure!(told.stdout.contains("1 on all together"), "{told:?}");
        let nodes = operator.get(&format!("{admin}/nodes"))?.data();
        ensure!(nodes[0]["pid"].is_u64(), "{nodes}");
        let written = operator.get(&format!("{admin}/audit?per_page=100"))?.data();
        let actions: Vec<_> = written
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|it| it["action"].as_str())
            .collect();
        for action in ["queue.pause", "queue.resume", "job.retry", "job.discard", "queue.limit"] {
            ensure!(actions.contains(&action), "{action}: {actions:?}");
        }
        let metrics = instance.anonymous().get("/metrics")?.text();
        for line in [
            r#"jobs_ended_total{extension="fixture-000",handler="mark",outcome="done"} 1"#,
            r#"jobs_ended_total{extension="fixture-000",handler="fail",outcome="dead"} 2"#,
            r#"job_seconds_count{extension="fixture-000",handler="fail"} 2"#,
            r#"jobs_waiting{queue="fixture-000",state="ready"} 0"#,
        ] {
            ensure!(metrics.lines().any(|it| it == line), "no `{line}` in\n{metrics}");
        }
        ensure!(operator.get(&format!("{admin}/jobs?state=lost"))?.status == 422);
        ensure!(operator.post(&format!("{admin}/queues/nobody/pause"), &json!({}))?.status == 404);
        Ok(())
    })
}

#[test]
fn a_handler_s_word_on_its_queue_holds_until_an_operator_s() -> Result<()> {
    on_both_with("[extension.fixture-000]\nfew = 2\n", json!(true), |instance| {
        let few = || -> Result<Value> {
            let all = instance.operator().get("/api/v1/admin/queues")?.data();
            let all = all.as_array().context("no list")?.clone();
            all.into_iter().find(|it| it["name"] == "fixture-000:few").context("no queue")
        };
        ensure!(few()?["max_per_node"] == 2, "{}", few()?);
        for _ in 0..6 {
            let id = ask(
                &instance,
                json!({ "handler": "few", "queue": "few", "args": { "name": "few", "ms": 200 } }),
            )?;
            ensure!(id > 0);
        }
        ensure!(
            within(SOON, || marks(&instance, "few").is_ok_and(|it| it == 6)),
            "{}",
            instance.log()
        );
        let counts = instance.anonymous().get(&format!("{BASE}/counts"))?.data();
        ensure!(counts["most"] == 2, "{counts}");
        let chosen = json!({ "max_per_node": 7 });
        instance.operator().put("/api/v1/admin/queues/fixture-000:few", &chosen)?;
        let again = instance.stop()?.start()?;
        let all = again.operator().get("/api/v1/admin/queues")?.data().to_string();
        ensure!(all.contains("\"max_per_node\":7"), "{all}");
        Ok(())
    })
}

#[test]
fn jobs_of_an_extension_that_is_api_only_reach_no_database() -> Result<()> {
    on_both_with("", json!({ "api_only": true }), |instance| {
        // Routes reach it: the job is written in the extension's own transaction.
        let asked = json!({ "handler": "mark", "args": { "name": "one" }, "attempts": 1 });
        let dead = becomes(&instance, ask(&instance, asked)?, "dead")?;
        let shown = instance.operator().get(&format!("/api/v1/admin/jobs/{}", dead["id"]))?.text();
        ensure!(shown.contains("reach no database") && shown.contains("api_only"), "{shown}");
        ensure!(marks(&instance, "one")? == 0);
        let done = ask(&instance, json!({ "handler": "ok", "args": null }))?;
        becomes(&instance, done, "done")?;
        Ok(())
    })
}
