//! A place of its own for one platform: data, extensions, state file.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::artefacts::{fixture, platform};
use crate::instance::Instance;

/// The user that nothing belongs to.
const NOBODY: u32 = 65_534;

/// A place of its own for one platform; it goes when this is dropped.
///
/// Where the tests run as root, the platform runs as nobody: a test of permissions would pass vacuously else.
#[derive(Debug)]
pub struct Setup {
    directory: TempDir,
    program: PathBuf,
    settings: Vec<(String, String)>,
    variables: Vec<(String, String)>,
    as_nobody: bool,
}

/// What a command of the platform's command line did.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to the standard output.
    pub stdout: String,
    /// What it wrote to the standard error.
    pub stderr: String,
}

impl Said {
    /// Reads the standard output as JSON.
    ///
    /// # Errors
    ///
    /// It is none; the error shows everything that was said.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {self:?}"))
    }
}

impl Setup {
    /// Makes an empty place, without extensions.
    ///
    /// # Errors
    ///
    /// The platform does not build, or the file system's.
    pub fn new() -> Result<Setup> {
        Setup::of(&platform()?)
    }

    /// Makes an empty place for another program of the platform.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn of(built: &Path) -> Result<Setup> {
        let directory = tempfile::Builder::new().prefix("powernode-").tempdir()?;
        let as_nobody = rustix::process::geteuid().is_root();
        // A link of its own, for nobody may not walk into the target directory.
        let program = directory.path().join("powernode");
        if fs::hard_link(built, &program).is_err() {
            fs::copy(built, &program).context("cannot copy the platform's program")?;
        }
        for name in ["", "data", "extensions", "config"] {
            let path = directory.path().join(name);
            fs::create_dir_all(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            if as_nobody {
                chown(&path, Some(NOBODY), Some(NOBODY))?;
            }
        }
        let settings = Vec::new();
        Ok(Setup { directory, program, settings, variables: Vec::new(), as_nobody })
    }

    /// Sets a setting, as `--set KEY=VALUE` does.
    #[must_use]
    pub fn with_setting(mut self, key: &str, value: &str) -> Setup {
        self.set(key, value);
        self
    }

    /// Sets a setting, as `--set KEY=VALUE` does.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Sets a variable of the platform's environment.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Setup {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Installs a library with a manifest, by the platform's own command.
    ///
    /// # Errors
    ///
    /// What the command says.
    pub fn with_extension(self, library: &Path, manifest: &Value) -> Result<Setup> {
        self.stage(library, manifest)?;
        Ok(self)
    }

    /// Installs the fixture `fixture-000`, switched on.
    ///
    /// # Errors
    ///
    /// It does not build, or what the command says.
    pub fn with_fixture(self) -> Result<Setup> {
        let mut manifest = manifest("fixture-000", "1.0.0");
        manifest["default_enabled"] = true.into();
        manifest["permissions"] = json!([{ "name": "fixture_000.read", "description": "Reads." }]);
        self.with_extension(&fixture("faulty")?, &manifest)
    }

    /// Installs a library with a manifest, by the platform's own command.
    ///
    /// # Errors
    ///
    /// What the command says.
    pub fn stage(&self, library: &Path, manifest: &Value) -> Result<()> {
        let slug = manifest["slug"].as_str().unwrap_or("extension");
        let path = self.directory.path().join(format!("{slug}.json"));
        fs::write(&path, serde_json::to_string_pretty(manifest)?)?;
        let mut command = Command::new(&self.program);
        command.args(["ext", "stage"]).arg(library).arg("--manifest").arg(&path);
        command.arg("--into").arg(self.extensions());
        let output = command.output()?;
        if !output.status.success() {
            bail!("`{slug}` was not staged: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Returns the directory of installed extensions.
    pub fn extensions(&self) -> PathBuf {
        self.directory.path().join("extensions")
    }

    /// Returns the directory of the platform's own data.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Returns the file that disables extensions.
    pub fn state_file(&self) -> PathBuf {
        self.directory.path().join("config/extensions_state.json")
    }

    /// Returns the file of the platform's log, all starts after each other.
    pub fn log_file(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Returns the place itself.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the platform here, and waits until it serves.
    ///
    /// # Errors
    ///
    /// It ended, or does not answer in time; with its log.
    pub fn start(self) -> Result<Instance> {
        Instance::start(self)
    }

    /// Runs a command of the command line on this place, to its end.
    ///
    /// # Errors
    ///
    /// It cannot be run; a failure of the command itself is in its exit code.
    pub fn cli(&self, arguments: &[&str]) -> Result<Said> {
        let mut command = self.command();
        let output = command.args(arguments).stdin(Stdio::null()).output()?;
        Ok(Said {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Begins a command of the platform on this place, as the user who owns it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(self.directory.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("POWERNODE_") {
                command.env_remove(name);
            }
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.arg("--data").arg(self.data());
        command.arg("--extensions").arg(self.extensions());
        command.arg("--state").arg(self.state_file());
        for (key, value) in &self.settings {
            command.args(["--set", &format!("{key}={value}")]);
        }
        if self.as_nobody {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Opens a file here to append to.
    pub(crate) fn append(&self, path: &Path) -> Result<File> {
        Ok(File::options().create(true).append(true).open(path)?)
    }
}

/// Returns the least manifest of an extension with routes.
pub fn manifest(slug: &str, version: &str) -> Value {
    json!({
        "name": slug,
        "slug": slug,
        "version": version,
        "description": "A fixture.",
        "components": { "server": true },
        "dependencies": [],
    })
}
