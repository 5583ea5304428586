//! The queries over diesel's own connection to PostgreSQL.

pub(crate) type Conn = diesel::PgConnection;

#[path = "../../../fixtures/queries/src/work.rs"]
pub(crate) mod work;
