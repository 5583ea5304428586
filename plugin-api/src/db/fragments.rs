//! SQL that diesel leaves to a backend.

use diesel::{
    expression::{AppearsOnTable, Expression},
    insertable::{
        CanInsertInSingleQuery, ColumnInsertValue, DefaultableColumnInsertValue, InsertValues,
    },
    query_builder::{
        AstPass, BatchInsert, BoxedLimitOffsetClause, IntoBoxedClause, LimitClause,
        LimitOffsetClause, NoFromClause, NoLimitClause, NoOffsetClause, OffsetClause,
        ParenthesisWrapper, QueryFragment, QueryId, ReturningClause, ValuesClause,
    },
    query_source::{Column, Table},
    result::QueryResult,
};

use super::{
    backend::{HostBackend, HostBatchInsert, HostDefaultKeyword, HostReturning},
    text::mark,
};

type Pass<'a, 'b> = AstPass<'a, 'b, HostBackend>;

impl<Expr> QueryFragment<HostBackend, HostReturning> for ReturningClause<Expr>
where
    Expr: QueryFragment<HostBackend>,
{
    fn walk_ast<'b>(&'b self, mut out: Pass<'_, 'b>) -> QueryResult<()> {
        out.skip_from(true);
        out.push_sql(" RETURNING ");
        self.0.walk_ast(out.reborrow())
    }
}

impl<Col, Expr> QueryFragment<HostBackend, HostDefaultKeyword>
    for DefaultableColumnInsertValue<ColumnInsertValue<Col, Expr>>
where
    Expr: QueryFragment<HostBackend>,
    ColumnInsertValue<Col, Expr>: QueryFragment<HostBackend>,
{
    fn walk_ast<'b>(&'b self, mut out: Pass<'_, 'b>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        match self {
            Self::Expression(value) => value.walk_ast(out),
            // SQLite has no such keyword: the column is not named, see `column_names`.
            Self::Default if out.backend().is_sqlite() => Ok(()),
            Self::Default => {
                out.push_sql("DEFAULT");
                Ok(())
            }
        }
    }
}

impl<Col, Expr> InsertValues<HostBackend, Col::Table>
    for DefaultableColumnInsertValue<ColumnInsertValue<Col, Expr>>
where
    Col: Column,
    Expr: Expression<SqlType = Col::SqlType> + AppearsOnTable<NoFromClause>,
    Self: QueryFragment<HostBackend>,
{
    fn column_names(&self, mut out: AstPass<'_, '_, HostBackend>) -> QueryResult<()> {
        if matches!(self, Self::Default) && out.backend().is_sqlite() {
            return Ok(());
        }
        out.push_identifier(Col::NAME)
    }
}

impl<V, Tab, QId, const STABLE: bool> CanInsertInSingleQuery<HostBackend>
    for BatchInsert<Vec<ValuesClause<V, Tab>>, Tab, QId, STABLE>
{
    fn rows_to_insert(&self) -> Option<usize> {
        Some(self.values.len())
    }
}

impl<V, Tab, QId, const STABLE: bool> QueryFragment<HostBackend, HostBatchInsert>
    for BatchInsert<Vec<ValuesClause<V, Tab>>, Tab, QId, STABLE>
where
    Tab: Table,
    V: InsertValues<HostBackend, Tab> + QueryId,
{
    fn walk_ast<'b>(&'b self, mut out: Pass<'_, 'b>) -> QueryResult<()> {
        if !STABLE {
            out.unsafe_to_cache_prepared();
        }
        for (index, row) in self.values.iter().enumerate() {
            // A type with a static id has no value that may be left out: all its rows name the same columns.
            if index == 0 || !V::HAS_STATIC_QUERY_ID {
                out.push_sql(mark::COLUMNS);
                row.values.column_names(out.reborrow())?;
            }
            out.push_sql(mark::VALUES);
            row.values.walk_ast(out.reborrow())?;
            out.push_sql(mark::END);
        }
        Ok(())
    }
}

impl<T: QueryFragment<HostBackend>> QueryFragment<HostBackend> for ParenthesisWrapper<T> {
    fn walk_ast<'b>(&'b self, mut out: Pass<'_, 'b>) -> QueryResult<()> {
        // SQLite takes no parentheses around one side of a UNION.
        let open = if out.backend().is_sqlite() { "SELECT * FROM (" } else { "(" };
        out.push_sql(open);
        self.inner.walk_ast(out.reborrow())?;
        out.push_sql(")");
        Ok(())
    }
}

impl QueryFragment<HostBackend> for LimitOffsetClause<NoLimitClause, NoOffsetClause> {
    fn walk_ast<'b>(&'b self, _: Pass<'_, 'b>) -> QueryResult<()> {
        Ok(())
    }
}

impl<L> QueryFragment<HostBackend> for LimitOffsetClause<LimitClause<L>, NoOffsetClause>
where
    LimitClause<L>: QueryFragment<HostBackend>,
{
    fn walk_ast<'b>(&'b self, out: Pass<'_, 'b>) -> QueryResult<()> {
        self.limit_clause.walk_ast(out)
    }
}

impl<O> QueryFragment<HostBackend> for LimitOffsetClause<NoLimitClause, OffsetClause<O>>
where
    OffsetClause<O>: QueryFragment<HostBackend>,
{
    fn walk_ast<'b>(&'b self, mut out: Pass<'_, 'b>) -> QueryResult<()> {
        push_no_limit(&mut out);
        self.offset_clause.walk_ast(out)
    }
}

impl<L, O> QueryFragment<HostBackend> for LimitOffsetClause<LimitClause<L>, OffsetClause<O>>
where
    LimitClause<L>: QueryFragment<HostBackend>,
    OffsetClause<O>: QueryFragment<HostBackend>,
{
    fn walk_ast<'b>(&'b self, mut out: Pass<'_, 'b>) -> QueryResult<()> {
        self.limit_clause.walk_ast(out.reborrow())?;
        self.offset_clause.walk_ast(out)
    }
}

impl QueryFragment<HostBackend> for BoxedLimitOffsetClause<'_, HostBackend> {
    fn walk_ast<'b>(&'b self, mut out: Pass<'_, 'b>) -> QueryResult<()> {
        match (&self.limit, &self.offset) {
            (Some(limit), _) => limit.walk_ast(out.reborrow())?,
            (None, Some(_)) => push_no_limit(&mut out),
            (None, None) => {}
        }
        match &self.offset {
            Some(offset) => offset.walk_ast(out),
            None => Ok(()),
        }
    }
}

/// SQLite wants a LIMIT before an OFFSET; a negative one is none.
fn push_no_limit(out: &mut Pass<'_, '_>) {
    if out.backend().is_sqlite() {
        out.push_sql(" LIMIT -1");
    }
}

impl<'a> IntoBoxedClause<'a, HostBackend> for LimitOffsetClause<NoLimitClause, NoOffsetClause> {
    type BoxedClause = BoxedLimitOffsetClause<'a, HostBackend>;

    fn into_boxed(self) -> Self::BoxedClause {
        BoxedLimitOffsetClause { limit: None, offset: None }
    }
}

impl<'a, L> IntoBoxedClause<'a, HostBackend> for LimitOffsetClause<LimitClause<L>, NoOffsetClause>
where
    L: QueryFragment<HostBackend> + Send + 'a,
{
    type BoxedClause = BoxedLimitOffsetClause<'a, HostBackend>;

    fn into_boxed(self) -> Self::BoxedClause {
        BoxedLimitOffsetClause { limit: Some(Box::new(self.limit_clause)), offset: None }
    }
}

impl<'a, O> IntoBoxedClause<'a, HostBackend> for LimitOffsetClause<NoLimitClause, OffsetClause<O>>
where
    O: QueryFragment<HostBackend> + Send + 'a,
{
    type BoxedClause = BoxedLimitOffsetClause<'a, HostBackend>;

    fn into_boxed(self) -> Self::BoxedClause {
        BoxedLimitOffsetClause { limit: None, offset: Some(Box::new(self.offset_clause)) }
    }
}

impl<'a, L, O> IntoBoxedClause<'a, HostBackend>
    for LimitOffsetClause<LimitClause<L>, OffsetClause<O>>
where
    L: QueryFragment<HostBackend> + Send + 'a,
    O: QueryFragment<HostBackend> + Send + 'a,
{
    type BoxedClause = BoxedLimitOffsetClause<'a, HostBackend>;

    fn into_boxed(self) -> Self::BoxedClause {
        BoxedLimitOffsetClause {
            limit: Some(Box::new(self.limit_clause)),
            offset: Some(Box::new(self.offset_clause)),
        }
    }
}
