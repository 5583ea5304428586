//! What is wrong with an input, gathered so that a client reads all of it at once.

use crate::error::{Error, FieldError, Result};

/// Gathers what is wrong with an input, field by field.
///
/// ```
/// use powernode_plugin_api::Checks;
///
/// let (name, price) = ("", -1);
/// let mut checks = Checks::new();
/// checks.require(!name.is_empty(), "name", "must not be empty");
/// checks.require(price >= 0, "price", "must not be negative");
/// assert_eq!(checks.finish().unwrap_err().status(), 422);
/// ```
#[derive(Debug, Default)]
pub struct Checks(Vec<FieldError>);

impl Checks {
    /// Nothing is wrong yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Unless `holds`, says what is wrong with `field`.
    pub fn require(&mut self, holds: bool, field: &str, message: impl Into<String>) -> &mut Self {
        if !holds {
            self.0.push(FieldError { field: field.to_owned(), message: message.into() });
        }
        self
    }

    /// Requires a text of at least `least` and at most `most` characters.
    pub fn length(&mut self, text: &str, least: usize, most: usize, field: &str) -> &mut Self {
        let message = match least {
            0 => format!("must have at most {most} characters"),
            _ => format!("must have {least} to {most} characters"),
        };
        self.require((least..=most).contains(&text.trim().chars().count()), field, message)
    }

    /// Ends the checks.
    ///
    /// # Errors
    ///
    /// 422 with all that was wrong.
    pub fn finish(self) -> Result<()> {
        Error::unless_valid(self.0)
    }
}
