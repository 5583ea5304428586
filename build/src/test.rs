//! `cargo xtask test`.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::cargo::{Step, cargo};
use crate::ci::is_ci;
use crate::install;

/// The counts of all tests that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// A step: its name, and what it runs.
type Named = (&'static str, fn() -> Step);

const PLUGINS: &str = "plugins/Cargo.toml";
const FIXTURES: &str = "tests/fixtures/Cargo.toml";

const STEPS: &[Named] = &[
    ("format", || cargo(["fmt", "--all", "--check"])),
    ("format of the extensions", || format(PLUGINS)),
    ("format of the fixtures", || format(FIXTURES)),
    ("lints", || lint(cargo(["clippy", "--workspace"]))),
    ("lints of the extensions", || lint(apart("clippy", PLUGINS, "plugins"))),
    ("lints of the fixtures", || lint(apart("clippy", FIXTURES, "fixtures"))),
    ("unit tests", || {
        shown(cargo(["test", "--workspace", "--exclude", "powernode-tests", "--no-fail-fast"]))
    }),
    ("unit tests of the extensions", || {
        shown(apart("test", PLUGINS, "plugins").args(["--no-fail-fast"]))
    }),
    ("build of the platform", || cargo(["build", "-p", "powernode"])),
    ("build of the extensions", || apart("build", PLUGINS, "plugins")),
    ("build of the fixtures", || apart("build", FIXTURES, "fixtures")),
    ("black-box tests", || shown(cargo(["test", "-p", "powernode-tests", "--no-fail-fast"]))),
];

/// Runs every step, whatever the one before it said, and closes with the counts.
pub(crate) fn test() -> Result<ExitCode> {
    install::need(install::BUILD)?;
    install::need_components()?;
    if let Err(error) = install::need(install::TEST) {
        if is_ci() {
            return Err(error);
        }
        println!("{error:#}; the tests that need it are skipped");
    }
    let mut all = Counts::default();
    let mut broken = Vec::new();
    let mut failures = Vec::new();
    let begun = Instant::now();
    for (name, step) in STEPS {
        println!("== {name}");
        let begun = Instant::now();
        let mut lines = Vec::new();
        let mut counts = Counts::default();
        let succeeded = step().lines(|line| {
            if counts.read(&line) {
                println!("   {line}");
            }
            lines.push(line);
        })?;
        if !succeeded {
            for line in about_failures(&lines) {
                println!("{line}");
            }
            counts.failed = counts.failed.max(1);
            broken.push(*name);
            failures.extend(failed_tests(&lines));
        }
        let word = if succeeded { "ok" } else { "FAILED" };
        println!("== {name}: {word}, {:.1} s", begun.elapsed().as_secs_f64());
        all.add(counts);
    }
    println!("\n{:.0} s in all", begun.elapsed().as_secs_f64());
    if !broken.is_empty() {
        println!("failed: {}", broken.join(", "));
        for test in failures {
            println!("   {test}");
        }
    }
    println!("{} passed, {} failed, {} skipped", all.passed, all.failed, all.skipped);
    Ok(if broken.is_empty() && all.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a step that failed said, without what its tests that passed said.
fn about_failures(lines: &[String]) -> Vec<&str> {
    let mut of_successes = false;
    let mut kept = Vec::new();
    for line in lines {
        match line.as_str() {
            "successes:" => of_successes = true,
            "failures:" => of_successes = false,
            line if line.starts_with("test result: ") => of_successes = false,
            _ => {}
        }
        if !of_successes && !line.ends_with("... ok") {
            kept.push(line.as_str());
        }
    }
    kept
}

/// The tests that libtest says failed.
fn failed_tests(lines: &[String]) -> Vec<String> {
    let failed = |line: &String| {
        let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
        Some(name.to_owned())
    };
    lines.iter().filter_map(failed).collect()
}

/// Builds what the black-box tests start and load.
pub(crate) fn build() -> Result<()> {
    for (name, step) in STEPS.iter().filter(|(name, _)| name.starts_with("build")) {
        step().finish(name)?;
    }
    Ok(())
}

fn format(manifest: &str) -> Step {
    cargo(["fmt", "--all", "--check", "--manifest-path", manifest])
}

/// Begins a command in a workspace of its own.
fn apart(command: &str, manifest: &str, target: &str) -> Step {
    cargo([command, "--workspace", "--manifest-path", manifest]).arg_target(target)
}

fn lint(step: Step) -> Step {
    step.args(["--all-targets", "--", "-D", "warnings"])
}

/// Lets a test that passes say that it was skipped.
fn shown(step: Step) -> Step {
    step.args(["--", "--show-output"])
}

impl Counts {
    /// Counts what a line says, and answers whether it says anything.
    fn read(&mut self, line: &str) -> bool {
        if line.starts_with("skipped:") {
            self.skipped += 1;
            return true;
        }
        let Some(rest) = line.strip_prefix("test result: ") else { return false };
        for part in rest.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(word)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
        true
    }

    fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn counts(output: &str, passed: u64, failed: u64, skipped: u64) {
        let mut counts = Counts::default();
        for line in output.lines() {
            counts.read(line);
        }
        assert_eq!(counts, Counts { passed, failed, skipped });
    }

    #[test]
    fn every_binary_and_every_skip_counts() {
        counts(
            "running 2 tests\n\
             test a ... ok\n\
             test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.35s\n\
             skipped: PostgreSQL is not installed\n\
             test result: FAILED. 3 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.00s\n",
            5,
            4,
            2,
        );
    }

    #[test]
    fn of_a_step_that_failed_its_failures_are_said() {
        let lines: Vec<String> = "test a ... ok\n\
             test b::c ... FAILED\n\
             successes:\n\
             ---- a stdout ----\n\
             a long table\n\
             failures:\n\
             ---- b::c stdout ----\n\
             what went wrong\n\
             test result: FAILED. 1 passed; 1 failed\n"
            .lines()
            .map(str::to_owned)
            .collect();
        assert_eq!(failed_tests(&lines), ["b::c"]);
        assert_eq!(
            about_failures(&lines),
            [
                "test b::c ... FAILED",
                "failures:",
                "---- b::c stdout ----",
                "what went wrong",
                "test result: FAILED. 1 passed; 1 failed",
            ]
        );
    }

    #[test]
    fn other_lines_count_nothing() {
        counts("7 passed\nnot skipped: anything\n", 0, 0, 0);
    }
}
