//! `/api/v1/admin/tokens`

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    access::{NewToken, Scopes, Token, TokenError},
    http::{
        body::Body,
        caller::Caller,
        entitled::entitled,
        envelope,
        error::ApiError,
        page::Page,
        route::{CoreRoute, delete, get, post},
        state::Platform,
    },
};

const MANAGE: &str = "admin.tokens.manage";
const ACCOUNTS: &str = "admin.accounts.manage";

pub(super) fn table() -> [CoreRoute; 3] {
    let base = "/api/v1/admin/tokens";
    [
        get(base, list).permission(MANAGE).says("List tokens", |it| it.page_of::<Token>()),
        post(base, create)
            .permission(MANAGE)
            .says("Make a token", |it| it.body::<Asked>().created::<Made>()),
        delete("/api/v1/admin/tokens/{token}", revoke)
            .permission(MANAGE)
            .says("Revoke a token", |it| it.ok::<Token>().refuses(409)),
    ]
}

async fn list(
    platform: Data<Platform>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let page = Page::of(request.query_string())?;
    let own = (!sees_all(&caller)).then_some(caller.principal.account);
    let tokens = platform.access.tokens(own).await?;
    let total = i64::try_from(tokens.len()).unwrap_or(i64::MAX);
    let rows: Vec<_> = page.of_list(&tokens).collect();
    Ok(envelope::paged(rows, page, total))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"))]
    name: String,
    /// Permissions, `some.*`, or `*`.
    #[schemars(inner(regex(pattern = r"^(\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?)$")))]
    scopes: Vec<String>,
    account_id: Option<Uuid>,
    user_id: Option<Uuid>,
    expires_at: Option<DateTime<Utc>>,
}

/// A token that was made.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewToken")]
struct Made {
    /// Its text, which is shown this once.
    token: String,
    /// What is known of it.
    details: Token,
}

/// A token can hold what its maker holds, and no more; it acts in the maker's account, and for
/// the maker or nobody, unless the maker keeps the accounts too.
async fn create(
    platform: Data<Platform>,
    caller: Caller,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let asked: Asked = body.json().await?;
    let not_held = asked.scopes.iter().find(|it| !caller.principal.may(it));
    if let Some(scope) = not_held {
        return Err(ApiError::forbidden(scope));
    }
    let bad = |it: String| ApiError::invalid("scopes", format!("`{it}` is no scope"));
    let scopes = Scopes::new(asked.scopes).map_err(bad)?;
    if asked.expires_at.is_some_and(|it| it <= platform.access.clock().now()) {
        return Err(ApiError::invalid("expires_at", "must be in the future"));
    }
    let account = asked.account_id.unwrap_or(caller.principal.account);
    if !sees_all(&caller) {
        if account != caller.principal.account {
            return Err(TokenError::NoAccount(account).into());
        }
        if asked.user_id.is_some() && asked.user_id != caller.principal.user {
            return Err(ApiError::forbidden(ACCOUNTS));
        }
    }
    let tokens = platform.access.tokens(Some(account)).await?;
    let now = platform.access.clock().now();
    let lives = |it: &&Token| it.revoked_at.is_none() && it.expires_at.is_none_or(|it| it > now);
    entitled(&platform, account, "api_keys", tokens.iter().filter(lives).count()).await?;
    let new = NewToken {
        account,
        user: asked.user_id,
        name: asked.name,
        scopes,
        expires_at: asked.expires_at,
    };
    let (token, secret) = platform.access.create_token(new, caller.by()).await?;
    Ok(envelope::created(Made { token: secret.text, details: token }))
}

async fn revoke(
    platform: Data<Platform>,
    caller: Caller,
    token: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let found = platform.access.token(&token).await?;
    if !sees_all(&caller) && found.account_id != caller.principal.account {
        return Err(ApiError::not_found("token"));
    }
    let scopes = found.scopes.as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(scope) = scopes.into_iter().find(|it| !caller.principal.may(it)) {
        return Err(ApiError::forbidden(scope));
    }
    Ok(envelope::ok(platform.access.revoke_token(&found.id.to_string(), caller.by()).await?))
}

/// Whether the caller may look into other accounts.
fn sees_all(caller: &Caller) -> bool {
    caller.principal.may(ACCOUNTS)
}
