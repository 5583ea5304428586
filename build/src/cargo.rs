//! Commands that are run, and where they leave what they make.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Returns the repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Returns where builds go.
pub(crate) fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// A command that is about to run in the repository's root.
pub(crate) struct Step(Command);

/// Begins a `cargo` command.
pub(crate) fn cargo<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Step {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Step::new(cargo).args(arguments)
}

impl Step {
    /// Begins a command.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Step {
        let mut command = Command::new(program);
        command.current_dir(root());
        // What `cargo run` says of this very package would reach the builds of others.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
                command.env_remove(name);
            }
        }
        Step(command)
    }

    /// Adds arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Step {
        self.0.args(arguments);
        self
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Step {
        self.0.env(name, value);
        self
    }

    /// Runs the command; `what` names it where it fails.
    pub(crate) fn finish(mut self, what: &str) -> Result<()> {
        let status = self.0.status().with_context(|| format!("cannot run {:?}", self.0))?;
        if !status.success() {
            bail!("{what}: {status}");
        }
        Ok(())
    }

    /// Runs the command and returns what it wrote.
    pub(crate) fn output(mut self, what: &str) -> Result<String> {
        let command = self.0.stderr(Stdio::inherit());
        let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
        if !output.status.success() {
            bail!("{what}: {}", output.status);
        }
        String::from_utf8(output.stdout).with_context(|| format!("{what}: not UTF-8"))
    }

    /// Runs the command, hands over each line as it is written, and returns whether it succeeded.
    pub(crate) fn lines(mut self, mut each: impl FnMut(String)) -> Result<bool> {
        let command = self.0.stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = BufReader::new(stdout);
            let mut line = Vec::new();
            while stdout.read_until(b'\n', &mut line)? > 0 {
                each(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
        }
        Ok(child.wait()?.success())
    }

    /// Becomes the command, so that a signal reaches it and not its parent.
    pub(crate) fn become_it(mut self) -> Result<std::convert::Infallible> {
        let error = std::os::unix::process::CommandExt::exec(&mut self.0);
        Err(error).with_context(|| format!("cannot run {:?}", self.0))
    }
}
