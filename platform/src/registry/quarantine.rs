//! Quarantine outlives the process: it stands in `core_quarantine`.

use std::collections::BTreeMap;

use chrono::Utc;
use diesel::{dsl::insert_into, prelude::*};
use powernode_plugin_api::{Db, db::RunError};
use serde_json::json;

use crate::{
    audit::{self, By, Entry},
    db::schema::core_quarantine,
};

/// Those in quarantine, with the reason.
///
/// # Errors
///
/// When the database does not answer; so for each function.
pub async fn all(core: &Db) -> Result<BTreeMap<String, String>, RunError> {
    core.read(|conn| {
        let rows = core_quarantine::table
            .select((core_quarantine::extension, core_quarantine::reason))
            .load::<(String, String)>(conn)?;
        Ok(rows.into_iter().collect())
    })
    .await
}

/// Keeps an extension in quarantine.
///
/// # Errors
///
/// As [`all`].
pub async fn keep(core: &Db, slug: String, reason: String) -> Result<(), RunError> {
    core.transaction(move |conn| {
        let row = (
            core_quarantine::reason.eq(reason),
            core_quarantine::at.eq(Utc::now()),
            core_quarantine::count.eq(1_i64),
        );
        insert_into(core_quarantine::table)
            .values((core_quarantine::extension.eq(slug), row.clone()))
            .on_conflict(core_quarantine::extension)
            .do_update()
            .set(row)
            .execute(conn)?;
        Ok(())
    })
    .await
}

/// Lets an extension out; answers whether it was in.
///
/// # Errors
///
/// As [`all`].
pub async fn release(core: &Db, slug: String, by: By) -> Result<bool, RunError> {
    core.transaction(move |conn| {
        let reason = diesel::delete(core_quarantine::table.find(&slug))
            .returning(core_quarantine::reason)
            .get_result::<String>(conn)
            .optional()?;
        let Some(reason) = reason else { return Ok(false) };
        let entry = Entry::new("extension.release", format!("extension/{slug}"));
        audit::append(conn, &by, entry.with_before(json!({ "quarantined": reason })))?;
        Ok(true)
    })
    .await
}
