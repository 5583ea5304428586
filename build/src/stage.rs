//! The built artefacts: the platform, and beside it each extension as a library of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cargo::{Step, cargo, root, target};
use crate::install;

/// An extension whose source stands in `plugins/`.
struct Plugin {
    library: PathBuf,
    manifest: PathBuf,
}

/// Builds the platform and the extensions, and returns the platform's path.
pub(crate) fn build(release: bool) -> Result<PathBuf> {
    install::need(install::BUILD)?;
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    cargo(["build", "-p", "powernode"]).args(profile).finish("the platform does not build")?;
    for workspace in workspaces()? {
        cargo(["build", "--manifest-path"])
            .args([&workspace])
            .arg_target("plugins")
            .args(profile)
            .finish(&format!("`{}` does not build", workspace.display()))?;
    }
    Ok(program(release))
}

/// Puts each built extension where the platform finds it; the built platform itself does that, and knows where.
pub(crate) fn stage(release: bool) -> Result<()> {
    for workspace in workspaces()? {
        for plugin in plugins(&workspace, release)? {
            Step::new(program(release))
                .args(["ext", "stage"])
                .args([&plugin.library])
                .arg("--manifest", &plugin.manifest)
                .finish(&format!("`{}` was not staged", plugin.library.display()))?;
        }
    }
    Ok(())
}

impl Step {
    /// Adds the directory below the target directory in which a workspace of its own is built.
    pub(crate) fn arg_target(self, name: &str) -> Step {
        self.arg("--target-dir", &target().join(name))
    }

    fn arg(self, name: &str, path: &Path) -> Step {
        self.args([name]).args([path])
    }
}

/// Returns the manifests of the workspaces of extensions: the built-in ones, and each private one.
fn workspaces() -> Result<Vec<PathBuf>> {
    let mut found = vec![root().join("plugins/Cargo.toml")];
    if let Ok(private) = root().join("plugins/private").read_dir() {
        for entry in private {
            let manifest = entry?.path().join("Cargo.toml");
            if manifest.exists() {
                found.push(manifest);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Returns the extensions of a workspace: its crates that are C libraries and have a manifest.
fn plugins(workspace: &Path, release: bool) -> Result<Vec<Plugin>> {
    let metadata = cargo(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .args([workspace])
        .output("`cargo metadata`")?;
    let metadata: Value = serde_json::from_str(&metadata).context("`cargo metadata`")?;
    let built = target().join("plugins").join(profile(release));
    let mut plugins = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let directory = package["manifest_path"].as_str().and_then(|path| Path::new(path).parent());
        let Some(manifest) = directory.map(|directory| directory.join("extension.json")) else {
            continue;
        };
        let is_library = |target: &&Value| {
            let kinds = target["crate_types"].as_array().into_iter().flatten();
            kinds.into_iter().any(|kind| kind == "cdylib")
        };
        let library = package["targets"].as_array().into_iter().flatten().find(is_library);
        if let Some(name) = library.and_then(|library| library["name"].as_str())
            && manifest.exists()
        {
            use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
            let name = name.replace('-', "_");
            let library = built.join(format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"));
            plugins.push(Plugin { library, manifest });
        }
    }
    Ok(plugins)
}

fn program(release: bool) -> PathBuf {
    target().join(profile(release)).join("powernode")
}

fn profile(release: bool) -> &'static str {
    if release { "release" } else { "debug" }
}
