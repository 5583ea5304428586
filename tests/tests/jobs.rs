//! Jobs of a built library through the running platform, on both databases.

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
