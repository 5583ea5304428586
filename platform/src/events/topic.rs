//! Topics, and patterns of them.

use std::fmt;

/// Longest part, in bytes.
const LONGEST: usize = 64;

/// What an event is about: `<slug>.<entity>.<verb>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Who says it.
    pub extension: String,
    /// What it is about.
    pub entity: String,
    /// What happened to it.
    pub verb: String,
}

/// Topics: each part is a word, or `*`, which is any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Topic);

/// A text that is no topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no topic: write `<slug>.<entity>.<verb>`, each of small letters, digits, `_` and `-`{or}"
)]
pub struct BadTopic {
    text: String,
    or: &'static str,
}

impl Topic {
    /// Reads a topic.
    ///
    /// # Errors
    ///
    /// [`BadTopic`].
    pub fn parse(text: &str) -> Result<Self, BadTopic> {
        parts(text, false).ok_or_else(|| BadTopic::of(text, ""))
    }
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// [`BadTopic`].
    pub fn parse(text: &str) -> Result<Self, BadTopic> {
        parts(text, true).map(Self).ok_or_else(|| BadTopic::of(text, ", or `*` for any"))
    }

    /// Its parts.
    pub fn parts(&self) -> &Topic {
        &self.0
    }
}

impl BadTopic {
    fn of(text: &str, or: &'static str) -> Self {
        Self { text: text.chars().take(200).collect(), or }
    }
}

fn parts(text: &str, any: bool) -> Option<Topic> {
    let is_word = |it: &str| {
        let plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b"_-".contains(&it);
        (any && it == "*") || ((1..=LONGEST).contains(&it.len()) && it.bytes().all(plain))
    };
    let mut parts = text.split('.');
    let (extension, entity, verb) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = parts.next().is_none() && [extension, entity, verb].into_iter().all(is_word);
    fits.then(|| Topic { extension: extension.into(), entity: entity.into(), verb: verb.into() })
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.extension, self.entity, self.verb)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_three_words_and_a_pattern_may_have_any() {
        for (text, topic, pattern) in [
            ("shop.order.paid", true, true),
            ("supply-chain.stock_item.low2", true, true),
            ("shop.order.*", false, true),
            ("*.*.*", false, true),
            ("shop.order", false, false),
            ("shop.order.paid.twice", false, false),
            ("Shop.order.paid", false, false),
            ("shop..paid", false, false),
            ("shop.or*.paid", false, false),
            ("", false, false),
        ] {
            assert_eq!(Topic::parse(text).is_ok(), topic, "{text}");
            assert_eq!(Pattern::parse(text).is_ok(), pattern, "{text}");
        }
    }
}
