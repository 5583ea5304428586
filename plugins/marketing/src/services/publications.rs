//! The calendar coming out: each scheduled entry on each of its days, once.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use diesel::prelude::*;
use powernode_plugin_api::{prelude::*, providers::Notification, text_enum};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{calendar, campaigns, sendings};
use crate::{
    jobs::{sweep_at, tell},
    models::{
        Actor, Entry,
        calendar_entry::{EntryType, Status},
        campaign,
    },
    schema::{
        marketing_calendar_entries as entries, marketing_calendar_publications as publications,
    },
};

/// What is later than that is no longer published: a reminder of last week helps nobody.
const LATE: TimeDelta = TimeDelta::hours(24);
/// How far the next day of an entry is looked for; the sweep of each minute finds what is further away.
const AHEAD: Days = Days::new(40);

text_enum! {
    /// What came of an entry on its day.
    pub enum Outcome {
        /// Its campaign went out.
        Sent = "sent",
        /// Its campaign had nothing to send, or is over.
        Nothing = "nothing",
        /// People were told.
        Told = "told",
    }
}

/// A day on which an entry came out.
#[derive(Debug, Queryable, Selectable, Serialize, JsonSchema)]
#[diesel(table_name = publications)]
pub struct Publication {
    pub occurs_on: NaiveDate,
    pub outcome: Outcome,
    pub published_at: DateTime<Utc>,
}

/// The days of an entry on which it came out, the last one first.
pub fn list(
    conn: &mut HostConnection,
    account: Uuid,
    entry: Id<Entry>,
    page: Page,
) -> Result<Paged<Publication>> {
    calendar::find(conn, account, entry)?;
    let rows = publications::table
        .filter(publications::marketing_calendar_entry_id.eq(entry))
        .order(publications::occurs_on.desc())
        .limit(page.limit())
        .offset(page.offset())
        .select(Publication::as_select())
        .load(conn)?;
    let all = publications::table.filter(publications::marketing_calendar_entry_id.eq(entry));
    Ok(Paged { rows, page, total: all.count().get_result(conn)? })
}

/// Asks for a sweep when a scheduled entry is due the next time.
pub fn plan(conn: &mut HostConnection, entry: &Entry, now: DateTime<Utc>) -> Result<()> {
    let today = now.date_naive();
    let last = today.checked_add_days(AHEAD).unwrap_or(today);
    if entry.status != Status::Scheduled {
        return Ok(());
    }
    let days = entry.days(today, last, 64)?;
    match days.into_iter().map(|it| entry.moment(it)).find(|it| *it > now) {
        Some(moment) => sweep_at(conn, moment),
        None => Ok(()),
    }
}

/// What is due, and did not come out yet: not what was past already when it was scheduled.
pub fn due(conn: &mut HostConnection, now: DateTime<Utc>) -> Result<Vec<(Entry, NaiveDate)>> {
    let (first, today) = ((now - LATE).date_naive(), now.date_naive());
    let rows: Vec<Entry> = entries::table
        .filter(entries::status.eq(Status::Scheduled))
        .filter(entries::scheduled_date.le(today))
        .filter(entries::ends_on.is_null().or(entries::ends_on.ge(first)))
        .select(Entry::as_select())
        .load(conn)?;
    let mut due = Vec::new();
    for entry in rows {
        for day in entry.days(first, today, 8)? {
            let moment = entry.moment(day);
            if moment > now - LATE
                && moment <= now
                && moment >= entry.updated_at
                && !is_out(conn, &entry, day)?
            {
                due.push((entry.clone(), day));
            }
        }
    }
    due.sort_by_key(|(entry, day)| (entry.moment(*day), entry.id));
    Ok(due)
}

/// Publishes an entry on one of its days: sends its campaign, or tells people; once, whoever else tries.
pub fn publish(
    conn: &mut HostConnection,
    entry: &Entry,
    day: NaiveDate,
    has_mail: bool,
    now: DateTime<Utc>,
) -> Result<()> {
    let outcome = if is_sent(entry.entry_type) { Outcome::Nothing } else { Outcome::Told };
    let row = (
        publications::id.eq(Uuid::now_v7()),
        publications::account_id.eq(entry.account_id),
        publications::marketing_calendar_entry_id.eq(entry.id),
        publications::occurs_on.eq(day),
        publications::outcome.eq(outcome),
        publications::published_at.eq(now),
    );
    let first = diesel::insert_into(publications::table)
        .values(row)
        .on_conflict((publications::marketing_calendar_entry_id, publications::occurs_on))
        .do_nothing()
        .execute(conn)?;
    if first == 0 {
        return Ok(());
    }
    if !is_sent(entry.entry_type) {
        tell(conn, &notification(entry, day))?;
    } else if send(conn, entry, day, has_mail, now)? {
        diesel::update(publications::table)
            .filter(publications::marketing_calendar_entry_id.eq(entry.id))
            .filter(publications::occurs_on.eq(day))
            .set(publications::outcome.eq(Outcome::Sent))
            .execute(conn)?;
    }
    plan(conn, entry, now)
}

/// Lets the entry's campaign go out; answers whether there was anything to send.
fn send(
    conn: &mut HostConnection,
    entry: &Entry,
    day: NaiveDate,
    has_mail: bool,
    now: DateTime<Utc>,
) -> Result<bool> {
    let Some(id) = entry.marketing_campaign_id else { return Ok(false) };
    let actor = Actor { account: entry.account_id, user: None, now };
    let campaign = campaigns::hold(conn, actor.account, id)?;
    let campaign = match campaign.status {
        campaign::Status::Draft | campaign::Status::Scheduled => {
            campaigns::take(conn, actor, id, &campaign::EXECUTE)?
        }
        campaign::Status::Archived => return Ok(false),
        // While it is paused it is written down, and goes out when it goes on.
        campaign::Status::Active | campaign::Status::Paused | campaign::Status::Completed => {
            campaign
        }
    };
    sendings::begin(conn, &campaign, &format!("{}/{day}", entry.id), has_mail, now)
}

fn is_out(conn: &mut HostConnection, entry: &Entry, day: NaiveDate) -> Result<bool> {
    let there = publications::table
        .filter(publications::marketing_calendar_entry_id.eq(entry.id))
        .filter(publications::occurs_on.eq(day));
    Ok(diesel::select(diesel::dsl::exists(there)).get_result(conn)?)
}

fn is_sent(kind: EntryType) -> bool {
    match kind {
        EntryType::Post | EntryType::Email | EntryType::Social => true,
        EntryType::Event | EntryType::Reminder => false,
    }
}

fn notification(entry: &Entry, day: NaiveDate) -> Notification {
    Notification {
        account_id: entry.account_id,
        user_id: None,
        kind: format!("marketing.{}", entry.entry_type),
        key: format!("{}/{day}", entry.id),
        title: entry.title.clone(),
        body: (!entry.description.is_empty()).then(|| entry.description.clone()),
        link: Some("/marketing/calendar".to_owned()),
    }
}
