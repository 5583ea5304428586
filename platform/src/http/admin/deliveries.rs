//! `/api/v1/admin/deliveries`: what was sent to webhooks, of all accounts.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use serde_json::json;

use crate::{
    http::{
        caller::Caller,
        envelope,
        error::ApiError,
        query,
        route::{CoreRoute, get, post},
        state::Platform,
        webhooks::{Which, again},
    },
    webhooks::{self, Delivery},
};

const READ: &str = "admin.jobs.read";
const MANAGE: &str = "admin.jobs.manage";

pub(super) fn table() -> [CoreRoute; 2] {
    [
        get("/api/v1/admin/deliveries", list)
            .permission(READ)
            .says("List what was sent to webhooks, the newest first", |it| {
                it.query::<Which>().ok::<Vec<Delivery>>()
            }),
        post("/api/v1/admin/deliveries/{id}/redeliver", redeliver).permission(MANAGE).says(
            "Send a delivery again",
            |it| {
                let id = json!({ "type": "string", "format": "uuid" });
                it.path("id", id).ok::<Delivery>().refuses(409)
            },
        ),
    ]
}

async fn list(
    platform: Data<Platform>,
    _: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (which, most) = query::of::<Which>(&request)?.read()?;
    let found = webhooks::deliveries(&platform.core, which, most).await;
    Ok(envelope::ok(found.map_err(ApiError::internal)?))
}

async fn redeliver(
    platform: Data<Platform>,
    caller: Caller,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = id.parse().map_err(|_| ApiError::not_found("delivery"))?;
    let redelivered = webhooks::redeliver(&platform.core, None, id, caller.by()).await?;
    again(&platform, redelivered)
}
