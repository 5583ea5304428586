//! The operator's API, below `/api/v1/admin/`: each route asks for a permission, and each write is audited.

use super::route::CoreRoute;

mod accounts;
mod audit;
mod deliveries;
mod events;
mod explain;
mod extensions;
mod flags;
mod jobs;
mod queues;
mod tokens;

/// Where it is mounted: a scope, so that a path outside it is compared with this alone.
pub const BASE: &str = "/api/v1/admin";

/// Its routes.
pub(super) fn table() -> Vec<CoreRoute> {
    let mut routes = extensions::table();
    routes.extend(explain::table());
    routes.extend(flags::table());
    routes.extend(audit::table());
    routes.extend(tokens::table());
    routes.extend(accounts::table());
    routes.extend(jobs::table());
    routes.extend(queues::table());
    routes.extend(events::table());
    routes.extend(deliveries::table());
    routes
}
