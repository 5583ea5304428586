//! Values in PostgreSQL's binary format, there and back.

use std::fmt::Write as _;

use powernode_abi::{Param, data::tag};

use crate::db::rows::{Rows, TooLarge};

/// Why a value cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// The answer is too large.
    TooLarge(TooLarge),
    /// A type outside the table, or bytes that are not of their type.
    Type(u32),
}

impl From<TooLarge> for Unreadable {
    fn from(too_large: TooLarge) -> Self {
        Self::TooLarge(too_large)
    }
}

/// Appends the value of type `oid` to `rows`.
pub(super) fn read(oid: u32, bytes: &[u8], rows: &mut Rows) -> Result<(), Unreadable> {
    let malformed = || Unreadable::Type(oid);
    let number = |tag: u32, value: Option<i64>, rows: &mut Rows| {
        rows.push_number(tag, value.ok_or_else(malformed)? as u64);
        Ok(())
    };
    match oid {
        16 => number(tag::BOOL, bytes.first().map(|byte| i64::from(*byte != 0)), rows),
        21 => number(tag::SMALLINT, array(bytes).map(i16::from_be_bytes).map(Into::into), rows),
        23 => number(tag::INTEGER, array(bytes).map(i32::from_be_bytes).map(Into::into), rows),
        26 => number(tag::BIGINT, array(bytes).map(u32::from_be_bytes).map(Into::into), rows),
        20 => number(tag::BIGINT, array(bytes).map(i64::from_be_bytes), rows),
        700 => number(tag::FLOAT, array(bytes).map(u32::from_be_bytes).map(Into::into), rows),
        701 => number(tag::DOUBLE, array(bytes).map(i64::from_be_bytes), rows),
        1082 => number(tag::DATE, array(bytes).map(i32::from_be_bytes).map(Into::into), rows),
        1083 => number(tag::TIME, array(bytes).map(i64::from_be_bytes), rows),
        1114 => number(tag::TIMESTAMP, array(bytes).map(i64::from_be_bytes), rows),
        1184 => number(tag::TIMESTAMPTZ, array(bytes).map(i64::from_be_bytes), rows),
        1700 => {
            let text = numeric_text(bytes).ok_or_else(malformed)?;
            Ok(rows.push_bytes(tag::NUMERIC, text.as_bytes())?)
        }
        // text, varchar, char(n), name, unknown, "char"
        25 | 1043 | 1042 | 19 | 705 | 18 => Ok(rows.push_bytes(tag::TEXT, bytes)?),
        17 => Ok(rows.push_bytes(tag::BINARY, bytes)?),
        2950 => Ok(rows.push_bytes(tag::UUID, bytes)?),
        114 => Ok(rows.push_bytes(tag::JSON, bytes)?),
        3802 => {
            let text = bytes.strip_prefix(&[1]).ok_or_else(malformed)?;
            Ok(rows.push_bytes(tag::JSONB, text)?)
        }
        // void
        2278 => {
            rows.push_null();
            Ok(())
        }
        other => Err(Unreadable::Type(other)),
    }
}

/// The binary form of `param`, `None` for NULL, or what is wrong with it.
pub(super) fn write(param: &Param<'_>) -> Result<Option<Vec<u8>>, String> {
    if param.null != 0 || param.tag == tag::NULL {
        return Ok(None);
    }
    let num = param.num;
    let bytes = param.bytes.as_slice();
    let text = || std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned());
    Ok(Some(match param.tag {
        tag::BOOL => vec![u8::from(num != 0)],
        tag::SMALLINT => i16::try_from(num).map_err(|_| "not 16 bits wide")?.to_be_bytes().to_vec(),
        tag::INTEGER | tag::DATE => {
            i32::try_from(num).map_err(|_| "not 32 bits wide")?.to_be_bytes().to_vec()
        }
        tag::FLOAT => (num as u32).to_be_bytes().to_vec(),
        tag::BIGINT | tag::DOUBLE | tag::TIME | tag::TIMESTAMP | tag::TIMESTAMPTZ => {
            num.to_be_bytes().to_vec()
        }
        tag::NUMERIC => numeric_bytes(text()?).ok_or("not a decimal number")?,
        tag::TEXT | tag::JSON => text()?.as_bytes().to_vec(),
        tag::BINARY => bytes.to_vec(),
        tag::UUID if bytes.len() == 16 => bytes.to_vec(),
        tag::UUID => return Err("a UUID has 16 bytes".to_owned()),
        tag::JSONB => [&[1], text()?.as_bytes()].concat(),
        other => return Err(format!("type {other} is unknown to this platform")),
    }))
}

fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;

/// Decimal digits of a binary numeric: groups of four digits, a weight, a sign and a scale.
fn numeric_text(bytes: &[u8]) -> Option<String> {
    let words: Vec<u16> =
        bytes.chunks(2).map(|pair| array(pair).map(u16::from_be_bytes)).collect::<Option<_>>()?;
    let (&[count, weight, sign, scale], groups) = words.split_first_chunk::<4>()?;
    if groups.len() != usize::from(count) {
        return None;
    }
    match sign {
        0 | NEGATIVE => {}
        NAN => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => return None,
    }
    let weight = i32::from(weight as i16);
    let group = |place: i32| {
        usize::try_from(weight - place)
            .ok()
            .and_then(|index| groups.get(index))
            .copied()
            .unwrap_or(0)
    };
    let mut text = String::new();
    if sign == NEGATIVE {
        text.push('-');
    }
    text += &group(weight.max(0)).to_string();
    for place in (0..weight.max(0)).rev() {
        write!(text, "{:04}", group(place)).ok()?;
    }
    if scale > 0 {
        let mut fraction = String::new();
        let wanted = usize::from(scale);
        let mut place = -1;
        while fraction.len() < wanted {
            write!(fraction, "{:04}", group(place)).ok()?;
            place -= 1;
        }
        fraction.truncate(wanted);
        text.push('.');
        text += &fraction;
    }
    Some(text)
}

/// The binary form of decimal digits.
fn numeric_bytes(text: &str) -> Option<Vec<u8>> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.eq_ignore_ascii_case("nan") {
        return Some(words(&[], 0, NAN, 0));
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty())
        || !all_digits(whole)
        || !all_digits(fraction)
        || exponent.unsigned_abs() > 10_000
    {
        return None;
    }
    let mut digits = format!("{whole}{fraction}");
    let mut point = i32::try_from(whole.len()).ok()? + exponent;
    if point < 0 {
        digits.insert_str(0, &"0".repeat(usize::try_from(-point).ok()?));
        point = 0;
    }
    let point = usize::try_from(point).ok()?;
    if digits.len() < point {
        digits += &"0".repeat(point - digits.len());
    }
    let scale = u16::try_from(digits.len() - point).ok()?;
    // Groups of four on both sides of the point.
    digits.insert_str(0, &"0".repeat((4 - point % 4) % 4));
    let whole_groups = point.div_ceil(4);
    digits += &"0".repeat((4 - digits.len() % 4) % 4);
    let groups: Vec<u16> = digits
        .as_bytes()
        .chunks(4)
        .map(|group| group.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
        .collect();
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let significant = groups.get(leading..)?;
    let trailing = significant.iter().rev().take_while(|group| **group == 0).count();
    let significant = significant.get(..significant.len() - trailing)?;
    let weight = i16::try_from(whole_groups).ok()? - i16::try_from(leading).ok()? - 1;
    let weight = if significant.is_empty() { 0 } else { weight };
    let sign = if negative && !significant.is_empty() { NEGATIVE } else { 0 };
    Some(words(significant, weight, sign, scale))
}

fn words(groups: &[u16], weight: i16, sign: u16, scale: u16) -> Vec<u8> {
    let head = [groups.len() as u16, weight as u16, sign, scale];
    head.iter().chain(groups).flat_map(|word| word.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let back = numeric_bytes(text).and_then(|bytes| numeric_text(&bytes));
        assert_eq!(back.as_deref().unwrap_or("refused"), expected, "{text}");
    }

    #[test]
    fn decimal_numbers_come_back() {
        check("0", "0");
        check("-0.00", "0.00");
        check("12345.678", "12345.678");
        check("-1", "-1");
        check("0.0001", "0.0001");
        check("0.00001", "0.00001");
        check("100000000", "100000000");
        check("1e3", "1000");
        check("1.5e-3", "0.0015");
        check(".5", "0.5");
        check("NaN", "NaN");
        check("", "refused");
        check("1.2.3", "refused");
        check("abc", "refused");
        check("1e99999", "refused");
    }
}
