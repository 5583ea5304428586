//! One connection, and the way it is lent to a job.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use diesel::{
    Connection as _, PgConnection, RunQueryDsl,
    connection::{DefaultLoadingMode, LoadConnection, SimpleConnection},
    row::{Field, Row},
};
use powernode_abi::{
    DbError, JobObject, Param, Query, RowBatch,
    abi_stable::{RMut, sabi_trait::TD_Opaque, std_types::RResult},
    data::{POSTGRES, RawConn, RawConn_TO, flag, kind, mode, tag, tx},
};

use super::{
    errors::{confined, db_error, fault_of},
    query::DynQuery,
    refusal,
    session::search_path,
    value::{self, Unreadable},
};
use crate::db::{
    Principal,
    health::Fault,
    job::{Control, judge, leaked},
    owners::Owners,
    rows::Rows,
    session::TextRows,
    within::{self, Twin, Within},
};

/// How long one statement of a job may run, in milliseconds.
const STATEMENT_TIMEOUT: u32 = 60_000;
/// How many statements a connection keeps prepared; the server keeps each until the connection ends.
const MOST_KEPT: usize = 500;
/// Who serves the connection. And no statement is compiled: where a plan is thought dear, that takes a quarter of a
/// second, and what the platform asks takes less.
const FIRST: &str = "SELECT pg_backend_pid()::bigint::text, set_config('jit', 'off', false)";
const SPOILED: &str = "a statement of the transaction failed, so that PostgreSQL rolled it back";

/// An open connection, with the transaction that it is in.
pub(crate) struct Connection {
    diesel: PgConnection,
    url: String,
    process: i64,
    born: Instant,
    /// The statements that are prepared, by what their texts are hashed to.
    kept: HashSet<u64>,
    depth: u32,
    /// A statement failed: PostgreSQL refuses all others until a rollback.
    spoiled: bool,
    broken: bool,
    /// Whether a job may write on it.
    writes: bool,
    /// What a statement found out about the server.
    fault: Option<Fault>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("depth", &self.depth).finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects to the database at `url`.
    pub(super) fn open(url: &str) -> Result<Self, diesel::ConnectionError> {
        let diesel = PgConnection::establish(url)?;
        let url = url.to_owned();
        let mut connection = Self {
            diesel,
            url,
            process: 0,
            born: Instant::now(),
            kept: HashSet::new(),
            depth: 0,
            spoiled: false,
            broken: false,
            writes: true,
            fault: None,
        };
        let process = connection
            .host_rows(FIRST, &[])
            .map_err(|error| diesel::ConnectionError::BadConnection(error.to_string()))?;
        connection.process = process.first().and_then(|row| row.first()?.parse().ok()).unwrap_or(0);
        Ok(connection)
    }

    /// Whether another process notified what this one listens to, since this was asked last.
    pub(super) fn notified(&mut self) -> Result<bool, DbError> {
        let own = self.process;
        let mut heard = false;
        for told in self.diesel.notifications_iter() {
            heard |= i64::from(told.map_err(db_error)?.process_id) != own;
        }
        Ok(heard)
    }

    /// Whether it may be lent again.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// How long it is open.
    pub(super) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// Begins what `mode` asks for; nothing of the job has run yet.
    pub(super) fn begin_job(&mut self, principal: &Principal, mode: u32) -> Result<(), DbError> {
        self.spoiled = false;
        self.writes = mode != mode::READ;
        let path = search_path(principal);
        let local = format!(
            "SET LOCAL search_path TO {path}; SET LOCAL statement_timeout = {STATEMENT_TIMEOUT}"
        );
        match mode {
            mode::READ => self.batch(&format!("BEGIN READ ONLY; {local}"))?,
            mode::TRANSACTION => self.batch(&format!("BEGIN; {local}"))?,
            _ => {
                return self.batch(&format!(
                    "SET search_path TO {path}; SET statement_timeout = {STATEMENT_TIMEOUT}"
                ));
            }
        }
        self.depth = 1;
        Ok(())
    }

    /// Runs `job` after [`Connection::begin_job`], and leaves no transaction behind.
    pub(super) fn run_job(
        &mut self,
        principal: &Principal,
        mode: u32,
        job: &mut JobObject,
        owners: &Owners,
        control: &Control,
    ) -> Result<(), DbError> {
        let base = self.depth;
        control.arm(canceller(self.url.clone(), self.process));
        let mut lent = Lent { connection: Mutex::new(self), principal, owners, control, base };
        let answer = job.run(RawConn_TO::from_ptr(RMut::new(&mut lent), TD_Opaque));
        control.disarm();
        let ended = judge(answer).and_then(|()| control.check());
        let leaks = self.depth > base;
        if ended.is_ok() && !leaks && mode == mode::TRANSACTION {
            let committed = self.commit_transaction();
            self.roll_back_all();
            return committed;
        }
        self.roll_back_all();
        if ended.is_ok() && leaks { Err(leaked()) } else { ended }
    }

    /// What a statement found out about the server since this was last asked.
    pub(super) fn take_fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }

    /// Writes something that nobody keeps, inside a transaction, to see whether that works.
    pub(super) fn touch(&mut self) -> Result<(), DbError> {
        self.batch("CREATE TEMPORARY TABLE powernode_touch (written text) ON COMMIT DROP")
    }

    /// Begins a transaction or sets a savepoint.
    pub(crate) fn begin_transaction(&mut self) -> Result<(), DbError> {
        match self.depth {
            0 => self.batch("BEGIN")?,
            depth => self.batch(&format!("SAVEPOINT powernode_{depth}"))?,
        }
        self.depth += 1;
        Ok(())
    }

    /// Commits the innermost transaction; on an error it is still open.
    pub(crate) fn commit_transaction(&mut self) -> Result<(), DbError> {
        match self.depth {
            0 => return Err(DbError::new(kind::OTHER, "there is no transaction to commit")),
            // PostgreSQL would roll back, and call that a success.
            _ if self.spoiled => return Err(DbError::new(kind::ROLLED_BACK, SPOILED)),
            1 => self.batch("COMMIT")?,
            depth => self.batch(&format!("RELEASE powernode_{}", depth - 1))?,
        }
        self.depth -= 1;
        Ok(())
    }

    /// Rolls the innermost transaction back.
    pub(crate) fn roll_back_transaction(&mut self) -> Result<(), DbError> {
        match self.depth {
            0 => return Err(DbError::new(kind::OTHER, "there is no transaction to roll back")),
            1 => self.batch("ROLLBACK")?,
            depth => {
                let name = depth - 1;
                self.batch(&format!("ROLLBACK TO powernode_{name}; RELEASE powernode_{name}"))?;
            }
        }
        self.spoiled = false;
        self.depth -= 1;
        Ok(())
    }

    /// Leaves all transactions.
    pub(crate) fn roll_back_all(&mut self) {
        // A failed COMMIT leaves PostgreSQL outside, where another ROLLBACK only warns.
        if self.depth > 0 && self.batch("ROLLBACK").is_err() {
            self.broken = true;
        }
        self.depth = 0;
        self.spoiled = false;
    }

    /// Runs the platform's own text, with as many statements as it has.
    pub(crate) fn batch(&mut self, sql: &str) -> Result<(), DbError> {
        let answer = self.diesel.batch_execute(sql).map_err(db_error);
        self.watch(answer)
    }

    /// Runs the platform's own statement, which answers text.
    pub(crate) fn host_rows(
        &mut self,
        sql: &str,
        params: &[&str],
    ) -> Result<Vec<Vec<String>>, DbError> {
        let params: Vec<Param<'_>> = params
            .iter()
            .map(|text| Param { tag: tag::TEXT, null: 0, num: 0, bytes: text.as_bytes().into() })
            .collect();
        let mut rows = Rows::default();
        self.query(sql, &params, true, &mut rows)?;
        Ok(rows.texts())
    }

    /// All that a statement answers.
    #[cfg(test)]
    pub(super) fn all(&mut self, sql: &str) -> Result<RowBatch, DbError> {
        let mut rows = Rows::default();
        self.query(sql, &[], false, &mut rows)?;
        Ok(rows.finish())
    }

    /// Whether a statement that may be kept is: those that came first are, up to a bound.
    fn keeps(&mut self, sql: &str, keep: bool) -> bool {
        let mut hasher = DefaultHasher::new();
        sql.hash(&mut hasher);
        let hash = hasher.finish();
        keep && (self.kept.contains(&hash)
            || (self.kept.len() < MOST_KEPT && self.kept.insert(hash)))
    }

    fn execute(&mut self, sql: &str, params: &[Param<'_>], keep: bool) -> Result<u64, DbError> {
        let keep = self.keeps(sql, keep);
        let query =
            DynQuery::new(sql, params, keep).map_err(|reason| DbError::new(kind::OTHER, reason))?;
        let answer = query.execute(&mut self.diesel).map(|rows| rows as u64).map_err(db_error);
        self.watch(answer)
    }

    fn query(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        keep: bool,
        rows: &mut Rows,
    ) -> Result<(), DbError> {
        let keep = self.keeps(sql, keep);
        let query =
            DynQuery::new(sql, params, keep).map_err(|reason| DbError::new(kind::OTHER, reason))?;
        let answer = collect(&mut self.diesel, query, rows);
        self.watch(answer)
    }

    /// Remembers what an error does to the transaction and to the connection.
    fn watch<T>(&mut self, answer: Result<T, DbError>) -> Result<T, DbError> {
        answer.map_err(|mut error| {
            self.spoiled = self.depth > 0;
            if error.kind != kind::READ_ONLY || self.writes {
                self.fault = fault_of(&error).or(self.fault.take());
            }
            // A server that became another's standby is left for the one that takes writes.
            if error.kind == kind::READ_ONLY && self.writes {
                error.kind = kind::CLOSED;
            }
            self.broken |= error.kind == kind::CLOSED;
            error
        })
    }
}

fn collect(conn: &mut PgConnection, query: DynQuery<'_>, rows: &mut Rows) -> Result<(), DbError> {
    let mut begun = false;
    for row in LoadConnection::<DefaultLoadingMode>::load(conn, query).map_err(db_error)? {
        let row = row.map_err(db_error)?;
        if !begun {
            begun = true;
            rows.begin((0..row.field_count()).map(|column| {
                row.get(column)
                    .and_then(|field| field.field_name().map(str::to_owned))
                    .unwrap_or_default()
            }));
        }
        for column in 0..row.field_count() {
            let field = row.get(column);
            let Some(value) = field.as_ref().and_then(|field| field.value()) else {
                rows.push_null();
                continue;
            };
            value::read(value.get_oid().get(), value.as_bytes(), rows).map_err(unreadable)?;
        }
        rows.end_row().map_err(|too_large| unreadable(too_large.into()))?;
    }
    Ok(())
}

fn unreadable(reason: Unreadable) -> DbError {
    match reason {
        Unreadable::TooLarge(too_large) => DbError::new(kind::TOO_LARGE, too_large.to_string()),
        Unreadable::Type(oid) => DbError::new(
            kind::OTHER,
            format!("a column has PostgreSQL's type {oid}, which cannot be read: cast it in SQL"),
        ),
    }
}

/// Stops what `process` runs, over a connection of its own.
fn canceller(url: String, process: i64) -> impl FnMut() + Send {
    let mut other: Option<PgConnection> = None;
    move || {
        if other.is_none() {
            other = PgConnection::establish(&url).ok();
        }
        if let Some(conn) = &mut other
            && conn.batch_execute(&format!("SELECT pg_cancel_backend({process})")).is_err()
        {
            other = None;
        }
    }
}

/// A connection while a job has it.
struct Lent<'a> {
    // What is lent has to be Sync; nothing ever locks it.
    connection: Mutex<&'a mut Connection>,
    principal: &'a Principal,
    owners: &'a Owners,
    control: &'a Control,
    /// 1 where the platform began the job's transaction.
    base: u32,
}

impl Lent<'_> {
    fn connection(&mut self) -> &mut Connection {
        self.connection.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `run` have the connection, unless the statement is refused.
    fn run<T>(
        &mut self,
        sql: &str,
        run: impl FnOnce(&mut Connection) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        self.control.check()?;
        let (principal, owners) = (self.principal, self.owners);
        if principal.is_core() {
            return run(self.connection());
        }
        let answer = match refusal::of_job(sql) {
            Some(sentence) => Err(DbError::new(kind::DENIED, sentence)),
            None => run(self.connection()),
        };
        answer.map_err(|error| confined(error, principal, sql, owners))
    }
}

impl Within for Lent<'_> {
    fn dialect(&self) -> u32 {
        POSTGRES
    }

    fn slug(&self) -> &str {
        self.principal.slug()
    }

    fn rows(&mut self, twin: Twin, params: &[&str]) -> Result<TextRows, DbError> {
        self.connection().host_rows(twin.postgres, params)
    }
}

impl RawConn for Lent<'_> {
    fn dialect(&self) -> u32 {
        POSTGRES
    }

    fn execute(&mut self, query: Query<'_>) -> RResult<u64, DbError> {
        let keep = query.flags & flag::CACHE != 0;
        let (sql, params) = (query.sql.as_str(), query.params.as_slice());
        self.run(sql, |connection| connection.execute(sql, params, keep)).into()
    }

    fn query(&mut self, query: Query<'_>, out: &mut RowBatch) -> RResult<(), DbError> {
        let keep = query.flags & flag::CACHE != 0;
        let mut rows = Rows::new(query.flags & flag::NAMES != 0);
        if !self.principal.is_core()
            && let Some((function, argument)) = self.control.called(&query)
        {
            let answer = self.control.check().and_then(|()| function.call(self, argument));
            let answer = answer.and_then(|text| within::answer(&text, &mut rows));
            return answer.map(|()| *out = rows.finish()).into();
        }
        let (sql, params) = (query.sql.as_str(), query.params.as_slice());
        self.run(sql, |connection| connection.query(sql, params, keep, &mut rows))
            .map(|()| *out = rows.finish())
            .into()
    }

    // The depth is counted here: what the other side counts may differ by the platform's own transaction.
    fn tx(&mut self, op: u32, _depth: u32) -> RResult<(), DbError> {
        let (control, base) = (self.control, self.base);
        let connection = self.connection();
        let inside = connection.depth > base;
        match op {
            tx::BEGIN => control.check().and_then(|()| connection.begin_transaction()),
            tx::COMMIT if inside => control.check().and_then(|()| connection.commit_transaction()),
            tx::ROLLBACK if inside => connection.roll_back_transaction(),
            tx::COMMIT | tx::ROLLBACK => Err(DbError::new(
                kind::DENIED,
                "the transaction around the job is the platform's: answer from the job to end it",
            )),
            _ => Err(DbError::new(kind::OTHER, "this platform does not know the operation")),
        }
        .into()
    }

    fn cancelled(&self) -> bool {
        self.control.is_cancelled()
    }
}
