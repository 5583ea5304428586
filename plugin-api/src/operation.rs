//! What a route says of itself: who may call it, what it takes, what it answers.

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who answers for identity on a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// Nobody said; the platform refuses such a route.
    #[default]
    Undeclared,
    /// The core's tokens; the caller must hold this permission.
    Permission(String),
    /// Anybody.
    Public,
    /// Whoever follows a link that the extension signed for this purpose: `{link}` in the path.
    Signed(String),
    /// The extension itself: headers such as `Authorization` go through untouched.
    Extension,
}

/// One parameter in the path or the query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// `path` or `query`.
    #[serde(rename = "in")]
    pub place: String,
    /// Whether it must be there.
    pub required: bool,
    /// Its JSON Schema.
    pub schema: Value,
}

/// A route's description; crosses the boundary as JSON text, and becomes its OpenAPI operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Operation {
    /// Who answers for identity.
    pub identity: Identity,
    /// One line for people.
    pub summary: String,
    /// Parameters.
    pub parameters: Vec<Parameter>,
    /// JSON Schema of the body, if it takes one.
    pub body: Option<Value>,
    /// Schemas of a body in other media types than JSON: `text/csv`.
    pub other_bodies: BTreeMap<String, Value>,
    /// JSON Schema of the answer by status; null where it has no body.
    pub answers: BTreeMap<u16, Value>,
    /// Schemas of the answer 200 in other media types than JSON, for clients that ask for one: `text/html`.
    pub other_answers: BTreeMap<String, Value>,
    /// Milliseconds that a request may take, if not the platform's own.
    pub deadline_ms: Option<u64>,
}

impl Operation {
    /// Adds what stands in the query, by the properties of `T`.
    pub fn query<T: JsonSchema>(&mut self) {
        let schema = schema_of::<T>();
        let required: Vec<&str> = schema["required"]
            .as_array()
            .map(|it| it.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            self.parameters.push(Parameter {
                name: name.clone(),
                place: "query".to_owned(),
                required: required.contains(&name.as_str()),
                schema: property.clone(),
            });
        }
    }

    /// Sets the body's type.
    pub fn body<T: JsonSchema>(&mut self) {
        self.body = Some(schema_of::<T>());
    }

    /// Adds an answer whose `data` has that type.
    pub fn answer<T: JsonSchema>(&mut self, status: u16) {
        self.answers.insert(status, schema_of::<T>());
    }
}

/// The JSON Schema of a type as OpenAPI 3.1 has it, with everything in place.
pub fn schema_of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    SchemaGenerator::new(settings).into_root_schema_for::<T>().to_value()
}
