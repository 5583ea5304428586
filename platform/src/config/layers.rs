use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use config::{FileFormat, Source as _};
use serde_json::{Map, Value};

use super::keys::{KEYS, nearest};
use super::value::{Bytes, Raw, Setting};
use super::{ConfigError, Explained, Origin, origin};

/// The settings file that is read where no other is named, below the working directory.
pub const DEFAULT_FILE: &str = "config/powernode.toml";

/// The variable that names another settings file.
const FILE_VARIABLE: &str = "POWERNODE_CONFIG";

const PREFIX: &str = "POWERNODE_";

/// Where settings are read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The settings file, which then must exist; none: [`DEFAULT_FILE`], which may be missing.
    pub file: Option<PathBuf>,
    /// The environment's variables.
    pub environment: Vec<(OsString, OsString)>,
    /// What the command line says, by key.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// Takes the environment of this process. `POWERNODE_CONFIG` names the file where `file` does not.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Sources {
        let file = file.or_else(|| std::env::var_os(FILE_VARIABLE).map(PathBuf::from));
        Sources { file, environment: std::env::vars_os().collect(), flags }
    }
}

/// All layers, laid over each other.
pub(super) struct Layers {
    leaves: BTreeMap<Vec<String>, Leaf>,
    problems: Vec<ConfigError>,
    // What each key that was read must be.
    expected: RefCell<BTreeMap<String, &'static str>>,
}

struct Leaf {
    raw: Raw,
    origin: Origin,
}

impl Layers {
    /// The defaults, and nothing else.
    pub(super) fn defaults() -> Layers {
        let mut layers =
            Layers { leaves: BTreeMap::new(), problems: Vec::new(), expected: RefCell::default() };
        KEYS.iter().for_each(|key| layers.reset(key.name));
        layers
    }

    /// Reads every source; what cannot be used is left out, and kept as a problem.
    pub(super) fn collect(sources: Sources) -> Layers {
        let mut layers = Layers::defaults();
        if let Err(problem) = layers.file(sources.file) {
            layers.problems.push(problem);
        }
        layers.environment(sources.environment);
        for (key, value) in sources.flags {
            layers.lay(path(&key), Raw::Text(value), Origin::Flag);
        }
        layers
    }

    /// Takes what could not be used, in the order in which it was found.
    pub(super) fn problems(&mut self) -> Vec<ConfigError> {
        std::mem::take(&mut self.problems)
    }

    /// Sets a key back to its default.
    pub(super) fn reset(&mut self, name: &str) {
        self.leaves.remove(&path(name));
        let default = KEYS.iter().find(|key| key.name == name).and_then(|key| key.default);
        if let Some(default) = default {
            let (raw, origin) = (Raw::Text(default.to_owned()), Origin::Default);
            self.leaves.insert(path(name), Leaf { raw, origin });
        }
    }

    /// Returns what the value of `key` must be, once it was read.
    pub(super) fn expected(&self, key: &str) -> Option<&'static str> {
        self.expected.borrow().get(key).copied()
    }

    /// Reads the value of `key` as a `T`.
    pub(super) fn get<T: Setting>(&self, key: &str) -> Result<T, ConfigError> {
        self.expected.borrow_mut().insert(key.to_owned(), T::EXPECTED);
        let leaf = self.leaves.get(&path(key));
        T::read(leaf.map(|leaf| &leaf.raw)).ok_or_else(|| ConfigError::WrongValue {
            key: key.to_owned(),
            origin: leaf.map_or(Origin::Default, |leaf| leaf.origin.clone()),
            expected: T::EXPECTED,
            found: leaf.map_or_else(
                || "nothing".to_owned(),
                |leaf| format!("`{}`", origin::mask(key, leaf.raw.to_string())),
            ),
        })
    }

    /// Reads the value of `key` as a number of bytes.
    pub(super) fn bytes(&self, key: &str) -> Result<usize, ConfigError> {
        self.get(key).map(|Bytes(bytes)| bytes)
    }

    /// Sets a default that follows from another setting.
    pub(super) fn default(&mut self, key: &str, value: &Path) {
        self.leaves.entry(path(key)).or_insert_with(|| Leaf {
            raw: Raw::Text(value.to_string_lossy().into_owned()),
            origin: Origin::Default,
        });
    }

    /// Returns the free sections, by slug.
    pub(super) fn extensions(&self) -> BTreeMap<String, Value> {
        let mut sections = BTreeMap::new();
        for (path, leaf) in &self.leaves {
            if let [first, slug, inner @ ..] = path.as_slice()
                && first == "extension"
            {
                let section =
                    sections.entry(slug.clone()).or_insert_with(|| Value::Object(Map::new()));
                if let Some((last, parents)) = inner.split_last() {
                    insert(section, parents, last, leaf.raw.to_json());
                }
            }
        }
        sections
    }

    /// Returns every known key and every free one, by name, as an operator may read it.
    pub(super) fn explain(&self) -> Vec<Explained> {
        let unset =
            KEYS.iter().map(|key| path(key.name)).filter(|key| !self.leaves.contains_key(key));
        let unset =
            unset.map(|key| Explained { key: key.join("."), value: None, origin: Origin::Default });
        let set = self.leaves.iter().map(|(key, leaf)| {
            let key = key.join(".");
            let value = Some(origin::mask(&key, leaf.raw.to_string()));
            Explained { key, value, origin: leaf.origin.clone() }
        });
        let mut rows: Vec<Explained> = set.chain(unset).collect();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows
    }

    fn file(&mut self, named: Option<PathBuf>) -> Result<(), ConfigError> {
        let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(());
            }
            Err(source) => return Err(ConfigError::Unreadable { path, source }),
        };
        let not_toml = |error: config::ConfigError| {
            let message = error.to_string().trim_end().to_owned();
            ConfigError::NotToml { path: path.clone(), message }
        };
        let table = config::File::from_str(&text, FileFormat::Toml).collect().map_err(not_toml)?;
        let origin = Origin::File(path.clone());
        for (key, value) in table {
            self.flatten(vec![key], value.try_deserialize().map_err(not_toml)?, &origin);
        }
        Ok(())
    }

    fn flatten(&mut self, path: Vec<String>, value: Value, origin: &Origin) {
        match value {
            Value::Object(table) if !table.is_empty() || is_section(&path) => {
                for (key, value) in table {
                    let mut path = path.clone();
                    path.push(key);
                    self.flatten(path, value, origin);
                }
            }
            value => self.lay(path, Raw::Typed(value), origin.clone()),
        }
    }

    fn environment(&mut self, variables: Vec<(OsString, OsString)>) {
        for (name, value) in variables {
            let name = name.to_string_lossy().into_owned();
            let Some(key) = name.strip_prefix(PREFIX).filter(|_| name != FILE_VARIABLE) else {
                continue;
            };
            let mut path: Vec<String> =
                key.to_ascii_lowercase().split("__").map(str::to_owned).collect();
            if let [first, slug, ..] = path.as_mut_slice()
                && first == "extension"
            {
                // A slug has hyphens, which a variable's name cannot have.
                *slug = slug.replace('_', "-");
            }
            match value.into_string() {
                Ok(value) => self.lay(path, Raw::Text(value), Origin::Env(name)),
                Err(_) => self.problems.push(ConfigError::NotUtf8 { name }),
            }
        }
    }

    /// Lays one value over what stands there, or keeps why that cannot be.
    fn lay(&mut self, path: Vec<String>, raw: Raw, origin: Origin) {
        if let Err(problem) = self.set(path, raw, origin) {
            self.problems.push(problem);
        }
    }

    /// Lays one value over what stands there.
    fn set(&mut self, path: Vec<String>, raw: Raw, origin: Origin) -> Result<(), ConfigError> {
        let key = path.join(".");
        match path.as_slice() {
            [first, _, _, ..] if first == "extension" => {}
            [first, _] if first == "extension" => {
                // An empty section is a section.
                if !matches!(&raw, Raw::Typed(Value::Object(_))) {
                    let found = format!("`{}`", origin::mask(&key, raw.to_string()));
                    let expected = "a section";
                    return Err(ConfigError::WrongValue { key, origin, expected, found });
                }
            }
            _ if KEYS.iter().any(|known| known.name == key) => {}
            _ => {
                let nearest = nearest(&key);
                return Err(ConfigError::UnknownKey { key, origin, nearest });
            }
        }
        if key == "secrets.key" && !matches!(origin, Origin::Env(_)) {
            let variable = "POWERNODE_SECRETS__KEY";
            return Err(ConfigError::OnlyByEnvironment { key, origin, variable });
        }
        // Where a free section has a table and a later layer a plain value, or the other way round,
        // the later one stands alone.
        self.leaves.retain(|other, _| !(other.starts_with(&path) || path.starts_with(other)));
        self.leaves.insert(path, Leaf { raw, origin });
        Ok(())
    }
}

fn path(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}

/// Whether keys begin with this path, so that an empty table here says nothing.
fn is_section(path: &[String]) -> bool {
    let start = path.join(".") + ".";
    path == ["extension"] || KEYS.iter().any(|key| key.name.starts_with(&start))
}

fn insert(section: &mut Value, parents: &[String], last: &str, value: Value) {
    let mut place = section;
    for parent in parents {
        let Value::Object(table) = place else { return };
        place = table.entry(parent.clone()).or_insert_with(|| Value::Object(Map::new()));
    }
    if let Value::Object(table) = place {
        table.insert(last.to_owned(), value);
    }
}
