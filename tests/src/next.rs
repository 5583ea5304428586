//! The platform and a library as the next minor version of the interface would have them.
//!
//! The sources are copied, and a method is added to the end of a trait on either side, by the rule that the interface
//! grows by. So what is tested is the growth itself, and not a switch that the product would carry for the test.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::artefacts::{cargo, library, root, target};

/// What is added: the file, the text before it, and the text itself.
const CHANGES: [(&str, &str, &str); 7] = [
    ("plugin-api/abi/src/lib.rs", "ABI_VERSION: &str = \"1.", "2\"; // "),
    (
        "plugin-api/abi/src/host.rs",
        "fn channels(&self) -> ChannelsObject {\n        no_channels()\n    }",
        "\n    /// Came later.\n    fn later(&self) -> u32 {\n        7\n    }",
    ),
    (
        "plugin-api/abi/src/plugin.rs",
        "fn channels(&self) -> Res<RString> {\n        RResult::ROk(\"[]\".into())\n    }",
        "\n    /// Came later.\n    fn later(&self) -> u32 {\n        7\n    }",
    ),
    (
        "platform/src/loader.rs",
        "let description = plugin.describe().into_result()?;",
        "\n        tracing::info!(\"the plugin's later is {}\", plugin.later());",
    ),
    (
        "platform/src/services.rs",
        "impl RawHost for Services {",
        "\n    fn later(&self) -> u32 {\n        9\n    }\n",
    ),
    (
        "plugin-api/src/export.rs",
        "trace::install(host.trace());",
        "\n        tracing::info!(\"the host's later is {}\", host.later());",
    ),
    (
        "plugin-api/src/export.rs",
        "impl<E: Extension> RawPlugin for Adapter<E> {",
        "\n    fn later(&self) -> u32 {\n        8\n    }\n",
    ),
];

/// Returns the next platform's program, which the first caller builds.
///
/// # Errors
///
/// It does not build, or the sources are not as they were when this was written.
pub fn platform() -> Result<PathBuf> {
    let built = target().join("next");
    let manifest = source()?.join("Cargo.toml");
    cargo(|command| {
        command.args(["build", "--quiet", "--package", "powernode", "--manifest-path"]);
        command.arg(manifest).arg("--target-dir").arg(&built);
    })?;
    Ok(built.join("debug/powernode"))
}

/// Returns the library of the fixture `faulty`, built against the next interface.
///
/// # Errors
///
/// As [`platform`].
pub fn fixture() -> Result<PathBuf> {
    let built = target().join("next/fixtures");
    let manifest = source()?.join("tests/fixtures/Cargo.toml");
    cargo(|command| {
        command.args(["build", "--quiet", "--package", "faulty", "--manifest-path"]);
        command.arg(manifest).arg("--target-dir").arg(&built);
    })?;
    library(&built.join("debug"), "faulty")
}

/// The changed sources, which the first caller writes.
fn source() -> Result<PathBuf> {
    static WRITTEN: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let written = WRITTEN.get_or_init(|| write().map_err(|error| format!("{error:#}")));
    written.clone().map_err(|error| anyhow!(error))
}

fn write() -> Result<PathBuf> {
    let copy = target().join("next/source");
    for part in
        ["Cargo.toml", "Cargo.lock", "platform", "plugin-api", "build", "tests", "migrations"]
    {
        sync(&root().join(part), &copy.join(part), part)?;
    }
    Ok(copy)
}

/// Copies what differs, so that cargo builds again only what changed.
fn sync(from: &Path, to: &Path, name: &str) -> Result<()> {
    if from.is_dir() {
        if from.ends_with("target") {
            return Ok(());
        }
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let part = entry.file_name();
            sync(&entry.path(), &to.join(&part), &format!("{name}/{}", part.to_string_lossy()))?;
        }
        return Ok(());
    }
    let mut bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    for (_, before, added) in CHANGES.iter().filter(|(file, _, _)| *file == name) {
        let text = String::from_utf8(bytes)?;
        ensure!(text.contains(before), "`{before}` is not in {name} any more: correct {}", file!());
        bytes = text.replacen(before, &format!("{before}{added}"), 1).into_bytes();
    }
    if fs::read(to).is_ok_and(|it| it == bytes) {
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(fs::write(to, bytes)?)
}
