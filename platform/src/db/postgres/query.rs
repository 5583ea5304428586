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
