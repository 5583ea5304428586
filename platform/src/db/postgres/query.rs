//! A statement whose text and types are known only at run time, as diesel sees it.

use std::io::Write as _;

use diesel::{
    pg::{Pg, sql_types as pg},
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    serialize::{IsNull, Output, ToSql},
    sql_types,
};
use powernode_abi::{Param, data::tag};

use super::value;

/// A statement with its parameters in PostgreSQL's binary form.
#[derive(Debug)]
pub(super) struct DynQuery<'a> {
    sql: &'a str,
    binds: Vec<(u32, Encoded)>,
    keep: bool,
}

/// A parameter's bytes; `None` is NULL.
#[derive(Debug)]
struct Encoded(Option<Vec<u8>>);

impl<'a> DynQuery<'a> {
    /// The statement, or which parameter cannot be sent.
    pub(super) fn new(sql: &'a str, params: &[Param<'_>], keep: bool) -> Result<Self, String> {
        let bind = |(number, param): (u32, &Param<'_>)| {
            let bytes =
                value::write(param).map_err(|reason| format!("parameter {number}: {reason}"))?;
            Ok((param.tag, Encoded(bytes)))
        };
        let binds = (1..).zip(params).map(bind).collect::<Result<_, String>>()?;
        Ok(Self { sql, binds, keep })
    }
}

impl QueryFragment<Pg> for DynQuery<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        if !self.keep {
            out.unsafe_to_cache_prepared();
        }
        out.push_sql(self.sql);
        for (tag, bytes) in &self.binds {
            match *tag {
                tag::BOOL => out.push_bind_param_value_only::<sql_types::Bool, _>(bytes)?,
                tag::SMALLINT => out.push_bind_param_value_only::<sql_types::SmallInt, _>(bytes)?,
                tag::INTEGER => out.push_bind_param_value_only::<sql_types::Integer, _>(bytes)?,
                tag::BIGINT => out.push_bind_param_value_only::<sql_types::BigInt, _>(bytes)?,
                tag::FLOAT => out.push_bind_param_value_only::<sql_types::Float, _>(bytes)?,
                tag::DOUBLE => out.push_bind_param_value_only::<sql_types::Double, _>(bytes)?,
                tag::NUMERIC => out.push_bind_param_value_only::<sql_types::Numeric, _>(bytes)?,
                tag::BINARY => out.push_bind_param_value_only::<sql_types::Binary, _>(bytes)?,
                tag::DATE => out.push_bind_param_value_only::<sql_types::Date, _>(bytes)?,
                tag::TIME => out.push_bind_param_value_only::<sql_types::Time, _>(bytes)?,
                tag::TIMESTAMP => {
                    out.push_bind_param_value_only::<sql_types::Timestamp, _>(bytes)?;
                }
                tag::TIMESTAMPTZ => out.push_bind_param_value_only::<pg::Timestamptz, _>(bytes)?,
                tag::UUID => out.push_bind_param_value_only::<pg::Uuid, _>(bytes)?,
                tag::JSON => out.push_bind_param_value_only::<sql_types::Json, _>(bytes)?,
                tag::JSONB => out.push_bind_param_value_only::<pg::Jsonb, _>(bytes)?,
                _ => out.push_bind_param_value_only::<sql_types::Text, _>(bytes)?,
            }
        }
        Ok(())
    }
}

impl<ST> ToSql<ST, Pg> for Encoded {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> diesel::serialize::Result {
        match &self.0 {
            Some(bytes) => {
                out.write_all(bytes)?;
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }
}

// Statements are kept by their text.
impl QueryId for DynQuery<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for DynQuery<'_> {
    type SqlType = sql_types::Untyped;
}

impl<C> RunQueryDsl<C> for DynQuery<'_> {}

/// Why a statement's text is refused before it is sent.
///
/// Transactions are the platform's, the shape of tables is for migrations, and
/// what belongs to the session belongs to the next job as well.
pub(super) fn refusal(sql: &str) -> Option<&'static str> {
    const TRANSACTION: [&str; 10] = [
        "begin",
        "start",
        "commit",
        "end",
        "rollback",
        "abort",
        "savepoint",
        "release",
        "prepare",
        "lock",
    ];
    const SESSION: [&str; 12] = [
        "set",
        "reset",
        "discard",
        "deallocate",
        "execute",
        "listen",
        "unlisten",
        "notify",
        "copy",
        "do",
        "call",
        "load",
    ];
    const SHAPE: [&str; 13] = [
        "create", "alter", "drop", "grant", "revoke", "vacuum", "analyze", "cluster", "reindex",
        "comment", "security", "reassign", "import",
    ];
    let word = first_word(sql).to_ascii_lowercase();
    let among = |words: &[&str]| words.contains(&word.as_str());
    if among(&TRANSACTION) {
        Some("an extension may not write transactions as text: use the connection's `transaction`")
    } else if among(&SESSION) {
        Some("an extension may not change the session it is lent, nor run code in the server")
    } else if among(&SHAPE) {
        Some("an extension may not create, alter or drop here: migrations do that")
    } else {
        None
    }
}

/// The first word after blanks, brackets and comments.
fn first_word(sql: &str) -> &str {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(' || c == ';');
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = after_comment(comment);
        } else {
            let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            return rest.get(..end).unwrap_or_default();
        }
    }
}

/// What follows a comment that has begun; comments nest.
fn after_comment(comment: &str) -> &str {
    let mut depth = 1;
    let mut rest = comment;
    while depth > 0 {
        let Some(at) = rest.find("*/") else { return "" };
        let opened = rest.find("/*").filter(|open| *open < at);
        depth = if opened.is_some() { depth + 1 } else { depth - 1 };
        rest = rest.get(opened.unwrap_or(at) + 2..).unwrap_or_default();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, refused: bool) {
        assert_eq!(refusal(sql).is_some(), refused, "{sql}");
    }

    #[test]
    fn transactions_and_sessions_are_not_an_extensions() {
        check("COMMIT", true);
        check("  -- x\n /* a /* b */ c */ commit", true);
        check(";;ROLLBACK", true);
        check("SET search_path TO blog", true);
        check("DO $$ BEGIN END $$", true);
        check("CREATE TABLE x (id int)", true);
        check("SELECT 1", false);
        check("(SELECT 1) UNION (SELECT 2)", false);
        check("WITH x AS (SELECT 1) SELECT * FROM x", false);
        check("settle", false);
        check("", false);
    }
}
