//! From what a layer holds to what the platform uses.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use serde_json::Value;

use super::{Confinement, Durability, LogFormat, Network};

/// What a layer holds: a file has types, the environment and the command line have text.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    /// Text that may stand for anything.
    Text(String),
    /// A value with a type.
    Typed(Value),
}

impl Raw {
    /// Returns the value as JSON; text that is JSON's number, boolean or list is that.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Raw::Typed(value) => value.clone(),
            Raw::Text(text) => match serde_json::from_str(text) {
                Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Array(_))) => value,
                _ => Value::String(text.clone()),
            },
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Raw::Text(text) => Some(text),
            Raw::Typed(value) => value.as_str(),
        }
    }

    fn number(&self) -> Option<u64> {
        match self {
            Raw::Text(text) => text.trim().parse().ok(),
            Raw::Typed(value) => value.as_u64(),
        }
    }
}

impl std::fmt::Display for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Raw::Text(text) | Raw::Typed(Value::String(text)) => f.write_str(text),
            Raw::Typed(value) => write!(f, "{value}"),
        }
    }
}

/// A type that a setting can have.
pub(super) trait Setting: Sized {
    /// What the value must be, for the error.
    const EXPECTED: &'static str;

    /// Reads the value; none where it is not of this type. An absent one comes as none.
    fn read(raw: Option<&Raw>) -> Option<Self>;
}

impl<T: Setting> Setting for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(raw: Option<&Raw>) -> Option<Self> {
        match raw {
            None => Some(None),
            Some(Raw::Text(text)) if text.is_empty() => Some(None),
            Some(_) => T::read(raw).map(Some),
        }
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "text";

    fn read(raw: Option<&Raw>) -> Option<Self> {
        raw?.text().map(str::to_owned)
    }
}

impl Setting for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn read(raw: Option<&Raw>) -> Option<Self> {
        raw?.text().filter(|text| !text.is_empty()).map(PathBuf::from)
    }
}

impl Setting for u16 {
    const EXPECTED: &'static str = "a number from 0 to 65535";

    fn read(raw: Option<&Raw>) -> Option<Self> {
        raw?.number()?.try_into().ok()
    }
}

impl Setting for u32 {
    const EXPECTED: &'static str = "a number from 1 to 4294967295";

    fn read(raw: Option<&Raw>) -> Option<Self> {
        raw?.number()?.try_into().ok().filter(|number| *number > 0)
    }
}

impl Setting for usize {
    const EXPECTED: &'static str = "a number, 0 or more";

    fn read(raw: Option<&Raw>) -> Option<Self> {
        raw?.number()?.try_into().ok()
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "`true` or `false`";

    fn read(raw: Option<&Raw>) -> Option<Self> {
        raw?.to_string().parse().ok()
    }
}

impl Setting for IpAddr {
    const EXPECTED: &'static str = "an IP address, such as `127.0.0.1`";

    fn read(raw: Option<&Raw>) -> Option<Self> {
        raw?.text()?.parse().ok()
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str =
        "a duration above zero with its unit, such as `500ms`, `5s`, `2m`";

    fn read(raw: Option<&Raw>) -> Option<Self> {
        let (number, unit) = split(raw?.text()?)?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        Some(Duration::from_millis(number.checked_mul(milliseconds)?))
            .filter(|time| !time.is_zero())
    }
}

impl Setting for Url {
    const EXPECTED: &'static str = "an address, such as `http://10.0.0.5:8080`";

    fn read(raw: Option<&Raw>) -> Option<Self> {
        let url = Url::parse(raw?.text()?).ok()?;
        matches!(url.scheme(), "http" | "https").then_some(url)
    }
}

impl Setting for Vec<Network> {
    const EXPECTED: &'static str = "a list of addresses or ranges, such as `10.0.0.0/8`";

    fn read(raw: Option<&Raw>) -> Option<Self> {
        match raw? {
            Raw::Text(text) => {
                text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(parse).collect()
            }
            Raw::Typed(Value::Array(parts)) => {
                parts.iter().map(|part| parse(part.as_str()?)).collect()
            }
            Raw::Typed(_) => None,
        }
    }
}

impl Setting for Durability {
    const EXPECTED: &'static str = "`normal` or `full`";

    fn read(raw: Option<&Raw>) -> Option<Self> {
        match raw?.text()? {
            "normal" => Some(Durability::Normal),
            "full" => Some(Durability::Full),
            _ => None,
        }
    }
}

impl Setting for Confinement {
    const EXPECTED: &'static str = "`roles` or `search_path`";

    fn read(raw: Option<&Raw>) -> Option<Self> {
        match raw?.text()? {
            "roles" => Some(Confinement::Roles),
            "search_path" => Some(Confinement::SearchPath),
            _ => None,
        }
    }
}

impl Setting for LogFormat {
    const EXPECTED: &'static str = "`text` or `json`";

    fn read(raw: Option<&Raw>) -> Option<Self> {
        match raw?.text()? {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        }
    }
}

/// A number of bytes, with or without a unit.
pub(super) struct Bytes(pub(super) usize);

impl Setting for Bytes {
    const EXPECTED: &'static str =
        "a number of bytes above zero, such as `65536`, `512KiB`, `1MiB`";

    fn read(raw: Option<&Raw>) -> Option<Self> {
        let raw = raw?;
        let bytes = match raw.number() {
            Some(bytes) => bytes,
            None => {
                let (number, unit) = split(raw.text()?)?;
                let factor = match unit {
                    "B" => 1,
                    "KiB" => 1 << 10,
                    "MiB" => 1 << 20,
                    "GiB" => 1 << 30,
                    _ => return None,
                };
                number.checked_mul(factor)?
            }
        };
        bytes.try_into().ok().filter(|bytes| *bytes > 0).map(Bytes)
    }
}

/// Splits `5s` into 5 and `s`; a space between them is allowed.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
    Some((number.parse().ok()?, unit.trim()))
}

fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}
