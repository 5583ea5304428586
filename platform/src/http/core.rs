//! The core's own routes, which are there without any extension.

use actix_web::{HttpRequest, HttpResponse, Resource, Route, guard, web, web::Data};
use diesel::prelude::*;
use powernode_plugin_api::db::RunError;
use prometheus_client::encoding::text::encode;
use serde_json::json;

use super::{caller::Caller, envelope, error::ApiError, state::Platform};
use crate::{
    db::schema::{core_accounts, core_tokens, core_users},
    gate,
    registry::State,
};

/// Mounts them.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/healthz", "GET, HEAD").route(get().to(healthz)))
        .service(resource("/readyz", "GET, HEAD").route(get().to(readyz)))
        .service(resource("/metrics", "GET, HEAD").route(get().to(metrics)))
        .service(resource("/api/v1/config", "GET, HEAD").route(get().to(configuration)))
        .service(resource("/api/v1/extensions/ui", "GET, HEAD").route(get().to(ui)))
        .service(resource("/api/v1/me", "GET, HEAD").route(get().to(me)))
        .service(
            resource("/api/v1/reports/advanced", "GET, HEAD").route(get().to(advanced_report)),
        );
}

/// A path of the core with the methods that it has; others are answered 405.
pub(super) fn resource(path: &str, allow: &'static str) -> Resource {
    let refuse = move || async move { Err::<HttpResponse, _>(ApiError::method_not_allowed(allow)) };
    web::resource(path).default_service(web::to(refuse))
}

/// A route that reads: `GET`, and `HEAD` as the same without the body.
pub(super) fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// The process lives.
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// It may be sent requests: it is not about to end, and its database answers.
async fn readyz(platform: Data<Platform>) -> HttpResponse {
    let database = platform
        .core
        .read(|conn| core_accounts::table.count().get_result::<i64>(conn).map_err(RunError::from));
    let database = database.await.is_ok();
    let loaded = platform.gate.loaded().len();
    let body = json!({
        "status": if database && !platform.is_draining() { "ready" } else { "not ready" },
        "draining": platform.is_draining(),
        "database": database,
        "extensions": loaded,
    });
    if database && !platform.is_draining() {
        HttpResponse::Ok().json(body)
    } else {
        HttpResponse::ServiceUnavailable().json(body)
    }
}

/// All metrics, as OpenMetrics text.
async fn metrics(platform: Data<Platform>) -> Result<HttpResponse, ApiError> {
    let mut text = String::new();
    encode(&mut text, &platform.metrics).map_err(ApiError::internal)?;
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(HttpResponse::Ok().content_type(media).body(text))
}

/// What a client must know before anybody signs in.
async fn configuration(platform: Data<Platform>) -> HttpResponse {
    envelope::ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "core_mode": platform.gate.core_mode(),
        "extensions": platform.gate.loaded(),
        "billing_enabled": platform.gate.billing_enabled(),
    }))
}

/// What pages and navigation entries there are, of extensions that are on.
async fn ui(platform: Data<Platform>) -> HttpResponse {
    let on = platform.registry.entries.iter().filter(|it| {
        it.state == State::Started
            && platform.gate.find(&it.slug).is_some_and(|it| platform.gate.is_open(it, None))
    });
    let shown: Vec<_> = on
        .filter_map(|it| it.manifest.as_deref())
        .map(|it| {
            json!({
                "slug": it.slug,
                "name": it.name,
                "version": it.version,
                "capabilities": it.capabilities,
                "nav": it.nav,
                "frontend": it.frontend,
            })
        })
        .collect();
    envelope::ok(shown)
}

/// The bearer's account and user.
async fn me(platform: Data<Platform>, caller: Caller) -> Result<HttpResponse, ApiError> {
    let account = platform.access.account(caller.principal.account).await?;
    let users = platform.access.users(caller.principal.account).await?;
    let user = users.into_iter().find(|it| Some(it.id) == caller.principal.user);
    Ok(envelope::ok(json!({ "account": account, "user": user })))
}

/// A route of the core that asks for an extension, with the guard of the guide.
///
/// The guard comes before 401, as the gates of extensions do.
async fn advanced_report(
    platform: Data<Platform>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    require_business(&platform.gate)?;
    let caller = Caller::of(&request).await?;
    caller.require("reports.read")?;
    let counts = platform.core.read(|conn| {
        Ok::<_, RunError>((
            core_accounts::table.count().get_result::<i64>(conn)?,
            core_users::table.count().get_result::<i64>(conn)?,
            core_tokens::table.count().get_result::<i64>(conn)?,
        ))
    });
    let (accounts, users, tokens) = counts.await.map_err(ApiError::internal)?;
    Ok(envelope::ok(json!({ "accounts": accounts, "users": users, "tokens": tokens })))
}

fn require_business(gate: &gate::Gate) -> Result<(), ApiError> {
    if gate.business_loaded() {
        return Ok(());
    }
    Err(ApiError::unavailable_feature("Advanced reporting requires the business extension"))
}
