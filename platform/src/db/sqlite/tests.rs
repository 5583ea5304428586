//! What a job may expect of the embedded engine, and what it may not do.

use powernode_abi::{
    DbError, DbObject, Param, Query, RowBatch,
    abi_stable::std_types::RResult,
    data::{ConnMut, RawJob, flag, job, kind, mode, outcome, tag, tx},
};

use crate::db::{DatabaseSettings, Engine, Principal};

/// A job made of a closure.
struct Closure<F>(Option<F>);

impl<F: FnOnce(&mut ConnMut<'_>) -> u32 + Send + 'static> RawJob for Closure<F> {
    fn run(&mut self, mut conn: ConnMut<'_>) -> u32 {
        self.0.take().map_or(outcome::FAILED, |body| body(&mut conn))
    }
}

/// A database in a folder that goes away with it.
struct Fixture {
    engine: Engine,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut DatabaseSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = DatabaseSettings::sqlite(folder.path().join("powernode.db"));
        change(&mut settings);
        let engine = Engine::open(&settings).unwrap();
        let fixture = Self { engine, _folder: folder };
        fixture.host(
            "CREATE TABLE core_accounts (id BLOB PRIMARY KEY, name TEXT);
             CREATE TABLE core_users (id BLOB PRIMARY KEY, email TEXT);
             CREATE TABLE shop_items (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE,
                account_id BLOB REFERENCES core_accounts (id) ON DELETE CASCADE);
             CREATE TABLE blog_posts (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT);
             INSERT INTO core_accounts VALUES (x'01', 'one');
             INSERT INTO blog_posts (title) VALUES ('secret');
             CREATE VIEW shop_peek AS SELECT title FROM blog_posts;
             CREATE TRIGGER shop_spill AFTER UPDATE ON shop_items
                BEGIN INSERT INTO blog_posts (title) VALUES (new.name); END;",
        );
        fixture
    }

    fn host(&self, sql: &str) {
        let mut session = self.engine.session().unwrap();
        session.script(&Principal::core(), sql).unwrap();
    }

    fn shop(&self) -> DbObject {
        self.engine.for_extension("shop")
    }
}

fn run<F>(db: &DbObject, mode: u32, body: F) -> Result<(), DbError>
where
    F: FnOnce(&mut ConnMut<'_>) -> u32 + Send + 'static,
{
    block_on(db.run(mode, job(Closure(Some(body))))).unwrap().into_result()
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn execute(conn: &mut ConnMut<'_>, sql: &str) -> Result<u64, DbError> {
    conn.execute(Query { sql: sql.into(), params: [].as_slice().into(), flags: 0 }).into_result()
}

fn query(conn: &mut ConnMut<'_>, sql: &str, params: &[Param<'_>]) -> Result<RowBatch, DbError> {
    let mut rows = RowBatch::default();
    let query = Query { sql: sql.into(), params: params.into(), flags: flag::CACHE | flag::NAMES };
    match conn.query(query, &mut rows) {
        RResult::ROk(()) => Ok(rows),
        RResult::RErr(error) => Err(error),
    }
}

fn count(conn: &mut ConnMut<'_>) -> u64 {
    query(conn, "SELECT count(id) FROM shop_items", &[]).unwrap().cells[0].val
}

#[track_caller]
fn check_count(fixture: &Fixture, expected: u64) {
    run(&fixture.shop(), mode::READ, move |conn| {
        assert_eq!(count(conn), expected);
        outcome::OK
    })
    .unwrap();
}

const ADD: &str = "INSERT INTO shop_items (name) VALUES ('tea')";

#[test]
fn an_answer_commits() {
    let fixture = Fixture::new();
    run(&fixture.shop(), mode::TRANSACTION, |conn| {
        assert_eq!(execute(conn, ADD).unwrap(), 1);
        outcome::OK
    })
    .unwrap();
    check_count(&fixture, 1);
}

#[track_caller]
fn check_undone(mode: u32, expected: u32, body: fn(&mut ConnMut<'_>) -> u32) {
    let fixture = Fixture::new();
    let error = run(&fixture.shop(), mode, body).unwrap_err();
    assert_eq!(error.kind, expected, "{error}");
    check_count(&fixture, 0);
    an_ordinary_write_works(&fixture);
}

#[track_caller]
fn an_ordinary_write_works(fixture: &Fixture) {
    run(&fixture.shop(), mode::TRANSACTION, |conn| {
        execute(conn, ADD).unwrap();
        outcome::OK
    })
    .unwrap();
}

#[test]
fn what_does_not_end_well_is_rolled_back() {
    check_undone(mode::TRANSACTION, kind::ROLLED_BACK, |conn| {
        execute(conn, ADD).unwrap();
        outcome::FAILED
    });
    check_undone(mode::TRANSACTION, kind::PANICKED, |conn| {
        execute(conn, ADD).unwrap();
        outcome::PANICKED
    });
    check_undone(mode::TRANSACTION, kind::LEAKED, |conn| {
        conn.tx(tx::BEGIN, 1).unwrap();
        execute(conn, ADD).unwrap();
        outcome::OK
    });
    check_undone(mode::WRITE, kind::LEAKED, |conn| {
        conn.tx(tx::BEGIN, 0).unwrap();
        execute(conn, ADD).unwrap();
        outcome::OK
    });
}

#[test]
fn savepoints_nest() {
    let fixture = Fixture::new();
    run(&fixture.shop(), mode::TRANSACTION, |conn| {
        execute(conn, ADD).unwrap();
        conn.tx(tx::BEGIN, 1).unwrap();
        execute(conn, "DELETE FROM shop_items").unwrap();
        conn.tx(tx::ROLLBACK, 2).unwrap();
        conn.tx(tx::BEGIN, 1).unwrap();
        execute(conn, "INSERT INTO shop_items (name) VALUES ('salt')").unwrap();
        conn.tx(tx::COMMIT, 2).unwrap();
        assert_eq!(conn.tx(tx::COMMIT, 1).unwrap_err().kind, kind::DENIED);
        outcome::OK
    })
    .unwrap();
    check_count(&fixture, 2);
}

#[test]
fn a_reader_cannot_write() {
    let fixture = Fixture::new();
    run(&fixture.shop(), mode::READ, |conn| {
        assert_eq!(execute(conn, ADD).unwrap_err().kind, kind::READ_ONLY);
        outcome::OK
    })
    .unwrap();
    check_count(&fixture, 0);
}

#[test]
fn parameters_are_found_by_their_number() {
    let fixture = Fixture::new();
    run(&fixture.shop(), mode::READ, |conn| {
        let number = |num| Param { tag: tag::BIGINT, null: 0, num, bytes: [].as_slice().into() };
        let rows = query(conn, "SELECT $2 - $1 AS x, $2", &[number(1), number(10)]).unwrap();
        assert_eq!(rows.cells.iter().map(|cell| cell.val).collect::<Vec<_>>(), [9, 10]);
        assert_eq!(rows.names[0], "x");
        let rows = query(conn, "SELECT ?, ?", &[number(1), number(2)]).unwrap();
        assert_eq!(rows.cells.iter().map(|cell| cell.val).collect::<Vec<_>>(), [1, 2]);
        let error = query(conn, "SELECT $1", &[]).unwrap_err();
        assert_eq!(error.message, "the statement has 1 parameters, 0 were given");
        outcome::OK
    })
    .unwrap();
}

#[test]
fn constraints_have_kinds() {
    let fixture = Fixture::new();
    run(&fixture.shop(), mode::WRITE, |conn| {
        execute(conn, ADD).unwrap();
        assert_eq!(execute(conn, ADD).unwrap_err().kind, kind::UNIQUE);
        let orphan = "INSERT INTO shop_items (name, account_id) VALUES ('x', x'09')";
        assert_eq!(execute(conn, orphan).unwrap_err().kind, kind::FOREIGN_KEY);
        outcome::OK
    })
    .unwrap();
}
