//! `/api/v1/webhooks`: the endpoints of the caller's account, and what was sent there.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    body::Body,
    caller::Caller,
    entitled::entitled,
    envelope,
    error::ApiError,
    page::Page,
    query,
    route::{CoreRoute, delete, get, post, put},
    state::Platform,
};
use crate::webhooks::{
    self, Deliveries, Delivery, DeliveryState, Endpoint, NewEndpoint, Redelivered, Secret,
};

const READ: &str = "webhooks.read";
const MANAGE: &str = "webhooks.manage";
/// Rows of a page unless asked for, and at most.
pub(super) const ROWS: (u32, u32) = (25, 100);

pub(super) fn table() -> Vec<CoreRoute> {
    let (all, one) = ("/api/v1/webhooks", "/api/v1/webhooks/{id}");
    vec![
        get(all, list)
            .permission(READ)
            .says("List the account's webhooks", |it| it.page_of::<Endpoint>()),
        post(all, create)
            .permission(MANAGE)
            .says("Make a webhook", |it| it.body::<Asked>().created::<Made>().refuses(409)),
        get(one, show)
            .permission(READ)
            .says("Show a webhook", |it| it.path("id", id()).ok::<Endpoint>()),
        put(one, change)
            .permission(MANAGE)
            .says("Change a webhook", |it| it.path("id", id()).body::<Asked>().ok::<Endpoint>()),
        delete(one, remove)
            .permission(MANAGE)
            .says("Remove a webhook", |it| it.path("id", id()).ok::<Endpoint>()),
        post("/api/v1/webhooks/{id}/secret", rotate)
            .permission(MANAGE)
            .says("Give a webhook another secret", |it| it.path("id", id()).ok::<Made>()),
        post("/api/v1/webhooks/{id}/test", test)
            .permission(MANAGE)
            .says("Send a test to a webhook", |it| it.path("id", id()).created::<Delivery>()),
        get("/api/v1/webhooks/{id}/deliveries", deliveries)
            .permission(READ)
            .says("List what was sent to a webhook, the newest first", |it| {
                it.path("id", id()).query::<Which>().ok::<Vec<Delivery>>()
            }),
        post("/api/v1/webhooks/{id}/deliveries/{delivery}/redeliver", redeliver)
            .permission(MANAGE)
            .says("Send a delivery again", |it| {
                it.path("id", id()).path("delivery", id()).ok::<Delivery>().refuses(409)
            }),
    ]
}

fn id() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Where deliveries are sent; `http://` in networks alone that the operator allows.
    #[schemars(
        length(max = 2000),
        regex(pattern = r"^https://([a-z]+\.)+[a-z]{2,}(/[A-Za-z0-9_/-]*)?$")
    )]
    url: String,
    #[serde(default)]
    #[schemars(length(max = 2000), regex(pattern = r"^[^\u0000]*$"))]
    description: String,
    /// Which events: patterns of topics, `shop.order.*`.
    #[schemars(
        length(min = 1, max = 50),
        inner(regex(
            pattern = r"^([a-z0-9_-]{1,64}|\*)\.([a-z0-9_-]{1,64}|\*)\.([a-z0-9_-]{1,64}|\*)$"
        ))
    )]
    topics: Vec<String>,
    /// Whether anything is sent.
    #[serde(default = "yes")]
    enabled: bool,
}

fn yes() -> bool {
    true
}

/// A webhook with its secret.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewWebhook")]
struct Made {
    /// What signatures are made with, which is shown this once.
    secret: String,
    webhook: Endpoint,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Which {
    /// How far they are.
    #[schemars(extend("enum" = DeliveryState::ALL))]
    pub(super) state: Option<String>,
    /// Older than this delivery: the last of the page before.
    #[schemars(with = "Option<Uuid>")]
    pub(super) before: Option<String>,
    /// Rows of a page, 25 unless asked for, 100 at most.
    #[schemars(with = "Option<u32>")]
    pub(super) per_page: Option<String>,
}

impl Which {
    /// Which deliveries, and how many of them.
    pub(super) fn read(self) -> Result<(Deliveries, u32), ApiError> {
        let state = self.state.map(|it| serde_json::from_value(json!(it))).transpose();
        let must_be = "must be one of pending, delivered, failed";
        let state = state.map_err(|_| ApiError::invalid("state", must_be))?;
        let before = query::value("before", self.before.as_ref(), "a delivery's id")?;
        let most = query::value::<u32>("per_page", self.per_page.as_ref(), "a number from 1")?;
        if most == Some(0) {
            return Err(ApiError::invalid("per_page", "must be a number from 1"));
        }
        let which = Deliveries { state, before, ..Deliveries::default() };
        Ok((which, most.unwrap_or(ROWS.0).min(ROWS.1)))
    }
}

async fn list(
    platform: Data<Platform>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let page = Page::of(request.query_string())?;
    let all = platform.webhooks.endpoints(caller.principal.account).await?;
    let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let rows: Vec<_> = page.of_list(&all).collect();
    Ok(envelope::paged(rows, page, total))
}

async fn create(
    platform: Data<Platform>,
    caller: Caller,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let asked: Asked = body.json().await?;
    let account = caller.principal.account;
    let has = platform.webhooks.endpoints(account).await?.len();
    entitled(&platform, account, "webhooks", has).await?;
    let made = platform.webhooks.create(account, asked.into(), caller.by()).await?;
    Ok(envelope::created(Made::of(made)))
}

async fn show(
    platform: Data<Platform>,
    caller: Caller,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let endpoint = platform.webhooks.endpoint(caller.principal.account, named(&id)?).await?;
    Ok(envelope::ok(endpoint))
}

async fn change(
    platform: Data<Platform>,
    caller: Caller,
    id: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (account, id) = (caller.principal.account, named(&id)?);
    let asked: Asked = body.json().await?;
    Ok(envelope::ok(platform.webhooks.change(account, id, asked.into(), caller.by()).await?))
}

async fn remove(
    platform: Data<Platform>,
    caller: Caller,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (account, id) = (caller.principal.account, named(&id)?);
    Ok(envelope::ok(platform.webhooks.remove(account, id, caller.by()).await?))
}

async fn rotate(
    platform: Data<Platform>,
    caller: Caller,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (account, id) = (caller.principal.account, named(&id)?);
    Ok(envelope::ok(Made::of(platform.webhooks.rotate(account, id, caller.by()).await?)))
}

async fn test(
    platform: Data<Platform>,
    caller: Caller,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (account, id) = (caller.principal.account, named(&id)?);
    Ok(envelope::created(platform.webhooks.test(account, id, caller.by()).await?))
}

async fn deliveries(
    platform: Data<Platform>,
    caller: Caller,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (account, id) = (caller.principal.account, named(&id)?);
    let (which, most) = query::of::<Which>(&request)?.read()?;
    platform.webhooks.endpoint(account, id).await?;
    let which = Deliveries { account: Some(account), webhook: Some(id), ..which };
    let found = webhooks::deliveries(&platform.core, which, most).await;
    Ok(envelope::ok(found.map_err(ApiError::internal)?))
}

async fn redeliver(
    platform: Data<Platform>,
    caller: Caller,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let account = caller.principal.account;
    platform.webhooks.endpoint(account, named(&path.0)?).await?;
    let delivery = path.1.parse().map_err(|_| ApiError::not_found("delivery"))?;
    let redelivered =
        webhooks::redeliver(&platform.core, Some(account), delivery, caller.by()).await?;
    again(&platform, redelivered)
}

/// What came of sending again.
pub(super) fn again(
    platform: &Platform,
    redelivered: Redelivered,
) -> Result<HttpResponse, ApiError> {
    match redelivered {
        Redelivered::Again(delivery) => {
            platform.wake.ring();
            Ok(envelope::ok(delivery))
        }
        Redelivered::Pending => Err(ApiError::conflict("it is being sent already")),
        Redelivered::Unknown => Err(ApiError::not_found("delivery")),
    }
}

fn named(id: &str) -> Result<Uuid, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("webhook"))
}

impl Made {
    fn of((webhook, secret): (Endpoint, Secret)) -> Self {
        Self { secret: secret.text(), webhook }
    }
}

impl From<Asked> for NewEndpoint {
    fn from(asked: Asked) -> Self {
        let Asked { url, description, topics, enabled } = asked;
        Self { url, description, topics, enabled }
    }
}
