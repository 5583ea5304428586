//! Writing down who gets a sending.

use powernode_plugin_api::prelude::*;

use crate::{
    Marketing,
    services::sendings::{self, Prepare, Prepared},
};

/// Page by page, each in a transaction of its own; a crash goes on where the last one ended.
pub async fn prepare(job: Job<Marketing>, args: Prepare) -> Result<Outcome> {
    let size = job.extension().mail.as_ref().map_or(100, |it| it.batch);
    loop {
        if let Some(cancelled) = job.cancelled() {
            return Ok(cancelled.into());
        }
        let now = job.host().runtime().now();
        let page = move |conn: &mut _| sendings::prepare(conn, args.sending, size, now);
        if job.db().transaction(page).await? != Prepared::More {
            return Ok(Outcome::Done);
        }
    }
}
