use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody chose: it is built in.
    Default,
    /// The file at this path.
    File(PathBuf),
    /// The environment variable of this name.
    Env(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Env(name) => write!(f, "env {name}"),
            Origin::Flag => f.write_str("flag"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One setting as an operator reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The key, with dots.
    pub key: String,
    /// The value; none where nothing is set. A secret is masked.
    pub value: Option<String>,
    /// Where the value came from.
    pub origin: Origin,
}

/// Returns what may be shown of the value of `key`.
pub(super) fn mask(key: &str, value: String) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    let secret =
        ["secret", "password", "token", "credential"].iter().any(|word| last.contains(word))
            || last == "key"
            || last.ends_with("_key");
    // A number of the core's own, such as a limit per token, is no secret.
    if secret && (key == "secrets.key" || key.starts_with("extension.")) {
        return "***".to_owned();
    }
    if value.contains("://") { mask_url(&value) } else { value }
}

/// Masks the password in an address such as `postgres://user:password@host/name`.
pub(super) fn mask_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (rest, query) = match rest.split_once('?') {
        // A password may stand among the parameters as well.
        Some((rest, query)) if query.contains("password") => (rest, "?***".to_owned()),
        Some((rest, query)) => (rest, format!("?{query}")),
        None => (rest, String::new()),
    };
    match rest.rsplit_once('@') {
        Some((login, place)) => {
            let user = login.split(':').next().unwrap_or_default();
            let mask = if login.contains(':') { ":***" } else { "" };
            format!("{scheme}://{user}{mask}@{place}{query}")
        }
        None => format!("{scheme}://{rest}{query}"),
    }
}
