//! What ended long enough ago.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::db::HostConnection;

use super::millis;
use crate::db::{Sql, Twin};

pub(super) const PRUNE: Twin = Twin {
    sqlite: "DELETE FROM core_jobs WHERE id IN \
        (SELECT id FROM core_jobs WHERE state >= 4 AND prune_at <= $1 ORDER BY prune_at LIMIT $2)",
    postgres: "DELETE FROM core_jobs WHERE id = ANY(ARRAY(\
        SELECT id FROM core_jobs WHERE state >= 4 AND prune_at <= $1 ORDER BY prune_at LIMIT $2 \
        FOR UPDATE SKIP LOCKED)) AND state >= 4 AND prune_at <= $1",
};

/// Deletes up to `most` jobs whose time of retention is over, and answers how many; fewer than `most` were all.
///
/// How long a job is kept was its queue's to say when it ended.
///
/// # Errors
///
/// The database's.
pub fn prune(conn: &mut HostConnection, now: DateTime<Utc>, most: u32) -> QueryResult<usize> {
    Sql::<()>::new(PRUNE).number(millis(now)).number(i64::from(most)).execute(conn)
}
