//! A library of a frozen version of the interface, built from the sources of that version alone.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::artefacts::{cargo, library, root, target};

/// Returns the library of the fixture `faulty` as interface `version` had it (`1.0`), which the first caller builds.
///
/// # Errors
///
/// There is no such version, or it does not build.
pub fn fixture(version: &str) -> Result<PathBuf> {
    let archive = root().join(format!("tests/frozen/interface-{version}.tar.gz"));
    let source = target().join("frozen").join(version);
    let fixtures = source.join("tests/fixtures/Cargo.toml");
    if !fixtures.exists() {
        fs::create_dir_all(&source)?;
        let unpacked =
            Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&source).output();
        let unpacked = unpacked.context("cannot run tar")?;
        ensure!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
        // What is not in the archive is no member.
        with_members(&source.join("Cargo.toml"), r#""plugin-api", "plugin-api/abi""#)?;
        with_members(&fixtures, r#""faulty""#)?;
    }
    let built = target().join("frozen/target");
    cargo(|command| {
        command.args(["build", "--quiet", "--package", "faulty", "--manifest-path"]);
        command.arg(&fixtures).arg("--target-dir").arg(&built);
    })?;
    library(&built.join("debug"), "faulty")
}

fn with_members(manifest: &PathBuf, members: &str) -> Result<()> {
    let text = fs::read_to_string(manifest)?;
    let lines = text.lines().map(|line| match line.starts_with("members = [") {
        true => format!("members = [{members}]"),
        false => line.to_owned(),
    });
    Ok(fs::write(manifest, lines.collect::<Vec<_>>().join("\n"))?)
}
