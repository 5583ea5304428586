//! What runs by itself.
//!
//! Who writes a row that has a time asks for a `sweep` at that time; the one of each minute finds what was due
//! meanwhile. A sweep looks at what is due then, so that rows may change as often as they like.

use std::time::Duration;

use chrono::{DateTime, Utc};
use powernode_plugin_api::prelude::*;
use uuid::Uuid;

use crate::Marketing;

mod confirm;
mod notify;
mod post;
mod prepare;
mod send;
mod sweep;

pub use self::notify::tell;

/// Adds all of them.
pub fn add(jobs: &mut Jobs<Marketing>) {
    let long = Duration::from_secs(600);
    jobs.add("sweep", sweep::sweep).timeout(long);
    jobs.add("prepare", prepare::prepare).timeout(long);
    // One at a time, so that the rate holds; what people wait for goes by another queue.
    jobs.add("send", send::send).queue("mail").concurrency_of_all(1).timeout(long);
    jobs.add("send_again", send::send_again);
    jobs.add("post", post::post).attempts(10);
    jobs.add("confirm", confirm::confirm).queue("letters");
    jobs.add("notify", notify::notify).attempts(5);
    jobs.every("sweep", Duration::from_secs(60), "sweep");
}

/// Whether the extension is on for an account: a job belongs to nobody, and the gate asks for no account.
fn is_on(host: &Host, account: Uuid) -> bool {
    host.flags().enabled_for(&format!("{}_mode", host.slug()), account)
}

/// Asks for a sweep at a moment.
pub fn sweep_at(conn: &mut HostConnection, moment: DateTime<Utc>) -> Result<()> {
    enqueue(conn, NewJob::new("sweep", &()).at(moment))?;
    Ok(())
}
