//! Jobs as an operator sees them: filtered, the newest first, page by page.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, Text},
};
use powernode_plugin_api::db::HostConnection;
use serde::Serialize;

use super::{State, claim::count, moment};
use crate::db::Sql;

/// Most jobs of one page.
const MOST: u32 = 100;

/// Which jobs; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Where they stand.
    pub state: Option<State>,
    /// Their queue.
    pub queue: Option<String>,
    /// Whose they are.
    pub extension: Option<String>,
    /// Their handler.
    pub handler: Option<String>,
    /// Older than this one: the last of the page before.
    pub before: Option<i64>,
    /// This one alone.
    pub id: Option<i64>,
}

/// A job, with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Job {
    /// Its number.
    pub id: i64,
    /// The queue.
    pub queue: String,
    /// Whose it is.
    pub extension: String,
    /// The handler's name.
    pub handler: String,
    /// JSON text.
    pub args: String,
    /// Where it stands.
    pub state: State,
    /// From 0, which runs first, to 9.
    pub priority: u8,
    /// When it is or was due.
    pub run_at: DateTime<Utc>,
    /// Attempts that count.
    pub attempt: u32,
    /// Most attempts.
    pub max_attempts: u32,
    /// The unique key, as long as it is taken; without the extension before it.
    pub unique_key: Option<String>,
    /// The serial key; without the extension before it.
    pub serial_key: Option<String>,
    /// The node that runs it.
    pub node: Option<String>,
    /// When the last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// How often its process died while it ran.
    pub deaths: u32,
    /// When somebody asked to cancel it.
    pub cancel_at: Option<DateTime<Utc>>,
    /// How far it is: JSON text of the handler's.
    pub progress: Option<String>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it is dead or cancelled.
    pub reason: Option<String>,
    /// What went wrong: JSON, the last ten.
    pub errors: Option<String>,
    /// What came with it.
    pub meta: Option<String>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

impl Filter {
    /// The condition in SQL, whose parameters `statement` gets, from `$1` on.
    ///
    /// A state is written as a number: with a parameter no partial index would do.
    pub(super) fn conditions(&self) -> (String, Vec<Value<'_>>) {
        let (mut text, mut values) = ("true".to_owned(), Vec::new());
        if let Some(state) = self.state {
            text.push_str(&format!(" AND state = {}", state.number()));
            if state.is_final() {
                text.push_str(" AND state >= 4");
            }
        }
        let named =
            [("queue", &self.queue), ("extension", &self.extension), ("handler", &self.handler)];
        for (column, value) in named {
            let Some(value) = value else { continue };
            values.push(Value::Text(value));
            text.push_str(&format!(" AND {column} = ${}", values.len()));
        }
        for (comparison, value) in [("<", self.before), ("=", self.id)] {
            let Some(value) = value else { continue };
            values.push(Value::Number(value));
            text.push_str(&format!(" AND id {comparison} ${}", values.len()));
        }
        (text, values)
    }
}

/// A parameter of a filter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'f> {
    Number(i64),
    Text(&'f str),
}

/// `statement` with the parameters of a filter.
pub(super) fn with<Row>(statement: Sql<Row>, values: &[Value<'_>]) -> Sql<Row> {
    values.iter().fold(statement, |statement, value| match value {
        Value::Number(number) => statement.number(*number),
        Value::Text(text) => statement.text(*text),
    })
}

type One = (BigInt, Text, Text, Text, Text, BigInt, BigInt, BigInt, BigInt, BigInt, Nullable<Text>);
type Two = (
    Nullable<Text>,
    Nullable<Text>,
    Nullable<BigInt>,
    BigInt,
    Nullable<BigInt>,
    Nullable<Text>,
    Nullable<BigInt>,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
    BigInt,
);
type RowOne = (i64, String, String, String, String, i64, i64, i64, i64, i64, Option<String>);
type RowTwo = (
    Option<String>,
    Option<String>,
    Option<i64>,
    i64,
    Option<i64>,
    Option<String>,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<String>,
    i64,
);

/// Up to `most` jobs, and never more than 100, that `filter` names, the newest first. The next page comes before the last of them.
///
/// # Errors
///
/// The database's.
pub fn list(conn: &mut HostConnection, filter: &Filter, most: u32) -> QueryResult<Vec<Job>> {
    let (conditions, values) = filter.conditions();
    // Together they are less than one answer may hold.
    let most = most.min(MOST);
    let statement = Sql::<(One, Two)>::both(format!(
        "SELECT id, queue, extension, handler, args, state, priority, run_at, attempt, max_attempts, unique_key, \
        serial_key, node_id, started_at, deaths, cancel_at, progress, finished_at, reason, errors, meta, created_at \
        FROM core_jobs WHERE {conditions} ORDER BY id DESC LIMIT {most}"
    ));
    let rows = with(statement, &values).load::<(RowOne, RowTwo)>(conn)?;
    Ok(rows.into_iter().filter_map(job).collect())
}

/// The job with this number.
///
/// # Errors
///
/// The database's.
pub fn find(conn: &mut HostConnection, id: i64) -> QueryResult<Option<Job>> {
    let filter = Filter { id: Some(id), ..Filter::default() };
    Ok(list(conn, &filter, 1)?.pop())
}

fn job((one, two): (RowOne, RowTwo)) -> Option<Job> {
    let (id, queue, extension, handler, args, state, priority, run_at, attempt, most, unique) = one;
    let (serial, node, started, deaths, cancel, progress, finished, reason, errors, meta, created) =
        two;
    let own = |key: String| match key.split_once('/') {
        Some((_, key)) => key.to_owned(),
        None => key,
    };
    Some(Job {
        id,
        queue,
        extension,
        handler,
        args,
        state: State::of_number(state)?,
        priority: u8::try_from(priority).unwrap_or(u8::MAX),
        run_at: moment(run_at),
        attempt: count(attempt),
        max_attempts: count(most),
        unique_key: unique.map(own),
        serial_key: serial.map(own),
        node,
        started_at: started.map(moment),
        deaths: count(deaths),
        cancel_at: cancel.map(moment),
        progress,
        finished_at: finished.map(moment),
        reason,
        errors,
        meta,
        created_at: moment(created),
    })
}
