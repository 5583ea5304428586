//! The figures: what the platform costs, beside what it would cost without.
//!
//! Both sides of a figure are measured in one run and in turn, so that what else
//! the machine does meets both.

#![deny(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a person runs this and reads it")]

mod abi;
mod backup;
mod boot;
mod cli;
mod database;
mod figure;
mod gate;
mod gates;
mod growth;
mod jobs;
mod lists;
mod load;
mod migrate;
mod place;
mod profile;
mod routes;
mod stable;
mod toggle;

use std::{env, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use powernode::package::PROBE_COMMAND;
use powernode_tests::artefacts;

use self::figure::Figure;

/// A group of figures.
type Measure = fn() -> Result<Vec<Figure>>;

const ALL: &[(&str, Measure)] = &[
    ("gate", gate::measure),
    ("abi", abi::measure),
    ("routes", routes::measure),
    ("growth", growth::measure),
    ("boot", boot::measure),
    ("toggle", toggle::measure),
    ("database", database::measure),
    ("jobs", jobs::measure),
    ("lists", lists::measure),
    ("migrate", migrate::measure),
    ("backup", backup::measure),
    ("cli", cli::measure),
];

fn main() -> ExitCode {
    // Booting in this process probes libraries with this program.
    if env::args().nth(1).as_deref() == Some(PROBE_COMMAND) {
        return powernode::commands::main(env::args_os());
    }
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the groups that are named, or all.
fn run(names: &[String]) -> Result<ExitCode> {
    if cfg!(debug_assertions) {
        eprintln!("warning: figures of a debug build say nothing");
    }
    if let [alone, group] = names
        && alone == profile::ALONE
    {
        let (_, measure) = ALL.iter().find(|(name, _)| name == group).context("no such group")?;
        return measure().map(|_| ExitCode::SUCCESS);
    }
    if let Some(unknown) = names.iter().find(|it| ALL.iter().all(|(name, _)| name != it)) {
        let all: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
        bail!("no group `{unknown}`; there are {}", all.join(", "));
    }
    let chosen =
        ALL.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|it| it == name));
    let path = artefacts::target().join("bench/summary.json");
    let mut figures = Vec::new();
    let mut missed = Vec::new();
    for (name, measure) in chosen {
        eprintln!("measuring: {name}");
        let measured = measure()?;
        if measured.iter().any(Figure::is_missed) {
            missed.push(*name);
        }
        // At once: what comes after may fail, or be interrupted.
        figure::write(&measured, &path)?;
        figures.extend(measured);
    }
    println!("{}\n{}", figure::table(&figures), path.display());
    let names: Vec<_> = figures.iter().filter(|it| it.is_missed()).map(Figure::name).collect();
    if !names.is_empty() {
        println!("missed: {}", names.join(", "));
    }
    for group in missed {
        match profile::of(group) {
            Ok(profile) => println!("\nwhere the time of `{group}` goes:\n{profile}"),
            Err(error) => println!("\n`{group}`: {error:#}"),
        }
    }
    Ok(ExitCode::SUCCESS)
}
