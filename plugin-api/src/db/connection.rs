//! Diesel's connection, lent by the platform for the time of a job.

use std::{fmt, ops::Range, sync::Arc};

use diesel::{
    associations::HasTable,
    connection::{
        CacheSize, Connection, ConnectionSealed, DynInstrumentation, Instrumentation,
        InstrumentationEvent, LoadConnection, SimpleConnection, StrQueryHelper,
    },
    dsl::Update,
    expression::{MixedAggregates, QueryMetadata, ValidGrouping, is_aggregate},
    query_builder::{AsChangeset, IntoUpdateTarget, Query, QueryFragment, QueryId},
    query_dsl::{LoadQuery, RunQueryDsl, UpdateAndFetchResults},
    query_source::Table,
    result::{ConnectionError, ConnectionResult, Error, QueryResult},
};
use powernode_abi::{
    self as abi, DbError, Param, RowBatch,
    data::{self, flag},
    lend::LentConn,
};

use super::{
    backend::{Dialect, HostBackend, TypeTag},
    binds::HostBinds,
    cache,
    error::statement_error,
    rows::{HostRow, HostRows},
    text::{HostQueryBuilder, Statement, Text},
    transaction::{HostTransactionState, HostTransactions},
};

/// A connection to the platform's database: what [`Db::read`](super::Db::read) and its sisters lend to a closure.
///
/// An ordinary diesel connection, over the extension's own tables. It takes one statement
/// at a time, and is good for nothing once the closure returned.
pub struct HostConnection {
    conn: LentConn,
    backend: &'static HostBackend,
    transactions: HostTransactionState,
    instrumentation: DynInstrumentation,
    cache: bool,
}

impl HostConnection {
    pub(super) fn new(conn: LentConn, depth: u32) -> Self {
        // A connection that is closed already says so at its first statement.
        let dialect = conn.dialect().unwrap_or(data::SQLITE);
        Self {
            conn,
            backend: HostBackend::of(Dialect::from_abi(dialect)),
            transactions: HostTransactionState::new(depth),
            instrumentation: DynInstrumentation::default_instrumentation(),
            cache: true,
        }
    }

    /// Which database it is.
    pub fn dialect(&self) -> Dialect {
        self.backend.dialect()
    }

    /// Whether the caller gave up: the next statement will be refused, and all is rolled back.
    ///
    /// For closures that compute long between statements.
    pub fn is_cancelled(&self) -> bool {
        self.conn.cancelled()
    }

    pub(super) fn tx(&mut self, op: u32, depth: u32) -> QueryResult<()> {
        self.conn.tx(op, depth).map_err(failed)
    }

    fn execute_text(&mut self, sql: &str, params: &[Param<'_>], flags: u32) -> QueryResult<usize> {
        let query = abi::Query { sql: sql.into(), params: params.into(), flags };
        let count = self.instrumented(sql, |conn| conn.execute(query))?;
        usize::try_from(count).map_err(Error::IntegerConversion)
    }

    fn query_text(&mut self, sql: &str, params: &[Param<'_>], flags: u32) -> QueryResult<RowBatch> {
        let query = abi::Query { sql: sql.into(), params: params.into(), flags };
        self.instrumented(sql, |conn| conn.query(query))
    }

    fn instrumented<T>(
        &mut self,
        sql: &str,
        call: impl FnOnce(&mut LentConn) -> Result<T, Box<DbError>>,
    ) -> QueryResult<T> {
        if self.transactions.is_broken() {
            return Err(Error::BrokenTransactionManager);
        }
        let shown = StrQueryHelper::new(sql);
        self.instrumentation.on_connection_event(InstrumentationEvent::start_query(&shown));
        let answer = call(&mut self.conn).map_err(failed);
        self.instrumentation
            .on_connection_event(InstrumentationEvent::finish_query(&shown, answer.as_ref().err()));
        answer
    }

    fn prepare<T>(&self, source: &T) -> QueryResult<Prepared>
    where
        T: QueryFragment<HostBackend> + QueryId,
    {
        let safe = source.is_safe_to_cache_prepared(self.backend)?;
        let flags = if safe && self.cache { flag::CACHE } else { 0 };
        let id = if safe { T::query_id() } else { None };
        if let Some(text) = id.and_then(|id| cache::get(id, self.dialect())) {
            return Ok(Prepared { text: PreparedText::One(text), flags });
        }
        let mut builder = HostQueryBuilder::new(self.dialect());
        source.to_sql(&mut builder, self.backend)?;
        let text = match builder.into_text() {
            Text::One(text) => {
                let text = Arc::from(text);
                if let Some(id) = id {
                    cache::put(id, self.dialect(), &text);
                }
                PreparedText::One(text)
            }
            Text::Many(statements) => PreparedText::Many(statements),
        };
        Ok(Prepared { text, flags })
    }

    fn binds<'b, T>(&self, source: &'b T) -> QueryResult<HostBinds<'b>>
    where
        T: QueryFragment<HostBackend>,
    {
        let mut binds = HostBinds::default();
        source.collect_binds(&mut binds, &mut (), self.backend)?;
        Ok(binds)
    }

    /// Runs each of `statements`, all or none.
    fn each<R>(
        &mut self,
        statements: &[Statement],
        params: &[Param<'_>],
        mut run: impl FnMut(&mut Self, &str, &[Param<'_>]) -> QueryResult<R>,
    ) -> QueryResult<Vec<R>> {
        self.transaction(|conn| {
            statements
                .iter()
                .map(|statement| {
                    let params = pick(params, &statement.binds)?;
                    run(conn, &statement.sql, &params)
                })
                .collect()
        })
    }
}

struct Prepared {
    text: PreparedText,
    flags: u32,
}

enum PreparedText {
    One(Arc<str>),
    Many(Vec<Statement>),
}

fn failed(error: Box<DbError>) -> Error {
    statement_error(*error)
}

fn pick<'p>(params: &[Param<'p>], ranges: &[Range<usize>]) -> QueryResult<Vec<Param<'p>>> {
    let mut picked = Vec::new();
    for range in ranges {
        let some = params.get(range.clone()).ok_or_else(|| {
            Error::QueryBuilderError("the query has fewer binds than placeholders".into())
        })?;
        picked.extend_from_slice(some);
    }
    Ok(picked)
}

impl SimpleConnection for HostConnection {
    /// Runs one statement; the platform refuses several in one text.
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.execute_text(query, &[], 0).map(drop)
    }
}

impl ConnectionSealed for HostConnection {}

impl Connection for HostConnection {
    type Backend = HostBackend;
    type TransactionManager = HostTransactions;

    fn establish(_: &str) -> ConnectionResult<Self> {
        Err(ConnectionError::BadConnection(
            "connections are lent by the platform: call `Db::read`, `Db::write` or `Db::transaction`"
                .into(),
        ))
    }

    fn execute_returning_count<T>(&mut self, source: &T) -> QueryResult<usize>
    where
        T: QueryFragment<HostBackend> + QueryId,
    {
        let Prepared { text, flags } = self.prepare(source)?;
        let binds = self.binds(source)?;
        let params = binds.params();
        match text {
            PreparedText::One(sql) => self.execute_text(&sql, &params, flags),
            PreparedText::Many(statements) => {
                let counts = self.each(&statements, &params, |conn, sql, params| {
                    conn.execute_text(sql, params, flags)
                })?;
                Ok(counts.into_iter().sum())
            }
        }
    }

    fn transaction_state(&mut self) -> &mut HostTransactionState {
        &mut self.transactions
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        &mut *self.instrumentation
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.instrumentation = instrumentation.into();
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.cache = size != CacheSize::Disabled;
    }
}

impl LoadConnection for HostConnection {
    type Cursor<'conn, 'query> = HostRows;
    type Row<'conn, 'query> = HostRow;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> QueryResult<HostRows>
    where
        T: Query + QueryFragment<HostBackend> + QueryId + 'query,
        HostBackend: QueryMetadata<T::SqlType>,
    {
        let Prepared { text, flags } = self.prepare(&source)?;
        let flags = if names_wanted::<T::SqlType>() { flags | flag::NAMES } else { flags };
        let binds = self.binds(&source)?;
        let params = binds.params();
        let batches = match text {
            PreparedText::One(sql) => vec![self.query_text(&sql, &params, flags)?],
            PreparedText::Many(statements) => {
                self.each(&statements, &params, |conn, sql, params| {
                    conn.query_text(sql, params, flags)
                })?
            }
        };
        Ok(HostRows::new(batches))
    }
}

impl<'b, Changes, Output> UpdateAndFetchResults<Changes, Output> for HostConnection
where
    Changes: Copy + AsChangeset<Target = <Changes as HasTable>::Table> + IntoUpdateTarget,
    Update<Changes, Changes>: LoadQuery<'b, Self, Output>,
    <Changes::Table as Table>::AllColumns: ValidGrouping<()>,
    <<Changes::Table as Table>::AllColumns as ValidGrouping<()>>::IsAggregate:
        MixedAggregates<is_aggregate::No, Output = is_aggregate::No>,
{
    fn update_and_fetch(&mut self, changeset: Changes) -> QueryResult<Output> {
        diesel::update(changeset).set(changeset).get_result(self)
    }
}

/// Whether rows of `SqlType` are read by name: those of a text that the author wrote are.
fn names_wanted<SqlType>() -> bool
where
    HostBackend: QueryMetadata<SqlType>,
{
    let mut columns: Vec<Option<TypeTag>> = Vec::new();
    HostBackend::row_metadata(&mut (), &mut columns);
    columns.contains(&None)
}

impl fmt::Debug for HostConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostConnection")
            .field("dialect", &self.dialect())
            .field("transactions", &self.transactions)
            .finish_non_exhaustive()
    }
}
