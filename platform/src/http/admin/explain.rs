//! `/api/v1/admin/explain`: which route a request would take, and what each gate would say.

use actix_web::{
    HttpRequest, HttpResponse,
    http::Method,
    web::{self, Data},
};
use powernode_plugin_api::operation::Identity;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::{
    gate::{Actor, ActorId},
    http::{
        caller::Caller,
        core::{get, resource},
        dispatch::Missing,
        envelope,
        error::ApiError,
        query,
        state::Platform,
    },
};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(resource("/explain", "GET, HEAD").route(get().to(explain)));
}

#[derive(Deserialize)]
struct Asked {
    method: Option<String>,
    path: Option<String>,
    account: Option<String>,
}

async fn explain(
    platform: Data<Platform>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require("admin.extensions.read")?;
    let asked: Asked = query::of(&request)?;
    let account = query::value::<Uuid>("account", asked.account.as_ref(), "the id of an account")?;
    let path = asked.path.ok_or_else(|| ApiError::invalid("path", "is missing"))?;
    let method = asked.method.as_deref().unwrap_or("GET").to_uppercase();
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| ApiError::invalid("method", "must be a method of HTTP"))?;
    let path = path.split('?').next().unwrap_or_default();
    let found = match platform.table.load().find(&method, path) {
        Ok(found) => found.mounted,
        Err(Missing::Path) => {
            return Ok(envelope::ok(json!({
                "route": null,
                "reason": "no loaded extension has such a path; it may be the core's, or of an extension that stays out",
            })));
        }
        Err(Missing::Method { allow }) => {
            return Ok(envelope::ok(json!({
                "route": null,
                "reason": format!("the path has other methods: {allow}"),
            })));
        }
    };
    let actor = account.map(|it| Actor::of_account(ActorId::account(it)));
    let context = platform.state.context(&found.slug).await?;
    let gates = platform.gate.explain(&found.slug, actor.as_ref(), context);
    let identity = match &found.mount.operation.identity {
        Identity::Permission(permission) => json!({ "permission": permission }),
        Identity::Extension => json!("extension"),
        Identity::Public | Identity::Undeclared => json!("public"),
    };
    Ok(envelope::ok(json!({
        "route": { "method": found.mount.method, "pattern": found.mount.pattern },
        "extension": found.slug,
        "identity": identity,
        "gates": gates,
    })))
}
