//! `/api/v1/admin/audit`

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, Datelike as _, Utc};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    audit::{self, Filter, Record, Verdict},
    http::{
        caller::Caller,
        envelope,
        error::ApiError,
        page::Page,
        query,
        route::{CoreRoute, get},
        state::Platform,
    },
};

/// The last year that is asked about: later ones sort wrongly as text.
const LAST_YEAR: i32 = 9999;

const READ: &str = "admin.audit.read";

pub(super) fn table() -> [CoreRoute; 2] {
    [
        get("/api/v1/admin/audit", list)
            .permission(READ)
            .says("Read the audit log", |it| it.query::<Asked>().page_of::<Record>()),
        get("/api/v1/admin/audit/verify", verify)
            .permission(READ)
            .says("Check the audit log's chain of hashes", |it| it.ok::<Verdict>()),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Asked {
    actor: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    request_id: Option<String>,
    /// Not before this moment.
    #[schemars(with = "Option<DateTime<Utc>>")]
    since: Option<String>,
    /// Before this moment.
    #[schemars(with = "Option<DateTime<Utc>>")]
    until: Option<String>,
    /// After the row of this number, the oldest first: the way to read the whole log.
    #[schemars(with = "Option<i64>")]
    after: Option<String>,
}

async fn list(
    platform: Data<Platform>,
    _: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let page = Page::of(request.query_string())?;
    let Asked { actor, action, subject, request_id, since, until, after } = query::of(&request)?;
    let (since, until) = (moment("since", since)?, moment("until", until)?);
    let after = query::value::<i64>("after", after.as_ref(), "a number")?;
    let filter = Filter { actor, action, subject, request_id, since, until, after };
    let (number, size) = (i64::from(page.page), i64::from(page.per_page));
    let listed = platform.core.read(move |conn| audit::list(conn, &filter, number, size)).await;
    let (rows, total) = listed.map_err(ApiError::internal)?;
    Ok(envelope::paged(rows, page, total))
}

/// Follows the whole chain.
async fn verify(platform: Data<Platform>, _: Caller) -> Result<HttpResponse, ApiError> {
    let verified = platform.core.read(audit::verify).await.map_err(ApiError::internal)?;
    Ok(envelope::ok(Verdict::of(verified)))
}

fn moment(field: &str, text: Option<String>) -> Result<Option<DateTime<Utc>>, ApiError> {
    let must_be = "a time such as 2026-01-31T00:00:00Z";
    let moment = query::value::<DateTime<Utc>>(field, text.as_ref(), must_be)?;
    if moment.is_some_and(|it| !(0..=LAST_YEAR).contains(&it.year())) {
        return Err(ApiError::invalid(field, "must be in a year from 0 to 9999"));
    }
    Ok(moment)
}
