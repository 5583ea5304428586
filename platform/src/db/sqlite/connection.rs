//! One connection, and the way it is lent to a job.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use diesel::connection::SimpleConnection;
use powernode_abi::{
    DbError, JobObject, Query, RowBatch,
    abi_stable::{RMut, sabi_trait::TD_Opaque, std_types::RResult},
    data::{RawConn, RawConn_TO, SQLITE, flag, kind, mode, tx},
};

use super::{
    authorizer::Purpose,
    errors::{db_error, fault_of},
    raw::{Failure, Raw},
};
use crate::db::{
    Principal,
    health::{Fault, Health},
    job::{Control, judge, leaked},
    owners::Owners,
    rows::Rows,
    session::TextRows,
    settings::Durability,
    within::{self, Twin, Within},
};

/// How long to wait for others who open the same file for the first time.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// A number in the file's head that nobody uses.
const VERSION: &str = "SELECT CAST(user_version AS TEXT) FROM pragma_user_version";

fn is_locked(error: &diesel::result::Error) -> bool {
    let diesel::result::Error::DatabaseError(_, information) = error else { return false };
    information.message().contains("database is locked")
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Cannot write.
    Reader,
    /// The one that writes.
    Writer,
}

/// An open connection, with the transaction that it is in.
pub(crate) struct Connection {
    raw: Raw,
    role: Role,
    host: Arc<str>,
    owners: Arc<Owners>,
    health: Arc<Health>,
    depth: u32,
    broken: bool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role)
            .field("depth", &self.depth)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Opens the database at `path`.
    pub(super) fn open(
        path: &str,
        role: Role,
        durability: Durability,
        owners: Arc<Owners>,
        health: Arc<Health>,
    ) -> Result<Self, diesel::ConnectionError> {
        let mut raw = Raw::open(path)?;
        let synchronous = match durability {
            Durability::Normal => "NORMAL",
            Durability::Full => "FULL",
        };
        let mut pragmas = format!(
            "PRAGMA busy_timeout = 5000;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = {synchronous};
             PRAGMA foreign_keys = ON;
             PRAGMA case_sensitive_like = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -8000;
             PRAGMA trusted_schema = OFF;"
        );
        if role == Role::Reader {
            pragmas.push_str("PRAGMA query_only = ON;");
        }
        // Of processes that make the file together, one turns its log on, and SQLite does not let the others wait.
        let began = Instant::now();
        loop {
            match raw.diesel().batch_execute(&pragmas) {
                Ok(()) => break,
                Err(error) if is_locked(&error) && began.elapsed() < OPEN_TIMEOUT => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => {
                    return Err(diesel::ConnectionError::CouldntSetupConfiguration(error));
                }
            }
        }
        Ok(Self { raw, role, host: "".into(), owners, health, depth: 0, broken: false })
    }

    /// Whether it may be lent again.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whose what is.
    pub(super) fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Runs `job` for `principal`, and leaves no transaction behind.
    pub(super) fn run_job(
        &mut self,
        principal: &Principal,
        mode: u32,
        job: &mut JobObject,
        control: &Control,
    ) -> Result<(), DbError> {
        control.check()?;
        let base = u32::from(mode == mode::TRANSACTION);
        if base == 1 {
            self.begin_transaction()?;
        }
        self.raw.authorizer().confine(principal.clone(), Purpose::Rows);
        let interrupter = self.raw.interrupter();
        control.arm(move || interrupter.interrupt());
        let owner: Arc<str> = principal.slug().into();
        let mut lent = Lent { connection: Mutex::new(self), principal, owner, control, base };
        let lent_object = RawConn_TO::from_ptr(RMut::new(&mut lent), TD_Opaque);
        let answer = job.run(lent_object);
        control.disarm();
        let ended = judge(answer).and_then(|()| control.check());
        let lost = self.is_lost();
        if let (Ok(()), false, true) = (&ended, lost, base == 1 && self.depth == 1) {
            let committed = self.commit_transaction();
            if committed.is_err() {
                self.roll_back_all();
            }
            return committed;
        }
        let leaks = self.depth > base;
        self.roll_back_all();
        match ended {
            Ok(()) if lost => Err(DbError::new(kind::ROLLED_BACK, LOST)),
            Ok(()) if leaks => Err(leaked()),
            ended => ended,
        }
    }

    /// Runs the platform's own statement.
    pub(crate) fn host(
        &mut self,
        sql: &str,
        params: &[powernode_abi::Param<'_>],
        out: Option<&mut Rows>,
    ) -> Result<u64, DbError> {
        let was = self.raw.authorizer().set_host(true);
        let owner = Arc::clone(&self.host);
        let answer = self.raw.run(&owner, sql, params, true, out);
        self.raw.authorizer().set_host(was);
        answer.map_err(|failure| self.failed(failure))
    }

    /// Writes something that changes nothing, to see whether that works.
    pub(crate) fn touch(&mut self) -> Result<(), DbError> {
        self.begin_transaction()?;
        let mut rows = Rows::default();
        let touched = self.host(VERSION, &[], Some(&mut rows)).and_then(|_| {
            let version = rows.texts().into_iter().flatten().next().unwrap_or_default();
            let version: i64 = version.parse().unwrap_or_default();
            self.host(&format!("PRAGMA user_version = {version}"), &[], None)?;
            self.commit_transaction()
        });
        self.roll_back_all();
        touched
    }

    /// Writes a whole copy of the database to the file `to`, out of what is open here.
    pub(super) fn copy_to(&mut self, to: &str) -> Result<(), DbError> {
        self.raw.authorizer().set_host(true);
        let copied = self.raw.copy_to(to);
        copied.map_err(db_error)
    }

    /// A failure in the interface's words; what it says of the database's health is noted.
    fn failed(&self, failure: Failure) -> DbError {
        let fault = fault_of(&failure, self.role);
        let mut error = db_error(failure);
        if let Some(fault) = fault {
            // Not the statement's fault, as it would be a reader's.
            if fault == Fault::ReadOnly {
                error.kind = kind::CLOSED;
            }
            self.health.found(fault);
        }
        error
    }

    /// Runs a script, as the platform's own or as a migration of `principal`'s.
    pub(crate) fn run_script(
        &mut self,
        principal: Option<&Principal>,
        sql: &str,
    ) -> Result<(), DbError> {
        match principal {
            Some(principal) => {
                self.raw.authorizer().confine(principal.clone(), Purpose::Shape);
            }
            None => {
                self.raw.authorizer().set_host(true);
            }
        }
        let answer = self.raw.script(sql);
        self.raw.authorizer().set_host(true);
        let answer = answer.map_err(|failure| self.failed(failure));
        if let (Some(principal), Err(error)) = (principal, &answer) {
            self.owners.refused(principal, sql, error);
        }
        answer
    }

    /// Begins a transaction; the writer's at once with its lock.
    pub(crate) fn begin_transaction(&mut self) -> Result<(), DbError> {
        let sql = match (self.depth, self.role) {
            (0, Role::Writer) => "BEGIN IMMEDIATE".to_owned(),
            (0, Role::Reader) => "BEGIN".to_owned(),
            (depth, _) => format!("SAVEPOINT powernode_{depth}"),
        };
        self.host(&sql, &[], None)?;
        self.depth += 1;
        Ok(())
    }

    /// Commits the innermost transaction; on an error it is still open.
    pub(crate) fn commit_transaction(&mut self) -> Result<(), DbError> {
        let sql = match self.depth {
            0 => return Err(DbError::new(kind::OTHER, "there is no transaction to commit")),
            1 => "COMMIT".to_owned(),
            depth => format!("RELEASE powernode_{}", depth - 1),
        };
        if self.is_lost() {
            return Err(DbError::new(kind::ROLLED_BACK, LOST));
        }
        self.host(&sql, &[], None)?;
        self.depth -= 1;
        Ok(())
    }

    /// Rolls the innermost transaction back.
    pub(crate) fn roll_back_transaction(&mut self) -> Result<(), DbError> {
        match self.depth {
            0 => return Err(DbError::new(kind::OTHER, "there is no transaction to roll back")),
            // SQLite may have rolled back by itself.
            _ if self.is_lost() => {}
            1 => {
                self.host("ROLLBACK", &[], None)?;
            }
            depth => {
                self.host(&format!("ROLLBACK TO powernode_{}", depth - 1), &[], None)?;
                self.host(&format!("RELEASE powernode_{}", depth - 1), &[], None)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Leaves all transactions.
    pub(crate) fn roll_back_all(&mut self) {
        self.depth = 0;
        if !self.raw.is_autocommit() && self.host("ROLLBACK", &[], None).is_err() {
            self.broken = !self.raw.is_autocommit();
        }
        self.raw.authorizer().set_host(true);
    }

    /// Whether SQLite rolled the transaction back by itself.
    fn is_lost(&self) -> bool {
        self.depth > 0 && self.raw.is_autocommit()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.roll_back_all();
        if self.role == Role::Writer && !self.broken {
            // Nothing depends on it: the next one who closes tries again.
            drop(self.host("PRAGMA optimize", &[], None));
        }
    }
}

const LOST: &str =
    "the database rolled the transaction back after an earlier error: roll it back too";

/// A connection while a job has it.
struct Lent<'a> {
    // What is lent has to be Sync; nothing ever locks it.
    connection: Mutex<&'a mut Connection>,
    principal: &'a Principal,
    owner: Arc<str>,
    control: &'a Control,
    /// 1 where the platform began the job's transaction.
    base: u32,
}

impl Lent<'_> {
    fn connection(&mut self) -> &mut Connection {
        self.connection.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&mut self, query: &Query<'_>, out: Option<&mut Rows>) -> Result<u64, DbError> {
        self.control.check()?;
        let (owner, principal) = (Arc::clone(&self.owner), self.principal);
        let connection = self.connection();
        if connection.is_lost() {
            return Err(DbError::new(kind::ROLLED_BACK, LOST));
        }
        let keep = query.flags & flag::CACHE != 0;
        let sql = query.sql.as_str();
        connection.raw.run(&owner, sql, query.params.as_slice(), keep, out).map_err(|error| {
            let error = connection.failed(error);
            connection.owners.refused(principal, sql, &error);
            error
        })
    }
}

impl Within for Lent<'_> {
    fn dialect(&self) -> u32 {
        SQLITE
    }

    fn slug(&self) -> &str {
        self.principal.slug()
    }

    fn rows(&mut self, twin: Twin, params: &[&str]) -> Result<TextRows, DbError> {
        let connection = self.connection();
        if connection.is_lost() {
            return Err(DbError::new(kind::ROLLED_BACK, LOST));
        }
        let mut rows = Rows::default();
        connection.host(twin.sqlite, &within::texts(params), Some(&mut rows))?;
        Ok(rows.texts())
    }
}

impl RawConn for Lent<'_> {
    fn dialect(&self) -> u32 {
        SQLITE
    }

    fn execute(&mut self, query: Query<'_>) -> RResult<u64, DbError> {
        self.run(&query, None).into()
    }

    fn query(&mut self, query: Query<'_>, out: &mut RowBatch) -> RResult<(), DbError> {
        let mut rows = Rows::new(query.flags & flag::NAMES != 0);
        if !self.principal.is_core()
            && let Some((function, argument)) = self.control.called(&query)
        {
            let answer = self.control.check().and_then(|()| function.call(self, argument));
            let answer = answer.and_then(|text| within::answer(&text, &mut rows));
            return answer.map(|()| *out = rows.finish()).into();
        }
        self.run(&query, Some(&mut rows)).map(|_| *out = rows.finish()).into()
    }

    // The depth is counted here: what the other side counts may differ by the platform's own transaction.
    fn tx(&mut self, op: u32, _depth: u32) -> RResult<(), DbError> {
        let control = self.control;
        let base = self.base;
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
