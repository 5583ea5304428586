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
fn every_check_holds_on_both_with_one_library() -> Result<()> {
    let on_sqlite = hold("diesel_checks_sqlite", Setup::new()?)?;
    let Some(cluster) = Cluster::shared() else { return Ok(()) };
    let url = cluster.database()?;
    let on_postgres =
        hold("diesel_checks_postgres", Setup::new()?.with_setting("database.url", &url))?;
    ensure!(on_sqlite == on_postgres, "two libraries: {on_sqlite}, {on_postgres}");
    // Its tables belong to the role that it logged in as.
    let owners = "SELECT string_agg(DISTINCT regexp_replace(tableowner, '[0-9a-f]{8}', '…'), ' ') \
                  FROM pg_tables WHERE schemaname = 'checks'";
    ensure!(cluster.ask(&url, owners)? == "powernode_…_checks");
    Ok(())
}

/// Runs all checks, and answers the library's hash.
fn hold(name: &str, setup: Setup) -> Result<String> {
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
    instance.library("checks")
}
