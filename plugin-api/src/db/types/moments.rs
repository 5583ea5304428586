//! Dates and times: counted from 2000-01-01, as PostgreSQL does.

use std::ops::RangeInclusive;

use chrono::{
    DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Timelike, Utc,
};
use diesel::{
    deserialize::{self, FromSql},
    serialize::{self, IsNull, ToSql},
    sql_types::{Date, Time, Timestamp, Timestamptz},
};
use powernode_abi::data::tag;

use super::{BoxError, Out};
use crate::db::{Unkept, backend::HostBackend, rows::HostValue};

/// From 1970-01-01 to 2000-01-01.
const UNIX_MICROS: i64 = 946_684_800_000_000;
const UNIX_DAYS: i32 = 10_957;
/// The years that RFC 3339 can write, and every database keeps.
const YEARS: RangeInclusive<i32> = 1..=9999;
/// The same as microseconds since 1970: from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z.
const MICROS: RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;
const MICROS_PER_DAY: i64 = 86_400_000_000;

impl FromSql<Date, HostBackend> for NaiveDate {
    fn from_sql(value: HostValue<'_>) -> deserialize::Result<Self> {
        const WANTED: &str = "a date";
        match value.tag {
            tag::DATE => i32::try_from(value.number)
                .ok()
                .and_then(|days| days.checked_add(UNIX_DAYS))
                .and_then(Self::from_epoch_days)
                .ok_or_else(|| out_of_range(WANTED, value.number)),
            tag::TIMESTAMP | tag::TIMESTAMPTZ | tag::TEXT => Ok(moment(&value, WANTED)?.date()),
            _ => Err(value.mismatch(WANTED)),
        }
    }
}

impl ToSql<Date, HostBackend> for NaiveDate {
    fn to_sql<'b>(&'b self, out: &mut Out<'b, '_>) -> serialize::Result {
        if !YEARS.contains(&self.year()) {
            return Err(Unkept::YEAR.into());
        }
        out.set_value(i64::from(self.to_epoch_days()) - i64::from(UNIX_DAYS));
        Ok(IsNull::No)
    }
}

impl FromSql<Time, HostBackend> for NaiveTime {
    fn from_sql(value: HostValue<'_>) -> deserialize::Result<Self> {
        const WANTED: &str = "a time";
        match value.tag {
            tag::TIME => u64::try_from(value.number)
                .ok()
                .and_then(|micros| {
                    let seconds = u32::try_from(micros / 1_000_000).ok()?;
                    let nanos = u32::try_from(micros % 1_000_000).ok()? * 1_000;
                    Self::from_num_seconds_from_midnight_opt(seconds, nanos)
                })
                .ok_or_else(|| out_of_range(WANTED, value.number)),
            tag::TEXT => {
                let text = value.text(WANTED)?;
                parse_time(text.as_bytes())
                    .and_then(|(time, rest)| rest.is_empty().then_some(time))
                    .ok_or_else(|| unreadable(WANTED, text))
            }
            _ => Err(value.mismatch(WANTED)),
        }
    }
}

impl ToSql<Time, HostBackend> for NaiveTime {
    fn to_sql<'b>(&'b self, out: &mut Out<'b, '_>) -> serialize::Result {
        let seconds = i64::from(self.num_seconds_from_midnight());
        // A leap second has more than a thousand million nanoseconds; it is the end of its day here.
        let micros =
            (seconds * 1_000_000 + i64::from(self.nanosecond() / 1_000)).min(MICROS_PER_DAY - 1);
        out.set_value(micros);
        Ok(IsNull::No)
    }
}

impl FromSql<Timestamp, HostBackend> for NaiveDateTime {
    fn from_sql(value: HostValue<'_>) -> deserialize::Result<Self> {
        moment(&value, "a timestamp")
    }
}

impl ToSql<Timestamp, HostBackend> for NaiveDateTime {
    fn to_sql<'b>(&'b self, out: &mut Out<'b, '_>) -> serialize::Result {
        out.set_value(counted(&self.and_utc())?);
        Ok(IsNull::No)
    }
}

impl FromSql<Timestamptz, HostBackend> for NaiveDateTime {
    fn from_sql(value: HostValue<'_>) -> deserialize::Result<Self> {
        moment(&value, "a timestamp")
    }
}

impl ToSql<Timestamptz, HostBackend> for NaiveDateTime {
    fn to_sql<'b>(&'b self, out: &mut Out<'b, '_>) -> serialize::Result {
        ToSql::<Timestamp, HostBackend>::to_sql(self, out)
    }
}

impl FromSql<Timestamptz, HostBackend> for DateTime<Utc> {
    fn from_sql(value: HostValue<'_>) -> deserialize::Result<Self> {
        Ok(moment(&value, "a timestamp")?.and_utc())
    }
}

impl<Tz> ToSql<Timestamptz, HostBackend> for DateTime<Tz>
where
    Tz: TimeZone + std::fmt::Debug,
    Tz::Offset: std::fmt::Debug,
{
    fn to_sql<'b>(&'b self, out: &mut Out<'b, '_>) -> serialize::Result {
        out.set_value(counted(self)?);
        Ok(IsNull::No)
    }
}

/// Microseconds since 2000; a leap second counts as the one after it.
fn counted<Tz: TimeZone>(moment: &DateTime<Tz>) -> Result<i64, Unkept> {
    let seconds = moment.timestamp();
    let micros = i64::from(moment.timestamp_subsec_micros());
    let micros = seconds.checked_mul(1_000_000).and_then(|it| it.checked_add(micros));
    let micros = micros.filter(|it| MICROS.contains(it)).ok_or(Unkept::YEAR)?;
    Ok(micros - UNIX_MICROS)
}

/// A moment in UTC.
fn moment(value: &HostValue<'_>, wanted: &str) -> Result<NaiveDateTime, BoxError> {
    match value.tag {
        tag::TIMESTAMP | tag::TIMESTAMPTZ => value
            .number
            .checked_add(UNIX_MICROS)
            .and_then(DateTime::from_timestamp_micros)
            .map(|moment| moment.naive_utc())
            .ok_or_else(|| out_of_range(wanted, value.number)),
        tag::TEXT => {
            let text = value.text(wanted)?;
            parse(text).ok_or_else(|| unreadable(wanted, text))
        }
        _ => Err(value.mismatch(wanted)),
    }
}

fn out_of_range(wanted: &str, number: i64) -> BoxError {
    format!("cannot read {wanted}: {number} is out of range").into()
}

fn unreadable(wanted: &str, text: &str) -> BoxError {
    format!("cannot read {wanted} from the text `{text}`").into()
}

/// Reads `2026-01-31`, `2026-01-31 12:00`, `2026-01-31T12:00:00.5Z`, `… 12:00:00+01:00`.
fn parse(text: &str) -> Option<NaiveDateTime> {
    let bytes = text.as_bytes();
    let (date, rest) = bytes.split_at_checked(10)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *date else { return None };
    let year = number(&[y1, y2, y3, y4])?;
    let date =
        NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, number(&[m1, m2])?, number(&[d1, d2])?)?;
    let Some((b' ' | b'T', time)) = rest.split_first() else {
        return rest.is_empty().then(|| date.and_time(NaiveTime::MIN));
    };
    let (time, zone) = parse_time(time)?;
    date.and_time(time).checked_sub_signed(TimeDelta::minutes(parse_zone(zone)?))
}

/// Reads `12:00`, `12:00:00` and `12:00:00.123456789`; answers the rest as well.
fn parse_time(text: &[u8]) -> Option<(NaiveTime, &[u8])> {
    let [h1, h2, b':', m1, m2, rest @ ..] = text else { return None };
    let (seconds, mut rest) = match rest {
        [b':', s1, s2, rest @ ..] => (number(&[*s1, *s2])?, rest),
        _ => (0, rest),
    };
    let mut nanos = 0;
    if let [b'.', fraction @ ..] = rest {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        let mut unit = 100_000_000;
        for digit in &fraction[..digits] {
            nanos += u32::from(digit - b'0') * unit;
            unit /= 10;
        }
        rest = &fraction[digits..];
    }
    let time =
        NaiveTime::from_hms_nano_opt(number(&[*h1, *h2])?, number(&[*m1, *m2])?, seconds, nanos)?;
    Some((time, rest))
}

/// Reads an empty zone, `Z`, `+01`, `+01:00` and `+0100`, in minutes.
fn parse_zone(text: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match text {
        [] | [b'Z'] => return Some(0),
        [sign, h1, h2] => (sign, [*h1, *h2], [b'0'; 2]),
        [sign, h1, h2, b':', m1, m2] | [sign, h1, h2, m1, m2] => (sign, [*h1, *h2], [*m1, *m2]),
        _ => return None,
    };
    let minutes = i64::from(number(&hours)? * 60 + number(&minutes)?);
    match sign {
        b'+' => Some(minutes),
        b'-' => Some(-minutes),
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let found = parse(text).map(|moment| moment.format("%F %T%.f").to_string());
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn moments_are_read_from_text() {
        check("2026-01-31", Some("2026-01-31 00:00:00"));
        check("2026-01-31 12:30", Some("2026-01-31 12:30:00"));
        check("2026-01-31 12:30:15", Some("2026-01-31 12:30:15"));
        check("2026-01-31T12:30:15.25Z", Some("2026-01-31 12:30:15.250"));
        check("2026-01-31 00:30:15+01:00", Some("2026-01-30 23:30:15"));
        check("2026-01-31 00:30:15-02", Some("2026-01-31 02:30:15"));
        check("2026-01-31 00:30:15.123456789+0000", Some("2026-01-31 00:30:15.123456789"));
    }

    #[test]
    fn other_text_is_no_moment() {
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-01-31 ",
            "2026-01-31 25:00",
            "2026-01-31 12:00:00.",
            "2026-01-31 12:00:00 UTC",
            "2026-01-31x12:00",
            "é026-01-31",
            "2026-01-31 12:00+1",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_moment_that_a_year_of_four_digits_cannot_write_is_not_kept() {
        let check = |text: &str, kept: bool| {
            let moment: DateTime<Utc> = text.parse().unwrap();
            assert_eq!(counted(&moment).is_ok(), kept, "{text}");
        };
        check("0001-01-01T00:00:00Z", true);
        check("0000-12-31T23:59:59Z", false);
        check("9999-12-31T23:59:59.999999Z", true);
        check("9999-12-31T23:59:60Z", false);
        check("2016-12-31T23:59:60Z", true);
        check("+10000-01-01T00:00:00Z", false);
        check("+262142-12-31T00:00:00Z", false);
        check("-262143-01-01T00:00:00Z", false);
    }

    #[test]
    fn the_constants_mean_the_year_2000() {
        let epoch = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap();
        assert_eq!(epoch.to_epoch_days(), UNIX_DAYS);
        assert_eq!(epoch.and_time(NaiveTime::MIN).and_utc().timestamp_micros(), UNIX_MICROS);
    }
}
