//! `/api/v1/admin/jobs`

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    http::{
        body::Body,
        caller::Caller,
        envelope,
        error::ApiError,
        openapi::describe::Describe,
        query,
        route::{CoreRoute, get, post},
        state::Platform,
    },
    queue::{self, Action, Filter, JobSeen, QueueError, State},
};

const READ: &str = "admin.jobs.read";
const MANAGE: &str = "admin.jobs.manage";
/// Rows of a page unless asked for, and at most.
const ROWS: (u32, u32) = (25, 100);

pub(super) fn table() -> Vec<CoreRoute> {
    let (all, one) = ("/api/v1/admin/jobs", "/api/v1/admin/jobs/{id}");
    vec![
        get(all, list)
            .permission(READ)
            .says("List jobs, the newest first", |it| it.query::<Asked>().ok::<Vec<JobSeen>>()),
        // Before the job of that number: words are tried first.
        post("/api/v1/admin/jobs/retry", retry_all)
            .permission(MANAGE)
            .says("Try dead and cancelled jobs again", bulk),
        post("/api/v1/admin/jobs/discard", discard_all)
            .permission(MANAGE)
            .says("Delete dead and cancelled jobs", bulk),
        post("/api/v1/admin/jobs/cancel", cancel_all)
            .permission(MANAGE)
            .says("Cancel jobs that have not ended", bulk),
        get(one, show)
            .permission(READ)
            .says("Show a job", |it| it.path("id", number()).ok::<JobSeen>()),
        post("/api/v1/admin/jobs/{id}/retry", retry)
            .permission(MANAGE)
            .says("Try a dead or cancelled job again", single),
        post("/api/v1/admin/jobs/{id}/discard", discard)
            .permission(MANAGE)
            .says("Delete a dead or cancelled job", single),
        post("/api/v1/admin/jobs/{id}/cancel", cancel)
            .permission(MANAGE)
            .says("Cancel a job that has not ended", single),
    ]
}

fn bulk(it: Describe<'_>) -> Describe<'_> {
    it.body::<Which>().ok::<Changed>()
}

fn single(it: Describe<'_>) -> Describe<'_> {
    it.path("id", number()).ok::<Changed>().refuses(409)
}

fn number() -> serde_json::Value {
    json!({ "type": "integer", "minimum": 1 })
}

#[derive(Deserialize, JsonSchema)]
struct Asked {
    /// Where they stand.
    #[schemars(extend("enum" = State::ALL))]
    state: Option<String>,
    queue: Option<String>,
    extension: Option<String>,
    handler: Option<String>,
    /// Older than the job of this number: the last of the page before.
    #[schemars(with = "Option<i64>")]
    before: Option<String>,
    /// Rows of a page, 25 unless asked for, 100 at most.
    #[schemars(with = "Option<u32>")]
    per_page: Option<String>,
}

/// Which jobs; what is left out does not matter.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Where they stand.
    state: Option<State>,
    #[schemars(regex(pattern = r"^[^\u0000]*$"))]
    queue: Option<String>,
    #[schemars(regex(pattern = r"^[^\u0000]*$"))]
    extension: Option<String>,
    #[schemars(regex(pattern = r"^[^\u0000]*$"))]
    handler: Option<String>,
}

/// What was done.
#[derive(Serialize, JsonSchema)]
struct Changed {
    /// To how many jobs.
    jobs: usize,
}

async fn list(
    platform: Data<Platform>,
    _: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let Asked { state, queue, extension, handler, before, per_page } = query::of(&request)?;
    let must_be = "one of scheduled, ready, running, blocked, done, dead, cancelled";
    let state = state.map(|it| serde_json::from_value(json!(it))).transpose();
    let state = state.map_err(|_| ApiError::invalid("state", format!("must be {must_be}")))?;
    let before = query::value::<i64>("before", before.as_ref(), "a number")?;
    let most = query::value::<u32>("per_page", per_page.as_ref(), "a number from 1")?;
    if most == Some(0) {
        return Err(ApiError::invalid("per_page", "must be a number from 1"));
    }
    let filter = Filter { state, queue, extension, handler, before, id: None };
    let most = most.unwrap_or(ROWS.0).min(ROWS.1);
    Ok(envelope::ok(queue::see_jobs(&platform.core, filter, most).await.map_err(failed)?))
}

async fn show(
    platform: Data<Platform>,
    _: Caller,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    Ok(envelope::ok(found(&platform, &id).await?.1))
}

async fn retry_all(
    platform: Data<Platform>,
    caller: Caller,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    change_all(&platform, &caller, body, Action::Retry).await
}

async fn discard_all(
    platform: Data<Platform>,
    caller: Caller,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    change_all(&platform, &caller, body, Action::Discard).await
}

async fn cancel_all(
    platform: Data<Platform>,
    caller: Caller,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    change_all(&platform, &caller, body, Action::Cancel).await
}

async fn retry(
    platform: Data<Platform>,
    caller: Caller,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    change_one(&platform, &caller, &id, Action::Retry).await
}

async fn discard(
    platform: Data<Platform>,
    caller: Caller,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    change_one(&platform, &caller, &id, Action::Discard).await
}

async fn cancel(
    platform: Data<Platform>,
    caller: Caller,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    change_one(&platform, &caller, &id, Action::Cancel).await
}

async fn change_all(
    platform: &Platform,
    caller: &Caller,
    body: Body,
    action: Action,
) -> Result<HttpResponse, ApiError> {
    let Which { state, queue, extension, handler } = body.json().await?;
    let texts = [("queue", &queue), ("extension", &extension), ("handler", &handler)];
    for (name, text) in texts {
        if text.as_ref().is_some_and(|it| it.contains('\0')) {
            return Err(ApiError::invalid(name, "must hold no NUL"));
        }
    }
    let filter = Filter { state, queue, extension, handler, ..Filter::default() };
    let jobs = queue::change(&platform.core, action, filter, caller.by()).await.map_err(failed)?;
    platform.wake.ring();
    Ok(envelope::ok(Changed { jobs }))
}

async fn change_one(
    platform: &Platform,
    caller: &Caller,
    id: &str,
    action: Action,
) -> Result<HttpResponse, ApiError> {
    let (id, _) = found(platform, id).await?;
    let filter = Filter { id: Some(id), ..Filter::default() };
    let jobs = queue::change(&platform.core, action, filter, caller.by()).await.map_err(failed)?;
    if jobs == 0 {
        let stands = match action {
            Action::Retry | Action::Discard => "it is neither dead nor cancelled",
            Action::Cancel => "it has ended",
        };
        return Err(ApiError::conflict(format!("job {id}: {stands}")));
    }
    platform.wake.ring();
    Ok(envelope::ok(Changed { jobs }))
}

async fn found(platform: &Platform, id: &str) -> Result<(i64, JobSeen), ApiError> {
    let missing = || ApiError::not_found("job");
    let id = id.parse().map_err(|_| missing())?;
    let job = queue::see_job(&platform.core, id).await.map_err(failed)?;
    Ok((id, job.ok_or_else(missing)?))
}

pub(super) fn failed(error: QueueError) -> ApiError {
    ApiError::internal(error)
}
