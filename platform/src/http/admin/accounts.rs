//! `/api/v1/admin/accounts`

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path},
};
use serde::Deserialize;

use crate::http::{
    body::Body,
    caller::Caller,
    core::{get, resource},
    envelope,
    error::ApiError,
    page::Page,
    state::Platform,
};

const MANAGE: &str = "admin.accounts.manage";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let base = "/accounts";
    config
        .service(
            resource(base, "GET, HEAD, POST").route(get().to(list)).route(web::post().to(create)),
        )
        .service(resource(&format!("{base}/{{id}}/users"), "GET, HEAD").route(get().to(users)));
}

async fn list(
    platform: Data<Platform>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(MANAGE)?;
    let page = Page::of(request.query_string())?;
    let accounts = platform.access.accounts().await?;
    let total = i64::try_from(accounts.len()).unwrap_or(i64::MAX);
    let rows: Vec<_> = page.of_list(&accounts).collect();
    Ok(envelope::paged(rows, page, total))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    name: String,
}

async fn create(
    platform: Data<Platform>,
    caller: Caller,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    caller.require(MANAGE)?;
    let new: NewAccount = body.json().await?;
    let core_mode = platform.gate.core_mode();
    let account = platform.access.create_account(&new.name, core_mode, caller.by()).await?;
    Ok(envelope::created(account))
}

async fn users(
    platform: Data<Platform>,
    caller: Caller,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    caller.require(MANAGE)?;
    let id = id.parse().map_err(|_| ApiError::not_found("account"))?;
    platform.access.account(id).await?.ok_or_else(|| ApiError::not_found("account"))?;
    Ok(envelope::ok(platform.access.users(id).await?))
}
