//! Built fixture libraries, and copies of them with other bytes.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, bail, ensure};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::artefacts;

/// The slug that the fixtures are built with; a copy's slug is as long.
pub const PLACEHOLDER: &str = "fixture-000";

/// How the fixtures are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Build {
    /// As any library.
    Plain,
    /// A panic ends the process.
    Aborts,
    /// Structs are laid out in another order.
    OtherLayout,
    /// Optimized, as it is measured; the other fixtures are not built with it.
    Optimized,
}

/// A library's bytes.
#[derive(Clone)]
pub struct Library {
    bytes: Vec<u8>,
    file: String,
}

/// Builds a crate that is in no workspace of ours, with what was built for the extensions.
///
/// # Errors
///
/// It does not build.
pub fn built_apart(manifest: &Path, name: &str) -> Result<PathBuf> {
    let target = artefacts::target().join("plugins");
    artefacts::cargo(|cargo| {
        cargo.args(["build", "--quiet", "--manifest-path"]).arg(manifest);
        cargo.arg("--target-dir").arg(&target).env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
    })?;
    artefacts::library(&target.join("debug"), name)
}

impl Library {
    /// The fixture `name`, which is built first if it is not up to date.
    ///
    /// # Errors
    ///
    /// When it cannot be built.
    pub fn built(name: &str, build: Build) -> Result<Self> {
        let path = build.library(name)?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { bytes, file })
    }

    /// A library that is none of ours.
    pub fn foreign(bytes: Vec<u8>) -> Self {
        Self { bytes, file: "libforeign.so".to_owned() }
    }

    /// A copy that is the library of `slug`, wherever the placeholder stood.
    ///
    /// # Errors
    ///
    /// When the slug is not as long as the placeholder.
    pub fn stamped(&self, slug: &str) -> Result<Self> {
        let snake = |slug: &str| slug.replace('-', "_");
        ensure!(slug.len() == PLACEHOLDER.len(), "`{slug}` is not as long as `{PLACEHOLDER}`");
        let copy = self.patched(PLACEHOLDER, slug)?;
        // A fixture without tables has no such text.
        Ok(copy.patched(snake(PLACEHOLDER), snake(slug)).unwrap_or(copy))
    }

    /// A copy with another text of the same length, wherever `from` stood.
    ///
    /// # Errors
    ///
    /// When the text is not there, or the other has another length.
    pub fn patched(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<Self> {
        let (from, to) = (from.as_ref(), to.as_ref());
        ensure!(from.len() == to.len() && !from.is_empty(), "two texts of different lengths");
        let mut bytes = self.bytes.clone();
        let places: Vec<_> = find(&bytes, from).collect();
        for place in &places {
            bytes[*place..*place + to.len()].copy_from_slice(to);
        }
        if places.is_empty() {
            bail!("`{}` is not in {}", String::from_utf8_lossy(from), self.file);
        }
        Ok(Self { bytes, file: self.file.clone() })
    }

    /// A copy with one byte changed.
    #[must_use]
    pub fn with_byte(mut self, at: usize, byte: u8) -> Self {
        if let Some(place) = self.bytes.get_mut(at) {
            *place = byte;
        }
        self
    }

    /// A copy of its beginning.
    #[must_use]
    pub fn cut(mut self, length: usize) -> Self {
        self.bytes.truncate(length);
        self
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The target that its note names, or this machine's where it has no note.
    pub fn target(&self) -> String {
        let named = find(&self.bytes, b"\ntarget=").next().and_then(|at| {
            let line = self.bytes.get(at + 8..)?.split(|byte| *byte == b'\n').next()?;
            Some(String::from_utf8_lossy(line).into_owned())
        });
        named.unwrap_or_else(|| format!("{}-unknown-linux-gnu", env::consts::ARCH))
    }

    /// Its SHA-256, as a manifest writes it.
    pub fn sha256(&self) -> String {
        digest(&SHA256, &self.bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} bytes", self.file, self.bytes.len())
    }
}

/// Places of `text` in `bytes`, one behind the other.
fn find<'a>(bytes: &'a [u8], text: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = bytes.get(at..)?;
            let next = at + rest.iter().position(|byte| *byte == text[0])?;
            at = next + 1;
            if bytes[next..].starts_with(text) {
                at = next + text.len();
                return Some(next);
            }
        }
    })
}

impl Build {
    /// Builds the fixture, and answers its library.
    fn library(self, name: &str) -> Result<PathBuf> {
        static DONE: Mutex<BTreeMap<(Build, String), PathBuf>> = Mutex::new(BTreeMap::new());
        let (target, profile) = match self {
            Self::Plain => return artefacts::fixture(name),
            Self::Aborts => ("fixtures", "aborts"),
            Self::Optimized => ("fixtures", "release"),
            // Flags of the compiler make everything anew: a directory of their own keeps both.
            Self::OtherLayout => ("fixtures-layout", "dev"),
        };
        let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = done.get(&(self, name.to_owned())) {
            return Ok(path.clone());
        }
        let target = artefacts::target().join(target);
        artefacts::cargo(|cargo| {
            cargo
                .args(["build", "--quiet", "--package", name, "--profile", profile])
                .arg("--manifest-path")
                .arg(artefacts::root().join("tests/fixtures/Cargo.toml"))
                .arg("--target-dir")
                .arg(&target);
            if self == Self::OtherLayout {
                let flags = "-Zrandomize-layout -Zlayout-seed=42";
                cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", flags);
            }
        })?;
        let directory = target.join(if profile == "dev" { "debug" } else { profile });
        let path = artefacts::library(&directory, name)?;
        done.insert((self, name.to_owned()), path.clone());
        Ok(path)
    }
}

/// An extension as it is put on disk.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its manifest, to be changed at will before it is written.
    pub manifest: Value,
    library: Library,
    target: String,
}

impl Package {
    /// An extension with the library of that slug, whose manifest says what is true.
    pub fn new(slug: &str, library: Library) -> Self {
        let permission = format!("{}.read", slug.replace('-', "_"));
        let mut manifest = json!({
            "name": slug,
            "slug": slug,
            "version": "1.0.0",
            "default_enabled": true,
            "components": { "server": true },
            "permissions": [{ "name": permission, "description": "Reads." }],
        });
        let target = library.target();
        manifest["library"][&target] = json!({
            "path": format!("lib/{}", library.file),
            "sha256": library.sha256(),
            "size": library.bytes.len(),
            "sdk": "1.0.0",
            "panic": "unwind",
        });
        Self { manifest, library, target }
    }

    /// The manifest's entry of its library.
    pub fn library_entry(&mut self) -> &mut Value {
        &mut self.manifest["library"][&self.target]
    }

    /// Its library.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// Other bytes, of which the manifest says nothing.
    #[must_use]
    pub fn swapped(mut self, library: Library) -> Self {
        self.library = library;
        self
    }

    /// Writes it to `directory`, which is `extensions/<slug>`.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn write(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory.join("lib"))?;
        fs::write(directory.join("lib").join(&self.library.file), &self.library.bytes)?;
        let text = serde_json::to_vec_pretty(&self.manifest)?;
        fs::write(directory.join("extension.json"), text)?;
        Ok(())
    }

    /// Where `write` puts the library, in the extension's directory.
    pub fn file(&self) -> PathBuf {
        Path::new("lib").join(&self.library.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(text: &str) -> Library {
        Library::foreign(text.as_bytes().to_vec())
    }

    #[test]
    fn each_place_is_stamped() {
        let copy = library("a fixture-000 b fixture_000 fixture-000").stamped("healthy-001");
        assert_eq!(copy.unwrap().bytes(), b"a healthy-001 b healthy_001 healthy-001");
    }

    #[test]
    fn what_is_not_there_is_no_patch() {
        assert!(library("a fixture-000").patched("b", "c").is_err());
        assert!(library("a fixture-000").stamped("short").is_err());
    }
}
