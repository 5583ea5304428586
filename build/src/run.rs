//! `cargo xtask run`.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::Words;
use crate::cargo::Step;
use crate::stage::{build, stage};

/// Builds and stages everything, and becomes the platform.
pub(crate) fn run(words: &Words) -> Result<ExitCode> {
    let release = words.has("--release");
    let program = build(release)?;
    stage(release)?;
    let mut serve = Step::new(program).args(["serve"]);
    if let Some(port) = words.option("--port") {
        serve = serve.args(["--port", port]);
    }
    if let Some(data) = words.option("--data") {
        // The platform starts in the repository's root; the person may stand elsewhere.
        let here = std::env::current_dir().context("the working directory is gone")?;
        serve = serve.args(["--data".as_ref(), here.join(data).as_os_str()]);
    }
    match serve.become_it()? {}
}
