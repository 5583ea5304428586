//! Libraries that were compiled otherwise than the platform.

use std::thread;

use anyhow::{Result, anyhow, ensure};
use powernode_tests::library::{Build, Library};
use serde_json::json;

use crate::{get, install, serves, setup};

#[test]
fn another_layout_of_structs_serves_and_panics_alike() -> Result<()> {
    let slug = "layout-0001";
    let setup = setup(&[])?;
    install(&setup, slug, &Library::built("faulty", Build::OtherLayout)?)?;
    let instance = setup.start()?;
    let client = instance.anonymous();
    serves(&instance, slug)?;
    let path = format!("/api/v1/{slug}/orders");
    let order = json!({ "name": "a", "amount": 2 });
    ensure!(client.post(&path, &order)?.data() == order);
    let path = format!("/api/v1/{slug}/notes");
    ensure!(client.post(&path, &json!({ "text": "kept" }))?.status == 201);
    ensure!(client.get(&path)?.data()[0]["text"] == "kept");
    let answer = get(&client, slug, "panic/poll")?;
    ensure!(answer.failure() == "500 EXTENSION_PANICKED", "{}", answer.failure());
    let answer = get(&client, slug, "stream?parts=10&size=1000")?;
    ensure!(answer.body.len() == 10_000, "{} bytes", answer.body.len());
    serves(&instance, slug)
}

#[test]
fn memory_is_freed_by_the_side_that_made_it() -> Result<()> {
    const ROUNDS: usize = 200;
    let slug = "counts-0001";
    let setup = setup(&[])?;
    install(&setup, slug, &Library::built("counting", Build::Plain)?)?;
    let instance = setup.start()?;
    let live = || -> Result<u64> {
        let answer = get(&instance.anonymous(), slug, "live")?;
        answer.data().as_u64().ok_or_else(|| anyhow!("{}", answer.text()))
    };
    let round = |count: usize| -> Result<()> {
        let clients = (0..4).map(|number| {
            let client = instance.anonymous();
            thread::spawn(move || -> Result<()> {
                for at in 0..count {
                    let body = vec![b'x'; 1 + (at * 977 + number) % 200_000];
                    let path = format!("/api/v1/{slug}/raw");
                    let answer = client.send("POST", &path, &[], body.clone())?;
                    ensure!(answer.body == body, "{} bytes came back", answer.body.len());
                }
                Ok(())
            })
        });
        let clients: Vec<_> = clients.collect();
        for client in clients {
            client.join().map_err(|_| anyhow!("a client died"))??;
        }
        Ok(())
    };
    round(10)?;
    let before = live()?;
    round(ROUNDS)?;
    let after = live()?;
    // A block left behind by each request would be hundreds.
    ensure!(after < before + 100, "{before} blocks in use before, {after} after");
    Ok(())
}
