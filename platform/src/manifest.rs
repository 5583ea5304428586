//! `extension.json`: what an extension says of itself, read and checked.
//!
//! A manifest is a file that anybody may have written: its size, depth and
//! encoding are bounded before it is parsed, a bad field is named with its
//! path, and a key that this version does not know is a warning.

mod component;
mod dependency;
mod error;
mod library;
mod page;
mod read;
mod refusal;
mod rules;
mod schema;
mod slug;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

pub use self::{
    component::{Components, Worker},
    dependency::Dependency,
    error::ManifestError,
    library::{Library, PanicStrategy, Sha256},
    page::{Frontend, NavEntry},
    read::{MAX_BYTES, MAX_DEPTH, Parsed, parse, read},
    refusal::{Refusal, Stage},
    rules::{CORE_ROUTES, RESERVED_SLUGS},
    schema::schema,
    slug::{InvalidSlug, Slug},
};

/// The manifest's file name in an extension's directory.
pub const FILE_NAME: &str = "extension.json";

/// An extension's manifest, `extension.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "a manifest, which is a JSON object")]
pub struct Manifest {
    /// Where an editor finds the schema of this file.
    #[serde(default, rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// What people call the extension.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// The name of its directory, and the beginning of its routes and tables.
    pub slug: Slug,
    /// The extension's semantic version.
    #[schemars(with = "String", regex(pattern = r"^\d+\.\d+\.\d+"))]
    pub version: Version,
    /// What it does, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Where more can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Its licence, as an SPDX expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Whether its source is public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
    /// The flag that switches it at run time: `<slug>_mode`, with underscores for hyphens, which is also the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_flag: Option<String>,
    /// Whether the flag is created on; an operator's choice always outranks it.
    #[serde(default)]
    pub default_enabled: bool,
    /// What it provides, under names that one extension alone may declare.
    #[serde(default)]
    #[schemars(inner(regex(pattern = r"^[a-z][a-z0-9_]*$")))]
    pub capabilities: Vec<String>,
    /// The layers it contributes to.
    #[serde(default)]
    pub components: Components,
    /// The extensions that must be loaded before it.
    #[serde(default)]
    pub dependencies: Vec<Dependency>,
    /// The range of plugin-api versions it works with, such as `^1.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub api: Option<VersionReq>,
    /// Its plugin libraries, by target triple.
    #[serde(default)]
    pub library: BTreeMap<String, Library>,
    /// Route prefixes that it owns beside `/api/v1/<slug>`.
    #[serde(default)]
    #[schemars(inner(regex(pattern = r"^/api/v1(/[a-z0-9][a-z0-9_-]*)+$")))]
    pub prefixes: Vec<String>,
    /// The permissions that it defines.
    #[serde(default)]
    pub permissions: Vec<Permission>,
    /// Its entries in the navigation.
    #[serde(default)]
    pub nav: Vec<NavEntry>,
    /// Its pages' bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontend: Option<Frontend>,
    /// A JSON Schema of its settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub settings: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Manifest {
    /// The flag that switches the extension at run time.
    pub fn flag(&self) -> String {
        self.slug.flag()
    }

    /// The route prefixes that it owns: its slug's own, then those it names.
    pub fn owned_prefixes(&self) -> impl Iterator<Item = String> {
        std::iter::once(self.slug.route_prefix()).chain(self.prefixes.iter().cloned())
    }
}

/// Whether an extension's source is public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Anybody may read it.
    Public,
    /// Its vendor alone has it.
    Private,
}

/// A permission that an extension defines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Permission {
    /// `resource.action`, in lower case.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$"))]
    pub name: String,
    /// What it allows, in a sentence.
    pub description: String,
}
