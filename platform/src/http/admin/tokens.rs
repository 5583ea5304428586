//! `/api/v1/admin/tokens`

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::{
    access::{NewToken, Scopes},
    http::{
        body::Json,
        caller::Caller,
        core::{get, resource},
        envelope,
        error::ApiError,
        page::Page,
        state::Platform,
    },
};

const MANAGE: &str = "admin.tokens.manage";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let base = "/api/v1/admin/tokens";
    config
        .service(
            resource(base, "GET, HEAD, POST").route(get().to(list)).route(web::post().to(create)),
        )
        .service(resource(&format!("{base}/{{token}}"), "DELETE").route(web::delete().to(revoke)));
}

async fn list(
    platform: Data<Platform>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(MANAGE)?;
    let page = Page::of(request.query_string())?;
    let tokens = platform.access.tokens(None).await?;
    let total = i64::try_from(tokens.len()).unwrap_or(i64::MAX);
    let rows: Vec<_> = page.of_list(&tokens).collect();
    Ok(envelope::paged(rows, page, total))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    name: String,
    scopes: Vec<String>,
    account_id: Option<Uuid>,
    user_id: Option<Uuid>,
    expires_at: Option<DateTime<Utc>>,
}

/// A token can hold what its maker holds, and no more.
async fn create(
    platform: Data<Platform>,
    caller: Caller,
    Json(asked): Json<Asked>,
) -> Result<HttpResponse, ApiError> {
    caller.require(MANAGE)?;
    let not_held = asked.scopes.iter().find(|it| !caller.principal.may(it));
    if let Some(scope) = not_held {
        return Err(ApiError::forbidden(scope));
    }
    let bad = |it: String| ApiError::invalid("scopes", format!("`{it}` is no scope"));
    let scopes = Scopes::new(asked.scopes).map_err(bad)?;
    if asked.name.trim().is_empty() {
        return Err(ApiError::invalid("name", "must not be empty"));
    }
    if asked.expires_at.is_some_and(|it| it <= Utc::now()) {
        return Err(ApiError::invalid("expires_at", "must be in the future"));
    }
    let account = asked.account_id.unwrap_or(caller.principal.account);
    let new = NewToken {
        account,
        user: asked.user_id,
        name: asked.name,
        scopes,
        expires_at: asked.expires_at,
    };
    let (token, secret) = platform.access.create_token(new, caller.by()).await?;
    Ok(envelope::created(json!({ "token": secret.text, "details": token })))
}

async fn revoke(
    platform: Data<Platform>,
    caller: Caller,
    token: Path<String>,
) -> Result<HttpResponse, ApiError> {
    caller.require(MANAGE)?;
    Ok(envelope::ok(platform.access.revoke_token(&token, caller.by()).await?))
}
