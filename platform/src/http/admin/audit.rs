//! `/api/v1/admin/audit`

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Query},
};
use chrono::{DateTime, Datelike as _, Utc};
use serde::Deserialize;

use crate::{
    audit::{self, Filter},
    http::{
        caller::Caller,
        core::{get, resource},
        envelope,
        error::ApiError,
        page::Page,
        state::Platform,
    },
};

/// The last year that is asked about: later ones sort wrongly as text.
const LAST_YEAR: i32 = 9999;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(resource("/api/v1/admin/audit", "GET, HEAD").route(get().to(list)));
}

#[derive(Deserialize)]
struct Asked {
    actor: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    request_id: Option<String>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

async fn list(
    platform: Data<Platform>,
    caller: Caller,
    request: HttpRequest,
    asked: Query<Asked>,
) -> Result<HttpResponse, ApiError> {
    caller.require("admin.audit.read")?;
    let page = Page::of(request.query_string())?;
    let Asked { actor, action, subject, request_id, since, until } = asked.into_inner();
    if since.iter().chain(&until).any(|it| !(0..=LAST_YEAR).contains(&it.year())) {
        return Err(ApiError::invalid("since", "must be a year from 0 to 9999"));
    }
    let filter = Filter { actor, action, subject, request_id, since, until };
    let (number, size) = (i64::from(page.page), i64::from(page.per_page));
    let listed = platform.core.read(move |conn| audit::list(conn, &filter, number, size)).await;
    let (rows, total) = listed.map_err(ApiError::internal)?;
    Ok(envelope::paged(rows, page, total))
}
