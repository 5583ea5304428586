//! The chain: what is hashed, and whether it holds.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::db::{HostBackend, HostConnection};
use ring::digest::{Context, SHA256};
use schemars::JsonSchema;
use serde::Serialize;

use super::COUNTER;
use crate::db::epoch;
use crate::db::schema::core_audit;

/// What the first row carries as the hash of the one before.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// How many rows are read at once.
const BATCH: i64 = 500;

/// A row as it is stored.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = core_audit, check_for_backend(HostBackend))]
pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) at: DateTime<Utc>,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) subject: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) previous_hash: String,
    pub(super) hash: String,
}

impl Row {
    /// SHA-256, in hex, over all that the row says and the hash of the one before. Each field goes in with its length,
    /// so that no two rows read the same.
    pub(super) fn digest(&self) -> String {
        let mut context = Context::new(&SHA256);
        context.update(b"powernode audit 1\n");
        context.update(&self.seq.to_be_bytes());
        context.update(&self.at.timestamp_micros().to_be_bytes());
        for text in
            [Some(&self.actor), Some(&self.action), Some(&self.subject), self.before.as_ref()]
                .into_iter()
                .chain([self.after.as_ref(), self.request_id.as_ref(), Some(&self.previous_hash)])
        {
            match text {
                None => context.update(&[0]),
                Some(text) => {
                    context.update(&[1]);
                    context.update(&(text.len() as u64).to_be_bytes());
                    context.update(text.as_bytes());
                }
            }
        }
        hex::encode(context.finish())
    }
}

/// The first row that is not as it was written, or is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("audit row {seq} {why}")]
pub struct FirstBad {
    /// Its number.
    pub seq: i64,
    /// What is wrong with it.
    pub why: String,
}

/// What following the chain found, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Verdict {
    /// Whether every row is as it was written.
    pub intact: bool,
    /// How many rows there are, where all are intact.
    pub rows: Option<i64>,
    /// The first row that is not, and why.
    pub first_bad: Option<String>,
}

impl Verdict {
    /// The verdict of [`verify`].
    pub fn of(verified: Result<i64, FirstBad>) -> Self {
        match verified {
            Ok(rows) => Self { intact: true, rows: Some(rows), first_bad: None },
            Err(bad) => Self { intact: false, rows: None, first_bad: Some(bad.to_string()) },
        }
    }
}

/// Follows the chain from its beginning, and answers how many rows it has.
///
/// A row that was changed, taken out, put in or moved breaks it there. Rows that were taken off its end are noticed by
/// the counter that stands apart from them, as long as that was left alone.
///
/// # Errors
///
/// Outside, the database's; inside, the [`FirstBad`] row.
pub fn verify(conn: &mut HostConnection) -> QueryResult<Result<i64, FirstBad>> {
    // The counter first: rows that are appended meanwhile are then beyond it.
    let counted = epoch::read(conn, COUNTER)?;
    let (mut last, mut previous) = (0, GENESIS.to_owned());
    // A row that was put in may have any number.
    let mut behind = i64::MIN;
    loop {
        let rows = match batch(conn, behind)? {
            Ok(rows) => rows,
            Err(bad) => return Ok(Err(bad)),
        };
        if rows.is_empty() {
            break;
        }
        for row in rows {
            if let Err(bad) = follows(&row, last, &previous) {
                return Ok(Err(bad));
            }
            (last, previous) = (row.seq, row.hash);
            behind = last;
        }
    }
    if last < counted {
        return Ok(Err(FirstBad {
            seq: last + 1,
            why: format!("is missing: the log had {counted} rows"),
        }));
    }
    Ok(Ok(last))
}

fn follows(row: &Row, last: i64, previous: &str) -> Result<(), FirstBad> {
    let bad = |seq, why: &str| Err(FirstBad { seq, why: why.to_owned() });
    if row.seq <= last {
        return bad(row.seq, "was put in before the first");
    }
    if row.seq != last + 1 {
        return bad(last + 1, "is missing");
    }
    if row.previous_hash != previous {
        return bad(row.seq, "does not carry the hash of the row before");
    }
    if row.hash != row.digest() {
        return bad(row.seq, "is not as it was written");
    }
    Ok(())
}

/// The next rows behind a number, or the one among them that cannot even be read.
fn batch(conn: &mut HostConnection, number: i64) -> QueryResult<Result<Vec<Row>, FirstBad>> {
    let behind = || core_audit::table.filter(core_audit::seq.gt(number)).order(core_audit::seq);
    let unreadable = match behind().limit(BATCH).select(Row::as_select()).load(conn) {
        Ok(rows) => return Ok(Ok(rows)),
        Err(error @ diesel::result::Error::DeserializationError(_)) => error,
        Err(error) => return Err(error),
    };
    // What comes before the unreadable row is still followed.
    let numbers: Vec<i64> = behind().limit(BATCH).select(core_audit::seq).load(conn)?;
    let mut rows = Vec::new();
    for seq in numbers {
        match core_audit::table.find(seq).select(Row::as_select()).first(conn) {
            Ok(row) => rows.push(row),
            Err(diesel::result::Error::DeserializationError(_)) if !rows.is_empty() => {
                return Ok(Ok(rows));
            }
            Err(diesel::result::Error::DeserializationError(why)) => {
                return Ok(Err(FirstBad { seq, why: format!("cannot be read ({why})") }));
            }
            Err(error) => return Err(error),
        }
    }
    Err(unreadable)
}
