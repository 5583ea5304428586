//! Effects that happen once.

use chrono::{DateTime, Utc};
use powernode_abi::{DbError, data::kind};
use serde::Deserialize;

use crate::db::{Function, Twin, Within};

/// Longest key, in bytes.
const LONGEST: usize = 500;

/// Answers `core_once`.
pub(super) struct Once {
    pub(super) clock: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

#[derive(Deserialize)]
struct Asked {
    key: String,
}

const ONCE: Twin = Twin {
    sqlite: "INSERT INTO core_once (extension, key, created_at) VALUES ($1, $2, CAST($3 AS INTEGER)) \
        ON CONFLICT DO NOTHING RETURNING 'true'",
    postgres: "SELECT core.core_once($1, $2, $3::bigint)::text",
};

impl Function for Once {
    fn call(&self, within: &mut dyn Within, argument: &str) -> Result<String, DbError> {
        let refused = |text: String| DbError::new(kind::CHECK, text);
        let Asked { key } = serde_json::from_str(argument)
            .map_err(|error| refused(format!("a key that cannot be read: {error}")))?;
        if key.is_empty() || key.len() > LONGEST || key.contains('\0') {
            return Err(refused(format!("a key has 1 to {LONGEST} bytes, and no NUL")));
        }
        let slug = within.slug().to_owned();
        let moment = (self.clock)().timestamp_millis().to_string();
        let rows = within.rows(ONCE, &[&slug, &key, &moment])?;
        let is_first = rows.first().and_then(|it| it.first()).is_some_and(|it| it == "true");
        Ok(is_first.to_string())
    }
}
