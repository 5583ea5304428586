//! What a route of the core takes and answers, from the types that it reads and writes.

use std::collections::BTreeMap;

use powernode_plugin_api::operation::schema_of;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::http::route::{Asks, CoreRoute};

/// The failures that have a response of their own, shared by all routes: status, name, and what they mean.
const FAILURES: [(u16, &str, &str); 10] = [
    (400, "Malformed", "The body is no JSON"),
    (401, "Unauthorized", "There is no token that is valid"),
    (403, "Forbidden", "The token lacks a permission"),
    (404, "NotFound", "There is no such thing for this caller"),
    (408, "TooSlow", "The body took too long"),
    (409, "Conflict", "The state of things does not allow it"),
    (413, "TooLarge", "The body is too large"),
    (415, "UnsupportedMediaType", "The body is not application/json"),
    (422, "Invalid", "A field is not valid; `errors` names it"),
    (429, "RateLimited", "Too many requests; `Retry-After` says how long to wait"),
];

/// Makes the schemas of what is answered: types stand once, below `components`.
pub(super) fn generator() -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.meta_schema = None;
    settings.definitions_path = "/components/schemas".into();
    SchemaGenerator::new(settings)
}

/// The operation of a route.
pub(super) fn operation(route: &CoreRoute, generator: &mut SchemaGenerator) -> Value {
    let mut it = Describe {
        generator,
        path: BTreeMap::new(),
        query: Vec::new(),
        body: None,
        responses: Map::new(),
    };
    let names = names_of(route.path);
    let refused: &[u16] = match route.asks {
        Asks::Nothing => &[429],
        Asks::Token => &[401, 429],
        Asks::Permission(_) => &[401, 403, 429],
    };
    it.responses.extend(failures(refused).chain(failures(if names.is_empty() {
        &[]
    } else {
        &[404]
    })));
    let it = (route.describe)(it);
    let any = json!({ "type": "string", "minLength": 1 });
    let parameters = names.into_iter().map(|name| {
        let schema = it.path.get(name).unwrap_or(&any);
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    });
    let parameters: Vec<_> = parameters.chain(it.query.iter().cloned()).collect();
    let mut responses = it.responses;
    responses.insert("default".to_owned(), failure("Failure"));
    let mut operation = json!({
        "operationId": name(route),
        "summary": route.summary,
        "tags": [if route.path.starts_with(crate::http::admin::BASE) { "admin" } else { "core" }],
        "parameters": parameters,
        "security": match route.asks { Asks::Nothing => json!([]), _ => json!([{ "token": [] }]) },
        "x-powernode-identity": match route.asks {
            Asks::Nothing => "public",
            Asks::Token => "token",
            Asks::Permission(_) => "permission",
        },
        "x-powernode-permission": match route.asks { Asks::Permission(it) => json!(it), _ => Value::Null },
        "responses": responses,
    });
    if let (Some(operation), Some(body)) = (operation.as_object_mut(), it.body) {
        operation.insert("requestBody".to_owned(), content(body));
    }
    operation
}

/// `getApiV1AdminFlags`, …
fn name(route: &CoreRoute) -> String {
    let words =
        route.path.split(|it: char| !it.is_ascii_alphanumeric()).filter(|it| !it.is_empty());
    let mut name = route.method.as_str().to_lowercase();
    for word in words {
        let (first, rest) = word.split_at(1);
        name.push_str(&first.to_uppercase());
        name.push_str(rest);
    }
    name
}

/// What a route says of itself.
pub(in crate::http) struct Describe<'a> {
    generator: &'a mut SchemaGenerator,
    path: BTreeMap<&'static str, Value>,
    query: Vec<Value>,
    body: Option<Value>,
    responses: Map<String, Value>,
}

impl Describe<'_> {
    /// A parameter of the path that is no mere text.
    pub(in crate::http) fn path(mut self, name: &'static str, schema: Value) -> Self {
        self.path.insert(name, schema);
        self
    }

    /// What stands in the query, by the fields of `T`.
    pub(in crate::http) fn query<T: JsonSchema>(mut self) -> Self {
        let schema = schema_of::<T>();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let mut schema = property.clone();
            let description = schema.as_object_mut().and_then(|it| it.remove("description"));
            // What is not there is left out of a query: null cannot stand in it.
            if let Some(Value::Array(types)) = schema.get("type")
                && let Some(own) = types.iter().find(|it| *it != "null").cloned()
            {
                schema["type"] = own;
            }
            if schema["type"] == "string"
                && schema.get("format").or_else(|| schema.get("pattern")).is_none()
            {
                schema["pattern"] = json!("^[^\\u0000]*$");
            }
            let is_required = required.contains(&json!(name));
            let mut parameter =
                json!({ "name": name, "in": "query", "required": is_required, "schema": schema });
            if let Some(description) = description {
                parameter["description"] = description;
            }
            self.query.push(parameter);
        }
        self.refuses(422)
    }

    /// The body that it takes.
    pub(in crate::http) fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(schema_of::<T>());
        self.responses.extend(failures(&[400, 408, 413, 415, 422]));
        self
    }

    /// 200 with data of a type, in the envelope.
    pub(in crate::http) fn ok<T: JsonSchema>(self) -> Self {
        let data = self.generator.subschema_for::<T>().to_value();
        self.answers("200", &enveloped(&data, None))
    }

    /// 201 with what was made, in the envelope.
    pub(in crate::http) fn created<T: JsonSchema>(self) -> Self {
        let data = self.generator.subschema_for::<T>().to_value();
        self.answers("201", &enveloped(&data, None))
    }

    /// 200 with one page of rows, in the envelope.
    pub(in crate::http) fn page_of<T: JsonSchema>(mut self) -> Self {
        let rows = self.generator.subschema_for::<Vec<T>>().to_value();
        let number = |name: &str, default: u32| {
            let schema =
                json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX, "default": default });
            json!({ "name": name, "in": "query", "required": false, "schema": schema })
        };
        self.query.extend([number("page", 1), number("per_page", 25)]);
        self.answers("200", &enveloped(&rows, Some("Page"))).refuses(422)
    }

    /// An answer outside of the envelope.
    pub(in crate::http) fn plain<T: JsonSchema>(self, status: &str) -> Self {
        let schema = self.generator.subschema_for::<T>().to_value();
        self.answers(status, &schema)
    }

    /// 200 with a text.
    pub(in crate::http) fn text(mut self, media: &str) -> Self {
        let response = json!({ "description": "done", "content": { media: { "schema": { "type": "string" } } } });
        self.responses.insert("200".to_owned(), response);
        self
    }

    /// A failure that it may answer.
    pub(in crate::http) fn refuses(mut self, status: u16) -> Self {
        self.responses.extend(failures(&[status]));
        self
    }

    fn answers(mut self, status: &str, schema: &Value) -> Self {
        let mut response = content(schema.clone());
        response["description"] = json!("done");
        if let Some(response) = response.as_object_mut() {
            response.remove("required");
        }
        self.responses.insert(status.to_owned(), response);
        self
    }
}

fn enveloped(data: &Value, meta: Option<&str>) -> Value {
    let mut schema = json!({
        "type": "object",
        "required": ["success", "data"],
        "properties": { "success": { "const": true }, "data": data },
        "additionalProperties": false,
    });
    if let Some(meta) = meta {
        schema["required"] = json!(["success", "data", "meta"]);
        schema["properties"]["meta"] = json!({ "$ref": format!("#/components/schemas/{meta}") });
    }
    schema
}

fn content(schema: Value) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

/// The failure of that name, among the shared responses.
pub(super) fn failure(name: &str) -> Value {
    json!({ "$ref": format!("#/components/responses/{name}") })
}

/// The failures that extensions' routes share with the core's.
pub(super) fn failures(statuses: &[u16]) -> impl Iterator<Item = (String, Value)> + use<'_> {
    let shared = FAILURES.iter().filter(|it| statuses.contains(&it.0));
    shared.map(|(status, name, _)| (status.to_string(), failure(name)))
}

/// The shared responses.
pub(in crate::http) fn responses() -> Map<String, Value> {
    let all = FAILURES.iter().map(|(status, name, means)| (*status, *name, *means));
    let all = all.chain([(0, "Failure", "It failed")]);
    all.map(|(status, name, means)| {
        let schema = json!({ "$ref": "#/components/schemas/Failure" });
        let mut response =
            json!({ "description": means, "content": { "application/json": { "schema": schema } } });
        let number = json!({ "schema": { "type": "integer", "minimum": 0 } });
        let header = match status {
            401 => Some(("WWW-Authenticate", json!({ "schema": { "type": "string" } }))),
            429 => Some(("Retry-After", number.clone())),
            _ => None,
        };
        if let Some((header, schema)) = header {
            response["headers"] = json!({ header: schema });
        }
        if status == 429 {
            for header in ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"] {
                response["headers"][header] = number.clone();
            }
        }
        (name.to_owned(), response)
    })
    .collect()
}

/// The envelope's own types.
pub(super) fn schemas() -> [(&'static str, Value); 2] {
    let text = json!({ "type": "string" });
    let count = json!({ "type": "integer", "minimum": 0 });
    let from_one = json!({ "type": "integer", "minimum": 1 });
    let failure = json!({
        "type": "object",
        "required": ["success", "error", "code", "request_id"],
        "properties": {
            "success": { "const": false },
            "error": text,
            "errors": { "type": "array", "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": { "field": text, "message": text },
                "additionalProperties": false,
            } },
            "code": { "type": "string", "pattern": "^[A-Z][A-Z0-9_]*$" },
            "request_id": text,
        },
        "additionalProperties": false,
    });
    let page = json!({
        "type": "object",
        "required": ["pagination"],
        "properties": { "pagination": {
            "type": "object",
            "required": ["current_page", "per_page", "total_count", "total_pages"],
            "properties": {
                "current_page": from_one, "per_page": from_one,
                "total_count": count, "total_pages": count,
            },
            "additionalProperties": false,
        } },
        "additionalProperties": false,
    });
    [("Failure", failure), ("Page", page)]
}

/// Names in braces, in order.
fn names_of(path: &str) -> Vec<&str> {
    let names = path.split('{').skip(1).filter_map(|it| it.split_once('}'));
    names.map(|(name, _)| name).collect()
}
