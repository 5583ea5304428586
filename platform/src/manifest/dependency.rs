use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use semver::VersionReq;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, value::MapAccessDeserializer},
};

use super::Slug;

/// Another extension that must be loaded first: a slug, or `{"slug": …, "version": "^1.2"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// The other extension.
    pub slug: Slug,
    /// The versions of it that will do; any, where the manifest names none.
    pub version: VersionReq,
}

impl<'de> Deserialize<'de> for Dependency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DependencyVisitor)
    }
}

struct DependencyVisitor;

impl<'de> de::Visitor<'de> for DependencyVisitor {
    type Value = Dependency;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a slug or {\"slug\": …, \"version\": …}")
    }

    fn visit_str<E: de::Error>(self, slug: &str) -> Result<Dependency, E> {
        let slug = slug.parse().map_err(E::custom)?;
        Ok(Dependency { slug, version: VersionReq::STAR })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Dependency, A::Error> {
        let table = DependencyTable::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Dependency { slug: table.slug, version: table.version })
    }
}

#[derive(Deserialize, JsonSchema)]
struct DependencyTable {
    slug: Slug,
    #[serde(default)]
    #[schemars(with = "String")]
    version: VersionReq,
}

/// How a dependency may be written.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it only describes the schema")]
enum DependencySchema {
    Slug(Slug),
    Table(DependencyTable),
}

impl JsonSchema for Dependency {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Dependency".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        DependencySchema::json_schema(generator)
    }
}
