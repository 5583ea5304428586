//! `/api/v1/admin/explain`: which route a request would take, and what each gate would say.

use actix_web::{HttpRequest, HttpResponse, http::Method, web::Data};
use powernode_plugin_api::operation::Identity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    gate::{Actor, ActorId, Explanation},
    http::{
        caller::Caller,
        dispatch::Missing,
        envelope,
        error::ApiError,
        query,
        route::{CoreRoute, get},
        state::Platform,
    },
};

pub(super) fn table() -> [CoreRoute; 1] {
    [get("/api/v1/admin/explain", explain)
        .permission("admin.extensions.read")
        .says("Explain a request", |it| it.query::<Asked>().ok::<Explained>())]
}

#[derive(Deserialize, JsonSchema)]
struct Asked {
    /// `GET` unless asked for.
    #[schemars(regex(pattern = r"^[A-Za-z]{1,20}$"))]
    method: Option<String>,
    /// A path, such as `/api/v1/marketing/campaigns`.
    #[schemars(required)]
    path: Option<String>,
    /// The account that asks; nobody in particular unless asked for.
    #[schemars(with = "Option<Uuid>")]
    account: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Explained {
    Route { route: Route, extension: String, identity: Answerer, gates: Explanation },
    None { route: (), reason: String },
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExplainedRoute")]
struct Route {
    method: String,
    pattern: String,
}

/// Who answers for identity.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Answerer {
    Permission(String),
    /// A link that was signed for this purpose.
    Signed(String),
    Public,
    Extension,
}

async fn explain(
    platform: Data<Platform>,
    _: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let asked: Asked = query::of(&request)?;
    let account = query::value::<Uuid>("account", asked.account.as_ref(), "the id of an account")?;
    let path = asked.path.ok_or_else(|| ApiError::invalid("path", "is missing"))?;
    let method = asked.method.as_deref().unwrap_or("GET").to_ascii_uppercase();
    let is_word =
        (1..=20).contains(&method.len()) && method.bytes().all(|it| it.is_ascii_uppercase());
    let method = Method::from_bytes(method.as_bytes()).ok().filter(|_| is_word);
    let method = method.ok_or_else(|| ApiError::invalid("method", "must be a method of HTTP"))?;
    let path = path.split('?').next().unwrap_or_default();
    let found = match platform.table.load().find(&method, path) {
        Ok(found) => found.mounted,
        Err(Missing::Path) => {
            let reason = "no loaded extension has such a path; it may be the core's, or of an extension that stays out";
            return Ok(envelope::ok(Explained::None { route: (), reason: reason.to_owned() }));
        }
        Err(Missing::Method { allow }) => {
            let reason = format!("the path has other methods: {allow}");
            return Ok(envelope::ok(Explained::None { route: (), reason }));
        }
    };
    let actor = account.map(|it| Actor::of_account(ActorId::account(it)));
    let context = platform.state.context(&found.slug).await?;
    let gates = platform.gate.explain(&found.slug, actor.as_ref(), context);
    let identity = match &found.mount.operation.identity {
        Identity::Permission(permission) => Answerer::Permission(permission.clone()),
        Identity::Extension => Answerer::Extension,
        Identity::Signed(purpose) => Answerer::Signed(purpose.clone()),
        Identity::Public | Identity::Undeclared => Answerer::Public,
    };
    let route = Route { method: found.mount.method.clone(), pattern: found.mount.pattern.clone() };
    let extension = found.slug.clone();
    Ok(envelope::ok(Explained::Route { route, extension, identity, gates }))
}
