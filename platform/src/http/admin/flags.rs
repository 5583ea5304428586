//! `/api/v1/admin/flags`

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use powernode_plugin_api::operation::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    gate::{ActorId, Edit, Export, Expression, Flag, FlagState, Percentage},
    http::{
        body::Body,
        caller::Caller,
        envelope,
        error::ApiError,
        page::Page,
        route::{CoreRoute, delete, get, post, put},
        state::Platform,
    },
};

const READ: &str = "admin.flags.read";
const MANAGE: &str = "admin.flags.manage";
/// Beside the flags, since any word below them is a flag's name.
const FLIPPER: &str = "/api/v1/admin/flipper";

pub(super) fn table() -> Vec<CoreRoute> {
    let (all, one) = ("/api/v1/admin/flags", "/api/v1/admin/flags/{name}");
    vec![
        get(all, list).permission(READ).says("List flags", |it| it.page_of::<Shown>()),
        post(all, create)
            .permission(MANAGE)
            .says("Make a flag", |it| it.body::<NewFlag>().created::<Shown>().refuses(409)),
        get(one, show).permission(READ).says("Show a flag", |it| it.ok::<Shown>()),
        put(one, set)
            .permission(MANAGE)
            .says("Switch a flag for all", |it| it.body::<Enabled>().ok::<Shown>()),
        post("/api/v1/admin/flags/{name}/actors", add_actor)
            .permission(MANAGE)
            .says("Switch it on for an actor", |it| it.body::<NewActor>().ok::<Shown>()),
        delete("/api/v1/admin/flags/{name}/actors/{value}", remove_actor).permission(MANAGE).says(
            "Take an actor away; one that is not there changes nothing",
            |it| {
                it.path("value", schema_of::<NewActor>()["properties"]["actor"].take())
                    .ok::<Shown>()
                    .refuses(422)
            },
        ),
        post("/api/v1/admin/flags/{name}/groups", add_group)
            .permission(MANAGE)
            .says("Switch it on for a group", |it| it.body::<NewGroup>().ok::<Shown>()),
        delete("/api/v1/admin/flags/{name}/groups/{value}", remove_group).permission(MANAGE).says(
            "Take a group away; one that is not there, or none at all, changes nothing",
            |it| it.ok::<Shown>(),
        ),
        put("/api/v1/admin/flags/{name}/percentage_of_actors", percentage_of_actors)
            .permission(MANAGE)
            .says("Switch it on for a share of actors", |it| it.body::<Share>().ok::<Shown>()),
        put("/api/v1/admin/flags/{name}/percentage_of_time", percentage_of_time)
            .permission(MANAGE)
            .says("Switch it on for a share of the time", |it| it.body::<Share>().ok::<Shown>()),
        put("/api/v1/admin/flags/{name}/expression", set_expression)
            .permission(MANAGE)
            .says("Switch it on for whoever an expression is true of", |it| {
                it.body::<NewExpression>().ok::<Shown>()
            }),
        delete("/api/v1/admin/flags/{name}/expression", remove_expression)
            .permission(MANAGE)
            .says("Take the expression away", |it| it.ok::<Shown>()),
        get(FLIPPER, export)
            .permission(READ)
            .says("Export all flags as Flipper does", |it| it.plain::<Export>("200")),
        put(FLIPPER, import)
            .permission(MANAGE)
            .says("Take over flags from an export of Flipper's", |it| {
                it.body::<Export>().ok::<Imported>()
            }),
    ]
}

/// A flag as it is answered.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FlagWithState")]
struct Shown {
    #[serde(flatten)]
    flag: Flag,
    /// For whom it is on.
    state: FlagState,
}

async fn list(
    platform: Data<Platform>,
    _: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let page = Page::of(request.query_string())?;
    let flags = platform.gate.flags().unwrap_or_default();
    let total = i64::try_from(flags.len()).unwrap_or(i64::MAX);
    let rows: Vec<_> = page.of_list(&flags).map(shown).collect();
    Ok(envelope::paged(rows, page, total))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewFlag {
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_]{0,63}$"))]
    name: String,
    #[serde(default)]
    #[schemars(regex(pattern = r"^[^\u0000]*$"))]
    description: String,
}

async fn create(
    platform: Data<Platform>,
    caller: Caller,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let new: NewFlag = body.json().await?;
    let flag = platform.flags.create(&new.name, &new.description, caller.by()).await?;
    Ok(envelope::created(shown(&flag)))
}

async fn show(
    platform: Data<Platform>,
    _: Caller,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let flag = platform.gate.flag(&name).ok_or_else(|| ApiError::not_found("flag"))?;
    Ok(envelope::ok(shown(&flag)))
}

#[derive(Deserialize, JsonSchema)]
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
    let Enabled { enabled } = body.json().await?;
    edit(&platform, &caller, &name, if enabled { Edit::Enable } else { Edit::Disable }).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewActor {
    /// `Class;id`, of 63 bytes at most.
    #[schemars(
        length(max = 63),
        regex(pattern = r"^[^;\s\u0000-\u001f\u007f-\u009f]+;[^\s\u0000-\u001f\u007f-\u009f]+$")
    )]
    actor: String,
}

async fn add_actor(
    platform: Data<Platform>,
    caller: Caller,
    name: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let NewActor { actor } = body.json().await?;
    edit(&platform, &caller, &name, Edit::EnableActor(actor_of(&actor)?)).await
}

async fn remove_actor(
    platform: Data<Platform>,
    caller: Caller,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (name, actor) = path.into_inner();
    edit(&platform, &caller, &name, Edit::DisableActor(actor_of(&actor)?)).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewGroup {
    #[schemars(extend("enum" = ["admins", "users"]))]
    group: String,
}

async fn add_group(
    platform: Data<Platform>,
    caller: Caller,
    name: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let NewGroup { group } = body.json().await?;
    edit(&platform, &caller, &name, Edit::EnableGroup(group)).await
}

async fn remove_group(
    platform: Data<Platform>,
    caller: Caller,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (name, group) = path.into_inner();
    edit(&platform, &caller, &name, Edit::DisableGroup(group)).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Share {
    /// From 0 to 100, with up to three decimals.
    #[schemars(range(min = 0, max = 100), extend("multipleOf" = 0.001))]
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
    let share: Share = body.json().await?;
    edit(&platform, &caller, &name, Edit::PercentageOfActors(share.read()?)).await
}

async fn percentage_of_time(
    platform: Data<Platform>,
    caller: Caller,
    name: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let share: Share = body.json().await?;
    edit(&platform, &caller, &name, Edit::PercentageOfTime(share.read()?)).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewExpression {
    /// As Flipper writes it: `{"Equal": [{"Property": ["admin"]}, true]}`.
    #[schemars(with = "serde_json::Map<String, Value>")]
    expression: Value,
}

async fn set_expression(
    platform: Data<Platform>,
    caller: Caller,
    name: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let NewExpression { expression } = body.json().await?;
    let expression = Expression::new(expression)
        .map_err(|error| ApiError::invalid("expression", error.to_string()))?;
    edit(&platform, &caller, &name, Edit::EnableExpression(expression)).await
}

async fn remove_expression(
    platform: Data<Platform>,
    caller: Caller,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    edit(&platform, &caller, &name, Edit::DisableExpression).await
}

async fn export(platform: Data<Platform>, _: Caller) -> HttpResponse {
    let flags = platform.gate.flags().unwrap_or_default();
    HttpResponse::Ok().json(Export::of(flags.iter()))
}

/// What an import did.
#[derive(Serialize, JsonSchema)]
struct Imported {
    /// The flags that it changed, by name.
    changed: Vec<String>,
}

async fn import(
    platform: Data<Platform>,
    caller: Caller,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let file: Export = body.json().await?;
    let flags = file.read().map_err(|error| ApiError::invalid("features", error.to_string()))?;
    let changed = platform.flags.import(flags, caller.by()).await?;
    Ok(envelope::ok(Imported { changed }))
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

fn shown(flag: &Flag) -> Shown {
    Shown { flag: flag.clone(), state: flag.state() }
}
