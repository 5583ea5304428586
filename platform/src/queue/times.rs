//! When a schedule ticks: five fields of cron in a zone of IANA's, or a span.

use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

use super::{Missed, Schedule, Tick, millis, moment};

/// How many missed ticks get a run each: the last ones.
pub const MOST_MISSED: usize = 100;
/// A tick that nobody took for so long was missed.
const ON_TIME: Duration = Duration::from_secs(60);
/// Shortest span between ticks.
const SHORTEST: i64 = 1_000;

/// An expression that was read.
#[derive(Clone, Debug)]
pub struct Times {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Cron(Box<Cron>, Tz),
    /// In milliseconds, counted from 1970: the same on all nodes.
    Every(i64),
}

/// Why an expression cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTimes {
    /// No such zone.
    #[error("there is no time zone `{0}`: name one of IANA's, as `Europe/Berlin`, or `UTC`")]
    Zone(String),
    /// No such span.
    #[error(
        "`{0}`: write `every` and a span of at least a second, as `every 90s`, `every 5m`, `every 2h`, `every 1d`"
    )]
    Every(String),
    /// Not five fields of cron.
    #[error(
        "`{expression}` is not five fields of cron (minute, hour, day, month, weekday): {fault}"
    )]
    Cron {
        /// What was written.
        expression: String,
        /// What is wrong with it.
        fault: String,
    },
}

impl Times {
    /// Reads `expression`, five fields of cron or `every 5m`, meant in `zone`.
    ///
    /// Where day and weekday are both given, either will do, as in cron. A time that the clock leaps over ticks once,
    /// when the clock goes on; one that it repeats ticks once.
    ///
    /// # Errors
    ///
    /// [`BadTimes`]: what is wrong, and what could stand there.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, BadTimes> {
        let expression = expression.trim();
        if let Some(span) = expression.strip_prefix("every ") {
            let every = every(span.trim()).filter(|it| *it >= SHORTEST);
            let every = every.ok_or_else(|| BadTimes::Every(expression.to_owned()))?;
            return Ok(Self { kind: Kind::Every(every) });
        }
        let zone: Tz = zone.parse().map_err(|_| BadTimes::Zone(zone.to_owned()))?;
        let bad = |fault: String| BadTimes::Cron { expression: expression.to_owned(), fault };
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(expression).map_err(|error| bad(error.to_string()))?;
        if cron.find_next_occurrence(&DateTime::UNIX_EPOCH.with_timezone(&zone), false).is_err() {
            return Err(bad("that moment never comes".to_owned()));
        }
        Ok(Self { kind: Kind::Cron(Box::new(cron), zone) })
    }

    /// The first tick after `after`; none where there is none in many years.
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.kind {
            Kind::Cron(cron, zone) => {
                let next = cron.find_next_occurrence(&after.with_timezone(zone), false).ok()?;
                Some(next.with_timezone(&Utc))
            }
            Kind::Every(span) => {
                Some(moment((millis(after).div_euclid(*span) + 1).saturating_mul(*span)))
            }
        }
    }

    /// The last tick before `before`, or at it.
    fn last(&self, before: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.kind {
            Kind::Cron(cron, zone) => {
                let last = cron.find_previous_occurrence(&before.with_timezone(zone), true).ok()?;
                Some(last.with_timezone(&Utc))
            }
            Kind::Every(span) => {
                Some(moment(millis(before).div_euclid(*span).saturating_mul(*span)))
            }
        }
    }

    /// What a node takes of `schedule` at `now`; none where it is not its time. Where the gates of its extension are
    /// not `open`, the ticks are only counted: an extension that was off for a month does not work a month off.
    ///
    /// Counts of what is left out stop at [`MOST_MISSED`].
    pub fn due(&self, schedule: &Schedule, open: bool, now: DateTime<Utc>) -> Option<Tick> {
        if schedule.vanished_at.is_some() || schedule.next_at > now {
            return None;
        }
        let mut ticks = Vec::new();
        let mut before = now;
        while let Some(tick) = self.last(before)
            && tick >= schedule.next_at
            && ticks.len() < MOST_MISSED
        {
            ticks.push(tick);
            before = tick - Duration::from_millis(1);
        }
        // What was written of the next tick counts, whatever the expression says of it by now.
        if ticks.is_empty() {
            ticks.push(schedule.next_at);
        }
        let late = |tick: &DateTime<Utc>| (now - *tick).to_std().unwrap_or_default() > ON_TIME;
        let runs = match schedule.missed {
            _ if !open => Vec::new(),
            Missed::Skip => ticks.iter().take(1).filter(|tick| !late(tick)).copied().collect(),
            Missed::Once => ticks.iter().take(1).copied().collect(),
            Missed::All => ticks.iter().rev().copied().collect::<Vec<_>>(),
        };
        let left_out = ticks.len() - runs.len();
        Some(Tick {
            schedule: schedule.name.clone(),
            seen: schedule.next_at,
            next_at: self.next(now).unwrap_or(DateTime::<Utc>::MAX_UTC),
            skipped: u32::try_from(left_out).unwrap_or(u32::MAX),
            runs,
        })
    }
}

/// `90s`, `5m`, `2h`, `1d`, in milliseconds.
fn every(span: &str) -> Option<i64> {
    let unit = match span.chars().last()? {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    let count: i64 = span.get(..span.len() - 1)?.parse().ok()?;
    count.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::queue::NewJob;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// The first three ticks after `after`.
    #[track_caller]
    fn check(expression: &str, zone: &str, after: &str, expect: Expect) {
        let answer = match Times::parse(expression, zone) {
            Err(error) => error.to_string(),
            Ok(times) => {
                let ticks = std::iter::successors(times.next(at(after)), |it| times.next(*it));
                ticks.take(3).map(|it| it.format("%F %H:%M ").to_string()).collect()
            }
        };
        expect.assert_eq(answer.trim());
    }

    #[test]
    fn ticks_come_as_in_cron() {
        let new_year = "2026-01-01T00:00:00Z";
        check(
            "*/20 9 * * *",
            "UTC",
            new_year,
            expect!["2026-01-01 09:00 2026-01-01 09:20 2026-01-01 09:40"],
        );
        check(
            "0 13 13 * 5",
            "UTC",
            "2026-03-01T00:00:00Z",
            expect!["2026-03-06 13:00 2026-03-13 13:00 2026-03-20 13:00"],
        );
        check(
            "0 9 * * MON",
            "Europe/Berlin",
            new_year,
            expect!["2026-01-05 08:00 2026-01-12 08:00 2026-01-19 08:00"],
        );
        check(
            "every 90s",
            "UTC",
            new_year,
            expect!["2026-01-01 00:01 2026-01-01 00:03 2026-01-01 00:04"],
        );
        check(
            "every 2h",
            "UTC",
            new_year,
            expect!["2026-01-01 02:00 2026-01-01 04:00 2026-01-01 06:00"],
        );
    }

    #[test]
    fn a_time_that_the_clock_leaps_over_or_repeats_ticks_once() {
        check(
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            expect!["2026-03-29 01:00 2026-03-30 00:30 2026-03-31 00:30"],
        );
        check(
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            expect!["2026-10-25 00:30 2026-10-26 01:30 2026-10-27 01:30"],
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let any = "2026-01-01T00:00:00Z";
        check(
            "* * * *",
            "UTC",
            any,
            expect![
                "`* * * *` is not five fields of cron (minute, hour, day, month, weekday): Invalid pattern: Pattern must have 5 fields when seconds are disallowed."
            ],
        );
        check(
            "0 0 * * * *",
            "UTC",
            any,
            expect![
                "`0 0 * * * *` is not five fields of cron (minute, hour, day, month, weekday): Invalid pattern: Pattern must have 5 fields when seconds are disallowed."
            ],
        );
        check(
            "61 * * * *",
            "UTC",
            any,
            expect![
                "`61 * * * *` is not five fields of cron (minute, hour, day, month, weekday): Component error: Number out of bounds."
            ],
        );
        check(
            "* * * * *",
            "Mars/Crater",
            any,
            expect![
                "there is no time zone `Mars/Crater`: name one of IANA's, as `Europe/Berlin`, or `UTC`"
            ],
        );
        check(
            "every 5 minutes",
            "UTC",
            any,
            expect![
                "`every 5 minutes`: write `every` and a span of at least a second, as `every 90s`, `every 5m`, `every 2h`, `every 1d`"
            ],
        );
        check(
            "every 0s",
            "UTC",
            any,
            expect![
                "`every 0s`: write `every` and a span of at least a second, as `every 90s`, `every 5m`, `every 2h`, `every 1d`"
            ],
        );
        check(
            "0 0 30 2 *",
            "UTC",
            any,
            expect![
                "`0 0 30 2 *` is not five fields of cron (minute, hour, day, month, weekday): that moment never comes"
            ],
        );
    }

    fn hourly(next: &str) -> Schedule {
        Schedule {
            name: "shop/a".into(),
            extension: "shop".into(),
            expression: "0 * * * *".into(),
            zone: "UTC".into(),
            job: NewJob::new("send", "{}"),
            missed: Missed::Once,
            next_at: at(next),
            last_at: None,
            skipped: 0,
            vanished_at: None,
        }
    }

    /// What is taken at `now` of an hourly schedule that was due at `next`.
    #[track_caller]
    fn due(missed: Missed, open: bool, next: &str, now: &str, expect: Expect) {
        let schedule = Schedule { missed, ..hourly(next) };
        let tick = Times::parse(&schedule.expression, "UTC").unwrap().due(&schedule, open, at(now));
        let line = tick.map(|it| {
            let runs: Vec<_> = it.runs.iter().map(|it| it.format("%d.%H:%M").to_string()).collect();
            format!(
                "[{}], {} skipped, next {}",
                runs.join(" "),
                it.skipped,
                it.next_at.format("%d.%H:%M")
            )
        });
        expect.assert_eq(&line.unwrap_or_default());
    }

    #[test]
    fn ticks_are_taken_in_time() {
        let (five, late) = ("2026-01-01T05:00:00Z", "2026-01-01T05:00:20Z");
        due(Missed::Once, true, five, "2026-01-01T04:59:59Z", expect![""]);
        for missed in [Missed::Skip, Missed::Once, Missed::All] {
            due(missed, true, five, late, expect!["[01.05:00], 0 skipped, next 01.06:00"]);
        }
    }

    #[test]
    fn missed_ticks_are_skipped_or_run_once_or_each() {
        let (five, eight) = ("2026-01-01T05:00:00Z", "2026-01-01T08:30:00Z");
        due(Missed::Skip, true, five, eight, expect!["[], 4 skipped, next 01.09:00"]);
        due(Missed::Once, true, five, eight, expect!["[01.08:00], 3 skipped, next 01.09:00"]);
        due(
            Missed::All,
            true,
            five,
            eight,
            expect!["[01.05:00 01.06:00 01.07:00 01.08:00], 0 skipped, next 01.09:00"],
        );
        due(Missed::All, false, five, eight, expect!["[], 4 skipped, next 01.09:00"]);
    }

    #[test]
    fn a_long_pause_costs_no_more_than_a_hundred_runs() {
        let (begun, month) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:30Z");
        due(Missed::Skip, true, begun, month, expect!["[01.00:00], 99 skipped, next 01.01:00"]);
        let times = Times::parse("0 * * * *", "UTC").unwrap();
        let schedule = Schedule { missed: Missed::All, ..hourly(begun) };
        let tick = times.due(&schedule, true, at(month)).unwrap();
        assert_eq!((tick.runs.len(), tick.runs[99]), (MOST_MISSED, at("2026-02-01T00:00:00Z")));
    }
}
