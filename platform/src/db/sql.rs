//! A statement in each engine's own words, kept prepared.

use std::{borrow::Cow, marker::PhantomData};

use diesel::{
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{BigInt, Nullable, Text, Untyped},
};
use powernode_plugin_api::db::{Dialect, HostBackend};

use super::Twin;

/// A statement with its parameters, which both texts write as `$1`; it answers rows of `Row`.
#[derive(Debug)]
pub(crate) struct Sql<Row = Untyped> {
    sqlite: Cow<'static, str>,
    postgres: Cow<'static, str>,
    binds: Vec<Bind>,
    row: PhantomData<fn() -> Row>,
}

#[derive(Debug)]
enum Bind {
    Number(Option<i64>),
    Text(Option<String>),
}

impl<Row> Sql<Row> {
    pub(crate) fn new(twin: Twin) -> Self {
        Self::texts(twin.sqlite.into(), twin.postgres.into())
    }

    /// One text that both engines understand.
    pub(crate) fn both(text: impl Into<Cow<'static, str>>) -> Self {
        let text = text.into();
        Self::texts(text.clone(), text)
    }

    fn texts(sqlite: Cow<'static, str>, postgres: Cow<'static, str>) -> Self {
        Self { sqlite, postgres, binds: Vec::new(), row: PhantomData }
    }

    pub(crate) fn number(mut self, number: impl Into<Option<i64>>) -> Self {
        self.binds.push(Bind::Number(number.into()));
        self
    }

    pub(crate) fn text(mut self, text: impl Into<String>) -> Self {
        self.binds.push(Bind::Text(Some(text.into())));
        self
    }
}

impl<Row> QueryFragment<HostBackend> for Sql<Row> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, HostBackend>) -> QueryResult<()> {
        let text = match out.backend().dialect() {
            Dialect::Postgres => &self.postgres,
            _ => &self.sqlite,
        };
        out.push_sql(text);
        for bind in &self.binds {
            match bind {
                Bind::Number(number) => {
                    out.push_bind_param_value_only::<Nullable<BigInt>, _>(number)?;
                }
                Bind::Text(text) => out.push_bind_param_value_only::<Nullable<Text>, _>(text)?,
            }
        }
        Ok(())
    }
}

// Statements are kept by their text.
impl<Row> QueryId for Sql<Row> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Row> Query for Sql<Row> {
    type SqlType = Row;
}

impl<Row, Conn> RunQueryDsl<Conn> for Sql<Row> {}

/// A list as JSON, which both engines take apart.
pub(crate) fn json(list: &impl serde::Serialize) -> QueryResult<String> {
    serde_json::to_string(list)
        .map_err(|error| diesel::result::Error::SerializationError(error.into()))
}
