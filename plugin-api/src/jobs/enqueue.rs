//! Writing jobs in the transaction of what they belong to.

use diesel::{
    QueryableByName, RunQueryDsl,
    result::{Error as DieselError, QueryResult},
    sql_types::Text,
};

use super::{
    known,
    new::{Asked, JobId, NewJob},
};
use crate::db::HostConnection;

/// Most jobs of one call to the platform.
const MOST: usize = 5_000;
/// Most bytes of arguments in one call.
const MOST_BYTES: usize = 8 << 20;

/// Writes a job; answers its number, or none where another job holds its unique key.
///
/// It is there when the transaction is committed, and is not when it is rolled back:
///
/// ```text
/// db.transaction(move |conn| {
///     diesel::insert_into(orders::table).values(&order).execute(conn)?;
///     enqueue(conn, NewJob::new("confirm", &order.id))?;
///     Ok::<_, Error>(())
/// })
/// ```
///
/// # Errors
///
/// When the job cannot be: no such handler, arguments too large, a name or a key that is none; or the database's.
pub fn enqueue(conn: &mut HostConnection, job: impl Into<NewJob>) -> QueryResult<Option<JobId>> {
    Ok(enqueue_all(conn, [job.into()])?.pop().flatten())
}

/// Writes jobs; answers their numbers in their order, none where another job holds the unique key.
///
/// # Errors
///
/// As [`enqueue`]. In a transaction all of them are written or none.
pub fn enqueue_all(
    conn: &mut HostConnection,
    jobs: impl IntoIterator<Item = NewJob>,
) -> QueryResult<Vec<Option<JobId>>> {
    let mut numbers = Vec::new();
    for part in parts(jobs)? {
        let part: Vec<Option<JobId>> = call(conn, "SELECT core_enqueue($1)", &part)?;
        numbers.extend(part);
    }
    Ok(numbers)
}

/// The jobs as JSON arrays that are not too large for one call.
pub(crate) fn parts(jobs: impl IntoIterator<Item = NewJob>) -> QueryResult<Vec<String>> {
    let mut parts = Vec::new();
    let (mut part, mut bytes) = (Vec::<Asked>::new(), 0);
    for job in jobs {
        let job = known::complete(job)?.into_asked()?;
        if !part.is_empty() && (part.len() == MOST || bytes + job.bytes() > MOST_BYTES) {
            parts.push(json(&part)?);
            part.clear();
            bytes = 0;
        }
        bytes += job.bytes();
        part.push(job);
    }
    if !part.is_empty() {
        parts.push(json(&part)?);
    }
    Ok(parts)
}

/// Calls a function of the platform's that takes JSON text and answers JSON text.
pub(crate) fn call<T: serde::de::DeserializeOwned>(
    conn: &mut HostConnection,
    sql: &'static str,
    argument: &str,
) -> QueryResult<T> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Text)]
        answer: String,
    }
    let answer: Answer = diesel::sql_query(sql).bind::<Text, _>(argument).get_result(conn)?;
    serde_json::from_str(&answer.answer)
        .map_err(|error| DieselError::DeserializationError(error.into()))
}

pub(crate) fn json(value: &impl serde::Serialize) -> QueryResult<String> {
    serde_json::to_string(value).map_err(|error| DieselError::SerializationError(error.into()))
}
