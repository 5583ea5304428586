//! Values that not every database keeps.

use std::fmt;

use serde_json::Value;

/// Why a value cannot be bound: PostgreSQL would refuse it, or SQLite could not read it again.
///
/// As it comes from whoever sent it, `?` in a handler makes it 422.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unkept(&'static str);

impl Unkept {
    /// A moment or a day outside of the years that RFC 3339 can write.
    pub(super) const YEAR: Self = Self("a date or time must be in a year from 0001 to 9999");
    /// A text with the character NUL in it.
    pub(super) const NUL: Self = Self("a text must hold no NUL");

    /// Whether a text can be kept.
    ///
    /// # Errors
    ///
    /// It holds NUL.
    pub fn check_text(text: &str) -> Result<(), Self> {
        if text.contains('\0') { Err(Self::NUL) } else { Ok(()) }
    }

    /// Whether JSON can be kept.
    ///
    /// # Errors
    ///
    /// A text in it holds NUL.
    pub fn check_json(value: &Value) -> Result<(), Self> {
        match value {
            Value::String(text) => Self::check_text(text),
            Value::Array(items) => items.iter().try_for_each(Self::check_json),
            Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
                Self::check_text(name)?;
                Self::check_json(value)
            }),
            _ => Ok(()),
        }
    }

    /// As [`check_json`](Self::check_json), for its text.
    pub(super) fn check_json_text(text: &str) -> Result<(), Self> {
        // JSON writes NUL in one way alone; most texts have nothing like it.
        if !text.contains(r"\u0000") {
            return Ok(());
        }
        serde_json::from_str(text).map_or(Ok(()), |value| Self::check_json(&value))
    }
}

impl fmt::Display for Unkept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Unkept {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_found_wherever_it_stands() {
        let check = |text: &str| Unkept::check_json_text(text);
        for text in [r#""a\u0000""#, r#"{"a":["b",{"c\u0000":1}]}"#] {
            assert_eq!(check(text), Err(Unkept::NUL), "{text}");
        }
        for text in [r#""\\u0000""#, r#"{"a":"b"}"#, r#""\u0001""#] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }
}
