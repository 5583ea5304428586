use std::path::PathBuf;

use super::Origin;

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that was asked for is not there, or cannot be read.
    #[error("cannot read the settings file `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the settings file `{}` is no TOML: {message}", path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// Where, and what was expected there.
        message: String,
    },
    /// No setting has this name.
    #[error("unknown setting `{key}` ({origin}); the nearest is `{nearest}`")]
    UnknownKey {
        /// The name, with dots.
        key: String,
        /// Where it was set.
        origin: Origin,
        /// The setting that is spelt most like it.
        nearest: &'static str,
    },
    /// The value cannot be what the key says.
    #[error("setting `{key}` ({origin}): expected {expected}, found {found}")]
    WrongValue {
        /// The key, with dots.
        key: String,
        /// Where it was set.
        origin: Origin,
        /// What the value must be.
        expected: &'static str,
        /// What it is, masked where it is a secret.
        found: String,
    },
    /// The master key stands where others can read it.
    #[error(
        "setting `{key}` ({origin}) may only be set by the environment, as {variable}; \
         or name a file with `secrets.key_file`"
    )]
    OnlyByEnvironment {
        /// The key, with dots.
        key: String,
        /// Where it was set.
        origin: Origin,
        /// The variable that may hold it.
        variable: &'static str,
    },
    /// A variable of the environment is not UTF-8.
    #[error("the environment variable {name} is not UTF-8")]
    NotUtf8 {
        /// The variable.
        name: String,
    },
}

impl ConfigError {
    /// Returns the key that it is about; none where it is about a whole source.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::UnknownKey { key, .. }
            | Self::WrongValue { key, .. }
            | Self::OnlyByEnvironment { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Returns where that stands.
    pub fn origin(&self) -> Option<Origin> {
        match self {
            Self::UnknownKey { origin, .. }
            | Self::WrongValue { origin, .. }
            | Self::OnlyByEnvironment { origin, .. } => Some(origin.clone()),
            Self::Unreadable { path, .. } | Self::NotToml { path, .. } => {
                Some(Origin::File(path.clone()))
            }
            Self::NotUtf8 { name } => Some(Origin::Env(name.clone())),
        }
    }
}
