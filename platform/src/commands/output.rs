//! What a command says: lines for people, or JSON for programs.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is where a command speaks")]

use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

/// Where a command's answer goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Answers with `value`, or with its lines.
    pub(super) fn answer(
        self,
        value: &impl Serialize,
        lines: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(value)?);
        } else {
            println!("{}", lines().trim_end());
        }
        Ok(())
    }

    /// Says why it failed; on one line each cause.
    pub(super) fn error(self, error: &anyhow::Error) -> ExitCode {
        if self.json {
            println!("{}", json!({ "error": format!("{error:#}") }));
        } else {
            eprintln!("error: {error:#}");
        }
        ExitCode::FAILURE
    }
}

/// Columns under a heading, each as wide as its widest cell.
pub(super) fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|it| it.chars().count());
        cells.chain(heading.get(at).map(|it| it.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..heading.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(heading.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}
