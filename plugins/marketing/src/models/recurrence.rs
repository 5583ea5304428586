//! Recurrence: on which days something happens again, as iCalendar writes it (RFC 5545, RRULE).

use std::{fmt, str::FromStr};

use chrono::{Datelike, Days, Months, NaiveDate, Weekday};

#[cfg(test)]
mod tests;

/// The last day of all: later ones have no place in a text of ten characters.
const LAST: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).unwrap();
/// Largest `INTERVAL` and `COUNT`.
const MOST: u32 = 1_000;

/// On which days something happens again: `FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH`.
///
/// A subset of RFC 5545: `FREQ`, `INTERVAL`, `COUNT`, `UNTIL`, `BYDAY` (with an ordinal in a month:
/// `2TU`, `-1FR`) and `BYMONTHDAY`. A day that a month does not have is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    frequency: Frequency,
    interval: u32,
    end: End,
    days: Vec<Day>,
    month_days: Vec<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frequency {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Never,
    After(u32),
    On(NaiveDate),
}

/// A weekday; in a month the first, the second, or from the end where it is negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Day {
    ordinal: i32,
    weekday: Weekday,
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoRule(String);

impl fmt::Display for NoRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Rule {
    /// The days from `from` to `to`, both among them, of what first happens on `start` or after it.
    pub fn days(
        &self,
        start: NaiveDate,
        from: NaiveDate,
        to: NaiveDate,
    ) -> impl Iterator<Item = NaiveDate> {
        let (first, count, last) = match self.end {
            // They are counted from the start.
            End::After(count) => (0, count as usize, to),
            End::On(until) => (self.periods(start, from), usize::MAX, to.min(until)),
            End::Never => (self.periods(start, from), usize::MAX, to),
        };
        let last = last.min(LAST);
        (first..)
            .map_while(move |number| self.period(start, number))
            .take_while(move |begin| *begin <= last)
            .flat_map(move |begin| self.within(start, begin))
            .filter(move |day| *day >= start)
            .take(count)
            .take_while(move |day| *day <= last)
            .filter(move |day| *day >= from)
    }

    /// A day after which there is none; none where there is no end. An error where there is no day at all.
    pub fn last(&self, start: NaiveDate) -> Result<Option<NaiveDate>, NoRule> {
        let none = || NoRule("has no day on which it happens".to_owned());
        match self.end {
            End::After(_) => self.days(start, start, LAST).last().map(Some).ok_or_else(none),
            // The end itself will do: nobody has to look at each day before it.
            End::On(until) => {
                self.days(start, start, until).next().map(|_| Some(until)).ok_or_else(none)
            }
            End::Never => self.days(start, start, LAST).next().map(|_| None).ok_or_else(none),
        }
    }

    /// How many whole periods end before `day`, less one.
    fn periods(&self, start: NaiveDate, day: NaiveDate) -> u32 {
        let months = |it: NaiveDate| it.year() * 12 + it.month0() as i32;
        let between = match self.frequency {
            Frequency::Daily => (day - start).num_days(),
            Frequency::Weekly => (day - start).num_days() / 7,
            Frequency::Monthly => i64::from(months(day) - months(start)),
            Frequency::Yearly => i64::from(day.year() - start.year()),
        };
        u32::try_from(between / i64::from(self.interval)).unwrap_or(0).saturating_sub(1)
    }

    /// The first day of a period: a day, a week from Monday, a month, a year.
    fn period(&self, start: NaiveDate, number: u32) -> Option<NaiveDate> {
        let steps = number.checked_mul(self.interval)?;
        match self.frequency {
            Frequency::Daily => start.checked_add_days(Days::new(steps.into())),
            Frequency::Weekly => start
                .week(Weekday::Mon)
                .checked_first_day()?
                .checked_add_days(Days::new(u64::from(steps) * 7)),
            Frequency::Monthly => start.with_day(1)?.checked_add_months(Months::new(steps)),
            Frequency::Yearly => NaiveDate::from_ymd_opt(start.year(), 1, 1)?
                .checked_add_months(Months::new(steps.checked_mul(12)?)),
        }
    }

    /// The days of one period, in order.
    fn within(&self, start: NaiveDate, begin: NaiveDate) -> Vec<NaiveDate> {
        let mut days: Vec<_> = match self.frequency {
            Frequency::Daily => vec![begin],
            Frequency::Weekly if self.days.is_empty() => {
                vec![begin + Days::new(start.weekday().num_days_from_monday().into())]
            }
            Frequency::Weekly => {
                let after = |it: &Day| Days::new(it.weekday.num_days_from_monday().into());
                self.days.iter().map(|it| begin + after(it)).collect()
            }
            Frequency::Monthly if self.days.is_empty() && self.month_days.is_empty() => {
                begin.with_day(start.day()).into_iter().collect()
            }
            Frequency::Monthly => {
                let numbered = self.month_days.iter().filter_map(|it| day_of_month(begin, *it));
                numbered.chain(self.days.iter().flat_map(|it| it.of_month(begin))).collect()
            }
            Frequency::Yearly => NaiveDate::from_ymd_opt(begin.year(), start.month(), start.day())
                .into_iter()
                .collect(),
        };
        days.sort_unstable();
        days.dedup();
        days
    }
}

impl Day {
    /// Its days in a month that begins on `begin`: one, or all without an ordinal.
    fn of_month(self, begin: NaiveDate) -> Vec<NaiveDate> {
        let days = begin.iter_days().take_while(|it| it.month() == begin.month());
        let days: Vec<_> = days.filter(|it| it.weekday() == self.weekday).collect();
        let at = |it: i32| usize::try_from(it).ok();
        let one = match self.ordinal {
            0 => return days,
            from_end @ ..0 => {
                at(-from_end).and_then(|it| days.len().checked_sub(it)).and_then(|it| days.get(it))
            }
            from_begin => at(from_begin - 1).and_then(|it| days.get(it)),
        };
        one.copied().into_iter().collect()
    }
}

/// The day of a month by its number, from the end where it is negative.
fn day_of_month(begin: NaiveDate, number: i32) -> Option<NaiveDate> {
    let length = i32::from(begin.num_days_in_month());
    let day = if number < 0 { length + 1 + number } else { number };
    begin.with_day(u32::try_from(day).ok()?)
}

impl FromStr for Rule {
    type Err = NoRule;

    fn from_str(text: &str) -> Result<Self, NoRule> {
        let text = text.trim().to_ascii_uppercase();
        let text = text.strip_prefix("RRULE:").unwrap_or(&text);
        let mut frequency = None;
        let mut rule = Self {
            frequency: Frequency::Daily,
            interval: 1,
            end: End::Never,
            days: Vec::new(),
            month_days: Vec::new(),
        };
        let mut seen = Vec::new();
        for part in text.split(';').filter(|it| !it.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if seen.contains(&name) {
                return Err(NoRule(format!("names {name} twice")));
            }
            seen.push(name);
            let wrong = |what: &str| NoRule(format!("{name} must be {what}"));
            let number = || value.parse().ok().filter(|it| (1..=MOST).contains(it));
            let number = || number().ok_or_else(|| wrong(&format!("a number from 1 to {MOST}")));
            match name {
                "FREQ" => {
                    frequency = Some(match value {
                        "DAILY" => Frequency::Daily,
                        "WEEKLY" => Frequency::Weekly,
                        "MONTHLY" => Frequency::Monthly,
                        "YEARLY" => Frequency::Yearly,
                        _ => return Err(wrong("DAILY, WEEKLY, MONTHLY or YEARLY")),
                    });
                }
                "INTERVAL" => rule.interval = number()?,
                "COUNT" => rule.end = End::After(number()?),
                "UNTIL" => {
                    let day = value.get(..8).unwrap_or(value);
                    let day = NaiveDate::parse_from_str(day, "%Y%m%d");
                    rule.end = End::On(day.map_err(|_| wrong("a day such as 20270131"))?);
                }
                "BYDAY" => {
                    let days: Option<_> = value.split(',').map(day).collect();
                    rule.days = days.ok_or_else(|| wrong("days such as MO,2TU,-1FR"))?;
                }
                "BYMONTHDAY" => {
                    let fits = |it: &i32| (1..=31).contains(&it.abs());
                    let days = value.split(',').map(|it| it.parse().ok().filter(fits));
                    let days: Option<_> = days.collect();
                    rule.month_days =
                        days.ok_or_else(|| wrong("numbers from 1 to 31 or -31 to -1"))?;
                }
                _ => {
                    return Err(NoRule(format!(
                        "{name} is unknown here; FREQ, INTERVAL, COUNT, UNTIL, BYDAY and BYMONTHDAY are not"
                    )));
                }
            }
        }
        rule.frequency = frequency.ok_or_else(|| NoRule("must have a FREQ".to_owned()))?;
        rule.fits(&seen)?;
        Ok(rule)
    }
}

impl Rule {
    /// Whether the parts of the rule go together.
    fn fits(&self, parts: &[&str]) -> Result<(), NoRule> {
        let refuse = |text: &str| Err(NoRule(text.to_owned()));
        let monthly = self.frequency == Frequency::Monthly;
        if parts.contains(&"COUNT") && parts.contains(&"UNTIL") {
            return refuse("COUNT and UNTIL do not go together");
        }
        if !self.month_days.is_empty() && !monthly {
            return refuse("BYMONTHDAY goes with FREQ=MONTHLY alone");
        }
        if !self.month_days.is_empty() && !self.days.is_empty() {
            return refuse("BYDAY and BYMONTHDAY do not go together");
        }
        if !self.days.is_empty() && !monthly && self.frequency != Frequency::Weekly {
            return refuse("BYDAY goes with FREQ=WEEKLY and FREQ=MONTHLY alone");
        }
        if !monthly && self.days.iter().any(|it| it.ordinal != 0) {
            return refuse("a day with a number goes with FREQ=MONTHLY alone");
        }
        Ok(())
    }
}

/// `MO`, `2TU`, `-1FR`.
fn day(text: &str) -> Option<Day> {
    let (number, name) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let weekday = match name {
        "MO" => Weekday::Mon,
        "TU" => Weekday::Tue,
        "WE" => Weekday::Wed,
        "TH" => Weekday::Thu,
        "FR" => Weekday::Fri,
        "SA" => Weekday::Sat,
        "SU" => Weekday::Sun,
        _ => return None,
    };
    let ordinal = match number {
        "" => 0,
        number => number.parse().ok().filter(|it: &i32| (1..=5).contains(&it.abs()))?,
    };
    Some(Day { ordinal, weekday })
}
