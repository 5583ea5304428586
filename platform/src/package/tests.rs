use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use expect_test::{Expect, expect};
use powernode_abi::note;
use tempfile::TempDir;

use super::*;
use crate::manifest::{self, Refusal, Sha256};

mod scan;
mod stage;
mod store;
mod verify;

/// A directory `extensions/` with one staged extension `a`, its library made by the C compiler.
struct Bench {
    root: TempDir,
}

/// What the C compiler makes the library of.
struct Sample {
    note: String,
    code: String,
    flags: Vec<&'static str>,
}

impl Default for Sample {
    fn default() -> Self {
        let parts = note::parts("1.0.0", "a", "1.0.0");
        Self {
            note: parts.concat(),
            code: format!("int {}(void) {{ return 1; }}", image::ROOT),
            flags: vec![],
        }
    }
}

impl Sample {
    /// The default library with one text of its note exchanged.
    fn noting(from: &str, to: &str) -> Self {
        let sample = Self::default();
        assert!(sample.note.contains(from), "{from}");
        Self { note: sample.note.replace(from, to), ..sample }
    }

    /// The default library with more C code.
    fn with(code: &str) -> Self {
        let sample = Self::default();
        Self { code: format!("{}\n{code}", sample.code), ..sample }
    }

    fn build(&self, path: &Path) {
        let text: String = self.note.bytes().map(|it| format!("{it},")).collect();
        let source = path.with_extension("c");
        let note = format!(
            "__attribute__((section(\"powernode_note\"), used)) const unsigned char POWERNODE_NOTE[] = {{{text}}};"
        );
        let note = if self.note.is_empty() { String::new() } else { note };
        fs::write(&source, format!("{note}\n{}\n", self.code)).unwrap();
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(path)
            .arg(&source)
            .args(&self.flags)
            .status()
            .unwrap();
        assert!(status.success());
        fs::remove_file(source).unwrap();
    }
}

impl Bench {
    /// Builds and stages `sample`.
    fn new(sample: &Sample) -> Result<Self, Refusal> {
        let bench = Self::empty();
        bench.stage(sample, r#"{"name": "A", "slug": "a", "version": "1.0.0"}"#)?;
        Ok(bench)
    }

    fn empty() -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("extensions")).unwrap();
        Self { root }
    }

    fn stage(&self, sample: &Sample, manifest: &str) -> Result<Staged, Refusal> {
        let (library, file) = (self.path("liba.so"), self.path("extension.json"));
        sample.build(&library);
        fs::write(&file, manifest).unwrap();
        stage(&library, &file, &self.path("extensions"))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn library(&self) -> PathBuf {
        fs::read_dir(self.path("extensions/a/lib")).unwrap().next().unwrap().unwrap().path()
    }

    /// Changes the staged manifest's entry for this target.
    fn claim(&self, field: &str, value: impl Into<serde_json::Value>) {
        let path = self.path("extensions/a/extension.json");
        let mut json: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        json["library"][note::TARGET][field] = value.into();
        fs::write(&path, json.to_string()).unwrap();
    }

    /// Puts `bytes` in the library's place, and their hash into the manifest.
    fn forge(&self, bytes: &[u8]) {
        fs::write(self.library(), bytes).unwrap();
        self.claim("sha256", Sha256::of(bytes).to_string());
        self.claim("size", bytes.len());
    }

    fn found(&self) -> Found {
        scan(&self.path("extensions")).into_iter().find(|it| it.name == "a").unwrap()
    }

    fn verify(&self) -> Result<Verified, Refusal> {
        verify(&self.found(), &Host::detect())
    }

    fn text(&self, outcome: Result<Vec<String>, Refusal>) -> String {
        let text = match outcome {
            Ok(warnings) => [vec!["fine".to_owned()], warnings].concat().join("\n"),
            Err(refusal) => format!("{}: {}", refusal.code, refusal.message),
        };
        let root = self.root.path().display().to_string();
        let text = text.replace(&root, "").replace(&note::TARGET.to_owned(), "TARGET");
        let mut parts = text.split("liba-");
        let head = parts.next().unwrap_or_default().to_owned();
        parts.fold(head, |text, part| format!("{text}liba-#{}", &part[12.min(part.len())..]))
    }

    #[track_caller]
    fn check(&self, outcome: Expect) {
        outcome.assert_eq(&self.text(self.verify().map(|it| it.warnings)));
    }

    #[track_caller]
    fn check_scan(&self, outcome: Expect) {
        let lines = scan(&self.path("extensions")).into_iter().map(|it| {
            let outcome = it.manifest.map(|_| it.warnings);
            format!(
                "{}: {}",
                it.directory.strip_prefix(self.root.path()).unwrap().display(),
                self.text(outcome)
            )
        });
        outcome.assert_eq(&lines.collect::<Vec<_>>().join("\n"));
    }
}

/// What becomes of a library that is staged, and then verified.
#[track_caller]
fn check(sample: &Sample, outcome: Expect) {
    let bench = Bench::empty();
    let staged = bench.stage(sample, r#"{"name": "A", "slug": "a", "version": "1.0.0"}"#);
    let verified = staged.and_then(|_| bench.verify());
    outcome.assert_eq(&bench.text(verified.map(|it| it.warnings)));
}
