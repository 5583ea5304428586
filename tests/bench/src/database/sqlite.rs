//! The queries over diesel's own connection to SQLite.

pub(crate) type Conn = diesel::SqliteConnection;

#[path = "../../../fixtures/queries/src/work.rs"]
pub(crate) mod work;
