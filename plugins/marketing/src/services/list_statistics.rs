//! What became of a list's subscribers, and how the list grows.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use diesel::{
    dsl::{count, count_star, sql},
    prelude::*,
    sql_types::Date,
};
use powernode_plugin_api::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{email_lists, range::Range};
use crate::{
    models::{Actor, EmailList, metric::percent, subscriber::Status},
    schema::{marketing_email_bounces as bounces, marketing_email_subscribers as subscribers},
};

/// What a period has at most.
const MOST_DAYS: i64 = 366;
/// What it has where nothing is said.
const DAYS: u64 = 30;

/// From which day to which, both among them: the last 30 days where nothing is said, at most 366.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Period {
    pub start_date: Option<NaiveDate>,
    pub end_date: Option<NaiveDate>,
}

/// What became of a list's subscribers, and how the list grows.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListStatistics {
    pub email_list_id: Id<EmailList>,
    /// Addresses on the list, in whatever state.
    pub total: i64,
    pub by_status: BTreeMap<Status, i64>,
    pub rates: ListRates,
    pub growth: Growth,
}

/// Shares of all addresses on the list, in percent with two digits.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListRates {
    /// Of those who were subscribed at some time.
    pub confirmation_rate: f64,
    pub unsubscribe_rate: f64,
    pub bounce_rate: f64,
    pub complaint_rate: f64,
}

/// What came and went in a period.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Growth {
    pub start_date: NaiveDate,
    pub end_date: NaiveDate,
    pub total: Movement,
    /// Each day of the period, in UTC.
    pub by_day: Vec<OfDay>,
}

/// What came and went.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
pub struct Movement {
    /// Addresses that were put on the list.
    pub added: i64,
    /// Those that were confirmed, or needed no confirmation.
    pub subscribed: i64,
    pub unsubscribed: i64,
    /// E-mails that came back, from the ledger.
    pub bounces: i64,
}

/// What came and went on a day.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OfDay {
    pub date: NaiveDate,
    #[serde(flatten)]
    pub movement: Movement,
}

/// Counts the subscribers of a list, and what they did in a period.
pub fn show(
    conn: &mut HostConnection,
    actor: Actor,
    id: Id<EmailList>,
    period: Period,
) -> Result<ListStatistics> {
    let range = period.range(actor.now.date_naive())?;
    let list = email_lists::find(conn, actor.account, id)?;
    let counts: Vec<(Status, i64, i64)> = subscribers::table
        .filter(subscribers::marketing_email_list_id.eq(list.id))
        .group_by(subscribers::status)
        .select((subscribers::status, count_star(), count(subscribers::subscribed_at)))
        .load(conn)?;
    let mut by_status: BTreeMap<_, _> = Status::ALL.iter().map(|it| (*it, 0)).collect();
    let mut confirmed = 0;
    for (status, count, subscribed) in counts {
        by_status.insert(status, count);
        confirmed += subscribed;
    }
    let rates = ListRates::of(&by_status, confirmed);
    let growth = growth(conn, list.id, range)?;
    let total = by_status.values().sum();
    Ok(ListStatistics { email_list_id: list.id, total, by_status, rates, growth })
}

impl Period {
    fn range(self, today: NaiveDate) -> Result<Range> {
        let end = self.end_date.unwrap_or(today);
        let first = || end.checked_sub_days(Days::new(DAYS - 1)).unwrap_or(end);
        Range { start: self.start_date.unwrap_or_else(first), end }.within(MOST_DAYS)
    }
}

impl ListRates {
    fn of(by_status: &BTreeMap<Status, i64>, confirmed: i64) -> Self {
        let total = by_status.values().sum();
        let of = |status| percent(by_status.get(&status).copied().unwrap_or_default(), total);
        Self {
            confirmation_rate: percent(confirmed, total),
            unsubscribe_rate: of(Status::Unsubscribed),
            bounce_rate: of(Status::Bounced),
            complaint_rate: of(Status::Complained),
        }
    }
}

/// Counts the rows of each day of the range, in UTC, with one query.
macro_rules! per_day {
    ($conn:expr, $rows:expr, $range:expr, $moment:literal) => {{
        let day = || sql::<Date>(concat!("date(", $moment, ")"));
        let counts: Vec<(NaiveDate, i64)> = $rows
            .filter(day().between($range.start, $range.end))
            .group_by(day())
            .select((day(), count_star()))
            .load($conn)?;
        counts
    }};
}

fn growth(conn: &mut HostConnection, list: Id<EmailList>, range: Range) -> Result<Growth> {
    let on_list = || subscribers::table.filter(subscribers::marketing_email_list_id.eq(list));
    let returned = bounces::table
        .filter(bounces::marketing_email_subscriber_id.eq_any(on_list().select(subscribers::id)));
    let added = per_day!(conn, on_list(), range, "created_at");
    let subscribed = per_day!(conn, on_list(), range, "subscribed_at");
    let unsubscribed = per_day!(conn, on_list(), range, "unsubscribed_at");
    let bounces = per_day!(conn, returned, range, "bounced_at");

    let days = range.start.iter_days().take_while(|it| *it <= range.end);
    let mut by_day: BTreeMap<_, _> = days.map(|it| (it, Movement::default())).collect();
    let mut total = Movement::default();
    let mut count = |counts: Vec<(NaiveDate, i64)>, field: fn(&mut Movement) -> &mut i64| {
        for (day, count) in counts {
            *field(&mut total) += count;
            *field(by_day.entry(day).or_default()) += count;
        }
    };
    count(added, |it| &mut it.added);
    count(subscribed, |it| &mut it.subscribed);
    count(unsubscribed, |it| &mut it.unsubscribed);
    count(bounces, |it| &mut it.bounces);
    let by_day = by_day.into_iter().map(|(date, movement)| OfDay { date, movement }).collect();
    Ok(Growth { start_date: range.start, end_date: range.end, total, by_day })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Option<NaiveDate> {
        Some(text.parse().unwrap())
    }

    #[track_caller]
    fn check(start_date: Option<NaiveDate>, end_date: Option<NaiveDate>, expected: &str) {
        let today = day("2026-03-31").unwrap();
        let found = match (Period { start_date, end_date }).range(today) {
            Ok(Range { start, end }) => format!("{start} {end}"),
            Err(error) => error.fields()[0].to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_period_is_the_last_thirty_days_unless_told_otherwise() {
        check(None, None, "2026-03-02 2026-03-31");
        check(None, day("2026-01-30"), "2026-01-01 2026-01-30");
        check(day("2026-03-31"), None, "2026-03-31 2026-03-31");
        check(day("2026-04-01"), None, "end_date: must not be before start_date");
        check(day("2025-03-30"), None, "end_date: must be at most 366 days from start_date");
        check(None, Some(NaiveDate::MIN), "-262143-01-01 -262143-01-01");
    }

    #[test]
    fn rates_are_shares_of_all_addresses() {
        use Status::{Bounced, Complained, Pending, Subscribed, Unsubscribed};
        let of = |counts: &[(Status, i64)], confirmed| {
            let rates = ListRates::of(&counts.iter().copied().collect(), confirmed);
            let ListRates { confirmation_rate, unsubscribe_rate, bounce_rate, complaint_rate } =
                rates;
            [confirmation_rate, unsubscribe_rate, bounce_rate, complaint_rate]
                .map(|it| it.to_string())
        };
        let counts =
            [(Pending, 1), (Subscribed, 2), (Unsubscribed, 3), (Bounced, 1), (Complained, 1)];
        assert_eq!(of(&counts, 6), ["75", "37.5", "12.5", "12.5"]);
        assert_eq!(of(&[], 0), ["0"; 4]);
    }
}
