//! Reading the log.

use chrono::{DateTime, Utc};
use diesel::{dsl::max, prelude::*};
use powernode_plugin_api::db::{HostBackend, HostConnection};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::chain::Row;
use crate::db::schema::core_audit;

/// Which rows to list; what is not set lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this actor.
    pub actor: Option<String>,
    /// Of this action, for example `flag.enable`.
    pub action: Option<String>,
    /// On this subject, for example `flag/marketing_mode`.
    pub subject: Option<String>,
    /// In this request.
    pub request_id: Option<String>,
    /// Not before this moment.
    pub since: Option<DateTime<Utc>>,
    /// Before this moment.
    pub until: Option<DateTime<Utc>>,
    /// After the row of this number; the oldest row then comes first.
    pub after: Option<i64>,
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Record {
    /// Its number; they have no gaps.
    pub seq: i64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Who did it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// What stood before.
    pub before: Option<Value>,
    /// What stands since.
    pub after: Option<Value>,
    /// In which request.
    pub request_id: Option<String>,
    /// The hash of the row before.
    pub previous_hash: String,
    /// Its own hash.
    pub hash: String,
}

impl From<Row> for Record {
    fn from(row: Row) -> Record {
        // A text that is no longer JSON was tampered with; it is shown as it stands, and `verify` names the row.
        let json = |text: Option<String>| {
            text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)))
        };
        Record {
            seq: row.seq,
            at: row.at,
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            before: json(row.before),
            after: json(row.after),
            request_id: row.request_id,
            previous_hash: row.previous_hash,
            hash: row.hash,
        }
    }
}

/// Lists a page of the log, newest first, and how many rows there are in all. Pages count from 1.
///
/// Whoever reads the whole log goes on after the last number that came: that costs the same on each page.
///
/// # Errors
///
/// The database's.
pub fn list(
    conn: &mut HostConnection,
    filter: &Filter,
    page: i64,
    per_page: i64,
) -> QueryResult<(Vec<Record>, i64)> {
    let total = match filter.after {
        // Numbers have no gaps: nothing has to be counted.
        Some(after) if (Filter { after: None, ..filter.clone() }) == Filter::default() => {
            let newest =
                core_audit::table.select(max(core_audit::seq)).get_result::<Option<i64>>(conn)?;
            newest.unwrap_or(0).saturating_sub(after.max(0)).max(0)
        }
        _ => filter.query().count().get_result(conn)?,
    };
    let per_page = per_page.clamp(0, 1000);
    let query = filter.query();
    let query = match filter.after {
        Some(_) => query.order(core_audit::seq.asc()),
        None => query.order(core_audit::seq.desc()),
    };
    let rows: Vec<Row> = query
        .select(Row::as_select())
        .limit(per_page)
        .offset(page.saturating_sub(1).max(0).saturating_mul(per_page))
        .load(conn)?;
    Ok((rows.into_iter().map(Record::from).collect(), total))
}

/// The newest row of an action on a subject: who did that last, and when.
///
/// # Errors
///
/// The database's.
pub fn last(conn: &mut HostConnection, action: &str, subject: &str) -> QueryResult<Option<Record>> {
    let filter = Filter {
        action: Some(action.to_owned()),
        subject: Some(subject.to_owned()),
        ..Filter::default()
    };
    Ok(list(conn, &filter, 1, 1)?.0.pop())
}

impl Filter {
    fn query(&self) -> core_audit::BoxedQuery<'_, HostBackend> {
        let mut query = core_audit::table.into_boxed();
        if let Some(actor) = &self.actor {
            query = query.filter(core_audit::actor.eq(actor));
        }
        if let Some(action) = &self.action {
            query = query.filter(core_audit::action.eq(action));
        }
        if let Some(subject) = &self.subject {
            query = query.filter(core_audit::subject.eq(subject));
        }
        if let Some(request_id) = &self.request_id {
            query = query.filter(core_audit::request_id.eq(request_id));
        }
        if let Some(since) = &self.since {
            query = query.filter(core_audit::at.ge(since));
        }
        if let Some(until) = &self.until {
            query = query.filter(core_audit::at.lt(until));
        }
        if let Some(after) = self.after {
            query = query.filter(core_audit::seq.gt(after));
        }
        query
    }
}
