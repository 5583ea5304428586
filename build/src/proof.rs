//! `cargo xtask proof`: each proof is a test that writes a report of its own run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::cargo::{cargo, root, target};
use crate::commit::{CHANGED, commit};
use crate::{Words, install, test};

/// How long a proof may take at its full count, in seconds.
const LONGEST: f64 = 30.0 * 60.0;

/// A proof: the report's name, where its test is, and what makes it whole.
pub(crate) struct Proof {
    pub(crate) name: &'static str,
    test: &'static [&'static str],
    /// The full count that the test is asked for; none, where the cases are a list of its own.
    pub(crate) count: Option<u32>,
    /// How many cases there must be at least.
    least: u64,
}

/// All proofs; those that take long come last.
pub(crate) const PROOFS: &[Proof] = &[
    by_list("toggle_under_load", 1, &["-p", "powernode-tests", "--test", "toggle_under_load"]),
    by_list("diesel_checks_sqlite", 64, &["-p", "powernode-tests", "--test", "diesel_checks"]),
    by_list("diesel_checks_postgres", 64, &["-p", "powernode-tests", "--test", "diesel_checks"]),
    by_list("role_by_route", 1, &["-p", "powernode-tests", "--test", "role_by_route"]),
    by_list("confinement_sqlite", 25, &["-p", "powernode-tests", "--test", "confinement"]),
    by_list("confinement_postgres", 25, &["-p", "powernode-tests", "--test", "confinement"]),
    by_list("doctor_faults", 30, &["-p", "powernode-tests", "--test", "doctor"]),
    by_list("database_faults", 100, &["-p", "powernode-tests", "--test", "database_faults"]),
    by_list("account_isolation", 1, &["-p", "powernode-tests", "--test", "account_isolation"]),
    by_list("migration_crash", 1, &["-p", "powernode-tests", "--test", "migrate", "crash"]),
    by_list("wrong_libraries", 30, &["-p", "powernode-tests", "--test", "wrong_libraries"]),
    by_list("handler_faults", 20, &["-p", "powernode-tests", "--test", "torture", "faults"]),
    Proof {
        name: "gate_storm",
        test: &["-p", "powernode-tests", "--test", "torture", "storm"],
        // So many flips and pauses; the report counts jobs too.
        count: Some(100),
        least: 200,
    },
    Proof {
        name: "nodes",
        test: &["-p", "powernode-tests", "--test", "torture", "nodes"],
        // So many kills.
        count: Some(40),
        least: 200,
    },
    Proof {
        name: "job_torture_sqlite",
        test: &["-p", "powernode-tests", "--test", "torture", "on_sqlite"],
        // So many kills.
        count: Some(200),
        least: 200,
    },
    Proof {
        name: "job_torture_postgres",
        test: &["-p", "powernode-tests", "--test", "torture", "on_postgres"],
        count: Some(200),
        least: 200,
    },
    Proof {
        name: "outbox_crash",
        test: &["-p", "powernode-tests", "--test", "events", "publisher"],
        // So many kills; the report counts events.
        count: Some(100),
        least: 200,
    },
    Proof {
        name: "gate_properties",
        test: &["-p", "powernode", "--test", "gate_properties"],
        count: Some(100_000),
        least: 100_000,
    },
    Proof {
        name: "slow_clients",
        // It times answers, which of an unoptimised build says little.
        test: &["--release", "-p", "powernode-tests", "--test", "slow_clients"],
        // So many connections of each kind, which are not what the report counts.
        count: Some(1_000),
        least: 1,
    },
    Proof {
        name: "schemathesis",
        test: &["-p", "powernode-tests", "--test", "schemathesis"],
        count: Some(10_000),
        least: 10_000,
    },
];

const fn by_list(name: &'static str, least: u64, test: &'static [&'static str]) -> Proof {
    Proof { name, test, count: None, least }
}

/// Returns where the reports are.
pub(crate) fn reports() -> PathBuf {
    target().join("report")
}

/// Runs the proof that is named; or all that do not hold yet at this commit.
pub(crate) fn proof(words: &Words) -> Result<ExitCode> {
    let cases = words.option("--cases").map(str::parse::<u32>).transpose();
    let cases = cases.context("`--cases` needs a number")?;
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
    let at = commit(root());
    let goes_on = words.names.is_empty() && cases.is_none() && !words.has("--again");
    let (done, due): (Vec<_>, Vec<_>) = chosen
        .into_iter()
        .partition(|proof| goes_on && proof.stands(&report_of(proof.name), at.as_deref()));
    for proof in &done {
        println!("== {}: held at this commit already; `--again` repeats it", proof.name);
    }
    if due.is_empty() {
        println!("all {} hold", done.len());
        return Ok(ExitCode::SUCCESS);
    }

    install::need(install::BUILD)?;
    install::need(install::TEST)?;
    if due.iter().any(|proof| proof.test.contains(&"powernode-tests")) {
        test::build()?;
    }
    for proof in &due {
        // A report of an earlier run proves nothing of this one.
        let _ = fs::remove_file(reports().join(format!("{}.json", proof.name)));
    }
    let mut broken = Vec::new();
    for proof in &due {
        println!("== {}", proof.name);
        let begun = Instant::now();
        // Two proofs may come from one test.
        if report_of(proof.name).is_err() {
            let mut step = cargo(["test"]).args(proof.test).env("CI", "true");
            if let Some(count) = cases.or(proof.count) {
                step = step.env("POWERNODE_CASES", count.to_string());
            }
            if let Err(error) = step.finish("its test failed") {
                println!("{error:#}");
            }
        }
        let verdict = report_of(proof.name).and_then(|report| {
            proof.holds(&report)?;
            // Somebody may have asked for fewer.
            if cases.is_none() {
                proof.is_whole(&report)?
            }
            Ok(format!("all {} cases held", report["cases"]))
        });
        if verdict.is_err() {
            broken.push(proof.name);
        }
        let said = verdict.unwrap_or_else(|error| format!("{error:#}"));
        println!("== {}: {said}, {:.1} s", proof.name, begun.elapsed().as_secs_f64());
    }
    println!("{} hold, {} do not", done.len() + due.len() - broken.len(), broken.len());
    if !broken.is_empty() {
        println!("not: {}; `cargo xtask proof` repeats these alone", broken.join(", "));
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Proof {
    /// Whether the report's cases held, in time.
    pub(crate) fn holds(&self, report: &Value) -> Result<()> {
        let (Some(cases), Some(held)) = (report["cases"].as_u64(), report["held"].as_u64()) else {
            bail!("its report counts nothing");
        };
        if cases == 0 || held != cases {
            bail!("{held} of {cases} cases held");
        }
        let seconds = report["seconds"].as_f64().unwrap_or(f64::INFINITY);
        if seconds > LONGEST {
            bail!("it took {seconds:.0} s, and may take {LONGEST:.0} s");
        }
        Ok(())
    }

    /// Whether the report is of a run at the full count.
    pub(crate) fn is_whole(&self, report: &Value) -> Result<()> {
        if let Some(full) = self.count
            && report["count"].as_u64().is_none_or(|count| count < u64::from(full))
        {
            bail!("not at the full count, which is {full}");
        }
        let cases = report["cases"].as_u64().unwrap_or_default();
        if cases < self.least {
            bail!("{cases} cases, and {} at least make it whole", self.least);
        }
        Ok(())
    }

    /// Whether the report needs no other run: it held, whole, and the sources are those of its commit.
    fn stands(&self, report: &Result<Value>, at: Option<&str>) -> bool {
        let Ok(report) = report else { return false };
        let same = at.is_some_and(|it| !it.ends_with(CHANGED) && report["commit"] == it);
        same && self.holds(report).is_ok() && self.is_whole(report).is_ok()
    }
}

fn report_of(name: &str) -> Result<Value> {
    read(&reports().join(format!("{name}.json")))
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).context("it wrote no report")?;
    serde_json::from_str(&text).context("its report is no JSON")
}

#[cfg(test)]
mod tests;
