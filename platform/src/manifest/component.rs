use std::fmt;

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, value::MapAccessDeserializer},
};

/// The layers that an extension contributes to; one that is left out is not contributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Components {
    /// Routes and tables.
    #[serde(default)]
    pub server: bool,
    /// Pages.
    #[serde(default)]
    pub frontend: bool,
    /// Jobs, schedules and subscriptions: a boolean, or `{"api_only": true}`.
    #[serde(default)]
    #[schemars(with = "WorkerSchema")]
    pub worker: Worker,
}

/// Whether an extension contributes jobs, and what they may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worker {
    /// Whether it contributes jobs at all.
    pub enabled: bool,
    /// Whether its jobs have an API client instead of the database.
    pub api_only: bool,
}

/// How a worker may be written.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it only describes the schema")]
enum WorkerSchema {
    Switch(bool),
    Table(WorkerTable),
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct WorkerTable {
    #[serde(default)]
    api_only: bool,
}

impl Serialize for Worker {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.enabled && self.api_only {
            WorkerTable { api_only: true }.serialize(serializer)
        } else {
            serializer.serialize_bool(self.enabled)
        }
    }
}

impl<'de> Deserialize<'de> for Worker {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WorkerVisitor)
    }
}

struct WorkerVisitor;

impl<'de> de::Visitor<'de> for WorkerVisitor {
    type Value = Worker;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or {\"api_only\": true}")
    }

    fn visit_bool<E: de::Error>(self, enabled: bool) -> Result<Worker, E> {
        Ok(Worker { enabled, api_only: false })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Worker, A::Error> {
        let WorkerTable { api_only } = Deserialize::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Worker { enabled: true, api_only })
    }
}
