//! Panics of an extension.

use std::{thread, time::Duration};

use anyhow::{Result, anyhow, ensure};
use powernode_tests::instance::within;

use crate::{get, serves, setup};

#[test]
fn a_panic_is_a_500_for_its_request_alone() -> Result<()> {
    let slug = "panics-0001";
    let instance = setup(&[slug])?.with_setting("extensions.quarantine_after", "1000").start()?;
    // A request in flight all the while, which must not notice.
    let client = instance.anonymous();
    let beside = thread::spawn(move || get(&client, slug, "wait?ms=3000"));
    let process = instance.id();
    for (route, expected, said) in [
        ("panic/entry", "500 EXTENSION_PANICKED", "the entry panics on purpose"),
        ("panic/poll", "500 EXTENSION_PANICKED", "the poll panics on purpose"),
        ("panic/drop", "500 EXTENSION_PANICKED", "the handler's value panics while it is dropped"),
        ("panic/payload", "500 EXTENSION_PANICKED", "a panic without text"),
        ("panic/cancelled", "504 DEADLINE_EXCEEDED", "the cancelled future's value panics"),
        ("panic/blocking", "500 INTERNAL_ERROR", "the blocking work panics on purpose"),
        ("panic/database", "500 INTERNAL_ERROR", "the job panics on purpose"),
    ] {
        for _ in 0..3 {
            let answer = get(&instance.anonymous(), slug, route)?;
            ensure!(answer.failure() == expected, "{route}: {}", answer.failure());
            ensure!(!answer.text().contains("on purpose"), "the client reads {}", answer.text());
            let id = answer.json()["request_id"].as_str().unwrap_or_default().to_owned();
            ensure!(answer.header("x-request-id") == Some(&id), "{:?}", answer.headers);
            serves(&instance, slug)?;
        }
        ensure!(instance.log().contains(said), "`{said}` is not logged: {}", instance.log());
    }
    let task = instance.anonymous().post(&format!("/api/v1/{slug}/panic/task"), &().into())?;
    ensure!(task.status == 204, "{}", task.text());
    let logged = || instance.log().contains("the task panics on purpose");
    ensure!(within(Duration::from_secs(5), logged), "{}", instance.log());
    let beside = beside.join().map_err(|_| anyhow!("the client died"))??;
    ensure!(beside.status == 200, "the request beside: {}", beside.text());
    ensure!(instance.id() == process);
    instance.stop()?;
    Ok(())
}

#[test]
fn a_panic_in_a_body_breaks_off_its_answer_alone() -> Result<()> {
    let slug = "panics-0002";
    let instance = setup(&[slug])?.start()?;
    for route in ["panic/stream", "stream?parts=5&size=10&fails_after=2"] {
        let answer = get(&instance.anonymous(), slug, route);
        ensure!(answer.is_err(), "{route}: a whole answer came: {answer:?}");
        serves(&instance, slug)?;
    }
    Ok(())
}

#[test]
fn too_many_panics_are_quarantined_until_release() -> Result<()> {
    let (bad, good) = ("panics-0003", "sound-00001");
    let instance = setup(&[bad, good])?.with_setting("extensions.quarantine_after", "3").start()?;
    for _ in 0..3 {
        serves(&instance, bad)?;
        let answer = get(&instance.anonymous(), bad, "panic/poll")?;
        ensure!(answer.failure() == "500 EXTENSION_PANICKED", "{}", answer.failure());
    }
    let refused = || -> Result<bool> {
        let answer = get(&instance.anonymous(), bad, "ok")?;
        ensure!(answer.header("retry-after").is_none(), "{:?}", answer.headers);
        Ok(answer.failure() == "503 EXTENSION_QUARANTINED")
    };
    ensure!(refused()?, "{}", get(&instance.anonymous(), bad, "ok")?.text());
    serves(&instance, good)?;
    let quarantined = || -> Result<bool> {
        let why = instance.cli(&["ext", "why", bad, "--json"])?;
        Ok(why.code == Some(3) && why.stdout.contains("quarantine"))
    };
    ensure!(
        within(Duration::from_secs(5), || quarantined().unwrap_or(false)),
        "{:?}",
        instance.cli(&["ext", "why", bad])?
    );

    // An operator ends it, at once.
    let path = format!("/api/v1/admin/extensions/{bad}/release");
    let nobody = instance.anonymous().post(&path, &().into())?;
    ensure!(nobody.failure() == "401 UNAUTHORIZED", "{}", nobody.failure());
    ensure!(refused()?, "nobody let it out");
    let released = instance.operator().post(&path, &().into())?;
    ensure!(released.data()["released"] == true, "{}", released.text());
    serves(&instance, bad)?;

    // Else it lasts over a restart, and a release counts from the next on.
    for _ in 0..3 {
        get(&instance.anonymous(), bad, "panic/poll")?;
    }
    ensure!(within(Duration::from_secs(5), || quarantined().unwrap_or(false)));
    let instance = instance.stop()?.start()?;
    let answer = get(&instance.anonymous(), bad, "ok")?;
    ensure!(answer.status != 200, "{}", answer.text());
    serves(&instance, good)?;
    let released = instance.cli(&["ext", "release", bad])?;
    ensure!(released.code == Some(0), "{released:?}");
    let instance = instance.stop()?.start()?;
    serves(&instance, bad)
}
