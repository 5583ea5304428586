//! `/api/v1/admin/accounts`

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    access::{Account, User},
    http::{
        body::Body,
        caller::Caller,
        entitled::entitled,
        envelope,
        error::ApiError,
        page::Page,
        route::{CoreRoute, get, post},
        state::Platform,
    },
};

const MANAGE: &str = "admin.accounts.manage";

pub(super) fn table() -> [CoreRoute; 4] {
    let base = "/api/v1/admin/accounts";
    let users_of = "/api/v1/admin/accounts/{id}/users";
    [
        get(base, list).permission(MANAGE).says("List accounts", |it| it.page_of::<Account>()),
        post(base, create).permission(MANAGE).says("Make an account", |it| {
            // In core mode there is no second one.
            it.body::<NewAccount>().created::<Account>().refuses(404)
        }),
        get(users_of, users)
            .permission(MANAGE)
            .says("List an account's users", |it| it.path("id", id()).ok::<Vec<User>>()),
        post(users_of, create_user).permission(MANAGE).says("Make a user of an account", |it| {
            it.path("id", id()).body::<NewUser>().created::<User>().refuses(409)
        }),
    ]
}

fn id() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

async fn list(
    platform: Data<Platform>,
    _: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let page = Page::of(request.query_string())?;
    let accounts = platform.access.accounts().await?;
    let total = i64::try_from(accounts.len()).unwrap_or(i64::MAX);
    let rows: Vec<_> = page.of_list(&accounts).collect();
    Ok(envelope::paged(rows, page, total))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"))]
    name: String,
}

async fn create(
    platform: Data<Platform>,
    caller: Caller,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let new: NewAccount = body.json().await?;
    let core_mode = platform.gate.core_mode();
    let account = platform.access.create_account(&new.name, core_mode, caller.by()).await?;
    Ok(envelope::created(account))
}

async fn users(
    platform: Data<Platform>,
    _: Caller,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = id.parse().map_err(|_| ApiError::not_found("account"))?;
    platform.access.account(id).await?.ok_or_else(|| ApiError::not_found("account"))?;
    Ok(envelope::ok(platform.access.users(id).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewUser {
    #[schemars(
        length(min = 3, max = 254),
        regex(pattern = r"^[^\s\u0000-\u001f@]+@[^\s\u0000-\u001f@]+$")
    )]
    email: String,
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"))]
    name: String,
}

async fn create_user(
    platform: Data<Platform>,
    caller: Caller,
    id: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let id = id.parse().map_err(|_| ApiError::not_found("account"))?;
    let new: NewUser = body.json().await?;
    platform.access.account(id).await?.ok_or_else(|| ApiError::not_found("account"))?;
    let has = platform.access.users(id).await?.len();
    entitled(&platform, id, "users", has).await?;
    let user = platform.access.create_user(id, &new.email, &new.name, caller.by()).await?;
    Ok(envelope::created(user))
}
