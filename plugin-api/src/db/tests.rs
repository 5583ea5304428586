//! Jobs on a platform that is played: what is sent, and what becomes of each answer.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use diesel::{
    connection::{SimpleConnection, TransactionManager},
    prelude::*,
    result::{DatabaseErrorKind, Error},
};
use powernode_abi::{
    DbError, JobObject, PFuture, Query, RowBatch,
    abi_stable::{
        RMut,
        sabi_trait::TD_Opaque,
        std_types::{
            RArc,
            RResult::{self, RErr, ROk},
        },
    },
    data::{POSTGRES, RawConn, RawConn_TO, RawDb, RawDb_TO, kind, outcome, tx},
};

use super::*;

/// Notes what reaches the platform, and fails what it is told to.
#[derive(Clone, Default)]
struct Played {
    notes: Arc<Mutex<Vec<String>>>,
    failing: &'static [&'static str],
    answer: Option<u32>,
    idle: bool,
}

impl Played {
    fn note(&self, note: String) -> RResult<(), DbError> {
        let fails = self.failing.contains(&note.as_str());
        self.notes.lock().unwrap().push(note.clone());
        if fails { RErr(DbError::new(kind::SERIALIZATION, note)) } else { ROk(()) }
    }

    fn notes(&self) -> String {
        self.notes.lock().unwrap().join(", ")
    }

    fn db(&self) -> Db {
        Db::new(RawDb_TO::from_ptr(RArc::new(self.clone()), TD_Opaque))
    }
}

impl RawConn for Played {
    fn dialect(&self) -> u32 {
        POSTGRES
    }

    fn execute(&mut self, query: Query<'_>) -> RResult<u64, DbError> {
        self.note(query.sql.to_string()).map(|()| 1)
    }

    fn query(&mut self, query: Query<'_>, _: &mut RowBatch) -> RResult<(), DbError> {
        self.note(query.sql.to_string())
    }

    fn tx(&mut self, op: u32, depth: u32) -> RResult<(), DbError> {
        let op = match op {
            tx::BEGIN => "begin",
            tx::COMMIT => "commit",
            _ => "rollback",
        };
        self.note(format!("{op} {depth}"))
    }

    fn cancelled(&self) -> bool {
        false
    }
}

impl RawDb for Played {
    fn dialect(&self) -> u32 {
        POSTGRES
    }

    fn run(&self, _: u32, mut job: JobObject) -> PFuture<RResult<(), DbError>> {
        if self.idle {
            return PFuture::ready(ROk(()));
        }
        let mut conn = self.clone();
        let answer = job.run(RawConn_TO::from_ptr(RMut::new(&mut conn), TD_Opaque));
        let judged = match (self.answer, answer) {
            (Some(kind), _) => RErr(DbError::new(kind, "no")),
            (None, outcome::OK) => ROk(()),
            (None, outcome::FAILED) => RErr(DbError::new(kind::ROLLED_BACK, "rolled back")),
            (None, _) => RErr(DbError::new(kind::PANICKED, "panicked")),
        };
        PFuture::ready(judged)
    }
}

fn done<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a played job is done at once"),
    }
}

#[track_caller]
fn check_transaction(
    failing: &'static [&'static str],
    work: fn(&mut HostConnection) -> QueryResult<()>,
    expected: &str,
) -> QueryResult<()> {
    let played = Played { failing, ..Played::default() };
    let answer = done(played.db().transaction(work));
    assert_eq!(played.notes(), expected);
    answer
}

fn nested(conn: &mut HostConnection) -> QueryResult<()> {
    conn.transaction(|conn| conn.batch_execute("a"))
}

#[test]
fn depths_count_the_platforms_transaction() {
    check_transaction(&[], nested, "begin 1, a, commit 2").unwrap();
    let played = Played::default();
    done(played.db().write(nested)).unwrap();
    assert_eq!(played.notes(), "begin 0, a, commit 1");
}

#[test]
fn a_failing_statement_rolls_its_savepoint_back() {
    check_transaction(&["a"], nested, "begin 1, a, rollback 2").unwrap_err();
}

#[test]
fn a_failing_commit_is_rolled_back() {
    let answer = check_transaction(&["commit 2"], nested, "begin 1, a, commit 2, rollback 2");
    assert!(matches!(
        answer,
        Err(Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _))
    ));
}

#[test]
fn after_a_failing_rollback_nothing_is_sent() {
    let work = |conn: &mut HostConnection| {
        nested(conn).unwrap_err();
        assert!(matches!(conn.batch_execute("b"), Err(Error::BrokenTransactionManager)));
        nested(conn)
    };
    let answer = check_transaction(&["a", "rollback 2"], work, "begin 1, a, rollback 2");
    assert!(matches!(answer, Err(Error::BrokenTransactionManager)));
}

#[test]
fn the_platforms_transaction_is_not_the_jobs_to_end() {
    let work = |conn: &mut HostConnection| HostTransactions::commit_transaction(conn);
    assert!(matches!(check_transaction(&[], work, ""), Err(Error::NotInTransaction)));
}

#[test]
fn a_batch_of_several_statements_is_one_transaction() {
    diesel::table! { rows (id) { id -> BigInt, a -> Integer, } }
    let played = Played::default();
    let count = done(played.db().write(|conn| {
        let values: Vec<_> =
            (0..40_000).map(|n| (rows::id.eq(i64::from(n)), rows::a.eq(n))).collect();
        diesel::insert_into(rows::table).values(values).execute(conn)
    }));
    assert_eq!(count, Ok(2));
    let notes = played.notes.lock().unwrap();
    assert_eq!((notes.len(), notes[0].as_str(), notes[3].as_str()), (4, "begin 0", "commit 1"));
}

#[derive(Debug, PartialEq)]
enum Own {
    Mine,
    Theirs(String),
}

impl From<RunError> for Own {
    fn from(error: RunError) -> Self {
        Self::Theirs(format!("{error:?}"))
    }
}

#[track_caller]
fn check_answer(
    answer: Option<u32>,
    work: fn(&mut HostConnection) -> Result<u8, Own>,
    expected: Result<u8, Own>,
) {
    let played = Played { answer, ..Played::default() };
    assert_eq!(done(played.db().transaction(work)), expected);
}

fn theirs(text: &str) -> Result<u8, Own> {
    Err(Own::Theirs(text.into()))
}

#[test]
fn what_the_closure_answers_comes_back() {
    check_answer(None, |_| Ok(7), Ok(7));
    check_answer(None, |_| Err(Own::Mine), Err(Own::Mine));
}

#[test]
fn an_error_of_the_closure_outranks_the_platforms() {
    check_answer(Some(kind::CANCELLED), |_| Err(Own::Mine), Err(Own::Mine));
}

#[test]
fn a_value_without_a_commit_is_an_error() {
    check_answer(Some(kind::CANCELLED), |_| Ok(7), theirs(r#"Cancelled("no")"#));
    check_answer(Some(kind::LEAKED), |_| Ok(7), theirs(r#"Leaked("no")"#));
    check_answer(
        Some(kind::SERIALIZATION),
        |_| Ok(7),
        theirs(r#"Database(DatabaseError(SerializationFailure, "no"))"#),
    );
    check_answer(Some(4_000), |_| Ok(7), theirs(r#"Database(DatabaseError(Unknown, "no"))"#));
}

#[test]
fn a_panic_comes_back_as_its_text() {
    check_answer(None, |_| panic!("on purpose"), theirs(r#"Panicked("on purpose")"#));
}

#[test]
fn a_job_that_did_not_run_is_no_success() {
    let played = Played { idle: true, ..Played::default() };
    let answer = done(played.db().read(|_| Ok::<_, RunError>(())));
    assert!(matches!(answer, Err(RunError::Other(_))));
}

#[test]
fn a_value_whose_drop_panics_is_kept_from_the_caller() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("in a drop")
        }
    }
    let played = Played { answer: Some(kind::CANCELLED), ..Played::default() };
    let answer = done(played.db().write(|_| Ok::<_, RunError>(Bad)));
    assert!(matches!(answer, Err(RunError::Cancelled(_))));
}

#[test]
fn a_connection_is_not_established() {
    let made = HostConnection::establish("postgres://somewhere");
    assert!(matches!(made, Err(ConnectionError::BadConnection(_))));
}
