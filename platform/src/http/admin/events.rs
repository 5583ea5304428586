//! `/api/v1/admin/events` and `/subscriptions`

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use powernode_plugin_api::db::RunError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    events::{self, Event, Filter, Pattern, Since, Subscription},
    http::{
        body::Body,
        caller::Caller,
        envelope,
        error::ApiError,
        query,
        route::{CoreRoute, get, post},
        state::Platform,
    },
};

const READ: &str = "admin.jobs.read";
const MANAGE: &str = "admin.jobs.manage";
/// Rows of a page unless asked for, and at most.
const ROWS: (u32, u32) = (25, 100);

pub(super) fn table() -> Vec<CoreRoute> {
    vec![
        get("/api/v1/admin/events", list)
            .permission(READ)
            .says("List events, the newest first", |it| it.query::<Asked>().ok::<Vec<Event>>()),
        get("/api/v1/admin/events/{id}", show).permission(READ).says("Show an event", |it| {
            it.path("id", json!({ "type": "integer", "minimum": 1 })).ok::<Event>()
        }),
        get("/api/v1/admin/subscriptions", subscriptions)
            .permission(READ)
            .says("List who hears what", |it| it.ok::<Vec<Subscription>>()),
        post("/api/v1/admin/subscriptions/{extension}/{handler}/replay", replay)
            .permission(MANAGE)
            .says("Deliver events to a subscription again", |it| {
                it.body::<From>().ok::<Replayed>().refuses(409)
            }),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Asked {
    /// Their topics: `shop.order.*`; a part may be `*`, which is any.
    #[schemars(regex(
        pattern = r"^([a-z0-9_-]{1,64}|\*)\.([a-z0-9_-]{1,64}|\*)\.([a-z0-9_-]{1,64}|\*)$"
    ))]
    topic: Option<String>,
    /// Older than the event of this number: the last of the page before.
    #[schemars(with = "Option<i64>")]
    before: Option<String>,
    /// Rows of a page, 25 unless asked for, 100 at most.
    #[schemars(with = "Option<u32>")]
    per_page: Option<String>,
}

/// From where on: an event, or a time.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct From {
    /// The first event.
    from_id: Option<i64>,
    /// When the first was published, at the earliest.
    from_time: Option<DateTime<Utc>>,
}

/// What was delivered again.
#[derive(Serialize, JsonSchema)]
struct Replayed {
    /// How many events.
    events: usize,
}

async fn list(
    platform: Data<Platform>,
    _: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let Asked { topic, before, per_page } = query::of(&request)?;
    let pattern = topic.map(|it| Pattern::parse(&it)).transpose();
    let pattern = pattern.map_err(|error| ApiError::invalid("topic", error.to_string()))?;
    let before = query::value::<i64>("before", before.as_ref(), "a number")?;
    let most = query::value::<u32>("per_page", per_page.as_ref(), "a number from 1")?;
    if most == Some(0) {
        return Err(ApiError::invalid("per_page", "must be a number from 1"));
    }
    let (filter, most) = (Filter { pattern, before, id: None }, most.unwrap_or(ROWS.0));
    let events = platform
        .core
        .read(move |conn| Ok::<_, RunError>(events::list(conn, &filter, most.min(ROWS.1))?));
    Ok(envelope::ok(events.await.map_err(ApiError::internal)?))
}

async fn show(
    platform: Data<Platform>,
    _: Caller,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let missing = || ApiError::not_found("event");
    let filter = Filter { id: Some(id.parse().map_err(|_| missing())?), ..Filter::default() };
    let event =
        platform.core.read(move |conn| Ok::<_, RunError>(events::list(conn, &filter, 1)?.pop()));
    Ok(envelope::ok(event.await.map_err(ApiError::internal)?.ok_or_else(missing)?))
}

async fn subscriptions(platform: Data<Platform>, _: Caller) -> Result<HttpResponse, ApiError> {
    let all = platform.core.read(|conn| Ok::<_, RunError>(events::subscriptions(conn)?));
    Ok(envelope::ok(all.await.map_err(ApiError::internal)?))
}

async fn replay(
    platform: Data<Platform>,
    caller: Caller,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let since = match body.json().await? {
        From { from_id: Some(id), from_time: None } => Since::Id(id),
        From { from_id: None, from_time: Some(time) } => Since::Time(time),
        _ => {
            return Err(ApiError::invalid(
                "from_id",
                "must be there, or `from_time`, and not both",
            ));
        }
    };
    let (extension, handler) = path.into_inner();
    let replayed =
        events::replay_all(&platform.core, &extension, &handler, since, caller.by()).await;
    let replayed = replayed.map_err(ApiError::internal)?;
    match replayed.ok_or_else(|| ApiError::not_found("subscription"))? {
        events::Replayed::Vanished => Err(ApiError::conflict(format!(
            "`{extension}` does not bring the subscription `{handler}` any more"
        ))),
        events::Replayed::Delivered(events) => {
            platform.wake.ring();
            Ok(envelope::ok(Replayed { events }))
        }
    }
}
