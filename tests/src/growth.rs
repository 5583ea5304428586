//! The interface one minor version on, as a copy of the sources in which each growing trait has one method more.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::artefacts;

/// What is copied, and below it everything but builds.
const SOURCES: [&str; 2] = ["plugin-api", "tests/fixtures"];

/// What makes the copy newer: in this file, this text becomes that.
const CHANGES: [(&str, &str, &str); 7] = [
    ("plugin-api/abi/src/lib.rs", r#"ABI_VERSION: &str = "1.0""#, r#"ABI_VERSION: &str = "1.1""#),
    (
        "plugin-api/abi/src/plugin.rs",
        "    fn level_changed(&self, level: u32);\n",
        "    fn level_changed(&self, level: u32);\n    /// What 1.1 added.\n    fn added(&self) -> Res<u64> {\n        abi_stable::std_types::RResult::RErr(crate::AbiError::unsupported(\"added\"))\n    }\n",
    ),
    (
        "plugin-api/abi/src/host.rs",
        "    fn blocking(&self, work: WorkObject) -> PFuture<Res<()>>;\n",
        "    fn blocking(&self, work: WorkObject) -> PFuture<Res<()>>;\n    /// What 1.1 added.\n    fn added(&self, number: u64) -> Res<u64> {\n        let _ = number;\n        abi_stable::std_types::RResult::RErr(crate::AbiError::unsupported(\"added\"))\n    }\n",
    ),
    (
        "plugin-api/src/host/runtime.rs",
        "    /// The time of day, as the platform has it.\n",
        "    /// What 1.1 added.\n    ///\n    /// # Errors\n    ///\n    /// Where the platform is older.\n    pub fn added(&self, number: u64) -> Result<u64> {\n        Ok(self.0.added(number).into_result()?)\n    }\n\n    /// The time of day, as the platform has it.\n",
    ),
    (
        "tests/fixtures/faulty/src/waits.rs",
        "    routes.get(\"blocking\", blocking).public();\n",
        "    routes.get(\"blocking\", blocking).public();\n    routes.get(\"added\", added).public();\n",
    ),
    (
        "tests/fixtures/faulty/src/waits.rs",
        "/// Blocks the thread that serves everybody.\n",
        "/// Asks for what an older platform does not have.\nasync fn added(call: Call<Faulty>) -> Result<Json<String>> {\n    let answer = call.host().runtime().added(1);\n    Ok(Json(answer.map_or_else(|error| error.to_string(), |number| number.to_string())))\n}\n\n/// Blocks the thread that serves everybody.\n",
    ),
    (
        "Cargo.toml",
        "\"platform\", \"plugin-api\", \"plugin-api/abi\", \"build\", \"tests\"",
        "\"plugin-api\", \"plugin-api/abi\"",
    ),
];

/// Writes the newer sources, and answers where the fixtures' workspace is; files that stay the same are not touched.
pub(crate) fn sources() -> Result<PathBuf> {
    let (from, to) = (artefacts::root(), artefacts::target().join("newer"));
    for name in SOURCES {
        copy(&from.join(name), &to.join(name), name)?;
    }
    write("Cargo.toml", &from.join("Cargo.toml"), &to.join("Cargo.toml"))?;
    Ok(to.join("tests/fixtures/Cargo.toml"))
}

fn copy(from: &Path, to: &Path, name: &str) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let (from, to, name) = (entry.path(), to.join(&file), format!("{name}/{file}"));
        match entry.file_type()?.is_dir() {
            true if file == "target" => {}
            true => copy(&from, &to, &name)?,
            false => write(&name, &from, &to)?,
        }
    }
    Ok(())
}

/// Copies one file with its changes; one that has the same content keeps its time, so that nothing is built twice.
fn write(name: &str, from: &Path, to: &Path) -> Result<()> {
    let mut text = fs::read(from).with_context(|| from.display().to_string())?;
    for (_, old, new) in CHANGES.iter().filter(|it| it.0 == name) {
        let before = String::from_utf8(text)?;
        ensure!(before.contains(old), "{name} has no `{old}` any more");
        text = before.replace(old, new).into_bytes();
    }
    if fs::read(to).is_ok_and(|it| it == text) {
        return Ok(());
    }
    Ok(fs::write(to, text)?)
}
