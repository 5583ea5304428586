//! `/api/v1/admin/flags`

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    gate::{ActorId, Edit, Flag, Percentage},
    http::{
        body::Body,
        caller::Caller,
        core::{get, resource},
        envelope,
        error::ApiError,
        page::Page,
        state::Platform,
    },
};

const READ: &str = "admin.flags.read";
const MANAGE: &str = "admin.flags.manage";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let (all, one) = ("/flags", "/flags/{name}");
    let listed = |kind: &str| (format!("{one}/{kind}"), format!("{one}/{kind}/{{value}}"));
    let ((actors, actor), (groups, group)) = (listed("actors"), listed("groups"));
    config
        .service(
            resource(all, "GET, HEAD, POST").route(get().to(list)).route(web::post().to(create)),
        )
        .service(resource(one, "GET, HEAD, PUT").route(get().to(show)).route(web::put().to(set)))
        .service(resource(&actors, "POST").route(web::post().to(add_actor)))
        .service(resource(&actor, "DELETE").route(web::delete().to(remove_actor)))
        .service(resource(&groups, "POST").route(web::post().to(add_group)))
        .service(resource(&group, "DELETE").route(web::delete().to(remove_group)))
        .service(
            resource(&format!("{one}/percentage_of_actors"), "PUT")
                .route(web::put().to(percentage_of_actors)),
        )
        .service(
            resource(&format!("{one}/percentage_of_time"), "PUT")
                .route(web::put().to(percentage_of_time)),
        );
}

async fn list(
    platform: Data<Platform>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(READ)?;
    let page = Page::of(request.query_string())?;
    let flags = platform.gate.flags().unwrap_or_default();
    let total = i64::try_from(flags.len()).unwrap_or(i64::MAX);
    let rows: Vec<_> = page.of_list(&flags).map(shown).collect();
    Ok(envelope::paged(rows, page, total))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFlag {
    name: String,
    #[serde(default)]
    description: String,
}

async fn create(
    platform: Data<Platform>,
    caller: Caller,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    caller.require(MANAGE)?;
    let new: NewFlag = body.json().await?;
    let flag = platform.flags.create(&new.name, &new.description, caller.by()).await?;
    Ok(envelope::created(shown(&flag)))
}

async fn show(
    platform: Data<Platform>,
    caller: Caller,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    caller.require(READ)?;
    let flag = platform.gate.flag(&name).ok_or_else(|| ApiError::not_found("flag"))?;
    Ok(envelope::ok(shown(&flag)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enabled {
    enabled: bool,
}

async fn set(
    platform: Data<Platform>,
    caller: Caller,
    name: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    caller.require(MANAGE)?;
    let Enabled { enabled } = body.json().await?;
    edit(&platform, &caller, &name, if enabled { Edit::Enable } else { Edit::Disable }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewActor {
    actor: String,
}

async fn add_actor(
    platform: Data<Platform>,
    caller: Caller,
    name: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    caller.require(MANAGE)?;
    let NewActor { actor } = body.json().await?;
    edit(&platform, &caller, &name, Edit::EnableActor(actor_of(&actor)?)).await
}

async fn remove_actor(
    platform: Data<Platform>,
    caller: Caller,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    caller.require(MANAGE)?;
    let (name, actor) = path.into_inner();
    edit(&platform, &caller, &name, Edit::DisableActor(actor_of(&actor)?)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewGroup {
    group: String,
}

async fn add_group(
    platform: Data<Platform>,
    caller: Caller,
    name: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    caller.require(MANAGE)?;
    let NewGroup { group } = body.json().await?;
    edit(&platform, &caller, &name, Edit::EnableGroup(group)).await
}

async fn remove_group(
    platform: Data<Platform>,
    caller: Caller,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    caller.require(MANAGE)?;
    let (name, group) = path.into_inner();
    edit(&platform, &caller, &name, Edit::DisableGroup(group)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    percentage: f64,
}

impl Share {
    fn read(&self) -> Result<Percentage, ApiError> {
        let bad =
            |error: crate::gate::BadPercentage| ApiError::invalid("percentage", error.to_string());
        Percentage::new(self.percentage).map_err(bad)
    }
}

async fn percentage_of_actors(
    platform: Data<Platform>,
    caller: Caller,
    name: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    caller.require(MANAGE)?;
    let share: Share = body.json().await?;
    edit(&platform, &caller, &name, Edit::PercentageOfActors(share.read()?)).await
}

async fn percentage_of_time(
    platform: Data<Platform>,
    caller: Caller,
    name: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    caller.require(MANAGE)?;
    let share: Share = body.json().await?;
    edit(&platform, &caller, &name, Edit::PercentageOfTime(share.read()?)).await
}

async fn edit(
    platform: &Platform,
    caller: &Caller,
    name: &str,
    edit: Edit,
) -> Result<HttpResponse, ApiError> {
    let flag = platform.flags.edit(name, edit, caller.by()).await?;
    Ok(envelope::ok(shown(&flag)))
}

fn actor_of(text: &str) -> Result<ActorId, ApiError> {
    ActorId::new(text).map_err(|error| ApiError::invalid("actor", error.to_string()))
}

fn shown(flag: &Flag) -> Value {
    let mut shown = json!(flag);
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("state".into(), json!(flag.state()));
    }
    shown
}
