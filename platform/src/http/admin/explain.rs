//! `/api/v1/admin/explain`: which route a request would take, and what each gate would say.

use actix_web::{HttpRequest, HttpResponse, http::Method, web::Data};
use powernode_plugin_api::operation::Identity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    gate::{Actor, ActorId, Explanation, Gate},
    http::{
        caller::Caller,
        dispatch::{Missing, holder, left_out},
        envelope,
        error::ApiError,
        path, query,
        request::Party,
        route::{self, Asks, CoreRoute, Facts, Predicate, get},
        state::Platform,
    },
    registry::Mounted,
};

pub(super) fn table() -> [CoreRoute; 1] {
    [get("/api/v1/admin/explain", explain)
        .permission("admin.extensions.read")
        .says("Explain a request", |it| it.query::<Asked>().ok::<Explained>().refuses(404))]
}

#[derive(Deserialize, JsonSchema)]
struct Asked {
    /// `GET` unless asked for.
    #[schemars(regex(pattern = r"^[A-Za-z]{1,20}$"))]
    method: Option<String>,
    /// A path, such as `/api/v1/marketing/campaigns`.
    #[schemars(required)]
    path: Option<String>,
    /// The account that asks, which must be there; nobody in particular unless asked for.
    #[schemars(with = "Option<Uuid>")]
    account: Option<String>,
}

/// What would become of a request.
#[derive(Serialize, JsonSchema)]
struct Explained {
    /// The route; nothing where none would be taken.
    route: Option<Route>,
    /// Whose the path is: an extension's, also of one that stays out; nothing where it is the core's or nobody's.
    extension: Option<String>,
    /// Who answers for identity.
    identity: Option<Answerer>,
    /// Whether there is a route and all that comes before identity is open.
    enabled: bool,
    /// What the core asks before identity, on a route of its own.
    predicate: Option<Asking>,
    /// The gates of the extension.
    gates: Option<Explanation>,
    /// All of it in a sentence; nothing where the gates say it.
    reason: Option<String>,
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
    /// A token, whatever its scopes.
    Token,
    /// A link that was signed for this purpose.
    Signed(String),
    Public,
    Extension,
}

/// A predicate of the gates.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExplainedPredicate")]
struct Asking {
    name: &'static str,
    holds: bool,
    /// What callers are told while it does not hold.
    refusal: &'static str,
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
    if let Some(account) = account
        && platform.access.account(account).await?.is_none()
    {
        return Err(ApiError::not_found(format!("account `{account}`")));
    }
    let actor = account.map(|it| Actor::of_account(ActorId::account(it)));
    let path = path.split('?').next().unwrap_or_default();
    let Some(path) = path::read(path) else {
        let reason = "no request can have such a path: it is no text";
        return Ok(envelope::ok(Explained::nothing(reason.to_owned())));
    };
    let path = path.as_str();
    // In the order in which a request is offered to them.
    let missing = match route::find(&method, path) {
        Ok(facts) => return Ok(envelope::ok(Explained::core(facts, &platform.gate))),
        Err(missing @ Missing::Method { .. }) => missing,
        Err(Missing::Path) => {
            let found = platform.table.load().find(&method, path);
            match found {
                Ok(found) => {
                    let mounted = &found.mounted;
                    // Of a signed path the link's account is the actor, as it is where it is asked for.
                    let (holder, let_in) = match &mounted.mount.operation.identity {
                        Identity::Signed(purpose) => {
                            holder(purpose, mounted, &found.values, &platform)
                        }
                        _ => (None, Ok(Party::Nobody)),
                    };
                    let actor = actor.or(holder);
                    let gates = gates(&platform, &mounted.slug, actor.as_ref()).await?;
                    let reason = let_in.err().map(|it| it.to_string());
                    return Ok(envelope::ok(Explained::extension(mounted, gates, reason)));
                }
                Err(missing) => missing,
            }
        }
    };
    if let Missing::Method { allow } = missing {
        let reason = format!("the path has other methods: {allow}");
        return Ok(envelope::ok(Explained::nothing(reason)));
    }
    let owner = left_out(&platform.registry, path).and_then(|it| platform.registry.entries.get(it));
    let Some(owner) = owner else {
        let reason = "neither the core nor an installed extension has such a path";
        return Ok(envelope::ok(Explained::nothing(reason.to_owned())));
    };
    let gates = gates(&platform, &owner.slug, actor.as_ref()).await?;
    Ok(envelope::ok(Explained::left_out(&owner.slug, gates)))
}

async fn gates(
    platform: &Platform,
    slug: &str,
    actor: Option<&Actor>,
) -> Result<Explanation, ApiError> {
    let context = platform.state.context(slug).await?;
    Ok(platform.gate.explain(slug, actor, context))
}

impl Explained {
    fn nothing(reason: String) -> Self {
        Self {
            route: None,
            extension: None,
            identity: None,
            enabled: false,
            predicate: None,
            gates: None,
            reason: Some(reason),
        }
    }

    fn left_out(slug: &str, gates: Explanation) -> Self {
        let reason = format!("the path is of `{slug}`, which stays out: it has no routes");
        Self { extension: Some(slug.to_owned()), gates: Some(gates), ..Self::nothing(reason) }
    }

    fn extension(mounted: &Mounted, gates: Explanation, reason: Option<String>) -> Self {
        let identity = match &mounted.mount.operation.identity {
            Identity::Permission(permission) => Answerer::Permission(permission.clone()),
            Identity::Extension => Answerer::Extension,
            Identity::Signed(purpose) => Answerer::Signed(purpose.clone()),
            Identity::Public | Identity::Undeclared => Answerer::Public,
        };
        let (method, pattern) = (mounted.mount.method.clone(), mounted.mount.pattern.clone());
        Self {
            route: Some(Route { method, pattern }),
            extension: Some(mounted.slug.clone()),
            identity: Some(identity),
            enabled: gates.enabled,
            predicate: None,
            gates: Some(gates),
            reason,
        }
    }

    fn core(facts: &Facts, gate: &Gate) -> Self {
        let (identity, whom) = match facts.asks {
            Asks::Nothing => (Answerer::Public, "anybody".to_owned()),
            Asks::Token => (Answerer::Token, "whoever has a token".to_owned()),
            Asks::Permission(it) => {
                (Answerer::Permission(it.to_owned()), format!("tokens with `{it}`"))
            }
        };
        let predicate = facts.predicate.map(|it| {
            let Predicate { name, holds, refusal } = *it;
            Asking { name, holds: holds(gate), refusal }
        });
        let (method, pattern) = (facts.method.to_string(), facts.path.to_owned());
        let mut reason = format!("the core answers {method} {pattern} for {whom}");
        if let Some(Asking { name, holds, refusal }) = &predicate {
            let word = if *holds { "holds" } else { "does not hold" };
            reason = format!("{reason}, while `{name}` holds, and it {word}");
            if !holds {
                reason = format!("{reason}: {refusal}");
            }
        }
        Self {
            route: Some(Route { method, pattern }),
            extension: None,
            identity: Some(identity),
            enabled: predicate.as_ref().is_none_or(|it| it.holds),
            predicate,
            gates: None,
            reason: Some(reason),
        }
    }
}
