//! `cargo xtask docs`: the pages that are written from the program's own tables.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::cargo::{cargo, root};
use crate::install;

/// Each page, and the command that writes it.
const PAGES: &[(&str, &[&str])] = &[
    ("platform/CONFIGURATION.md", &["config", "reference"]),
    ("platform/COMMANDS.md", &["man", "--markdown"]),
];

/// Writes the pages, or tells which of them are outdated.
pub(crate) fn docs(check: bool) -> Result<ExitCode> {
    install::need(install::BUILD)?;
    let mut outdated = 0;
    for (page, words) in PAGES {
        let run = ["run", "--quiet", "-p", "powernode", "--"];
        let text = cargo(run).args(*words).output("the page was not written")?;
        let path = root().join(page);
        if fs::read_to_string(&path).is_ok_and(|it| it == text) {
            println!("{page}: in step");
        } else if check {
            outdated += 1;
            println!("{page}: outdated; run `cargo xtask docs`");
        } else {
            fs::write(&path, text).with_context(|| format!("cannot write {page}"))?;
            println!("{page}: written");
        }
    }
    Ok(if outdated == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
