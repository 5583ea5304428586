//! What diesel can do in a built library, on both databases: the same library, byte for byte.

use anyhow::{Result, ensure};
use powernode_tests::artefacts::fixture;
use powernode_tests::postgres::Cluster;
use powernode_tests::report::Report;
use powernode_tests::setup::{Setup, manifest};
use serde_json::json;

/// How many things must be tried at least.
const LEAST: usize = 64;

#[test]
fn every_check_holds_on_sqlite() -> Result<()> {
    hold("diesel_checks_sqlite", Setup::new()?)
}

#[test]
fn every_check_holds_on_postgres() -> Result<()> {
    let Some(cluster) = Cluster::shared() else { return Ok(()) };
    let url = cluster.database()?;
    hold("diesel_checks_postgres", Setup::new()?.with_setting("database.url", &url))
}

fn hold(name: &str, setup: Setup) -> Result<()> {
    let mut report = Report::begin(name);
    let mut manifest = manifest("checks", "1.0.0");
    manifest["default_enabled"] = true.into();
    let instance = setup.with_extension(&fixture("checked")?, &manifest)?.start()?;
    let answer = instance.anonymous().post("/api/v1/checks/run", &json!({}))?;
    ensure!(answer.status == 200, "{}: {}", answer.text(), instance.log());
    let checks = answer.data();
    for check in checks.as_array().into_iter().flatten() {
        let failure = check["failure"].as_str().unwrap_or("holds");
        report.case(check["name"].as_str().unwrap_or_default(), "holds", failure);
    }
    ensure!(report.cases >= LEAST as u64, "only {} checks were run", report.cases);
    // What the checks did was rolled back; what they ran on is where the setting says.
    let sqlite = instance.setup().data().join("powernode.db").exists();
    ensure!(sqlite == name.ends_with("sqlite"), "the rows are in the wrong database");
    report.finish();
    Ok(())
}
