//! Tokens of social platforms: kept as one secret, and never shown.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// What clients send as a token: never repeated, not even where it is wrong.
#[derive(Clone, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(transparent)]
pub struct Token(String);

impl Token {
    /// What was sent, to be kept.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// From 1 to 4,096 characters without white space.
    pub fn is_valid(&self) -> bool {
        (1..=4_096).contains(&self.0.len()) && !self.0.contains(char::is_whitespace)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An error of serde's own would quote the value.
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self(text)),
            _ => Err(de::Error::custom("must be a text")),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The tokens of one account on a social platform, as they lie encrypted.
#[derive(Clone, Serialize, Deserialize)]
pub struct Tokens {
    access: String,
    refresh: Option<String>,
}

impl Tokens {
    /// Tokens that a client sent.
    pub fn new(access: Token, refresh: Option<Token>) -> Self {
        Self { access: access.0, refresh: refresh.map(|it| it.0) }
    }

    /// What requests to the platform carry.
    pub fn access(&self) -> &str {
        &self.access
    }

    /// What a new access token is got with.
    pub fn refresh(&self) -> Option<&str> {
        self.refresh.as_deref()
    }

    /// The same with another access token.
    pub fn renewed(&self, access: String) -> Self {
        Self { access, refresh: self.refresh.clone() }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_says_what_a_token_is() {
        let token: Token = serde_json::from_str(r#""s3cret""#).unwrap();
        let tokens = Tokens::new(token.clone(), None);
        assert_eq!(format!("{token:?} {tokens:?}"), "Token Tokens");
        let error = serde_json::from_str::<Token>("4711").unwrap_err().to_string();
        assert!(error.starts_with("must be a text") && !error.contains("4711"), "{error}");
    }
}
