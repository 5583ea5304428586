//! Two extensions that know of each other by events and providers alone.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use powernode_tests::{
    instance::{Instance, within},
    library::{Build, Library},
    postgres::Cluster,
    setup::{Setup, manifest},
};
use serde_json::json;

const SHOP: &str = "fixture-000";
const CLUB: &str = "fixture-001";
const SOON: Duration = Duration::from_secs(20);

/// The shop publishes and asks; the club hears and provides.
fn on_both(test: impl Fn(Instance) -> Result<()>) -> Result<()> {
    test(started(Setup::new()?)?).context("on SQLite")?;
    if let Some(cluster) = Cluster::shared() {
        let setup = Setup::new()?.with_setting("database.url", &cluster.database()?);
        test(started(setup.with_variable("HOME", "/nonexistent"))?).context("on PostgreSQL")?;
    }
    Ok(())
}

fn started(mut setup: Setup) -> Result<Instance> {
    for slug in [SHOP, CLUB] {
        let path = setup.directory().join(format!("{slug}.so"));
        let library = Library::built("worker", Build::Plain)?.stamped(slug)?;
        fs::write(&path, library.bytes())?;
        let mut manifest = manifest(slug, "1.0.0");
        manifest["default_enabled"] = true.into();
        setup = setup.with_extension(&path, &manifest)?;
    }
    let config = setup.directory().join("config");
    fs::create_dir_all(&config)?;
    let club = "hears = [{ pattern = \"fixture-000.order.*\" }]\nprovides = { limit = 2 }\n";
    fs::write(config.join("powernode.toml"), format!("[extension.{CLUB}]\n{club}"))?;
    setup.start()
}

/// An order of the shop's.
fn order(instance: &Instance, name: &str) -> Result<()> {
    let event = json!({ "topic": "fixture-000.order.paid", "payload": { "name": name } });
    let said = instance.anonymous().post(&format!("/api/v1/{SHOP}/events"), &event)?;
    ensure!(said.status == 201, "{}", said.text());
    Ok(())
}

/// How often an extension marked that name.
fn marks(instance: &Instance, slug: &str, name: &str) -> usize {
    let marks = instance.anonymous().get(&format!("/api/v1/{slug}/marks/{name}"));
    marks.ok().and_then(|it| it.data().as_array().map(Vec::len)).unwrap_or(0)
}

/// Whether the shop may have three orders, as far as the club has a say.
fn may_have_three(instance: &Instance) -> Result<bool> {
    let account = "00000000-0000-7000-8000-000000000000";
    let ask = json!({ "account": account, "resource": "orders", "current": 2, "amount": 1 });
    let answer = instance.anonymous().post(&format!("/api/v1/{SHOP}/ask/check"), &ask)?;
    answer.data()["verdict"]["allowed"].as_bool().context("no verdict")
}

fn switch(instance: &Instance, on: bool) -> Result<()> {
    let path = format!("/api/v1/admin/extensions/{CLUB}/flag");
    ensure!(instance.operator().put(&path, &json!({ "enabled": on }))?.status == 200);
    Ok(())
}

#[test]
fn one_hears_the_other_and_decides_for_it_as_long_as_it_is_on() -> Result<()> {
    on_both(|instance| {
        order(&instance, "first")?;
        // Each delivery is marked as it comes, and its effect once.
        ensure!(within(SOON, || marks(&instance, CLUB, "first") == 2), "{}", instance.log());
        ensure!(marks(&instance, SHOP, "first") == 0);
        ensure!(!may_have_three(&instance)?);

        switch(&instance, false)?;
        ensure!(may_have_three(&instance)?, "nobody has a say");
        order(&instance, "second")?;
        std::thread::sleep(Duration::from_millis(500));
        switch(&instance, true)?;
        ensure!(within(SOON, || marks(&instance, CLUB, "second") == 2), "{}", instance.log());
        ensure!(!may_have_three(&instance)?);
        Ok(())
    })
}
