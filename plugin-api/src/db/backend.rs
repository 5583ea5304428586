//! Diesel's backend for the platform's database.

use diesel::{
    backend::{Backend, DieselReserveSpecialization, SqlDialect, TrustedBackend, sql_dialect},
    query_builder::{All, Distinct, Except, Intersect, SupportsCombinationClause, Union},
    sql_types::{self as sql, HasSqlType, TypeMetadata},
};
use powernode_abi::data::{self, tag};

use super::{binds::HostBinds, rows::HostValue, text::HostQueryBuilder};

/// Which database the platform runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// SQLite, embedded in the platform.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl Dialect {
    /// The dialect behind the boundary's number.
    ///
    /// An unknown number, of a newer platform, reads as PostgreSQL: its SQL is the
    /// nearest to the standard.
    pub(crate) fn from_abi(dialect: u32) -> Self {
        if dialect == data::SQLITE { Self::Sqlite } else { Self::Postgres }
    }
}

/// Diesel's backend for the platform's database, whichever it is.
///
/// One compiled query serves both databases: where their SQL differs, its text is
/// chosen at run time, and `pass.backend().dialect()` tells a
/// [`QueryFragment`](diesel::query_builder::QueryFragment) of one's own which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostBackend {
    dialect: Dialect,
}

impl HostBackend {
    /// The backend for `dialect`; it lives as long as the library.
    pub fn of(dialect: Dialect) -> &'static Self {
        match dialect {
            Dialect::Sqlite => &Self { dialect: Dialect::Sqlite },
            Dialect::Postgres => &Self { dialect: Dialect::Postgres },
        }
    }

    /// Which database it writes SQL for.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn is_sqlite(self) -> bool {
        self.dialect == Dialect::Sqlite
    }
}

/// SQLite's; what [`diesel::debug_query`] shows.
impl Default for HostBackend {
    fn default() -> Self {
        *Self::of(Dialect::Sqlite)
    }
}

impl Backend for HostBackend {
    type QueryBuilder = HostQueryBuilder;
    type RawValue<'a> = HostValue<'a>;
    type BindCollector<'a> = HostBinds<'a>;
}

/// A type of the boundary: one of [`tag`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeTag(pub(crate) u32);

impl TypeMetadata for HostBackend {
    type TypeMetadata = TypeTag;
    type MetadataLookup = ();
}

impl SqlDialect for HostBackend {
    type ReturningClause = HostReturning;
    type OnConflictClause = HostOnConflict;
    type InsertWithDefaultKeyword = HostDefaultKeyword;
    type BatchInsertSupport = HostBatchInsert;
    type ConcatClause = sql_dialect::concat_clause::ConcatWithPipesClause;
    type DefaultValueClauseForInsert = sql_dialect::default_value_clause::AnsiDefaultValueClause;
    type EmptyFromClauseSyntax = sql_dialect::from_clause_syntax::AnsiSqlFromClauseSyntax;
    type ExistsSyntax = sql_dialect::exists_syntax::AnsiSqlExistsSyntax;
    type ArrayComparison = sql_dialect::array_comparison::AnsiSqlArrayComparison;
    type SelectStatementSyntax = sql_dialect::select_statement_syntax::AnsiSqlSelectStatement;
    type AliasSyntax = sql_dialect::alias_syntax::AsAliasSyntax;
    type WindowFrameClauseGroupSupport =
        sql_dialect::window_frame_clause_group_support::IsoGroupWindowFrameUnit;
    type WindowFrameExclusionSupport =
        sql_dialect::window_frame_exclusion_support::FrameExclusionSupport;
    type AggregateFunctionExpressions =
        sql_dialect::aggregate_function_expressions::PostgresLikeAggregateFunctionExpressions;
    type BuiltInWindowFunctionRequireOrder =
        sql_dialect::built_in_window_function_require_order::NoOrderRequired;
}

impl DieselReserveSpecialization for HostBackend {}
impl TrustedBackend for HostBackend {}

/// `RETURNING`, its columns without their table: SQLite knows none there.
#[derive(Clone, Copy, Debug)]
pub struct HostReturning;

impl sql_dialect::returning_clause::SupportsReturningClause for HostReturning {}

/// `ON CONFLICT` as both databases write it.
#[derive(Clone, Copy, Debug)]
pub struct HostOnConflict;

impl sql_dialect::on_conflict_clause::SupportsOnConflictClause for HostOnConflict {}
impl sql_dialect::on_conflict_clause::SupportsOnConflictClauseWhere for HostOnConflict {}
impl sql_dialect::on_conflict_clause::PgLikeOnConflictClause for HostOnConflict {}

/// `DEFAULT` on PostgreSQL; on SQLite the column is left out.
#[derive(Clone, Copy, Debug)]
pub struct HostDefaultKeyword;

/// Many rows in one statement, or in several where SQLite's rows differ in their columns.
#[derive(Clone, Copy, Debug)]
pub struct HostBatchInsert;

impl SupportsCombinationClause<Union, Distinct> for HostBackend {}
impl SupportsCombinationClause<Union, All> for HostBackend {}
impl SupportsCombinationClause<Intersect, Distinct> for HostBackend {}
impl SupportsCombinationClause<Except, Distinct> for HostBackend {}

macro_rules! tags {
    ($($sql:ty => $tag:ident,)+) => {$(
        impl HasSqlType<$sql> for HostBackend {
            fn metadata(_: &mut ()) -> TypeTag {
                TypeTag(tag::$tag)
            }
        }
    )+};
}

tags! {
    sql::Bool => BOOL,
    sql::SmallInt => SMALLINT,
    sql::Integer => INTEGER,
    sql::BigInt => BIGINT,
    sql::Float => FLOAT,
    sql::Double => DOUBLE,
    sql::Numeric => NUMERIC,
    sql::Text => TEXT,
    sql::Binary => BINARY,
    sql::Date => DATE,
    sql::Time => TIME,
    sql::Timestamp => TIMESTAMP,
    sql::Timestamptz => TIMESTAMPTZ,
    sql::Uuid => UUID,
    sql::Json => JSON,
    sql::Jsonb => JSONB,
}
