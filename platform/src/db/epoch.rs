//! Counters that a transaction counts up, by which other nodes learn that something changed.

use diesel::prelude::*;
use powernode_plugin_api::db::HostConnection;

use super::schema::core_epoch;

/// Counts `name` up, from 0 where it never was, and answers what it counts now.
///
/// Until the transaction ends nobody else can count it up, on any node: this also puts writers in line.
///
/// # Errors
///
/// The database's.
pub fn bump(conn: &mut HostConnection, name: &str) -> QueryResult<i64> {
    let up = |conn: &mut HostConnection| {
        diesel::update(core_epoch::table.find(name))
            .set(core_epoch::value.eq(core_epoch::value + 1))
            .returning(core_epoch::value)
            .get_result(conn)
            .optional()
    };
    if let Some(counted) = up(conn)? {
        return Ok(counted);
    }
    diesel::insert_into(core_epoch::table)
        .values((core_epoch::name.eq(name), core_epoch::value.eq(0)))
        .on_conflict_do_nothing()
        .execute(conn)?;
    up(conn)?.ok_or(diesel::result::Error::NotFound)
}

/// What `name` counts now; 0 where it never was counted up.
///
/// # Errors
///
/// The database's.
pub fn read(conn: &mut HostConnection, name: &str) -> QueryResult<i64> {
    let found = core_epoch::table.find(name).select(core_epoch::value).first(conn).optional()?;
    Ok(found.unwrap_or(0))
}
