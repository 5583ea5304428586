//! What the handlers of this library say of themselves, for whoever writes a job.
//!
//! Statics exist once for each library, and a library is one extension: so this needs no way through the connection.

use std::{collections::BTreeMap, sync::OnceLock};

use diesel::result::{Error as DieselError, QueryResult};

use super::{JobOptions, NewJob};

type Known = BTreeMap<String, JobOptions>;

static ASK: OnceLock<fn() -> Known> = OnceLock::new();
static KNOWN: OnceLock<Known> = OnceLock::new();

/// Says where to ask, when the first job is written.
pub(crate) fn know(ask: fn() -> Known) {
    ASK.get_or_init(|| ask);
}

/// `job`, with what its handler says; a job that nobody would run is refused.
pub(super) fn complete(job: NewJob) -> QueryResult<NewJob> {
    // Outside a library, as in an extension's own unit tests, nobody knows.
    let Some(ask) = ASK.get() else { return Ok(job) };
    with(job, KNOWN.get_or_init(ask))
}

fn with(job: NewJob, known: &Known) -> QueryResult<NewJob> {
    match known.get(job.handler()) {
        Some(options) => Ok(job.with(options)),
        None => {
            let names: Vec<_> = known.keys().map(String::as_str).collect();
            let fault = format!(
                "job `{}`: there is no such handler, but for {}; add it in `Extension::jobs`",
                job.handler(),
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            );
            Err(DieselError::QueryBuilderError(fault.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_nobody_would_run_is_refused() {
        let known = Known::from([("send".to_owned(), JobOptions::default())]);
        let refused =
            |handler: &str| with(NewJob::from(handler), &known).err().map(|it| it.to_string());
        assert_eq!(refused("send"), None);
        assert_eq!(
            refused("sent").as_deref(),
            Some("job `sent`: there is no such handler, but for send; add it in `Extension::jobs`")
        );
    }
}
