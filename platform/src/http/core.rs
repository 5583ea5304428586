//! The core's own routes, which are there without any extension.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, rt::time::timeout, web::Data};
use chrono::Utc;
use diesel::prelude::*;
use powernode_plugin_api::db::RunError;
use prometheus_client::encoding::text::encode;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    caller::Caller,
    envelope,
    error::ApiError,
    route::{CoreRoute, Predicate, get},
    state::Platform,
};
use crate::{
    access::{Account, User},
    db::{
        Fault,
        schema::{core_accounts, core_tokens, core_users},
    },
    gate,
    manifest::{Frontend, NavEntry},
    queue,
    registry::State,
};

/// What the guide's guard asks.
static BUSINESS: Predicate = Predicate {
    name: "business_loaded",
    holds: gate::Gate::business_loaded,
    refusal: "Advanced reporting requires the business extension",
};

/// What watches the platform asks these: no limit counts it, and none refuses it.
pub(super) const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// They, but for the operator's.
pub(super) fn table() -> Vec<CoreRoute> {
    vec![
        get("/healthz", healthz)
            .public()
            .says("Say that the process lives", |it| it.plain::<Health>("200")),
        get("/readyz", readyz).public().says("Say whether requests may be sent", |it| {
            it.plain::<Readiness>("200").plain::<Readiness>("503")
        }),
        get("/metrics", metrics)
            .public()
            .says("Show all metrics", |it| it.text("application/openmetrics-text")),
        get("/api/v1/config", configuration)
            .public()
            .says("Say what a client must know at first", |it| it.ok::<Configuration>()),
        get("/api/v1/extensions/ui", ui)
            .public()
            .says("List pages and navigation of extensions that are on", |it| {
                it.ok::<Vec<Pages>>()
            }),
        get("/api/v1/me", me)
            .token()
            .says("Show the bearer's account and user", |it| it.ok::<Me>()),
        get("/api/v1/reports/advanced", advanced_report)
            .permission("reports.read")
            .behind(&BUSINESS)
            .says("Show the advanced report", |it| it.ok::<Report>().refuses(404)),
    ]
}

/// That the process lives.
#[derive(Serialize, JsonSchema)]
struct Health {
    #[schemars(extend("const" = "ok"))]
    status: &'static str,
}

/// Whether requests may be sent.
#[derive(Serialize, JsonSchema)]
pub(super) struct Readiness {
    #[schemars(extend("enum" = ["ready", "not ready"]))]
    status: &'static str,
    /// Whether the platform is about to end.
    draining: bool,
    /// Whether the database can be read and written.
    database: bool,
    /// What keeps it from that.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The same for programs, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'static str>,
    /// What the operator can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    way_back: Option<&'static str>,
    /// How many extensions are loaded.
    extensions: usize,
}

impl Readiness {
    /// That of a platform that waits for its database.
    pub(super) fn waiting(fault: &Fault) -> Self {
        Self {
            status: "not ready",
            draining: false,
            database: false,
            reason: Some(fault.outline().to_owned()),
            fault: Some(fault.code()),
            way_back: Some(fault.way_back()),
            extensions: 0,
        }
    }
}

/// What a client must know before anybody signs in.
#[derive(Serialize, JsonSchema)]
struct Configuration {
    version: &'static str,
    /// Whether no extension is loaded.
    core_mode: bool,
    /// Slugs of those that are.
    extensions: Vec<String>,
    billing_enabled: bool,
}

/// What an extension adds to the pages.
#[derive(Serialize, JsonSchema)]
struct Pages {
    slug: String,
    name: String,
    version: String,
    capabilities: Vec<String>,
    nav: Vec<NavEntry>,
    frontend: Option<Frontend>,
}

/// The bearer.
#[derive(Serialize, JsonSchema)]
struct Me {
    account: Option<Account>,
    user: Option<User>,
}

/// The advanced report.
#[derive(Serialize, JsonSchema)]
struct Report {
    accounts: i64,
    users: i64,
    tokens: i64,
}

/// How long the database may take to answer while the platform counts as ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process lives.
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: "ok" })
}

/// It may be sent requests: it is not about to end, and its database answers.
async fn readyz(platform: Data<Platform>) -> HttpResponse {
    let asked = platform
        .core
        .read(|conn| core_accounts::table.count().get_result::<i64>(conn).map_err(RunError::from));
    let reason = match timeout(PATIENCE, asked).await {
        Err(_) => Some(format!("the database did not answer within {PATIENCE:?}")),
        // The text of an error may name the server, and whoever asks is unknown.
        Ok(answer) => answer.err().map(|_| "the database cannot be read".to_owned()),
    };
    let fault = platform.engine.health().fault();
    let reason = fault.as_ref().map(|it| it.outline().to_owned()).or(reason);
    let database = reason.is_none();
    let is_ready = database && !platform.is_draining();
    let body = Readiness {
        status: if is_ready { "ready" } else { "not ready" },
        draining: platform.is_draining(),
        database,
        reason,
        fault: fault.as_ref().map(Fault::code),
        way_back: fault.as_ref().map(Fault::way_back),
        extensions: platform.gate.loaded().len(),
    };
    if is_ready {
        HttpResponse::Ok().json(body)
    } else {
        HttpResponse::ServiceUnavailable().json(body)
    }
}

/// All metrics, as OpenMetrics text.
async fn metrics(platform: Data<Platform>) -> Result<HttpResponse, ApiError> {
    // Where the database does not answer at once, the queues are shown as they were.
    let sizes = platform.core.read(|conn| queue::sizes(conn, Utc::now()).map_err(RunError::from));
    if let Ok(Ok(sizes)) = timeout(PATIENCE, sizes).await {
        platform.job_meters.look(sizes);
    }
    let mut text = String::new();
    encode(&mut text, &platform.metrics).map_err(ApiError::internal)?;
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(HttpResponse::Ok().content_type(media).body(text))
}

/// What a client must know before anybody signs in.
async fn configuration(platform: Data<Platform>) -> HttpResponse {
    envelope::ok(Configuration {
        version: env!("CARGO_PKG_VERSION"),
        core_mode: platform.gate.core_mode(),
        extensions: platform.gate.loaded(),
        billing_enabled: platform.gate.billing_enabled(),
    })
}

/// What pages and navigation entries there are, of extensions that are on.
async fn ui(platform: Data<Platform>) -> HttpResponse {
    let on = platform.registry.entries.iter().filter(|it| {
        it.state == State::Started
            && platform.gate.find(&it.slug).is_some_and(|it| platform.gate.is_open(it, None))
    });
    let shown: Vec<_> = on
        .filter_map(|it| it.manifest.as_deref())
        .map(|it| Pages {
            slug: it.slug.to_string(),
            name: it.name.clone(),
            version: it.version.to_string(),
            capabilities: it.capabilities.clone(),
            nav: it.nav.clone(),
            frontend: it.frontend.clone(),
        })
        .collect();
    envelope::ok(shown)
}

/// The bearer's account and user.
async fn me(platform: Data<Platform>, caller: Caller) -> Result<HttpResponse, ApiError> {
    let account = platform.access.account(caller.principal.account).await?;
    let users = platform.access.users(caller.principal.account).await?;
    let user = users.into_iter().find(|it| Some(it.id) == caller.principal.user);
    Ok(envelope::ok(Me { account, user }))
}

/// A route of the core that asks for an extension, with the guard of the guide.
///
/// The guard comes before 401, as the gates of extensions do.
async fn advanced_report(
    platform: Data<Platform>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    BUSINESS.check(&platform.gate)?;
    Caller::of(&request).await?;
    let counts = platform.core.read(|conn| {
        Ok::<_, RunError>((
            core_accounts::table.count().get_result::<i64>(conn)?,
            core_users::table.count().get_result::<i64>(conn)?,
            core_tokens::table.count().get_result::<i64>(conn)?,
        ))
    });
    let (accounts, users, tokens) = counts.await.map_err(ApiError::internal)?;
    Ok(envelope::ok(Report { accounts, users, tokens }))
}
