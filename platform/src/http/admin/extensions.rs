//! `/api/v1/admin/extensions`

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    gate::{Code, Edit, Explanation, Flag, GateName, Step, Verdict},
    http::{
        body::Body,
        caller::Caller,
        envelope,
        error::ApiError,
        page::Page,
        route::{CoreRoute, get, post, put},
        state::Platform,
    },
    manifest::{Refusal, Stage},
    package::{Found, scan},
    registry::{
        Entry, State, quarantine,
        report::Shown,
        rescan::{self, Rescan},
    },
};

const READ: &str = "admin.extensions.read";
const MANAGE: &str = "admin.extensions.manage";

pub(super) fn table() -> Vec<CoreRoute> {
    vec![
        get("/api/v1/admin/extensions", list)
            .permission(READ)
            .says("List extensions", |it| it.page_of::<Row>()),
        post("/api/v1/admin/extensions/rescan", rescan)
            .permission(MANAGE)
            .says("Tell what a restart would change", |it| it.ok::<Rescan>()),
        get("/api/v1/admin/extensions/{slug}", show)
            .permission(READ)
            .says("Show an extension", |it| it.ok::<Detail>()),
        get("/api/v1/admin/extensions/{slug}/explain", explain)
            .permission(READ)
            .says("Explain its gates", |it| it.ok::<Explanation>()),
        put("/api/v1/admin/extensions/{slug}/flag", flag)
            .permission(MANAGE)
            .says("Switch it at once", |it| it.body::<Enabled>().ok::<Switched>().refuses(409)),
        put("/api/v1/admin/extensions/{slug}/state", state)
            .permission(MANAGE)
            .says("Disable it from the next start on", |it| {
                it.body::<Disabled>().ok::<StateChange>()
            }),
        post("/api/v1/admin/extensions/{slug}/release", release)
            .permission(MANAGE)
            .says("Let it out of quarantine", |it| it.ok::<Released>()),
    ]
}

/// An extension in the list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExtensionRow")]
struct Row {
    slug: String,
    name: Option<String>,
    version: Option<String>,
    state: State,
    /// Whether it may be called.
    enabled: bool,
    /// What its callers are answered while it may not.
    code: Option<Code>,
    /// Why it stays out.
    reason: Option<Refusal>,
    private: bool,
}

/// An extension with all that is known of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Extension")]
struct Detail {
    #[serde(flatten)]
    shown: Shown,
    /// Whether it may be called.
    enabled: bool,
    /// Its gates, in the order in which they are asked.
    gates: Vec<Step>,
    /// Requests that it answers now.
    running_requests: usize,
    /// Panics since the start.
    panics: u64,
    /// Whether it was installed, or its state changed, since the start; a rescan looks at more.
    restart_required: bool,
}

/// What became of its flag.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExtensionFlag")]
struct Switched {
    slug: String,
    flag: Flag,
    /// Whether it may be called now.
    enabled: bool,
    /// What its callers are answered while it may not.
    code: Option<Code>,
}

/// What the state file says now.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExtensionState")]
struct StateChange {
    slug: String,
    disabled: bool,
    changed: bool,
    restart_required: bool,
}

/// What became of its quarantine.
#[derive(Serialize, JsonSchema)]
struct Released {
    slug: String,
    /// Whether it was in quarantine.
    released: bool,
    restart_required: bool,
}

async fn list(
    platform: Data<Platform>,
    _: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let page = Page::of(request.query_string())?;
    let since = since(&platform).await?;
    let known = platform.registry.entries.iter().map(Ok);
    let all: Vec<Result<&Entry, &Found>> = known.chain(since.iter().map(Err)).collect();
    let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let mut rows = Vec::new();
    for it in page.of_list(&all) {
        let entry = match it {
            Ok(entry) => entry,
            Err(found) => {
                rows.push(Row::found(found));
                continue;
            }
        };
        let gates = explained(&platform, &entry.slug).await?;
        rows.push(Row {
            slug: entry.slug.clone(),
            name: entry.manifest.as_ref().map(|it| it.name.clone()),
            version: entry.manifest.as_ref().map(|it| it.version.to_string()),
            state: shown_state(entry, &gates),
            enabled: gates.enabled,
            code: gates.code,
            reason: entry.refusal.clone(),
            private: entry.private,
        });
    }
    Ok(envelope::paged(rows, page, total))
}

async fn show(
    platform: Data<Platform>,
    _: Caller,
    slug: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let Some(entry) = platform.registry.find(&slug) else {
        let found = found(&platform, &slug).await?;
        return Ok(envelope::ok(Detail::found(&found)));
    };
    let context = platform.state.context(&entry.slug).await?;
    let is_disabled = platform.registry.disabled.contains(&entry.slug);
    let restart_required = context.disabled_on_disk.is_some_and(|it| it != is_disabled);
    let gates = platform.gate.explain(&entry.slug, None, context);
    let index = platform.registry.entries.iter().position(|it| it.slug == entry.slug);
    Ok(envelope::ok(Detail {
        shown: Shown::of(entry).with_state(shown_state(entry, &gates)),
        enabled: gates.enabled,
        gates: gates.gates,
        running_requests: index.map_or(0, |it| platform.load.running(it)),
        panics: entry.faults.total(),
        restart_required,
    }))
}

async fn explain(
    platform: Data<Platform>,
    _: Caller,
    slug: Path<String>,
) -> Result<HttpResponse, ApiError> {
    if platform.registry.find(&slug).is_none() {
        let found = found(&platform, &slug).await?;
        return Ok(envelope::ok(to_come(&found)));
    }
    Ok(envelope::ok(explained(&platform, &slug).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Enabled {
    enabled: bool,
}

/// Acknowledged when this node admits nobody by what was.
async fn flag(
    platform: Data<Platform>,
    caller: Caller,
    slug: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let entry = find(&platform, &slug)?;
    let Enabled { enabled } = body.json().await?;
    let manifest = entry.manifest.as_ref().ok_or_else(|| {
        ApiError::conflict(format!(
            "`{}` has no manifest that can be read, and so no flag",
            entry.slug
        ))
    })?;
    let edit = if enabled { Edit::Enable } else { Edit::Disable };
    let flag = platform.flags.edit(&manifest.flag(), edit, caller.by()).await?;
    let gates = explained(&platform, &entry.slug).await?;
    let Explanation { slug, enabled, code, .. } = gates;
    Ok(envelope::ok(Switched { slug, flag, enabled, code }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Disabled {
    disabled: bool,
}

async fn state(
    platform: Data<Platform>,
    caller: Caller,
    slug: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let slug = match platform.registry.find(&slug) {
        Some(entry) => entry.slug.clone(),
        // The next start may leave out what it would be the first to find.
        None => slug_of(&found(&platform, &slug).await?),
    };
    let Disabled { disabled } = body.json().await?;
    let changed = platform.state.set(&slug, disabled, caller.by()).await?;
    let is_disabled = platform.registry.disabled.contains(&slug);
    Ok(envelope::ok(StateChange {
        slug,
        disabled,
        changed,
        restart_required: disabled != is_disabled,
    }))
}

async fn release(
    platform: Data<Platform>,
    caller: Caller,
    slug: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let entry = find(&platform, &slug)?;
    let released = quarantine::release(&platform.core, entry.slug.clone(), caller.by()).await;
    let released = released.map_err(ApiError::internal)?;
    if let Some(extension) = platform.gate.find(&entry.slug) {
        platform.gate.release(extension);
    }
    Ok(envelope::ok(Released {
        slug: entry.slug.clone(),
        released,
        restart_required: released && entry.plugin.is_none(),
    }))
}

/// Reads what is installed again, and says what the next start would do; nothing is loaded.
async fn rescan(platform: Data<Platform>, _: Caller) -> Result<HttpResponse, ApiError> {
    let quarantined = quarantine::all(&platform.core).await.map_err(ApiError::internal)?;
    let (registry, directory) = (platform.registry.clone(), platform.extensions.clone());
    let state = platform.state.clone();
    let compared = web::block(move || {
        rescan::rescan(&registry, &directory, &state.read().disabled, &quarantined)
    });
    Ok(envelope::ok(compared.await.map_err(ApiError::internal)?))
}

fn find<'a>(platform: &'a Platform, slug: &str) -> Result<&'a Entry, ApiError> {
    platform.registry.find(slug).ok_or_else(|| ApiError::not_found("extension"))
}

/// What was installed since the start, read anew each time: the next start finds it.
async fn since(platform: &Data<Platform>) -> Result<Vec<Found>, ApiError> {
    let (registry, directory) = (platform.registry.clone(), platform.extensions.clone());
    let found = web::block(move || {
        let mut found = scan(&directory);
        found.retain(|it| registry.find(&slug_of(it)).is_none());
        found
    });
    found.await.map_err(ApiError::internal)
}

/// One of those.
async fn found(platform: &Data<Platform>, slug: &str) -> Result<Found, ApiError> {
    let found = since(platform).await?.into_iter().find(|it| slug_of(it) == slug);
    found.ok_or_else(|| ApiError::not_found("extension"))
}

fn slug_of(found: &Found) -> String {
    found.manifest.as_ref().map_or_else(|_| found.name.clone(), |it| it.slug.to_string())
}

/// Why it is not loaded: the next start has to be the first.
fn not_yet(found: &Found) -> Refusal {
    found.manifest.as_ref().err().cloned().unwrap_or_else(|| {
        let message = "the platform was not started since it was installed";
        Refusal::new(Stage::Scan, "restart_required", message)
    })
}

/// The gates of what was installed since the start: the first is closed.
fn to_come(found: &Found) -> Explanation {
    let reason = not_yet(found).message;
    let fix = match found.manifest {
        Ok(_) => "restart the platform",
        Err(_) => "mend what the reason names, and restart",
    };
    Explanation {
        slug: slug_of(found),
        enabled: false,
        code: Some(Code::NotInstalled),
        reason: Some(reason.clone()),
        gates: vec![Step {
            gate: GateName::Install,
            verdict: Verdict::Closed,
            reason,
            changed: None,
            fix: Some(fix.to_owned()),
        }],
    }
}

impl Row {
    fn found(found: &Found) -> Self {
        let manifest = found.manifest.as_ref().ok();
        Self {
            slug: slug_of(found),
            name: manifest.map(|it| it.name.clone()),
            version: manifest.map(|it| it.version.to_string()),
            state: State::Discovered,
            enabled: false,
            code: Some(Code::NotInstalled),
            reason: Some(not_yet(found)),
            private: found.private,
        }
    }
}

impl Detail {
    fn found(found: &Found) -> Self {
        let reason = serde_json::to_value(not_yet(found)).ok();
        Self {
            shown: Shown { reason, ..Shown::found(found) },
            enabled: false,
            gates: to_come(found).gates,
            running_requests: 0,
            panics: 0,
            restart_required: true,
        }
    }
}

/// The gates as they are for nobody in particular.
pub(super) async fn explained(platform: &Platform, slug: &str) -> Result<Explanation, ApiError> {
    let context = platform.state.context(slug).await?;
    Ok(platform.gate.explain(slug, None, context))
}

/// One that was quarantined while it ran says so, though it is still loaded.
fn shown_state(entry: &Entry, gates: &Explanation) -> State {
    if gates.code == Some(Code::Quarantined) { State::Quarantined } else { entry.state }
}
