//! Effects that happen once, although what causes them may come twice.

use diesel::result::QueryResult;
use serde::Serialize;

use super::{call, json};
use crate::db::HostConnection;

/// A name for effects of this extension that must not happen twice.
///
/// ```text
/// let once = event.once();
/// db.transaction(move |conn| {
///     if once.is_first(conn)? {
///         credit(conn, &order)?;
///     }
///     Ok::<_, Error>(())
/// })
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Once {
    key: String,
}

impl Once {
    /// Effects under a key of one's own: the id of a message from elsewhere.
    pub fn new(key: impl Into<String>) -> Self {
        Self { key: key.into() }
    }

    /// Whether nobody asked this before in a transaction that was committed.
    ///
    /// Ask in the transaction that writes the effects: where it is rolled back, nobody asked. Who asks while another
    /// transaction is about to commit waits for it. The platform keeps the answer for longer than events are kept.
    ///
    /// # Errors
    ///
    /// The database's.
    pub fn is_first(&self, conn: &mut HostConnection) -> QueryResult<bool> {
        call(conn, "SELECT core_once($1)", &json(self)?)
    }
}
