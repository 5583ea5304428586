//! What both databases can do and diesel has for one of them alone.

use diesel::{
    dsl::{Like, SqlTypeOf},
    expression::{AsExpression, Expression},
    expression_methods::TextExpressionMethods,
    query_builder::{AsQuery, AstPass, Query, QueryFragment, QueryId},
    query_dsl::RunQueryDsl,
    result::QueryResult,
};

use super::backend::{Dialect, HostBackend};

mod functions {
    use diesel::{
        expression::functions::declare_sql_function,
        sql_types::{Nullable, SingleValue, Text},
    };

    /// Text, or text that may be NULL.
    pub trait AnyText: SingleValue {}

    impl AnyText for Text {}
    impl AnyText for Nullable<Text> {}

    #[declare_sql_function]
    extern "SQL" {
        /// The text in lower case; SQLite knows the letters of ASCII alone.
        fn lower<T: AnyText>(text: T) -> T;
    }
}

pub use self::functions::{AnyText, lower};

/// Matches a pattern whatever the case: `lower(text) LIKE lower(pattern)`.
///
/// SQLite knows the case of ASCII letters alone, and no escape character unless one is
/// named. (Diesel's method of this name is PostgreSQL's own operator.)
///
/// ```
/// # diesel::table! { shop_products (id) { id -> BigInt, name -> Text, } }
/// use diesel::prelude::*;
/// use powernode_plugin_api::db::ilike;
///
/// let lamps = shop_products::table.filter(ilike(shop_products::name, "%lamp%"));
/// # let _ = lamps;
/// ```
pub fn ilike<T, P>(text: T, pattern: P) -> ILike<T, P>
where
    T: Expression,
    T::SqlType: AnyText,
    lower<T::SqlType, T>: TextExpressionMethods + Expression<SqlType = T::SqlType>,
    P: AsExpression<T::SqlType>,
{
    lower(text).like(lower(pattern))
}

/// What [`ilike`] answers.
pub type ILike<T, P> = Like<lower<SqlTypeOf<T>, T>, lower<SqlTypeOf<T>, P>>;

/// Locks the rows that `query` answers until the transaction ends.
///
/// `FOR UPDATE` on PostgreSQL; on SQLite nothing, since there a transaction is the only writer.
pub fn for_update<Q: AsQuery>(query: Q) -> ForUpdate<Q::Query> {
    ForUpdate { query: query.as_query() }
}

/// What [`for_update`] answers.
#[derive(Clone, Copy, Debug, QueryId)]
#[must_use = "queries are only executed when calling `load`, `get_result` or similar"]
pub struct ForUpdate<Q> {
    query: Q,
}

impl<Q: Query> Query for ForUpdate<Q> {
    type SqlType = Q::SqlType;
}

impl<Q, Conn> RunQueryDsl<Conn> for ForUpdate<Q> {}

impl<Q: QueryFragment<HostBackend>> QueryFragment<HostBackend> for ForUpdate<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, HostBackend>) -> QueryResult<()> {
        self.query.walk_ast(out.reborrow())?;
        if out.backend().dialect() == Dialect::Postgres {
            out.push_sql(" FOR UPDATE");
        }
        Ok(())
    }
}
