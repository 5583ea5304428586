//! How values are stored on SQLite.
//!
//! Moments are text in diesel's own form, `%F %T%.f` in UTC; UUIDs are 16 bytes,
//! JSON is text, truth values are numbers. Answers carry storage classes and no
//! types, see [`powernode_abi::Cell`].

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, NaiveTime};
use powernode_abi::{Param, data::tag};

/// A parameter in its stored form.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stored<'a> {
    /// NULL.
    Null,
    /// A number.
    Integer(i64),
    /// A floating point number.
    Real(f64),
    /// Text that the caller holds.
    Text(&'a str),
    /// Text that was made here.
    Owned(String),
    /// Bytes.
    Blob(&'a [u8]),
}

/// The stored form of `param`, or what is wrong with it.
pub(super) fn stored<'a>(param: &Param<'a>) -> Result<Stored<'a>, String> {
    if param.null != 0 {
        return Ok(Stored::Null);
    }
    let num = param.num;
    Ok(match param.tag {
        tag::NULL => Stored::Null,
        tag::BOOL => Stored::Integer(i64::from(num != 0)),
        tag::SMALLINT | tag::INTEGER | tag::BIGINT => Stored::Integer(num),
        tag::FLOAT => Stored::Real(f32::from_bits(num as u32).into()),
        tag::DOUBLE => Stored::Real(f64::from_bits(num as u64)),
        tag::TEXT | tag::NUMERIC | tag::JSON | tag::JSONB => {
            Stored::Text(std::str::from_utf8(param.bytes.as_slice()).map_err(|_| "not UTF-8")?)
        }
        tag::BINARY | tag::UUID => Stored::Blob(param.bytes.as_slice()),
        tag::DATE => Stored::Owned(date(num)?.format("%F").to_string()),
        tag::TIME => Stored::Owned(time(num)?.format("%T%.f").to_string()),
        tag::TIMESTAMP | tag::TIMESTAMPTZ => {
            Stored::Owned(moment(num)?.format("%F %T%.f").to_string())
        }
        other => return Err(format!("type {other} is unknown to this platform")),
    })
}

fn epoch() -> NaiveDateTime {
    // 2000-01-01, counted in days from 1970-01-01.
    DateTime::UNIX_EPOCH.naive_utc() + Duration::days(10_957)
}

fn date(days: i64) -> Result<NaiveDate, String> {
    Duration::try_days(days)
        .and_then(|days| epoch().date().checked_add_signed(days))
        .ok_or_else(|| "a date out of range".to_owned())
}

fn time(micros: i64) -> Result<NaiveTime, String> {
    let seconds = u32::try_from(micros.div_euclid(1_000_000)).ok();
    let nanos = micros.rem_euclid(1_000_000) as u32 * 1_000;
    seconds
        .and_then(|seconds| NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos))
        .ok_or_else(|| "a time out of range".to_owned())
}

fn moment(micros: i64) -> Result<NaiveDateTime, String> {
    epoch()
        .checked_add_signed(Duration::microseconds(micros))
        .ok_or_else(|| "a moment out of range".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tag: u32, num: i64, text: &str) {
        let param = Param { tag, null: 0, num, bytes: b"".as_slice().into() };
        match stored(&param) {
            Ok(Stored::Owned(stored)) => assert_eq!(stored, text),
            Ok(other) => assert_eq!(format!("{other:?}"), text),
            Err(reason) => assert_eq!(reason, text),
        }
    }

    #[test]
    fn moments_are_text_in_diesels_form() {
        check(tag::DATE, 0, "2000-01-01");
        check(tag::DATE, -1, "1999-12-31");
        check(tag::TIME, 3_600_000_000, "01:00:00");
        check(tag::TIMESTAMPTZ, 500_000, "2000-01-01 00:00:00.500");
        check(tag::TIMESTAMP, -1, "1999-12-31 23:59:59.999999");
    }

    #[test]
    fn what_cannot_be_stored_is_said() {
        check(tag::DATE, i64::MAX, "a date out of range");
        check(tag::TIMESTAMP, i64::MIN, "a moment out of range");
        check(tag::TIME, -1, "a time out of range");
        check(99, 0, "type 99 is unknown to this platform");
    }

    #[test]
    fn numbers_stay_numbers() {
        check(tag::BOOL, 7, "Integer(1)");
        check(tag::DOUBLE, 1.5f64.to_bits() as i64, "Real(1.5)");
    }
}
