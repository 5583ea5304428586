//! What changes and checks of several models share.

use powernode_plugin_api::prelude::*;
use serde::{Deserialize, Deserializer};

/// Puts `new` into `place`, if there is one.
pub fn set<T>(place: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *place = new;
    }
}

/// Reads a field that is there, if only with null: `Some(None)`. One that is left out is `None`.
pub fn given<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// Requires at most 50 tags of 1 to 50 characters, none of them twice.
pub fn valid_tags(checks: &mut Checks, tags: &[String]) {
    checks.require(tags.len() <= 50, "tags", "must be at most 50");
    for (at, tag) in tags.iter().enumerate() {
        let field = format!("tags[{at}]");
        checks.length(tag, 1, 50, &field).require(
            !tags[..at].contains(tag),
            &field,
            "is there twice",
        );
    }
}
