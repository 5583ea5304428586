//! `cargo xtask proof`: each proof is a test that writes a report of its own run.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::cargo::{cargo, target};
use crate::{Words, install, test};

/// A proof: the report's name, where its test is, and how many cases make it whole.
struct Proof {
    name: &'static str,
    test: &'static [&'static str],
    /// None: the cases are a list of their own.
    cases: Option<u64>,
}

const PROOFS: &[Proof] = &[
    by_list("wrong_libraries", &["-p", "powernode-tests", "--test", "wrong_libraries"]),
    Proof {
        name: "gate_properties",
        test: &["-p", "powernode", "--test", "gate_properties"],
        cases: Some(100_000),
    },
    by_list("toggle_under_load", &["-p", "powernode-tests", "--test", "toggle_under_load"]),
    by_list("diesel_checks_sqlite", &["-p", "powernode-tests", "--test", "diesel_checks"]),
    by_list("diesel_checks_postgres", &["-p", "powernode-tests", "--test", "diesel_checks"]),
    by_list("account_isolation", &["-p", "powernode-tests", "--test", "account_isolation"]),
    by_list("migration_crash", &["-p", "powernode-tests", "--test", "migrate", "crash"]),
    by_list("confinement_sqlite", &["-p", "powernode-tests", "--test", "confinement"]),
    by_list("confinement_postgres", &["-p", "powernode-tests", "--test", "confinement"]),
    by_list("doctor_faults", &["-p", "powernode-tests", "--test", "doctor"]),
    by_list("role_by_route", &["-p", "powernode-tests", "--test", "role_by_route"]),
    Proof {
        name: "slow_clients",
        test: &["-p", "powernode-tests", "--test", "slow_clients"],
        cases: Some(1_000),
    },
    Proof {
        name: "schemathesis",
        test: &["-p", "powernode-tests", "--test", "schemathesis"],
        cases: Some(10_000),
    },
];

const fn by_list(name: &'static str, test: &'static [&'static str]) -> Proof {
    Proof { name, test, cases: None }
}

/// Runs the proof that is named, or all.
pub(crate) fn proof(words: &Words) -> Result<ExitCode> {
    let chosen: Vec<&Proof> = match words.names.first() {
        None => PROOFS.iter().collect(),
        Some(name) => {
            let found: Vec<_> = PROOFS.iter().filter(|proof| proof.name == name).collect();
            if found.is_empty() {
                let names: Vec<_> = PROOFS.iter().map(|proof| proof.name).collect();
                bail!("no proof `{name}`; there are {}", names.join(", "));
            }
            found
        }
    };
    let cases = words.option("--cases").map(str::parse::<u64>).transpose();
    let cases = cases.context("`--cases` needs a number")?;
    install::need(install::BUILD)?;
    install::need(install::TEST)?;
    if chosen.iter().any(|proof| proof.test.contains(&"powernode-tests")) {
        test::build()?;
    }

    let reports = target().join("report");
    for proof in &chosen {
        // A report of an earlier run proves nothing of this one.
        let _ = std::fs::remove_file(reports.join(format!("{}.json", proof.name)));
    }
    let mut broken = Vec::new();
    for proof in &chosen {
        println!("== {}", proof.name);
        let begun = Instant::now();
        let path = reports.join(format!("{}.json", proof.name));
        // Two proofs may come from one test.
        if !path.exists() {
            let mut step = cargo(["test"]).args(proof.test).env("CI", "true");
            if let Some(cases) = cases.or(proof.cases) {
                step = step.env("POWERNODE_CASES", cases.to_string());
            }
            if let Err(error) = step.finish("its test failed") {
                println!("{error:#}");
            }
        }
        let verdict = read(&path);
        if verdict.is_err() {
            broken.push(proof.name);
        }
        let said = verdict.unwrap_or_else(|error| format!("{error:#}"));
        println!("== {}: {said}, {:.1} s", proof.name, begun.elapsed().as_secs_f64());
    }
    println!("{} held, {} did not", chosen.len() - broken.len(), broken.len());
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(path: &std::path::Path) -> Result<String> {
    let text = std::fs::read_to_string(path).context("it wrote no report")?;
    let report: Value = serde_json::from_str(&text).context("its report is no JSON")?;
    let (Some(cases), Some(held)) = (report["cases"].as_u64(), report["held"].as_u64()) else {
        bail!("its report counts nothing");
    };
    if cases == 0 || held != cases {
        bail!("{held} of {cases} cases held");
    }
    Ok(format!("all {cases} cases held"))
}
