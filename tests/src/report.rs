//! Proofs as data: what a run found, written where `cargo xtask report` reads it.

use std::path::PathBuf;
use std::time::Instant;
use std::{env, fs, io};

use serde::Serialize;

use crate::artefacts::{root, target};

#[path = "../../build/src/commit.rs"]
mod commit;

/// What a proof found. Begin it with [`Report::begin`], hand each case to [`Report::case`], end with [`Report::finish`].
#[derive(Debug, Serialize)]
pub struct Report {
    /// The proof's name, and its file's.
    pub name: String,
    /// How many cases ran.
    pub cases: u64,
    /// How many of them held.
    pub held: u64,
    /// Those that did not.
    pub failed: Vec<Failure>,
    /// How long the run took, in seconds.
    pub seconds: f64,
    /// The commit it ran at, with `-dirty` behind it where the sources were changed; none without git.
    pub commit: Option<String>,
    /// The count that it was asked to run at; none, where nobody asked and it ran at its own.
    pub count: Option<u32>,
    #[serde(skip)]
    begun: Instant,
}

/// A case that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Which case.
    pub case: String,
    /// What should have been.
    pub expected: String,
    /// What was.
    pub got: String,
}

impl Report {
    /// Begins a proof, and its clock.
    pub fn begin(name: &str) -> Report {
        Report {
            name: name.to_owned(),
            cases: 0,
            held: 0,
            failed: Vec::new(),
            seconds: 0.0,
            commit: commit(),
            count: asked(),
            begun: Instant::now(),
        }
    }

    /// Counts a case, which holds where `expected` is what was `got`; answers whether it does.
    pub fn case(
        &mut self,
        case: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> bool {
        let failure = Failure { case: case.into(), expected: expected.into(), got: got.into() };
        let held = failure.expected == failure.got;
        self.count(if held { Ok(()) } else { Err(failure) });
        held
    }

    /// Counts a case that was decided already.
    pub fn count(&mut self, outcome: Result<(), Failure>) {
        self.cases += 1;
        match outcome {
            Ok(()) => self.held += 1,
            Err(failure) => self.failed.push(failure),
        }
    }

    /// Stops the clock and writes the report; the test then fails unless there were cases and all held.
    ///
    /// # Panics
    ///
    /// When a case did not hold, when there was none, or when the report cannot be written.
    pub fn finish(mut self) {
        self.seconds = self.begun.elapsed().as_secs_f64();
        let written = write_report(&self);
        let Report { name, cases, failed, .. } = &self;
        assert!(written.is_ok(), "the report `{name}` cannot be written: {written:?}");
        assert!(*cases > 0, "the proof `{name}` ran no case");
        let some = failed.get(..10).unwrap_or(failed);
        assert!(
            failed.is_empty(),
            "{} of {cases} cases of `{name}` did not hold, among them {some:#?}",
            failed.len()
        );
    }
}

/// Writes a report to `target/report/<name>.json`, and answers where.
///
/// # Errors
///
/// The file system's.
pub fn write_report(report: &Report) -> io::Result<PathBuf> {
    let directory = target().join("report");
    fs::create_dir_all(&directory)?;
    let path = directory.join(format!("{}.json", report.name));
    let temporary = directory.join(format!("{}.json.new", report.name));
    fs::write(&temporary, serde_json::to_string_pretty(report)? + "\n")?;
    fs::rename(&temporary, &path)?;
    Ok(path)
}

/// How many cases a proof shall run: what `POWERNODE_CASES` says, or `default`.
pub fn cases(default: u32) -> u32 {
    asked().unwrap_or(default)
}

fn asked() -> Option<u32> {
    env::var("POWERNODE_CASES").ok()?.parse().ok()
}

/// Returns the commit of these sources, with `-dirty` behind it where they are changed; none without git.
pub fn commit() -> Option<String> {
    commit::commit(root())
}
