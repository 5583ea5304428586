//! The state file, `{"disabled": ["slug", …]}`: which extensions the next start leaves out.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// A state file longer than this, in bytes, is taken as malformed.
const MAX_BYTES: u64 = 1024 * 1024;

/// The state file at a path. It need not exist.
#[derive(Clone, Debug)]
pub struct StateFile {
    path: PathBuf,
}

/// What a state file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The slugs of the extensions that are disabled.
    pub disabled: BTreeSet<String>,
    /// Why the file could not be followed: nothing is disabled then.
    pub warning: Option<String>,
}

impl StateFile {
    /// The state file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> StateFile {
        StateFile { path: path.into() }
    }

    /// Reads it. A file that is missing, unreadable or malformed disables nothing, and the state says so.
    pub fn read(&self) -> State {
        let warn = |why: String| State {
            disabled: BTreeSet::new(),
            warning: Some(format!(
                "`{}` {why}: no extension is disabled by it",
                self.path.display()
            )),
        };
        match self.parse() {
            Ok(parsed) => State { disabled: parsed.disabled, warning: None },
            Err(Unfit::Missing) => warn("does not exist".into()),
            Err(Unfit::Io(error)) => warn(format!("cannot be read ({error})")),
            Err(Unfit::Malformed(why)) => warn(format!("is malformed ({why})")),
        }
    }

    /// Disables an extension, or lets it in again, from the next start on; answers whether that changed anything.
    ///
    /// Writers wait for each other, other keys are kept, and a reader sees the file before or after, never between. A
    /// malformed file is kept beside, as `….malformed`. This blocks on the file system.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the file cannot be read or written; it is then as it was.
    pub fn set(&self, slug: &str, disabled: bool) -> Result<bool, StateError> {
        let failed = |doing, source| StateError { doing, path: self.path.clone(), source };
        // A link stays a link: what it points at is replaced.
        let target = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let directory =
            target.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(directory).map_err(|error| failed("make the directory of", error))?;
        let _lock = lock(&beside(&target, ".lock")).map_err(|error| failed("lock", error))?;

        let mut parsed = match self.parse() {
            Ok(parsed) => parsed,
            Err(Unfit::Missing) => Parsed::default(),
            Err(Unfit::Io(error)) => return Err(failed("read", error)),
            Err(Unfit::Malformed(_)) => {
                fs::copy(&target, beside(&target, ".malformed"))
                    .map_err(|error| failed("keep a copy of", error))?;
                Parsed::default()
            }
        };
        let changed = match disabled {
            true => parsed.disabled.insert(slug.to_owned()),
            false => parsed.disabled.remove(slug),
        };
        if changed {
            replace(&target, directory, &parsed.into_text())
                .map_err(|error| failed("write", error))?;
        }
        Ok(changed)
    }

    fn parse(&self) -> Result<Parsed, Unfit> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unfit::Missing),
            Err(error) => return Err(Unfit::Io(error)),
        };
        let mut text = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(Unfit::Io)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(Unfit::Malformed("it is longer than 1 MiB".into()));
        }
        Parsed::from_text(&text).map_err(Unfit::Malformed)
    }
}

/// The state file could not be changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} the state file `{}`", path.display())]
pub struct StateError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

enum Unfit {
    Missing,
    Io(io::Error),
    Malformed(String),
}

#[derive(Default)]
struct Parsed {
    disabled: BTreeSet<String>,
    other: Map<String, Value>,
}

impl Parsed {
    fn from_text(text: &[u8]) -> Result<Parsed, String> {
        let mut other = match serde_json::from_slice(text) {
            Ok(Value::Object(keys)) => keys,
            Ok(_) => return Err("it is no object".into()),
            Err(error) => return Err(error.to_string()),
        };
        let mut disabled = BTreeSet::new();
        match other.remove("disabled") {
            None => {}
            Some(Value::Array(slugs)) => {
                for slug in slugs {
                    let Value::String(slug) = slug else {
                        return Err(format!("`disabled` holds `{slug}`, no slug"));
                    };
                    disabled.insert(slug);
                }
            }
            Some(_) => return Err("`disabled` is no list".into()),
        }
        Ok(Parsed { disabled, other })
    }

    fn into_text(mut self) -> String {
        let disabled = self.disabled.into_iter().map(Value::String).collect();
        self.other.insert("disabled".into(), Value::Array(disabled));
        format!("{:#}\n", Value::Object(self.other))
    }
}

/// Waits for the lock beside the file, which lasts as long as what this returns; it goes with the process.
fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    file.lock()?;
    Ok(file)
}

/// Puts a file in place so that it is there whole, also after a loss of power. Only the lock's holder calls this.
fn replace(target: &Path, directory: &Path, text: &str) -> io::Result<()> {
    let temporary = beside(target, ".new");
    let mut file = File::create(&temporary)?;
    if let Ok(before) = fs::metadata(target) {
        file.set_permissions(before.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, target)?;
    File::open(directory)?.sync_all()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use tempfile::TempDir;

    use super::*;

    fn with(text: &[u8]) -> (TempDir, StateFile) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("extensions_state.json");
        fs::write(&path, text).unwrap();
        (directory, StateFile::new(path))
    }

    #[track_caller]
    fn check(text: &[u8], outcome: Expect) {
        let (directory, file) = with(text);
        let state = file.read();
        outcome.assert_eq(&match state.warning {
            Some(warning) => {
                assert!(state.disabled.is_empty());
                warning.replace(&directory.path().display().to_string(), "config")
            }
            None => format!("{:?}", state.disabled),
        });
    }

    #[test]
    fn the_disabled_are_read() {
        check(br#"{"disabled":["b","a","b"]}"#, expect![[r#"{"a", "b"}"#]]);
    }

    #[test]
    fn no_key_disables_nothing() {
        check(b"{}", expect!["{}"]);
    }

    #[test]
    fn a_malformed_file_disables_nothing_and_warns() {
        check(
            b"{\"disabled\":[",
            expect![
                "`config/extensions_state.json` is malformed (EOF while parsing a list at line 1 column 13): no extension is disabled by it"
            ],
        );
        check(
            b"",
            expect![
                "`config/extensions_state.json` is malformed (EOF while parsing a value at line 1 column 0): no extension is disabled by it"
            ],
        );
        check(
            b"[]",
            expect![
                "`config/extensions_state.json` is malformed (it is no object): no extension is disabled by it"
            ],
        );
        check(
            br#"{"disabled":"marketing"}"#,
            expect![
                "`config/extensions_state.json` is malformed (`disabled` is no list): no extension is disabled by it"
            ],
        );
        check(
            br#"{"disabled":["a",1]}"#,
            expect![
                "`config/extensions_state.json` is malformed (`disabled` holds `1`, no slug): no extension is disabled by it"
            ],
        );
        check(
            b"\xff\xfe",
            expect![
                "`config/extensions_state.json` is malformed (expected value at line 1 column 1): no extension is disabled by it"
            ],
        );
        check(
            &[b"[".repeat(2000)].concat(),
            expect![
                "`config/extensions_state.json` is malformed (recursion limit exceeded at line 1 column 128): no extension is disabled by it"
            ],
        );
        check(
            &vec![b' '; 1024 * 1024 + 1],
            expect![
                "`config/extensions_state.json` is malformed (it is longer than 1 MiB): no extension is disabled by it"
            ],
        );
    }

    #[test]
    fn a_missing_file_disables_nothing_and_warns() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateFile::new(directory.path().join("none.json")).read();
        assert!(state.disabled.is_empty() && state.warning.unwrap().contains("does not exist"));
    }

    #[test]
    fn a_change_is_there_on_the_next_read_and_other_keys_stay() {
        let (_directory, file) = with(br#"{"note":{"z":1,"a":[null]},"disabled":["b"]}"#);
        assert!(file.set("a", true).unwrap());
        assert!(!file.set("a", true).unwrap());
        assert!(file.set("b", false).unwrap());
        assert_eq!(
            file.read(),
            State { disabled: BTreeSet::from(["a".to_owned()]), warning: None }
        );
        let text: Value = serde_json::from_slice(&fs::read(&file.path).unwrap()).unwrap();
        assert_eq!(text["note"], serde_json::json!({"z": 1, "a": [null]}));
    }

    #[test]
    fn a_missing_file_is_made_with_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let file = StateFile::new(directory.path().join("config/extensions_state.json"));
        assert!(file.set("a", true).unwrap());
        assert_eq!(file.read().disabled.len(), 1);
    }

    #[test]
    fn what_was_malformed_is_kept_beside() {
        let (_directory, file) = with(b"{oops");
        assert!(file.set("a", true).unwrap());
        assert_eq!(file.read().disabled.len(), 1);
        assert_eq!(fs::read(beside(&file.path, ".malformed")).unwrap(), b"{oops");
    }

    #[test]
    fn a_link_stays_a_link() {
        let (directory, file) = with(b"{}");
        let link = directory.path().join("link.json");
        std::os::unix::fs::symlink(&file.path, &link).unwrap();
        assert!(StateFile::new(&link).set("a", true).unwrap());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(file.read().disabled.len(), 1);
    }

    #[test]
    fn concurrent_writers_lose_nothing_and_readers_see_whole_files() {
        let (_directory, file) = with(b"{}");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let file = &file;
                scope.spawn(move || {
                    for number in 0..25 {
                        assert!(file.set(&format!("w{writer}-{number}"), true).unwrap());
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..200 {
                    assert_eq!(file.read().warning, None);
                }
            });
        });
        assert_eq!(file.read().disabled.len(), 100);
    }
}
