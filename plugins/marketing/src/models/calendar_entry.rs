//! Entries of the calendar: what is planned for which day, once or again and again.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use diesel::prelude::*;
use powernode_plugin_api::{prelude::*, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Actor, Campaign, Step,
    change::{given, set},
    recurrence::Rule,
    step::refusal,
};
use crate::schema::marketing_calendar_entries;

#[cfg(test)]
mod tests;

/// What an entry is called in sentences.
pub const ENTRY: &str = "calendar entry";

text_enum! {
    /// What an entry is about.
    pub enum EntryType {
        Post = "post",
        Email = "email",
        Social = "social",
        Event = "event",
        Reminder = "reminder",
    }
}

text_enum! {
    /// How sure an entry is.
    pub enum Status {
        Planned = "planned",
        Scheduled = "scheduled",
        Cancelled = "cancelled",
    }
}

use Status::{Cancelled, Planned, Scheduled};

/// Makes it sure.
pub const SCHEDULE: Step<Status> = Step { from: &[Planned], to: Scheduled, done: "scheduled" };
/// Takes it back; all of its days, where it recurs.
pub const CANCEL: Step<Status> =
    Step { from: &[Planned, Scheduled], to: Cancelled, done: "cancelled" };
/// Thinks about it once more.
pub const PLAN: Step<Status> = Step { from: &[Scheduled, Cancelled], to: Planned, done: "planned" };

/// Something that is planned for a day.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize, JsonSchema)]
#[diesel(table_name = marketing_calendar_entries, treat_none_as_null = true)]
pub struct Entry {
    pub id: Id<Entry>,
    #[serde(skip)]
    pub account_id: Uuid,
    /// The user who created it.
    #[serde(rename = "created_by")]
    pub user_id: Option<Uuid>,
    #[serde(rename = "campaign_id")]
    pub marketing_campaign_id: Option<Id<Campaign>>,
    pub title: String,
    pub description: String,
    pub entry_type: EntryType,
    pub status: Status,
    /// The first day, where it recurs.
    pub scheduled_date: NaiveDate,
    /// In UTC; none where it takes the whole day.
    pub scheduled_time: Option<NaiveTime>,
    /// Six hexadecimal digits behind a `#`.
    pub color: String,
    /// As iCalendar has it: `FREQ=WEEKLY;BYDAY=MO,TH`.
    pub recurrence_rule: Option<String>,
    #[serde(skip)]
    pub ends_on: Option<NaiveDate>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// An entry on one of its days.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Occurrence {
    #[serde(flatten)]
    pub entry: Entry,
    pub occurs_on: NaiveDate,
}

/// What clients send to create an entry.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEntry {
    pub title: String,
    pub entry_type: EntryType,
    pub scheduled_date: NaiveDate,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub scheduled_time: Option<NaiveTime>,
    #[serde(default = "blue")]
    pub color: String,
    #[serde(default)]
    pub recurrence_rule: Option<String>,
    #[serde(default)]
    pub campaign_id: Option<Id<Campaign>>,
}

fn blue() -> String {
    "#3b82f6".to_owned()
}

/// What clients send to change an entry; what is left out stays, and null takes away.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeEntry {
    pub title: Option<String>,
    pub entry_type: Option<EntryType>,
    pub scheduled_date: Option<NaiveDate>,
    pub description: Option<String>,
    #[serde(deserialize_with = "given")]
    pub scheduled_time: Option<Option<NaiveTime>>,
    pub color: Option<String>,
    #[serde(deserialize_with = "given")]
    pub recurrence_rule: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    pub campaign_id: Option<Option<Id<Campaign>>>,
}

impl Identified for Entry {
    const PREFIX: &'static str = "cale";
}

impl Entry {
    /// An entry that is planned, or what is wrong with it.
    pub fn planned(actor: Actor, new: NewEntry) -> Result<Self> {
        let mut entry = Self {
            id: Id::new(),
            account_id: actor.account,
            user_id: actor.user,
            marketing_campaign_id: new.campaign_id,
            title: new.title.trim().to_owned(),
            description: new.description,
            entry_type: new.entry_type,
            status: Planned,
            scheduled_date: new.scheduled_date,
            scheduled_time: new.scheduled_time,
            color: new.color,
            recurrence_rule: new.recurrence_rule,
            ends_on: None,
            created_at: actor.now,
            updated_at: actor.now,
        };
        entry.validate().map(|()| entry)
    }

    /// Changes what the client sent; 422 once it is cancelled, or where it is not valid.
    pub fn change(&mut self, change: ChangeEntry, now: DateTime<Utc>) -> Result<()> {
        if self.status == Cancelled {
            return Err(refusal(ENTRY, self.status, "changed"));
        }
        set(&mut self.title, change.title.map(|it| it.trim().to_owned()));
        set(&mut self.entry_type, change.entry_type);
        set(&mut self.scheduled_date, change.scheduled_date);
        set(&mut self.description, change.description);
        set(&mut self.scheduled_time, change.scheduled_time);
        set(&mut self.color, change.color);
        set(&mut self.recurrence_rule, change.recurrence_rule);
        set(&mut self.marketing_campaign_id, change.campaign_id);
        self.updated_at = now;
        self.validate()
    }

    /// Takes a step; 422 where the entry's state does not allow it.
    pub fn take(&mut self, step: &Step<Status>, now: DateTime<Utc>) -> Result<()> {
        self.status = step.take(ENTRY, self.status)?;
        self.updated_at = now;
        Ok(())
    }

    /// The days on which it occurs from `from` to `to`, at most `most`.
    pub fn days(&self, from: NaiveDate, to: NaiveDate, most: usize) -> Result<Vec<NaiveDate>> {
        let start = self.scheduled_date;
        let Some(rule) = &self.recurrence_rule else {
            return Ok(if (from..=to).contains(&start) { vec![start] } else { Vec::new() });
        };
        // It was valid when it was stored.
        let rule: Rule =
            rule.parse().map_err(|it| Error::internal(format!("{}: {it}", self.id)))?;
        Ok(rule.days(start, from, to).take(most).collect())
    }

    /// When it is due on one of its days: at its time, or with the day, in UTC.
    pub fn moment(&self, day: NaiveDate) -> DateTime<Utc> {
        day.and_time(self.scheduled_time.unwrap_or_default()).and_utc()
    }

    fn validate(&mut self) -> Result<()> {
        let days = NaiveDate::from_ymd_opt(1970, 1, 1)..=NaiveDate::from_ymd_opt(9999, 12, 31);
        let mut checks = Checks::new();
        checks
            .length(&self.title, 1, 255, "title")
            .length(&self.description, 0, 10_000, "description")
            .require(is_color(&self.color), "color", "must be six digits such as #3b82f6")
            .require(
                days.contains(&Some(self.scheduled_date)),
                "scheduled_date",
                "must be from 1970 to 9999",
            );
        checks.finish()?;
        self.ends_on = match &self.recurrence_rule {
            None => Some(self.scheduled_date),
            Some(rule) => {
                let last = rule.parse::<Rule>().and_then(|it| it.last(self.scheduled_date));
                last.map_err(|error| Error::invalid("recurrence_rule", error.to_string()))?
            }
        };
        Ok(())
    }
}

impl Occurrence {
    /// Whether it is in the way of something else: less than an hour apart, midnight or not, where
    /// both have a time, and on the same day where one takes the whole day.
    pub fn is_near(&self, day: NaiveDate, time: Option<NaiveTime>) -> bool {
        match (self.entry.scheduled_time, time) {
            (Some(mine), Some(other)) => {
                let apart = self.occurs_on.and_time(mine) - day.and_time(other);
                apart.abs() < TimeDelta::hours(1)
            }
            _ => self.occurs_on == day,
        }
    }
}

fn is_color(text: &str) -> bool {
    let digits = text.strip_prefix('#');
    digits.is_some_and(|it| it.len() == 6 && it.bytes().all(|it| it.is_ascii_hexdigit()))
}
