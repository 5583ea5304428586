//! What a command says: lines for people, or JSON for programs.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};

use super::{exit::Exit, place::Source};
use crate::config;

/// Where a command's answer goes.
#[derive(Clone, Debug)]
pub(super) struct Output {
    json: bool,
    source: Option<Source>,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json, source: None }
    }

    /// Tells where the answers come from: a line beside them, or a field in them.
    pub(super) fn from(self, source: Source) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Answers with `value`, or with its lines.
    pub(super) fn answer(
        &self,
        value: &impl Serialize,
        lines: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            let mut value = serde_json::to_value(value)?;
            if let (Some(source), Value::Object(fields)) = (&self.source, &mut value) {
                fields.insert("source".to_owned(), source.json());
            }
            say(&serde_json::to_string_pretty(&value)?)
        } else {
            self.tell();
            say(lines().trim_end())
        }
    }

    /// Tells a person where the answers come from.
    pub(super) fn tell(&self) {
        if let Some(source) = self.source.as_ref().filter(|_| !self.json) {
            aside(&paint(std::io::stderr().is_terminal(), DIM, &source.line()));
        }
    }

    /// Says why it failed; on one line each cause.
    pub(super) fn error(&self, error: &anyhow::Error) -> ExitCode {
        if is_pipe(error) {
            // Whoever reads has read enough.
            return Exit::Done.into();
        }
        let exit = Exit::of(error);
        let value = json!({ "error": format!("{error:#}"), "exit_code": exit.code() });
        let said = self.json && say(&value.to_string()).is_ok();
        if !said {
            let word = paint(std::io::stderr().is_terminal(), RED, "error:");
            aside(&format!("{word} {error:#}"));
        }
        exit.into()
    }
}

/// Writes lines to the standard output, which may be full, or gone.
fn say(lines: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{lines}")
        .and_then(|()| stdout.flush())
        .context("cannot write to the standard output")
}

/// Writes a line to the standard error; where that is full or closed, nobody can be told.
fn aside(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Whether nobody reads the standard output any more.
fn is_pipe(error: &anyhow::Error) -> bool {
    let broken = |it: &io::Error| it.kind() == io::ErrorKind::BrokenPipe;
    error.downcast_ref::<io::Error>().is_some_and(broken)
}

const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// Good news, on a terminal green.
pub(super) fn good(text: &str) -> String {
    paint(std::io::stdout().is_terminal(), GREEN, text)
}

/// Something to look at, on a terminal yellow.
pub(super) fn warn(text: &str) -> String {
    paint(std::io::stdout().is_terminal(), YELLOW, text)
}

/// Bad news, on a terminal red.
pub(super) fn bad(text: &str) -> String {
    paint(std::io::stdout().is_terminal(), RED, text)
}

/// Colours are for terminals, and for whoever did not say `NO_COLOR`.
fn paint(is_terminal: bool, colour: &str, text: &str) -> String {
    if is_terminal && config::wants_colour() {
        format!("{colour}{text}{PLAIN}")
    } else {
        text.to_owned()
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
    let heading = line(heading.to_vec());
    let mut lines = vec![paint(std::io::stdout().is_terminal(), BOLD, &heading)];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}
