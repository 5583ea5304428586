use std::{fmt, str::FromStr, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::error::shorten;

/// Longest slug, in bytes: a table name that begins with it must fit into PostgreSQL's 63.
const MAX_LENGTH: usize = 40;

/// An extension's short name: small letters, digits and single hyphens, such as `supply-chain`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(Arc<str>);

impl Slug {
    /// The slug as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The slug with underscores for hyphens.
    pub fn snake(&self) -> String {
        self.0.replace('-', "_")
    }

    /// What its tables' names begin with: `supply_chain_`.
    pub fn table_prefix(&self) -> String {
        self.snake() + "_"
    }

    /// The flag that switches it: `supply_chain_mode`.
    pub fn flag(&self) -> String {
        self.snake() + "_mode"
    }

    /// Where its routes live: `/api/v1/supply-chain`.
    pub fn route_prefix(&self) -> String {
        format!("/api/v1/{}", self.0)
    }
}

impl FromStr for Slug {
    type Err = InvalidSlug;

    fn from_str(text: &str) -> Result<Self, InvalidSlug> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let valid = text.len() <= MAX_LENGTH
            && text.starts_with(|it: char| it.is_ascii_lowercase())
            && text.split('-').all(|word| !word.is_empty() && word.bytes().all(plain));
        if valid { Ok(Self(text.into())) } else { Err(InvalidSlug(shorten(text))) }
    }
}

impl TryFrom<String> for Slug {
    type Error = InvalidSlug;

    fn try_from(text: String) -> Result<Self, InvalidSlug> {
        text.parse()
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0.as_ref().to_owned()
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::borrow::Borrow<str> for Slug {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl JsonSchema for Slug {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Slug".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An extension's short name, such as `supply-chain`.",
            "type": "string",
            "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
            "maxLength": MAX_LENGTH
        })
    }
}

/// The text is no slug.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no slug: expected at most {MAX_LENGTH} small letters and digits, beginning with a letter, with single hyphens between words"
)]
pub struct InvalidSlug(String);
