//! Where the time of a group of figures goes, for bars that are missed.

use std::{
    env, fs,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use powernode_tests::artefacts;

/// The word before a group's name that measures it and writes no figures.
pub(crate) const ALONE: &str = "--alone";

/// Measures a group once more under `perf`, and tells the functions that took most.
///
/// # Errors
///
/// When `perf` is missing or may not sample.
pub(crate) fn of(group: &str) -> Result<String> {
    let directory = artefacts::target().join("bench");
    fs::create_dir_all(&directory)?;
    let samples = directory.join(format!("{group}.perf"));
    let recorded = Command::new("perf")
        .args(["record", "-q", "-e", "cpu-clock", "-F", "999", "-o"])
        .arg(&samples)
        .arg("--")
        .arg(env::current_exe()?)
        .args([ALONE, group])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("there is no profile: install `perf` (package linux-perf)")?;
    ensure!(recorded.success(), "there is no profile: `perf record` failed");
    let report = Command::new("perf")
        .args(["report", "--stdio", "--no-children", "--percent-limit", "1", "-i"])
        .arg(&samples)
        .stderr(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&report.stdout);
    let lines = text.lines().filter(|it| !it.is_empty() && !it.starts_with('#'));
    Ok(lines.map(str::trim_end).collect::<Vec<_>>().join("\n"))
}
