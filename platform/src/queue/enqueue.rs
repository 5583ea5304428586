//! Writing jobs, in the transaction of what they belong to.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Nullable, Text},
};
use powernode_abi::{
    DbError,
    data::{SQLITE, kind},
};
use powernode_plugin_api::db::HostConnection;

use super::{
    QueueError,
    job::{BadJob, NewJob, Row},
    millis,
};
use crate::db::{Engine, Function, Sql, Twin, Within, json};

/// Most jobs of one call.
const MOST: usize = 10_000;
/// Most bytes of one call's jobs together.
const MOST_BYTES: usize = 16 << 20;

/// A queue exists as soon as somebody writes to it, so that none is left unread.
const QUEUES: &str = "INSERT INTO core_queues (name, extension) \
    SELECT DISTINCT j.value ->> 'queue', $1 FROM json_each($2) AS j \
    WHERE NOT EXISTS (SELECT 1 FROM core_queues q WHERE q.name = j.value ->> 'queue') ON CONFLICT DO NOTHING";

/// Parameters are text, as [`Within`] has them. Answers what was written.
const JOBS: Twin = Twin {
    sqlite: "INSERT INTO core_jobs (queue, extension, handler, args, state, priority, run_at, max_attempts, \
        timeout_ms, unique_key, unique_scope, unique_until, serial_key, meta, created_at) \
        SELECT value ->> 'queue', $1, value ->> 'handler', value ->> 'args', \
        CASE WHEN value ->> 'serial_key' IS NOT NULL THEN 3 \
        WHEN value ->> 'run_at' > CAST($3 AS INTEGER) THEN 0 ELSE 1 END, \
        value ->> 'priority', value ->> 'run_at', value ->> 'max_attempts', value ->> 'timeout_ms', \
        $1 || '/' || (value ->> 'unique_key'), value ->> 'unique_scope', value ->> 'unique_until', \
        $1 || '/' || (value ->> 'serial_key'), value ->> 'meta', CAST($3 AS INTEGER) \
        FROM json_each($2) WHERE true ORDER BY key \
        ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL DO NOTHING \
        RETURNING CAST(id AS TEXT), unique_key",
    postgres: "SELECT job::text, key FROM core.core_enqueue($1, $2, $3::bigint)",
};

/// Writes `jobs` of extension `slug`, or of the core's under `core`, and answers their numbers, in their order: none
/// where another job holds the unique key.
///
/// They are there when the transaction is committed, and are not when it is rolled back.
///
/// # Errors
///
/// [`QueueError::Job`], with nothing written; [`QueueError::Database`].
pub fn enqueue(
    conn: &mut HostConnection,
    slug: &str,
    jobs: &[NewJob],
    now: DateTime<Utc>,
) -> Result<Vec<Option<i64>>, QueueError> {
    let rows = rows(slug, jobs, now)?;
    let text = json(&rows)?;
    if conn.dialect() != powernode_plugin_api::db::Dialect::Postgres {
        Sql::<()>::both(QUEUES).text(slug).text(text.as_str()).execute(conn)?;
    }
    let written = Sql::<(Text, Nullable<Text>)>::new(JOBS)
        .text(slug)
        .text(text)
        .text(millis(now).to_string())
        .load::<(String, Option<String>)>(conn)?;
    let written = written.into_iter().map(|(id, key)| (id, key.unwrap_or_default())).collect();
    Ok(numbers(slug, &rows, written))
}

/// Lets extensions enqueue in their own transactions: `SELECT core_enqueue($1)` takes a JSON list of [`NewJob`], and
/// answers one of the jobs' numbers, `null` where another job holds the unique key. `clock` says what time it is, and
/// `committed` is called when such a transaction has ended well.
///
/// On SQLite the rows are written with the core's rights, on the extension's connection and in its transaction; on
/// PostgreSQL by a function that asks who logged in.
pub fn serve(
    engine: &Engine,
    clock: impl Fn() -> DateTime<Utc> + Send + Sync + 'static,
    committed: impl Fn() + Send + Sync + 'static,
) {
    let enqueue = Enqueue { clock: Box::new(clock), committed: Box::new(committed) };
    engine.serve("core_enqueue", Arc::new(enqueue));
}

struct Enqueue {
    clock: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    committed: Box<dyn Fn() + Send + Sync>,
}

impl Function for Enqueue {
    fn call(&self, within: &mut dyn Within, argument: &str) -> Result<String, DbError> {
        let refused = |text: String| DbError::new(kind::CHECK, text);
        let jobs: Vec<NewJob> = serde_json::from_str(argument)
            .map_err(|error| refused(format!("jobs that cannot be read: {error}")))?;
        let (slug, now) = (within.slug().to_owned(), (self.clock)());
        let rows = rows(&slug, &jobs, now).map_err(|error| refused(error.to_string()))?;
        let text = json(&rows).map_err(|error| DbError::new(kind::OTHER, error.to_string()))?;
        // PostgreSQL's function does this by itself.
        if within.dialect() == SQLITE {
            within.rows(Twin { sqlite: QUEUES, postgres: "" }, &[&slug, &text])?;
        }
        let moment = millis(now).to_string();
        let written = within.rows(JOBS, &[&slug, &text, &moment])?;
        let pair = |row: Vec<String>| {
            let mut row = row.into_iter();
            (row.next().unwrap_or_default(), row.next().unwrap_or_default())
        };
        let numbers = numbers(&slug, &rows, written.into_iter().map(pair).collect());
        json(&numbers).map_err(|error| DbError::new(kind::OTHER, error.to_string()))
    }

    fn committed(&self) {
        (self.committed)();
    }
}

fn rows(slug: &str, jobs: &[NewJob], now: DateTime<Utc>) -> Result<Vec<Row>, BadJob> {
    if jobs.len() > MOST {
        return Err(BadJob::too_many(jobs.len(), MOST));
    }
    let bytes: usize = jobs.iter().map(NewJob::bytes).sum();
    if bytes > MOST_BYTES {
        return Err(BadJob::too_large(bytes, MOST_BYTES));
    }
    jobs.iter().map(|job| job.row(slug, now)).collect()
}

/// Which job got which number: they were written in their order, but for those whose key is taken.
fn numbers(slug: &str, rows: &[Row], written: Vec<(String, String)>) -> Vec<Option<i64>> {
    let mut written: Vec<(i64, String)> =
        written.into_iter().filter_map(|(id, key)| Some((id.parse().ok()?, key))).collect();
    written.sort_unstable();
    let mut written = written.into_iter().peekable();
    let number = |row: &Row| {
        let key = row.unique_key.as_ref().map(|key| format!("{slug}/{key}")).unwrap_or_default();
        written.next_if(|(_, its)| *its == key).map(|(id, _)| id)
    };
    rows.iter().map(number).collect()
}
