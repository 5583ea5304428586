//! What became of the extensions at the last start, on disk: the command line reads it without a running platform.

use std::{fs, io, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Contributions, Entry, LibraryFacts, Registry, State};
use crate::{
    manifest::{Manifest, Refusal},
    package::Found,
};

/// Its name in the data directory.
pub const FILE_NAME: &str = "last_start.json";

/// One extension, as admin API and command line show it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Shown {
    /// Its slug.
    pub slug: String,
    /// Its name for people.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// How far it came: `started`, `failed`, …
    #[schemars(with = "State")]
    pub state: String,
    /// Why it stays out.
    #[schemars(with = "Option<Refusal>")]
    pub reason: Option<serde_json::Value>,
    /// What may go wrong with it.
    pub warnings: Vec<String>,
    /// Where it lies.
    pub directory: String,
    /// Whether it lies among the private ones.
    pub private: bool,
    /// What its manifest says.
    #[schemars(with = "Option<Manifest>")]
    pub manifest: Option<serde_json::Value>,
    /// Its library, once it was verified.
    pub library: Option<LibraryFacts>,
    /// What it contributes.
    pub contributions: Contributions,
}

impl Shown {
    /// Shows an entry.
    pub fn of(entry: &Entry) -> Self {
        let manifest = entry.manifest.as_deref();
        Self {
            slug: entry.slug.clone(),
            name: manifest.map(|it| it.name.clone()),
            version: manifest.map(|it| it.version.to_string()),
            state: entry.state.as_str().to_owned(),
            reason: entry.refusal.as_ref().map(reason),
            warnings: entry.warnings.clone(),
            directory: entry.directory.display().to_string(),
            private: entry.private,
            manifest: manifest.and_then(|it| serde_json::to_value(it).ok()),
            library: entry.library.clone(),
            contributions: entry.contributions.clone(),
        }
    }
}

impl Shown {
    /// In another state than the entry's.
    pub fn with_state(self, state: State) -> Self {
        Self { state: state.as_str().to_owned(), ..self }
    }

    /// Shows what lies on disk, and no start has seen.
    pub fn found(found: &Found) -> Self {
        let manifest = found.manifest.as_ref().ok();
        Self {
            slug: manifest.map_or_else(|| found.name.clone(), |it| it.slug.to_string()),
            name: manifest.map(|it| it.name.clone()),
            version: manifest.map(|it| it.version.to_string()),
            state: "discovered".to_owned(),
            reason: found.manifest.as_ref().err().map(reason),
            warnings: found.warnings.clone(),
            directory: found.directory.display().to_string(),
            private: found.private,
            manifest: manifest.and_then(|it| serde_json::to_value(it).ok()),
            library: None,
            contributions: Contributions::default(),
        }
    }

    /// Why it is not loaded, in a sentence.
    pub fn why(&self) -> String {
        let message = self.reason.as_ref().and_then(|it| it.get("message"));
        let message = message.and_then(|it| it.as_str()).map(str::to_owned);
        message.unwrap_or_else(|| match self.state.as_str() {
            "discovered" => "the platform was not started since it was installed".to_owned(),
            state => format!("it is {state}"),
        })
    }
}

fn reason(refusal: &Refusal) -> serde_json::Value {
    serde_json::to_value(refusal).unwrap_or_default()
}

/// Writes what became of all extensions, as a whole.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write(registry: &Registry, data: &Path) -> io::Result<()> {
    let shown: Vec<_> = registry.entries.iter().map(Shown::of).collect();
    let temporary = data.join(format!("{FILE_NAME}.new"));
    fs::write(&temporary, serde_json::to_vec_pretty(&shown)?)?;
    fs::rename(temporary, data.join(FILE_NAME))
}

/// Reads it; nothing where the platform has not run yet.
///
/// # Errors
///
/// When the file is there, and cannot be read.
pub fn read(data: &Path) -> io::Result<Option<Vec<Shown>>> {
    match fs::read(data.join(FILE_NAME)) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
