//! `/api/v1/admin/extensions`

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    gate::{Edit, Explanation},
    http::{
        body::Body,
        caller::Caller,
        core::{get, resource},
        envelope,
        error::ApiError,
        page::Page,
        state::Platform,
    },
    registry::{Entry, quarantine, report::Shown, rescan},
};

const READ: &str = "admin.extensions.read";
const MANAGE: &str = "admin.extensions.manage";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let base = "/extensions";
    config
        .service(resource(base, "GET, HEAD").route(get().to(list)))
        .service(resource(&format!("{base}/rescan"), "POST").route(web::post().to(rescan)))
        .service(resource(&format!("{base}/{{slug}}"), "GET, HEAD").route(get().to(show)))
        .service(
            resource(&format!("{base}/{{slug}}/explain"), "GET, HEAD").route(get().to(explain)),
        )
        .service(resource(&format!("{base}/{{slug}}/flag"), "PUT").route(web::put().to(flag)))
        .service(resource(&format!("{base}/{{slug}}/state"), "PUT").route(web::put().to(state)))
        .service(
            resource(&format!("{base}/{{slug}}/release"), "POST").route(web::post().to(release)),
        );
}

async fn list(
    platform: Data<Platform>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(READ)?;
    let page = Page::of(request.query_string())?;
    let entries = &platform.registry.entries;
    let total = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    let mut rows = Vec::new();
    for entry in page.of_list(entries) {
        let gates = explained(&platform, &entry.slug).await?;
        rows.push(json!({
            "slug": entry.slug,
            "name": entry.manifest.as_ref().map(|it| &it.name),
            "version": entry.manifest.as_ref().map(|it| it.version.to_string()),
            "state": shown_state(entry, &gates),
            "enabled": gates.enabled,
            "code": gates.code,
            "reason": entry.refusal,
            "private": entry.private,
        }));
    }
    Ok(envelope::paged(rows, page, total))
}

async fn show(
    platform: Data<Platform>,
    caller: Caller,
    slug: Path<String>,
) -> Result<HttpResponse, ApiError> {
    caller.require(READ)?;
    let entry = find(&platform, &slug)?;
    let gates = explained(&platform, &entry.slug).await?;
    let index = platform.registry.entries.iter().position(|it| it.slug == entry.slug);
    let mut shown = serde_json::to_value(Shown::of(entry)).map_err(ApiError::internal)?;
    if let (Some(shown), Some(index)) = (shown.as_object_mut(), index) {
        shown.insert("state".into(), shown_state(entry, &gates));
        shown.insert("enabled".into(), json!(gates.enabled));
        shown.insert("gates".into(), json!(gates.gates));
        shown.insert("running_requests".into(), json!(platform.load.running(index)));
        shown.insert("panics".into(), json!(entry.faults.total()));
    }
    Ok(envelope::ok(shown))
}

async fn explain(
    platform: Data<Platform>,
    caller: Caller,
    slug: Path<String>,
) -> Result<HttpResponse, ApiError> {
    caller.require(READ)?;
    let entry = find(&platform, &slug)?;
    Ok(envelope::ok(explained(&platform, &entry.slug).await?))
}

#[derive(Deserialize)]
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
    caller.require(MANAGE)?;
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
    Ok(envelope::ok(
        json!({ "slug": entry.slug, "flag": flag, "enabled": gates.enabled, "code": gates.code }),
    ))
}

#[derive(Deserialize)]
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
    caller.require(MANAGE)?;
    let entry = find(&platform, &slug)?;
    let Disabled { disabled } = body.json().await?;
    let changed = platform.state.set(&entry.slug, disabled, caller.by()).await?;
    let is_disabled = entry.state == crate::registry::State::Disabled;
    Ok(envelope::ok(json!({
        "slug": entry.slug,
        "disabled": disabled,
        "changed": changed,
        "restart_required": disabled != is_disabled,
    })))
}

async fn release(
    platform: Data<Platform>,
    caller: Caller,
    slug: Path<String>,
) -> Result<HttpResponse, ApiError> {
    caller.require(MANAGE)?;
    let entry = find(&platform, &slug)?;
    let released = quarantine::release(&platform.core, entry.slug.clone(), caller.by()).await;
    let released = released.map_err(ApiError::internal)?;
    if let Some(extension) = platform.gate.find(&entry.slug) {
        platform.gate.release(extension);
    }
    Ok(envelope::ok(json!({
        "slug": entry.slug,
        "released": released,
        "restart_required": released && entry.plugin.is_none(),
    })))
}

/// Reads what is installed again, and says what the next start would do; nothing is loaded.
async fn rescan(platform: Data<Platform>, caller: Caller) -> Result<HttpResponse, ApiError> {
    caller.require(MANAGE)?;
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

/// The gates as they are for nobody in particular.
pub(super) async fn explained(platform: &Platform, slug: &str) -> Result<Explanation, ApiError> {
    let context = platform.state.context(slug).await?;
    Ok(platform.gate.explain(slug, None, context))
}

/// One that was quarantined while it ran says so, though it is still loaded.
fn shown_state(entry: &Entry, gates: &Explanation) -> Value {
    if gates.code == Some(crate::gate::Code::Quarantined) {
        return json!("quarantined");
    }
    json!(entry.state)
}
