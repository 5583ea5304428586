//! What happens to the calendar.

use chrono::{NaiveDate, NaiveTime};
use diesel::prelude::*;
use powernode_plugin_api::{
    db::{HostBackend, for_update},
    prelude::*,
};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use super::{campaigns, range::Range};
use crate::{
    models::{
        Actor, Campaign, Entry, Step,
        calendar_entry::{ChangeEntry, ENTRY, EntryType, NewEntry, Occurrence, Status},
    },
    schema::marketing_calendar_entries::{self as entries, BoxedQuery},
};

/// Days that one range may have at most.
const MOST_DAYS: i64 = 366;
/// Occurrences of one range at most; they are sorted before they are paged.
const MOST_OCCURRENCES: usize = 10_000;

/// Which days, and what the entries may be narrowed by.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Filter {
    pub start_date: NaiveDate,
    /// The last day.
    pub end_date: NaiveDate,
    pub entry_type: Option<EntryType>,
    pub status: Option<Status>,
    pub campaign_id: Option<Id<Campaign>>,
}

/// Something that may be in the way of others.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Planned {
    pub date: NaiveDate,
    /// In UTC; none where it takes the whole day.
    pub time: Option<NaiveTime>,
    /// Looks at entries of this type alone.
    pub entry_type: Option<EntryType>,
    /// The entry that is planned itself, where it is there already.
    pub exclude_id: Option<Id<Entry>>,
}

/// One page of what occurs in a range, by day and time.
pub fn list(
    conn: &mut HostConnection,
    account: Uuid,
    filter: &Filter,
    page: Page,
) -> Result<Paged<Occurrence>> {
    let range = Range { start: filter.start_date, end: filter.end_date }.within(MOST_DAYS)?;
    if let Some(campaign) = filter.campaign_id {
        campaigns::find(conn, account, campaign)?;
    }
    let mut query = touching(account, range);
    if let Some(kind) = filter.entry_type {
        query = query.filter(entries::entry_type.eq(kind));
    }
    if let Some(status) = filter.status {
        query = query.filter(entries::status.eq(status));
    }
    if let Some(campaign) = filter.campaign_id {
        query = query.filter(entries::marketing_campaign_id.eq(campaign));
    }
    let all = expanded(query.select(Entry::as_select()).load(conn)?, range)?;
    let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let skipped = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let rows = all.into_iter().skip(skipped).take(page.per_page as usize).collect();
    Ok(Paged { rows, page, total })
}

/// What is in the way of something on that day: to be known, and never an obstacle. The days beside
/// it count too, since an hour may pass midnight.
pub fn conflicts(
    conn: &mut HostConnection,
    account: Uuid,
    planned: &Planned,
) -> Result<Vec<Occurrence>> {
    let day = planned.date;
    let range = Range { start: day.pred_opt().unwrap_or(day), end: day.succ_opt().unwrap_or(day) };
    let mut query = touching(account, range).filter(entries::status.ne(Status::Cancelled));
    if let Some(kind) = planned.entry_type {
        query = query.filter(entries::entry_type.eq(kind));
    }
    if let Some(id) = planned.exclude_id {
        query = query.filter(entries::id.ne(id));
    }
    let all = expanded(query.select(Entry::as_select()).load(conn)?, range)?;
    Ok(all.into_iter().filter(|it| it.is_near(day, planned.time)).collect())
}

/// One entry of the account.
pub fn find(conn: &mut HostConnection, account: Uuid, id: Id<Entry>) -> Result<Entry> {
    let row = entries::table
        .filter(entries::account_id.eq(account))
        .find(id)
        .select(Entry::as_select())
        .first(conn);
    row.optional()?.ok_or_else(|| Error::not_found(ENTRY))
}

/// Creates an entry.
pub fn create(conn: &mut HostConnection, actor: Actor, new: NewEntry) -> Result<Entry> {
    let entry = Entry::planned(actor, new)?;
    owned(conn, &entry)?;
    diesel::insert_into(entries::table).values(&entry).execute(conn)?;
    Ok(entry)
}

/// Changes an entry.
pub fn change(
    conn: &mut HostConnection,
    actor: Actor,
    id: Id<Entry>,
    change: ChangeEntry,
) -> Result<Entry> {
    let mut entry = hold(conn, actor.account, id)?;
    entry.change(change, actor.now)?;
    owned(conn, &entry)?;
    save(conn, entry)
}

/// Takes a step with an entry.
pub fn take(
    conn: &mut HostConnection,
    actor: Actor,
    id: Id<Entry>,
    step: &Step<Status>,
) -> Result<Entry> {
    let mut entry = hold(conn, actor.account, id)?;
    entry.take(step, actor.now)?;
    save(conn, entry)
}

/// Deletes an entry, with all of its days.
pub fn delete(conn: &mut HostConnection, account: Uuid, id: Id<Entry>) -> Result<()> {
    let entry = hold(conn, account, id)?;
    diesel::delete(entries::table.find(entry.id)).execute(conn)?;
    Ok(())
}

/// 404 where the entry's campaign is another account's.
fn owned(conn: &mut HostConnection, entry: &Entry) -> Result<()> {
    let campaign = entry.marketing_campaign_id;
    campaign.map_or(Ok(()), |it| campaigns::find(conn, entry.account_id, it).map(drop))
}

/// The account's entries that may occur in a range.
fn touching<'a>(account: Uuid, range: Range) -> BoxedQuery<'a, HostBackend> {
    entries::table
        .filter(entries::account_id.eq(account))
        .filter(entries::scheduled_date.le(range.end))
        .filter(entries::ends_on.is_null().or(entries::ends_on.ge(range.start)))
        .into_boxed()
}

/// Each entry on each of its days within a range, by day and time.
fn expanded(rows: Vec<Entry>, range: Range) -> Result<Vec<Occurrence>> {
    let mut all = Vec::new();
    for entry in rows {
        for occurs_on in entry.days(range.start, range.end, MOST_OCCURRENCES)? {
            all.push(Occurrence { entry: entry.clone(), occurs_on });
        }
        if all.len() > MOST_OCCURRENCES {
            let message =
                format!("has more than {MOST_OCCURRENCES} entries: ask for a shorter range");
            return Err(Error::invalid("end_date", message));
        }
    }
    all.sort_by_key(|it| (it.occurs_on, it.entry.scheduled_time, it.entry.id));
    Ok(all)
}

/// One entry, held until the transaction ends.
fn hold(conn: &mut HostConnection, account: Uuid, id: Id<Entry>) -> Result<Entry> {
    let row =
        entries::table.filter(entries::account_id.eq(account)).find(id).select(Entry::as_select());
    for_update(row).get_result(conn).optional()?.ok_or_else(|| Error::not_found(ENTRY))
}

fn save(conn: &mut HostConnection, entry: Entry) -> Result<Entry> {
    diesel::update(entries::table.find(entry.id)).set(&entry).execute(conn)?;
    Ok(entry)
}
