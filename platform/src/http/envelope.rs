//! What the core's own routes answer.

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::{Value, json};

use super::page::Page;

/// 200 with `data`.
pub fn ok(data: impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "success": true, "data": data }))
}

/// 201 with `data`.
pub fn created(data: impl Serialize) -> HttpResponse {
    HttpResponse::Created().json(json!({ "success": true, "data": data }))
}

/// 200 with one page of rows.
pub fn paged(rows: impl Serialize, page: Page, total: i64) -> HttpResponse {
    let total = u64::try_from(total).unwrap_or(0);
    let meta: Value = json!({
        "pagination": {
            "current_page": page.page,
            "per_page": page.per_page,
            "total_count": total,
            "total_pages": total.div_ceil(u64::from(page.per_page)),
        }
    });
    HttpResponse::Ok().json(json!({ "success": true, "data": rows, "meta": meta }))
}
