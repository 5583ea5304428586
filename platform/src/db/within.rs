//! What an extension calls from SQL in its own transaction, and the core answers: `SELECT core_enqueue($1)`.
//!
//! An extension may not write the core's tables. Such a statement never reaches the database: the function that is
//! registered under its name runs instead, on the same connection and in the same transaction, with the core's rights
//! on SQLite, and on PostgreSQL with those that the extension's login role has to functions of the core's.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use powernode_abi::{DbError, Param, Query, data::tag};

use super::{rows::Rows, session::TextRows};

/// A statement for both engines; parameters are written `$1`, and are text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Twin {
    /// SQLite's.
    pub(crate) sqlite: &'static str,
    /// PostgreSQL's.
    pub(crate) postgres: &'static str,
}

/// A connection in the middle of an extension's job.
pub(crate) trait Within {
    /// [`powernode_abi::data::SQLITE`] or [`powernode_abi::data::POSTGRES`].
    fn dialect(&self) -> u32;
    /// The extension's slug.
    fn slug(&self) -> &str;
    /// Runs a statement of the core's, which answers text.
    fn rows(&mut self, twin: Twin, params: &[&str]) -> Result<TextRows, DbError>;
}

/// What stands behind a name.
pub(crate) trait Function: Send + Sync {
    /// Answers the one text of the one row.
    fn call(&self, within: &mut dyn Within, argument: &str) -> Result<String, DbError>;
    /// A job that called it has ended well: what it wrote may be seen.
    fn committed(&self) {}
}

/// The functions, by name.
#[derive(Default)]
pub(crate) struct Functions {
    known: RwLock<BTreeMap<&'static str, Arc<dyn Function>>>,
}

impl Functions {
    /// From now on `function` answers to `name`, which begins with `core_`.
    pub(crate) fn serve(&self, name: &'static str, function: Arc<dyn Function>) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(name, function);
    }

    /// The function that `query` calls, with its argument.
    pub(super) fn called<'q>(&self, query: &'q Query<'_>) -> Option<(Arc<dyn Function>, &'q str)> {
        let name = called(query.sql.as_str())?;
        let [Param { tag: tag::TEXT, null: 0, bytes, .. }] = query.params.as_slice() else {
            return None;
        };
        let argument = std::str::from_utf8(bytes.as_slice()).ok()?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Some((Arc::clone(known.get(name)?), argument))
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(known.keys()).finish()
    }
}

/// The name in `SELECT core_x($1)`: the SDK writes it so, and nobody else has to.
fn called(sql: &str) -> Option<&str> {
    let call = sql.strip_prefix("SELECT ")?;
    let name = call.strip_suffix("($1)").or_else(|| call.strip_suffix("(?)"))?;
    let plain = |letter: u8| letter.is_ascii_lowercase() || letter == b'_';
    (name.starts_with("core_") && name.bytes().all(plain)).then_some(name)
}

/// Texts as parameters.
pub(super) fn texts<'t>(params: &[&'t str]) -> Vec<Param<'t>> {
    let text =
        |text: &&'t str| Param { tag: tag::TEXT, null: 0, num: 0, bytes: text.as_bytes().into() };
    params.iter().map(text).collect()
}

/// A row with one text.
pub(super) fn answer(text: &str, rows: &mut Rows) -> Result<(), DbError> {
    let too_large = |error: super::TooLarge| {
        DbError::new(powernode_abi::data::kind::TOO_LARGE, error.to_string())
    };
    rows.begin(std::iter::once("answer".to_owned()));
    rows.push_bytes(tag::TEXT, text.as_bytes()).map_err(too_large)?;
    rows.end_row().map_err(too_large)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, name: Option<&str>) {
        assert_eq!(called(sql), name, "{sql}");
    }

    #[test]
    fn a_call_is_told_from_other_statements() {
        check("SELECT core_enqueue($1)", Some("core_enqueue"));
        check("SELECT core_enqueue(?)", Some("core_enqueue"));
        check("SELECT shop_enqueue($1)", None);
        check("SELECT core_enqueue($1), 2", None);
        check("SELECT core_a($1), core_b($1)", None);
        check("select core_enqueue($1)", None);
        check("DELETE FROM core_jobs", None);
    }
}
