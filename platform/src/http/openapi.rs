//! `/api/openapi.json`: the core's routes, and those of the extensions that are on.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web, web::Data};
use powernode_plugin_api::operation::{Identity, Operation};
use serde_json::{Map, Value, json};

use super::{
    core::{get, resource},
    state::Platform,
};
use crate::registry::Mounted;

/// The core's operations: method, path, the permission that they ask for, what they do.
///
/// No permission: anybody may. `*`: any token will do.
pub const CORE: [(&str, &str, &str, &str); 33] = [
    ("GET", "/healthz", "", "Say that the process lives"),
    ("GET", "/readyz", "", "Say whether requests may be sent"),
    ("GET", "/metrics", "", "Show all metrics"),
    ("GET", "/api/openapi.json", "", "Describe the API"),
    ("GET", "/api/v1/config", "", "Say what a client must know at first"),
    ("GET", "/api/v1/extensions/ui", "", "List pages and navigation of extensions that are on"),
    ("GET", "/api/v1/me", "*", "Show the bearer's account and user"),
    ("GET", "/api/v1/reports/advanced", "reports.read", "Show the advanced report"),
    ("GET", "/api/v1/admin/extensions", "admin.extensions.read", "List extensions"),
    (
        "POST",
        "/api/v1/admin/extensions/rescan",
        "admin.extensions.manage",
        "Read the manifests again",
    ),
    ("GET", "/api/v1/admin/extensions/{slug}", "admin.extensions.read", "Show an extension"),
    (
        "GET",
        "/api/v1/admin/extensions/{slug}/explain",
        "admin.extensions.read",
        "Explain its gates",
    ),
    ("PUT", "/api/v1/admin/extensions/{slug}/flag", "admin.extensions.manage", "Switch it at once"),
    (
        "PUT",
        "/api/v1/admin/extensions/{slug}/state",
        "admin.extensions.manage",
        "Disable it from the next start on",
    ),
    (
        "POST",
        "/api/v1/admin/extensions/{slug}/release",
        "admin.extensions.manage",
        "Let it out of quarantine",
    ),
    ("GET", "/api/v1/admin/explain", "admin.extensions.read", "Explain a request"),
    ("GET", "/api/v1/admin/flags", "admin.flags.read", "List flags"),
    ("POST", "/api/v1/admin/flags", "admin.flags.manage", "Make a flag"),
    ("GET", "/api/v1/admin/flags/{name}", "admin.flags.read", "Show a flag"),
    ("PUT", "/api/v1/admin/flags/{name}", "admin.flags.manage", "Switch a flag for all"),
    (
        "POST",
        "/api/v1/admin/flags/{name}/actors",
        "admin.flags.manage",
        "Switch it on for an actor",
    ),
    (
        "DELETE",
        "/api/v1/admin/flags/{name}/actors/{value}",
        "admin.flags.manage",
        "Take an actor out",
    ),
    ("POST", "/api/v1/admin/flags/{name}/groups", "admin.flags.manage", "Switch it on for a group"),
    (
        "DELETE",
        "/api/v1/admin/flags/{name}/groups/{value}",
        "admin.flags.manage",
        "Take a group out",
    ),
    (
        "PUT",
        "/api/v1/admin/flags/{name}/percentage_of_actors",
        "admin.flags.manage",
        "Switch it on for a share of actors",
    ),
    (
        "PUT",
        "/api/v1/admin/flags/{name}/percentage_of_time",
        "admin.flags.manage",
        "Switch it on for a share of checks",
    ),
    ("GET", "/api/v1/admin/audit", "admin.audit.read", "Read the audit log"),
    ("GET", "/api/v1/admin/tokens", "admin.tokens.manage", "List tokens"),
    ("POST", "/api/v1/admin/tokens", "admin.tokens.manage", "Make a token"),
    ("DELETE", "/api/v1/admin/tokens/{token}", "admin.tokens.manage", "Revoke a token"),
    ("GET", "/api/v1/admin/accounts", "admin.accounts.manage", "List accounts"),
    ("POST", "/api/v1/admin/accounts", "admin.accounts.manage", "Make an account"),
    (
        "GET",
        "/api/v1/admin/accounts/{id}/users",
        "admin.accounts.manage",
        "List the users of an account",
    ),
];

/// Mounts it.
pub fn routes(config: &mut web::ServiceConfig) {
    config.service(resource("/api/openapi.json", "GET, HEAD").route(get().to(document)));
}

async fn document(platform: Data<Platform>) -> HttpResponse {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for (method, path, permission, summary) in &CORE {
        let operation = json!({
            "summary": summary,
            "tags": ["core"],
            "parameters": parameters_of(path),
            "security": if permission.is_empty() { json!([]) } else { json!([{ "token": [] }]) },
            "x-powernode-permission": permission,
            "responses": { "200": { "description": "done" }, "default": failure() },
        });
        paths.entry((*path).to_owned()).or_default().insert(method.to_lowercase(), operation);
    }
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
            "schemas": { "Failure": {
                "type": "object",
                "required": ["success", "error", "code", "request_id"],
                "properties": {
                    "success": { "const": false },
                    "error": { "type": "string" },
                    "errors": { "type": "array", "items": { "type": "object", "properties": {
                        "field": { "type": "string" }, "message": { "type": "string" },
                    } } },
                    "code": { "type": "string" },
                    "request_id": { "type": "string" },
                },
            } },
        },
    }))
}

/// A route as its extension described it; answers stand in the envelope.
fn described(mounted: &Mounted) -> Value {
    let Operation { identity, summary, parameters, body, answers, .. } = &mounted.mount.operation;
    let (security, permission) = match identity {
        Identity::Permission(permission) => (json!([{ "token": [] }]), json!(permission)),
        _ => (json!([]), Value::Null),
    };
    let responses = answers.iter().map(|(status, data)| {
        let envelope = json!({
            "type": "object",
            "properties": { "success": { "const": true }, "data": data, "meta": { "type": "object" } },
        });
        let response = if data.is_null() {
            json!({ "description": "done" })
        } else {
            json!({ "description": "done", "content": { "application/json": { "schema": envelope } } })
        };
        (status.to_string(), response)
    });
    let mut responses: Map<_, _> = responses.collect();
    responses.insert("default".to_owned(), failure());
    let mut operation = json!({
        "summary": summary,
        "tags": [mounted.slug],
        "parameters": parameters,
        "security": security,
        "responses": responses,
        "x-powernode-extension": mounted.slug,
        "x-powernode-permission": permission,
    });
    if let (Some(operation), Some(body)) = (operation.as_object_mut(), body) {
        let content =
            json!({ "required": true, "content": { "application/json": { "schema": body } } });
        operation.insert("requestBody".to_owned(), content);
    }
    operation
}

fn failure() -> Value {
    json!({ "description": "it failed", "content": { "application/json": {
        "schema": { "$ref": "#/components/schemas/Failure" },
    } } })
}

fn parameters_of(path: &str) -> Vec<Value> {
    let names = path.split('{').skip(1).filter_map(|it| it.split_once('}'));
    let names = names.map(|(name, _)| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::permissions;

    #[test]
    fn every_permission_that_the_core_asks_for_is_defined() {
        for (method, path, permission, _) in CORE {
            let defined = permissions::core().any(|it| it == permission);
            assert!(defined || ["", "*"].contains(&permission), "{method} {path}: {permission}");
        }
    }
}
