//! What the tests start and load: the built platform, and the libraries of `tests/fixtures`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::fs::FlockOperation;

/// Returns the repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Returns where builds go.
pub fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Returns the platform's program, which the first caller builds, in this build's own profile.
///
/// # Errors
///
/// It does not build.
pub fn platform() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    once(&BUILT, || build(["build", "--quiet", "-p", "powernode"]))?;
    Ok(target().join(PROFILE).join("powernode"))
}

/// Returns a fixture's library by its crate's name; the first caller builds them all.
///
/// # Errors
///
/// They do not build, or there is none of that name.
pub fn fixture(name: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    once(&BUILT, || {
        let manifest = root().join("tests/fixtures/Cargo.toml");
        build(
            ["build", "--quiet", "--workspace", "--manifest-path"]
                .map(OsStr::new)
                .into_iter()
                .chain([
                    manifest.as_os_str(),
                    OsStr::new("--target-dir"),
                    target().join("fixtures").as_os_str(),
                ]),
        )
    })?;
    library(&target().join("fixtures").join(PROFILE), name)
}

/// Returns a built-in extension's library by its crate's name; the first caller builds them all.
///
/// # Errors
///
/// They do not build, or there is none of that name.
pub fn plugin(name: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    once(&BUILT, || {
        let manifest = root().join("plugins/Cargo.toml");
        build(
            ["build", "--quiet", "--workspace", "--manifest-path"]
                .map(OsStr::new)
                .into_iter()
                .chain([
                    manifest.as_os_str(),
                    OsStr::new("--target-dir"),
                    target().join("plugins").as_os_str(),
                ]),
        )
    })?;
    library(&target().join("plugins").join(PROFILE), name)
}

const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

pub(crate) fn library(directory: &Path, name: &str) -> Result<PathBuf> {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    let name = format!("{DLL_PREFIX}{}{DLL_SUFFIX}", name.replace('-', "_"));
    let path = directory.join(name);
    if !path.exists() {
        bail!("no library `{}` was built", path.display());
    }
    Ok(path)
}

/// Builds in this build's own profile.
fn build<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<()> {
    cargo(|command| {
        command.args(arguments);
        if PROFILE == "release" {
            command.arg("--release");
        }
    })
}

/// Runs `cargo`; one test binary at a time, since each builds on its own.
pub(crate) fn cargo(configure: impl FnOnce(&mut Command)) -> Result<()> {
    fs::create_dir_all(target())?;
    let lock = File::create(target().join("tests.lock"))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    configure(command.current_dir(root()));
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn once(cell: &OnceLock<Result<(), String>>, build: impl FnOnce() -> Result<()>) -> Result<()> {
    let built = cell.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.clone().map_err(|error| anyhow!(error))
}
