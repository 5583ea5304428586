//! Values of Rust as values of the database, and back.
//!
//! Reading is generous, since SQLite keeps a value in whichever form it was written:
//! a number reads from any kind of number and from its digits, a moment also from text.

use std::error::Error;

use bigdecimal::BigDecimal;
use diesel::{
    deserialize::{self, FromSql, FromSqlRef},
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{
        BigInt, Binary, Bool, Double, Float, Integer, Json, Jsonb, Numeric, SmallInt, Text, Uuid,
    },
};
use powernode_abi::data::tag;

use super::{
    Unkept,
    backend::HostBackend,
    rows::{BROKEN, HostValue},
};

mod moments;

type Out<'b, 'a> = Output<'b, 'a, HostBackend>;
type BoxError = Box<dyn Error + Send + Sync>;

impl HostValue<'_> {
    fn mismatch(&self, wanted: &str) -> BoxError {
        let found = match self.tag {
            tag::BOOL => "a boolean",
            tag::SMALLINT | tag::INTEGER | tag::BIGINT => "an integer",
            tag::FLOAT | tag::DOUBLE => "a floating-point number",
            tag::NUMERIC => "a decimal number",
            tag::TEXT => "text",
            tag::BINARY => "bytes",
            tag::DATE => "a date",
            tag::TIME => "a time",
            tag::TIMESTAMP | tag::TIMESTAMPTZ => "a timestamp",
            tag::UUID => "a uuid",
            tag::JSON | tag::JSONB => "JSON",
            BROKEN => "a value that the platform sent broken",
            _ => "a type this SDK does not know; cast it in SQL",
        };
        format!("cannot read {wanted}: the database answered {found}").into()
    }

    fn text(&self, wanted: &str) -> Result<&str, BoxError> {
        std::str::from_utf8(self.bytes)
            .map_err(|error| format!("cannot read {wanted}: {error}").into())
    }

    fn parsed<T>(&self, wanted: &str) -> Result<T, BoxError>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let text = self.text(wanted)?;
        text.trim()
            .parse()
            .map_err(|error| format!("cannot read {wanted} from the text `{text}`: {error}").into())
    }

    fn double(&self) -> f64 {
        match self.tag {
            tag::FLOAT => f64::from(single(self.number)),
            _ => f64::from_bits(self.number.cast_unsigned()),
        }
    }

    fn integer(&self, wanted: &str) -> Result<i64, BoxError> {
        match self.tag {
            tag::BOOL | tag::SMALLINT | tag::INTEGER | tag::BIGINT => Ok(self.number),
            tag::TEXT | tag::NUMERIC => self.parsed(wanted),
            // 2^63 is the first that does not fit.
            tag::FLOAT | tag::DOUBLE
                if self.double().fract() == 0.0
                    && self.double().abs() < 9.223_372_036_854_776e18 =>
            {
                #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
                Ok(self.double() as i64)
            }
            _ => Err(self.mismatch(wanted)),
        }
    }

    fn floating(&self, wanted: &str) -> Result<f64, BoxError> {
        match self.tag {
            tag::FLOAT | tag::DOUBLE => Ok(self.double()),
            #[expect(clippy::cast_precision_loss, reason = "as the database would")]
            tag::SMALLINT | tag::INTEGER | tag::BIGINT => Ok(self.number as f64),
            tag::TEXT | tag::NUMERIC => self.parsed(wanted),
            _ => Err(self.mismatch(wanted)),
        }
    }
}

/// The `f32` whose bits a FLOAT carries.
fn single(number: i64) -> f32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the low 32 bits")]
    f32::from_bits(number as u32)
}

macro_rules! integers {
    ($($rust:ty, $sql:ty, $wanted:literal;)+) => {$(
        impl FromSql<$sql, HostBackend> for $rust {
            fn from_sql(value: HostValue<'_>) -> deserialize::Result<Self> {
                let number = value.integer($wanted)?;
                Self::try_from(number)
                    .map_err(|_| format!("cannot read {}: {number} is out of range", $wanted).into())
            }
        }

        impl ToSql<$sql, HostBackend> for $rust {
            fn to_sql<'b>(&'b self, out: &mut Out<'b, '_>) -> serialize::Result {
                out.set_value(i64::from(*self));
                Ok(IsNull::No)
            }
        }
    )+};
}

integers! {
    i16, SmallInt, "an i16";
    i32, Integer, "an i32";
    i64, BigInt, "an i64";
}

impl FromSql<Bool, HostBackend> for bool {
    fn from_sql(value: HostValue<'_>) -> deserialize::Result<Self> {
        Ok(value.integer("a bool")? != 0)
    }
}

impl ToSql<Bool, HostBackend> for bool {
    fn to_sql<'b>(&'b self, out: &mut Out<'b, '_>) -> serialize::Result {
        out.set_value(i64::from(*self));
        Ok(IsNull::No)
    }
}

impl FromSql<Float, HostBackend> for f32 {
    fn from_sql(value: HostValue<'_>) -> deserialize::Result<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "an f32 was asked for")]
        Ok(value.floating("an f32")? as Self)
    }
}

impl ToSql<Float, HostBackend> for f32 {
    fn to_sql<'b>(&'b self, out: &mut Out<'b, '_>) -> serialize::Result {
        out.set_value(i64::from(self.to_bits()));
        Ok(IsNull::No)
    }
}

impl FromSql<Double, HostBackend> for f64 {
    fn from_sql(value: HostValue<'_>) -> deserialize::Result<Self> {
        value.floating("an f64")
    }
}

impl ToSql<Double, HostBackend> for f64 {
    fn to_sql<'b>(&'b self, out: &mut Out<'b, '_>) -> serialize::Result {
        out.set_value(self.to_bits().cast_signed());
        Ok(IsNull::No)
    }
}

/// Exact on PostgreSQL. SQLite computes sums and averages in floating point: money is integer minor units.
impl FromSql<Numeric, HostBackend> for BigDecimal {
    fn from_sql(value: HostValue<'_>) -> deserialize::Result<Self> {
        const WANTED: &str = "a decimal number";
        match value.tag {
            tag::NUMERIC | tag::TEXT => value.parsed(WANTED),
            tag::FLOAT | tag::DOUBLE => {
                // The shortest digits that mean the same float, and not its exact binary value.
                let digits = value.double().to_string();
                digits.parse().map_err(|_| format!("cannot read {WANTED}: it is {digits}").into())
            }
            _ => Ok(Self::from(value.integer(WANTED)?)),
        }
    }
}

impl ToSql<Numeric, HostBackend> for BigDecimal {
    fn to_sql<'b>(&'b self, out: &mut Out<'b, '_>) -> serialize::Result {
        out.set_value(self.to_plain_string());
        Ok(IsNull::No)
    }
}

impl<'a> FromSqlRef<'a, Text, HostBackend> for &'a str {
    fn from_sql(value: &'a mut HostValue<'_>) -> deserialize::Result<Self> {
        match value.tag {
            tag::TEXT | tag::NUMERIC | tag::JSON | tag::JSONB => value.text("text"),
            _ => Err(value.mismatch("text")),
        }
    }
}

impl ToSql<Text, HostBackend> for str {
    fn to_sql<'b>(&'b self, out: &mut Out<'b, '_>) -> serialize::Result {
        Unkept::check_text(self)?;
        out.set_value(self);
        Ok(IsNull::No)
    }
}

impl<'a> FromSqlRef<'a, Binary, HostBackend> for &'a [u8] {
    fn from_sql(value: &'a mut HostValue<'_>) -> deserialize::Result<Self> {
        match value.tag {
            tag::BINARY | tag::TEXT | tag::UUID => Ok(value.bytes),
            _ => Err(value.mismatch("bytes")),
        }
    }
}

impl ToSql<Binary, HostBackend> for [u8] {
    fn to_sql<'b>(&'b self, out: &mut Out<'b, '_>) -> serialize::Result {
        out.set_value(self);
        Ok(IsNull::No)
    }
}

impl FromSql<Uuid, HostBackend> for uuid::Uuid {
    fn from_sql(value: HostValue<'_>) -> deserialize::Result<Self> {
        const WANTED: &str = "a uuid";
        match value.tag {
            tag::UUID | tag::BINARY => Self::from_slice(value.bytes)
                .map_err(|error| format!("cannot read {WANTED}: {error}").into()),
            tag::TEXT => value.parsed(WANTED),
            _ => Err(value.mismatch(WANTED)),
        }
    }
}

impl ToSql<Uuid, HostBackend> for uuid::Uuid {
    fn to_sql<'b>(&'b self, out: &mut Out<'b, '_>) -> serialize::Result {
        out.set_value(self.as_bytes().as_slice());
        Ok(IsNull::No)
    }
}

macro_rules! json {
    ($($sql:ty),+) => {$(
        impl FromSql<$sql, HostBackend> for serde_json::Value {
            fn from_sql(value: HostValue<'_>) -> deserialize::Result<Self> {
                match value.tag {
                    tag::JSON | tag::JSONB | tag::TEXT => Ok(serde_json::from_slice(value.bytes)
                        .map_err(|error| format!("cannot read JSON: {error}"))?),
                    _ => Err(value.mismatch("JSON")),
                }
            }
        }

        impl ToSql<$sql, HostBackend> for serde_json::Value {
            fn to_sql<'b>(&'b self, out: &mut Out<'b, '_>) -> serialize::Result {
                Unkept::check_json(self)?;
                out.set_value(self.to_string());
                Ok(IsNull::No)
            }
        }
    )+};
}

json!(Json, Jsonb);

#[cfg(test)]
mod tests {
    use super::*;

    fn value(tag: u32, number: i64, text: &str) -> HostValue<'_> {
        HostValue { tag, number, bytes: text.as_bytes() }
    }

    fn read<T: FromSql<ST, HostBackend>, ST>(value: HostValue<'_>) -> Result<T, String> {
        T::from_sql(value).map_err(|error| error.to_string())
    }

    #[test]
    fn integers_are_read_from_numbers_and_digits() {
        for found in [
            value(tag::SMALLINT, -7, ""),
            value(tag::BIGINT, -7, ""),
            value(tag::DOUBLE, (-7_f64).to_bits().cast_signed(), ""),
            value(tag::FLOAT, i64::from((-7_f32).to_bits()), ""),
            value(tag::TEXT, 0, " -7"),
            value(tag::NUMERIC, 0, "-7"),
        ] {
            assert_eq!(read::<i16, SmallInt>(found), Ok(-7), "{found:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let large = value(tag::BIGINT, 1 << 40, "");
        assert!(read::<i32, Integer>(large).unwrap_err().contains("out of range"));
        let half = value(tag::DOUBLE, 0.5_f64.to_bits().cast_signed(), "");
        assert!(read::<i32, Integer>(half).is_err());
        let huge = value(tag::DOUBLE, 1e19_f64.to_bits().cast_signed(), "");
        assert!(read::<i64, BigInt>(huge).is_err());
        assert!(read::<uuid::Uuid, Uuid>(value(tag::BINARY, 0, "short")).is_err());
        assert!(read::<serde_json::Value, Json>(value(tag::TEXT, 0, "{")).is_err());
        assert!(
            read::<chrono::NaiveDate, diesel::sql_types::Date>(value(tag::DATE, i64::MAX, ""))
                .is_err()
        );
    }

    #[test]
    fn broken_and_unknown_values_are_errors() {
        for tag in [BROKEN, 4_000] {
            assert!(read::<i64, BigInt>(value(tag, 1, "")).is_err());
            assert!(read::<String, Text>(value(tag, 1, "")).is_err());
            assert!(read::<Vec<u8>, Binary>(value(tag, 1, "")).is_err());
            assert!(read::<bool, Bool>(value(tag, 1, "")).is_err());
        }
        let bytes = HostValue { tag: tag::TEXT, number: 0, bytes: &[0xff] };
        assert!(read::<String, Text>(bytes).unwrap_err().contains("utf-8"));
    }

    #[test]
    fn a_float_becomes_its_shortest_digits() {
        let tenth = value(tag::DOUBLE, 0.1_f64.to_bits().cast_signed(), "");
        assert_eq!(read::<BigDecimal, Numeric>(tenth), Ok("0.1".parse().unwrap()));
    }
}
