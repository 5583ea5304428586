//! `/api/v1/admin/queues`, `/schedules` and `/nodes`

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chrono::Utc;
use schemars::JsonSchema;
use serde::Serialize;

use super::jobs::failed;
use crate::{
    http::{
        body::Body,
        caller::Caller,
        envelope,
        error::ApiError,
        route::{CoreRoute, get, post, put},
        state::Platform,
    },
    queue::{self, NewLimits, Node, QueueSeen, ScheduleSeen},
};

const READ: &str = "admin.jobs.read";
const MANAGE: &str = "admin.jobs.manage";

pub(super) fn table() -> Vec<CoreRoute> {
    vec![
        get("/api/v1/admin/queues", list)
            .permission(READ)
            .says("List queues with their sizes", |it| it.ok::<Vec<QueueSeen>>()),
        put("/api/v1/admin/queues/{queue}", set)
            .permission(MANAGE)
            .says("Set a queue's limits", |it| it.body::<NewLimits>().ok::<QueueSeen>()),
        post("/api/v1/admin/queues/{queue}/pause", pause)
            .permission(MANAGE)
            .says("Pause a queue on all nodes", |it| it.ok::<QueueSeen>()),
        post("/api/v1/admin/queues/{queue}/resume", resume)
            .permission(MANAGE)
            .says("Let a queue go on", |it| it.ok::<QueueSeen>()),
        get("/api/v1/admin/schedules", schedules)
            .permission(READ)
            .says("List schedules with their next ticks", |it| it.ok::<Vec<ScheduleSeen>>()),
        post("/api/v1/admin/schedules/{extension}/{name}/run", run)
            .permission(MANAGE)
            .says("Write a schedule's job now, beside its ticks", |it| {
                it.created::<Written>().refuses(409)
            }),
        get("/api/v1/admin/nodes", nodes)
            .permission(READ)
            .says("List the processes that run jobs", |it| it.ok::<Vec<Node>>()),
    ]
}

async fn list(platform: Data<Platform>, _: Caller) -> Result<HttpResponse, ApiError> {
    Ok(envelope::ok(queue::see_queues(&platform.core, Utc::now()).await.map_err(failed)?))
}

async fn set(
    platform: Data<Platform>,
    caller: Caller,
    name: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let new: NewLimits = body.json().await?;
    let bounds = [
        ("max_per_node", new.max_per_node, 1, 10_000),
        ("max_global", new.max_global, 0, 1_000_000),
        ("retain_done_s", new.retain_done_s, 0, 315_360_000),
        ("retain_dead_s", new.retain_dead_s, 0, 315_360_000),
    ];
    for (field, value, least, most) in bounds {
        if value.is_some_and(|it| !(least..=most).contains(&it)) {
            return Err(ApiError::invalid(field, format!("must be from {least} to {most}")));
        }
    }
    let set =
        queue::limit(&platform.core, known(&name)?, new, caller.by()).await.map_err(failed)?;
    shown(&platform, set, &name).await
}

async fn pause(
    platform: Data<Platform>,
    caller: Caller,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let paused = queue::set_paused(&platform.core, known(&name)?, true, caller.by()).await;
    shown(&platform, paused.map_err(failed)?, &name).await
}

async fn resume(
    platform: Data<Platform>,
    caller: Caller,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let resumed = queue::set_paused(&platform.core, known(&name)?, false, caller.by()).await;
    shown(&platform, resumed.map_err(failed)?, &name).await
}

async fn schedules(platform: Data<Platform>, _: Caller) -> Result<HttpResponse, ApiError> {
    Ok(envelope::ok(queue::see_schedules(&platform.core).await.map_err(failed)?))
}

/// A job that was written.
#[derive(Serialize, JsonSchema)]
struct Written {
    /// Its number.
    job: i64,
}

async fn run(
    platform: Data<Platform>,
    caller: Caller,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (extension, name) = path.into_inner();
    let name = format!("{extension}/{name}");
    let schedules = queue::see_schedules(&platform.core).await.map_err(failed)?;
    if !schedules.iter().any(|it| it.name() == name) {
        return Err(ApiError::not_found("schedule"));
    }
    let written = queue::run_now(&platform.core, &name, caller.by()).await.map_err(failed)?;
    let job = written.ok_or_else(|| {
        ApiError::conflict(format!("the job of `{name}` is there already, and its key is unique"))
    })?;
    platform.wake.ring();
    Ok(envelope::created(Written { job }))
}

async fn nodes(platform: Data<Platform>, _: Caller) -> Result<HttpResponse, ApiError> {
    Ok(envelope::ok(queue::see_nodes(&platform.core).await.map_err(failed)?))
}

/// A name that a queue can have: the databases are asked for no other.
fn known(name: &str) -> Result<&str, ApiError> {
    if name.contains('\0') { Err(ApiError::not_found("queue")) } else { Ok(name) }
}

/// What a queue is after it was changed.
async fn shown(
    platform: &Platform,
    changed: Option<()>,
    name: &str,
) -> Result<HttpResponse, ApiError> {
    let missing = || ApiError::not_found("queue");
    changed.ok_or_else(missing)?;
    platform.wake.ring();
    let queues = queue::see_queues(&platform.core, Utc::now()).await.map_err(failed)?;
    let queue = queues.into_iter().find(|it| it.name() == name).ok_or_else(missing)?;
    Ok(envelope::ok(queue))
}
