//! The audit log: who did what to what, append-only, each row carrying the hash of the one before.
//!
//! An entry is appended in the transaction that makes the change, so that neither is there without the other. Whoever
//! can write the whole database can also write a whole new chain: keep the head ([`head`]) elsewhere to notice that.

use chrono::{DateTime, SubsecRound, Utc};
use diesel::prelude::*;
use powernode_plugin_api::db::HostConnection;
use serde_json::Value;

use crate::db::epoch;
use crate::db::schema::{core_audit, core_epoch};

pub use chain::{FirstBad, Verdict, verify};
pub use list::{Filter, Record, last, list};

mod chain;
mod list;

use chain::{GENESIS, Row};

/// Who does something, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// A user, a token, a command or the platform itself, as the log shall name it.
    pub actor: String,
    /// The request in which it happens.
    pub request_id: Option<String>,
    /// When; the log keeps microseconds.
    pub at: DateTime<Utc>,
}

impl By {
    /// Somebody at a moment, outside of a request.
    pub fn new(actor: impl Into<String>, at: DateTime<Utc>) -> By {
        By { actor: actor.into(), request_id: None, at }
    }

    /// In the course of a request.
    pub fn with_request(mut self, id: impl Into<String>) -> By {
        self.request_id = Some(id.into());
        self
    }
}

/// What was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    action: String,
    subject: String,
    before: Option<Value>,
    after: Option<Value>,
}

impl Entry {
    /// An action, for example `flag.enable`, and what it was done to, for example `flag/marketing_mode`.
    pub fn new(action: impl Into<String>, subject: impl Into<String>) -> Entry {
        Entry { action: action.into(), subject: subject.into(), before: None, after: None }
    }

    /// With what stood before.
    pub fn with_before(mut self, before: Value) -> Entry {
        self.before = Some(before);
        self
    }

    /// With what stands now.
    pub fn with_after(mut self, after: Value) -> Entry {
        self.after = Some(after);
        self
    }
}

/// Appends an entry, and answers its number.
///
/// Call it inside the transaction that makes the change, as its last step: from here to the commit nobody else can
/// append, on any node.
///
/// # Errors
///
/// The database's. The transaction must then be rolled back.
pub fn append(conn: &mut HostConnection, by: &By, entry: Entry) -> QueryResult<i64> {
    let counted = epoch::bump(conn, COUNTER)?;
    let last: Option<(i64, String)> = core_audit::table
        .select((core_audit::seq, core_audit::hash))
        .order(core_audit::seq.desc())
        .first(conn)
        .optional()?;
    let (last, previous_hash) = last.unwrap_or((0, GENESIS.to_owned()));
    // A counter that lags behind its rows was not written by this code; it must not stop the work.
    let seq = counted.max(last.saturating_add(1));
    if seq != counted {
        diesel::update(core_epoch::table.find(COUNTER))
            .set(core_epoch::value.eq(seq))
            .execute(conn)?;
    }
    let row = Row {
        seq,
        at: by.at.trunc_subsecs(6),
        actor: plain(&by.actor),
        action: plain(&entry.action),
        subject: plain(&entry.subject),
        before: entry.before.map(|value| value.to_string()),
        after: entry.after.map(|value| value.to_string()),
        request_id: by.request_id.as_deref().map(plain),
        previous_hash,
        hash: String::new(),
    };
    let row = Row { hash: row.digest(), ..row };
    diesel::insert_into(core_audit::table).values(&row).execute(conn)?;
    Ok(seq)
}

/// The number and the hash of the last row: kept elsewhere, it tells later whether the chain was written anew.
///
/// # Errors
///
/// The database's.
pub fn head(conn: &mut HostConnection) -> QueryResult<Option<(i64, String)>> {
    core_audit::table
        .select((core_audit::seq, core_audit::hash))
        .order(core_audit::seq.desc())
        .first(conn)
        .optional()
}

/// The counter of the rows. It stands apart from them, and puts the writers in line.
const COUNTER: &str = "audit";

/// PostgreSQL's texts hold no NUL, and what a caller sent must not stop the log.
fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
pub(crate) mod tests;
