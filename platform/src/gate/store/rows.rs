//! The rows behind the flags: one for each flag, one for each gate that is open.
//!
//! The boolean gate has a row also while it is closed: it tells who changed the flag last.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SubsecRound, Utc};
use diesel::prelude::*;
use powernode_plugin_api::db::{HostBackend, HostConnection};

use super::super::flags::{Change, Expression, Flag, Gates, Percentage};
use crate::audit::By;
use crate::db::schema::{core_flag_gates, core_flags};

const BOOLEAN: &str = "boolean";
const ACTORS: &str = "actors";
const GROUPS: &str = "groups";
const OF_ACTORS: &str = "percentage_of_actors";
const EXPRESSION: &str = "expression";
const OF_TIME: &str = "percentage_of_time";

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = core_flags, check_for_backend(HostBackend))]
struct FlagRow {
    name: String,
    created_at: DateTime<Utc>,
    description: String,
    chosen: bool,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = core_flag_gates, check_for_backend(HostBackend))]
struct GateRow {
    flag: String,
    kind: String,
    value: String,
    updated_at: DateTime<Utc>,
    updated_by: String,
}

/// All flags.
pub(super) fn all(conn: &mut HostConnection) -> QueryResult<Vec<Flag>> {
    let flags: Vec<FlagRow> = core_flags::table.select(FlagRow::as_select()).load(conn)?;
    let rows: Vec<GateRow> = core_flag_gates::table.select(GateRow::as_select()).load(conn)?;
    let mut gates: BTreeMap<String, Vec<GateRow>> = BTreeMap::new();
    for row in rows {
        gates.entry(row.flag.clone()).or_default().push(row);
    }
    Ok(flags
        .into_iter()
        .map(|flag| {
            let gates = gates.remove(&flag.name).unwrap_or_default();
            assemble(flag, gates)
        })
        .collect())
}

/// One flag.
pub(super) fn find(conn: &mut HostConnection, name: &str) -> QueryResult<Option<Flag>> {
    let flag: Option<FlagRow> =
        core_flags::table.find(name).select(FlagRow::as_select()).first(conn).optional()?;
    let Some(flag) = flag else { return Ok(None) };
    let gates = core_flag_gates::table
        .filter(core_flag_gates::flag.eq(name))
        .select(GateRow::as_select())
        .load(conn)?;
    Ok(Some(assemble(flag, gates)))
}

/// Makes a flag that nobody chose yet, without gates.
pub(super) fn insert(
    conn: &mut HostConnection,
    name: &str,
    description: &str,
    by: &By,
) -> QueryResult<()> {
    let row = FlagRow {
        name: name.to_owned(),
        created_at: by.at.trunc_subsecs(6),
        description: description.replace('\0', "\u{fffd}"),
        chosen: false,
    };
    diesel::insert_into(core_flags::table).values(&row).execute(conn).map(drop)
}

/// Says that an operator chose.
pub(super) fn choose(conn: &mut HostConnection, name: &str) -> QueryResult<()> {
    diesel::update(core_flags::table.find(name))
        .set(core_flags::chosen.eq(true))
        .execute(conn)
        .map(drop)
}

/// Turns the gates that were into those that shall be. Rows that stay keep who wrote them.
pub(super) fn write(
    conn: &mut HostConnection,
    flag: &str,
    before: &Gates,
    after: &Gates,
    by: &By,
) -> QueryResult<()> {
    let (before, after) = (values(before), values(after));
    let of_flag = || core_flag_gates::table.filter(core_flag_gates::flag.eq(flag));
    if after.len() == 1 {
        // All other gates are shut: so are rows that this version could not read.
        diesel::delete(of_flag()).execute(conn)?;
    } else {
        // The boolean row is written anew each time.
        diesel::delete(of_flag().filter(core_flag_gates::kind.eq(BOOLEAN))).execute(conn)?;
        for (kind, value) in before.difference(&after).filter(|(kind, _)| *kind != BOOLEAN) {
            diesel::delete(core_flag_gates::table.find((flag, kind, value))).execute(conn)?;
        }
    }
    for (kind, value) in &after {
        if *kind != BOOLEAN && before.contains(&(*kind, value.clone())) {
            continue;
        }
        let row = GateRow {
            flag: flag.to_owned(),
            kind: (*kind).to_owned(),
            value: value.clone(),
            updated_at: by.at.trunc_subsecs(6),
            updated_by: by.actor.replace('\0', "\u{fffd}"),
        };
        diesel::insert_into(core_flag_gates::table).values(&row).execute(conn)?;
    }
    Ok(())
}

fn values(gates: &Gates) -> BTreeSet<(&'static str, String)> {
    let mut values = BTreeSet::from([(BOOLEAN, gates.boolean.to_string())]);
    values.extend(gates.actors.iter().map(|actor| (ACTORS, actor.to_string())));
    values.extend(gates.groups.iter().map(|group| (GROUPS, group.clone())));
    values.extend(gates.expression.iter().map(|it| (EXPRESSION, it.to_string())));
    for (kind, share) in
        [(OF_ACTORS, gates.percentage_of_actors), (OF_TIME, gates.percentage_of_time)]
    {
        if !share.is_zero() {
            values.insert((kind, share.to_string()));
        }
    }
    values
}

fn assemble(flag: FlagRow, rows: Vec<GateRow>) -> Flag {
    let mut gates = Gates::default();
    let mut changed: Option<Change> = None;
    for row in rows {
        if let Err(why) = open(&mut gates, &flag.name, &row) {
            tracing::warn!(
                flag = %flag.name,
                "Gate `{}` of flag `{}` is ignored: `{}` {why}",
                row.kind,
                flag.name,
                row.value
            );
        }
        if row.kind == BOOLEAN && flag.chosen {
            changed = Some(Change { by: row.updated_by, at: row.updated_at });
        }
    }
    let FlagRow { name, created_at, description, chosen } = flag;
    Flag { name, description, created_at, chosen, gates, changed }
}

/// Opens the gate of a row. A row that makes no sense opens nothing.
fn open(gates: &mut Gates, flag: &str, row: &GateRow) -> Result<(), String> {
    let share = || {
        let percent: f64 = row.value.parse().map_err(|_| "is no number".to_owned())?;
        Percentage::new(percent).map_err(|bad| bad.to_string())
    };
    match row.kind.as_str() {
        BOOLEAN => match row.value.as_str() {
            "true" => gates.boolean = true,
            "false" => {}
            _ => return Err("is neither true nor false".into()),
        },
        ACTORS => drop(gates.actors.insert(row.value.parse().map_err(|bad| format!("({bad})"))?)),
        GROUPS => drop(gates.groups.insert(row.value.clone())),
        EXPRESSION => {
            let json = serde_json::from_str(&row.value).map_err(|_| "is no JSON".to_owned())?;
            gates.expression = Some(Expression::new(json).map_err(|bad| format!("({bad})"))?);
        }
        OF_ACTORS => gates.percentage_of_actors = share()?,
        OF_TIME if flag.ends_with("_mode") => return Err("would make an extension flap".into()),
        OF_TIME => gates.percentage_of_time = share()?,
        _ => return Err("belongs to a gate that this version does not know".into()),
    }
    Ok(())
}
