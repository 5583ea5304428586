//! What an extension may take: time, requests at once, threads.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use powernode_tests::instance::within;

use crate::{get, serves, setup};

#[test]
fn a_request_past_its_deadline_is_a_504() -> Result<()> {
    let slug = "limits-0001";
    let instance = setup(&[slug])?.with_setting("extensions.deadline", "700ms").start()?;
    // The route's own deadline, and the platform's for routes without one.
    for (route, least, most) in [("slow?ms=60000", 300, 650), ("wait?ms=60000", 700, 5000)] {
        let begun = Instant::now();
        let answer = get(&instance.anonymous(), slug, route)?;
        let took = begun.elapsed().as_millis();
        ensure!(answer.failure() == "504 DEADLINE_EXCEEDED", "{route}: {}", answer.failure());
        ensure!((least..most).contains(&took), "{route}: it took {took} ms");
        serves(&instance, slug)?;
    }
    let answer = get(&instance.anonymous(), slug, "slow?ms=10")?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}

#[test]
fn too_many_at_once_are_a_503_that_says_when_to_come_back() -> Result<()> {
    let (slug, other) = ("limits-0002", "sound-00002");
    let instance = setup(&[slug, other])?.with_setting("extensions.concurrency", "2").start()?;
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let client = instance.anonymous();
            thread::spawn(move || {
                // Whoever asks below takes a place too, for a moment.
                loop {
                    let answer = get(&client, slug, "wait?ms=4000")?;
                    if answer.status != 503 {
                        return anyhow::Ok(answer);
                    }
                }
            })
        })
        .collect();
    let refused = || {
        get(&instance.anonymous(), slug, "ok").is_ok_and(|it| {
            it.failure() == "503 EXTENSION_BUSY" && it.header("retry-after") == Some("1")
        })
    };
    ensure!(within(Duration::from_millis(3500), refused), "nobody was refused");
    serves(&instance, other)?;
    for request in busy {
        let answer = request.join().map_err(|_| anyhow!("the client died"))??;
        ensure!(answer.status == 200, "{}", answer.text());
    }
    serves(&instance, slug)
}

#[test]
fn whoever_blocks_a_worker_is_named() -> Result<()> {
    let (slug, other) = ("limits-0003", "sound-00003");
    let instance = setup(&[slug, other])?
        .with_setting("extensions.watchdog", "100ms")
        .with_setting("server.workers", "2")
        .start()?;
    let named = format!("Extension `{slug}` blocks a worker thread");
    let answer = get(&instance.anonymous(), slug, "wait?ms=400")?;
    ensure!(answer.status == 200 && !instance.log().contains(&named), "{}", instance.log());
    let answer = get(&instance.anonymous(), slug, "blocking?ms=400")?;
    ensure!(answer.status == 200 && !instance.log().contains(&named), "{}", instance.log());
    let answer = get(&instance.anonymous(), slug, "block?ms=600")?;
    ensure!(answer.status == 200, "{}", answer.text());
    ensure!(
        within(Duration::from_secs(5), || instance.log().contains(&named)),
        "{}",
        instance.log()
    );
    ensure!(!instance.log().contains(&format!("Extension `{other}` blocks")), "{}", instance.log());
    Ok(())
}
