//! The operator's API, below `/api/v1/admin/`: each route asks for a permission, and each write is audited.

use actix_web::web;

mod accounts;
mod audit;
mod explain;
mod extensions;
mod flags;
mod tokens;

/// Where it is mounted: a scope, so that a path outside it is compared with this alone.
pub const BASE: &str = "/api/v1/admin";

/// Mounts it below [`BASE`].
pub fn routes(config: &mut web::ServiceConfig) {
    extensions::routes(config);
    explain::routes(config);
    flags::routes(config);
    audit::routes(config);
    tokens::routes(config);
    accounts::routes(config);
}
