//! `/api/openapi.json`: the core's routes, and those of the extensions that are on.

use std::{collections::BTreeMap, sync::LazyLock};

use actix_web::{HttpResponse, web::Data};
use powernode_plugin_api::operation::{Identity, Operation};
use serde_json::{Map, Value, json};

use self::describe::{failure, failures};
use super::{
    route::{self, CoreRoute, get},
    state::Platform,
};
use crate::registry::Mounted;

pub(super) mod describe;
mod docs;

type Paths = BTreeMap<String, Map<String, Value>>;

/// The core's part, which stays the same.
pub(super) static CORE: LazyLock<(Paths, Map<String, Value>)> = LazyLock::new(|| {
    let mut generator = describe::generator();
    let mut paths = Paths::new();
    for route in route::all() {
        let operation = describe::operation(&route, &mut generator);
        let method = route.method.as_str().to_lowercase();
        paths.entry(route.path.to_owned()).or_default().insert(method, operation);
    }
    let mut schemas = generator.take_definitions(true);
    schemas.extend(describe::schemas().map(|(name, schema)| (name.to_owned(), schema)));
    (paths, schemas)
});

/// The document's own route, and those of the page that shows it.
pub(super) fn table() -> Vec<CoreRoute> {
    let route = get("/api/openapi.json", document).public();
    let route = route.says("Describe the API", |it| it.plain::<Map<String, Value>>("200"));
    std::iter::once(route).chain(docs::table()).collect()
}

async fn document(platform: Data<Platform>) -> HttpResponse {
    let (mut paths, schemas) = CORE.clone();
    for mounted in &platform.registry.mounts {
        let extension = platform.extension(mounted.index);
        if extension.is_some_and(|it| platform.gate.is_open(it, None)) {
            let path = mounted.mount.pattern.replace("{*", "{");
            let method = mounted.mount.method.to_lowercase();
            paths.entry(path).or_default().insert(method, described(mounted));
        }
    }
    HttpResponse::Ok().json(json!({
        "openapi": "3.1.0",
        "info": { "title": "powernode", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas,
            "responses": describe::responses(),
        },
    }))
}

/// A route as its extension described it; answers stand in the envelope.
fn described(mounted: &Mounted) -> Value {
    let Operation {
        identity, summary, parameters, body, other_bodies, answers, other_answers, ..
    } = &mounted.mount.operation;
    let (security, permission) = match identity {
        Identity::Permission(permission) => (json!([{ "token": [] }]), json!(permission)),
        _ => (json!([]), Value::Null),
    };
    let identity_name = match identity {
        Identity::Permission(_) => "permission",
        Identity::Signed(_) => "signed",
        Identity::Extension => "extension",
        Identity::Public | Identity::Undeclared => "public",
    };
    let responses = answers.iter().map(|(status, data)| {
        let envelope = json!({
            "type": "object",
            "properties": { "success": { "const": true }, "data": data, "meta": { "type": "object" } },
        });
        let mut response = json!({ "description": "done" });
        if !data.is_null() {
            response["content"] = json!({ "application/json": { "schema": envelope } });
        }
        for (media, schema) in other_answers.iter().filter(|_| *status == 200) {
            response["content"][media] = json!({ "schema": schema });
        }
        (status.to_string(), response)
    });
    let mut responses: Map<_, _> = responses.collect();
    // 404 is also what its closed gate answers.
    let shared: &[u16] = match identity {
        Identity::Permission(_) => &[401, 403, 404, 429],
        _ => &[404, 429],
    };
    let takes_body = body.is_some() || !other_bodies.is_empty();
    let of_body: &[u16] = if takes_body { &[400, 408, 413, 415, 422] } else { &[] };
    let takes_query = parameters.iter().any(|it| it.place == "query");
    let of_query: &[u16] = if takes_query { &[422] } else { &[] };
    for (status, failure) in [shared, of_body, of_query].into_iter().flat_map(failures) {
        responses.entry(status).or_insert(failure);
    }
    responses.insert("default".to_owned(), failure("Failure"));
    let mut operation = json!({
        "operationId": name(mounted),
        "summary": summary,
        "tags": [mounted.slug],
        "parameters": parameters,
        "security": security,
        "responses": responses,
        "x-powernode-extension": mounted.slug,
        "x-powernode-identity": identity_name,
        "x-powernode-permission": permission,
    });
    let json = body.iter().map(|it| ("application/json", it));
    let others = other_bodies.iter().map(|(media, it)| (media.as_str(), it));
    let bodies =
        json.chain(others).map(|(it, schema)| (it.to_owned(), json!({ "schema": schema })));
    let bodies: Map<_, _> = bodies.collect();
    if let (Some(operation), false) = (operation.as_object_mut(), bodies.is_empty()) {
        operation.insert("requestBody".to_owned(), json!({ "required": true, "content": bodies }));
    }
    operation
}

/// `marketing.get.campaigns.id`: unique among all, since a path is one extension's.
fn name(mounted: &Mounted) -> String {
    let path = mounted.mount.pattern.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    let words = path.filter(|it| !it.is_empty()).skip(2);
    let method = mounted.mount.method.to_lowercase();
    words.fold(method, |name, word| format!("{name}.{word}"))
}
