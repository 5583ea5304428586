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
             CREATE INDEX blog_posts_title ON blog_posts (title);
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

/// Polls `future` once; answers whether it waits.
async fn waits<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
    })
    .await
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

#[test]
fn a_dropped_job_is_stopped_and_rolled_back() {
    let fixture = Fixture::new();
    let began = std::time::Instant::now();
    let endless = "WITH RECURSIVE shop_n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM shop_n) \
                   SELECT count(i) FROM shop_n";
    let (running, runs) = std::sync::mpsc::channel();
    let (ended, end) = std::sync::mpsc::channel();
    let job = fixture.shop().run(
        mode::TRANSACTION,
        job(Closure(Some(move |conn: &mut ConnMut<'_>| {
            execute(conn, ADD).unwrap();
            running.send(()).unwrap();
            let error = query(conn, endless, &[]).unwrap_err();
            let after = execute(conn, ADD).unwrap_err();
            ended.send((error.kind, after.kind, conn.cancelled())).unwrap();
            outcome::OK
        }))),
    );
    block_on(async {
        let mut job = Box::pin(job);
        // The first poll sends the job on its way.
        assert!(waits(&mut job).await);
        runs.recv().unwrap();
        drop(job);
    });
    assert_eq!(end.recv().unwrap(), (kind::CANCELLED, kind::CANCELLED, true));
    an_ordinary_write_works(&fixture);
    check_count(&fixture, 1);
    assert!(began.elapsed().as_secs() < 20);
}

#[test]
fn who_waits_too_long_is_told() {
    let fixture = Fixture::with(|settings| {
        settings.acquire_timeout = std::time::Duration::from_millis(50);
    });
    let (release, released) = std::sync::mpsc::channel::<()>();
    let shop = fixture.shop();
    let holder = shop.run(
        mode::WRITE,
        job(Closure(Some(move |_: &mut ConnMut<'_>| {
            released.recv().unwrap();
            outcome::OK
        }))),
    );
    block_on(async {
        let mut holder = Box::pin(holder);
        assert!(waits(&mut holder).await);
        let second = job(Closure(Some(|_: &mut ConnMut<'_>| outcome::OK)));
        let error = shop.run(mode::WRITE, second).await.unwrap().into_result().unwrap_err();
        assert_eq!(error.kind, kind::POOL);
        assert_eq!(error.message, "no database connection became free within 0.05 s");
        release.send(()).unwrap();
        holder.await.unwrap().into_result().unwrap();
    });
}

#[test]
fn an_answer_has_a_limit() {
    let fixture = Fixture::new();
    run(&fixture.shop(), mode::READ, |conn| {
        let many = "WITH RECURSIVE shop_n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM shop_n) \
                    SELECT zeroblob(1000000) FROM shop_n";
        assert_eq!(query(conn, many, &[]).unwrap_err().kind, kind::TOO_LARGE);
        outcome::OK
    })
    .unwrap();
}

#[test]
fn a_full_database_is_said_so_and_recovers() {
    let fixture = Fixture::new();
    fixture.host("PRAGMA max_page_count = 1;");
    run(&fixture.shop(), mode::TRANSACTION, |conn| {
        let big = "INSERT INTO shop_items (name) VALUES (hex(zeroblob(1000000)))";
        let error = execute(conn, big).unwrap_err();
        assert_eq!(error.kind, kind::FULL, "{error}");
        outcome::FAILED
    })
    .unwrap_err();
    fixture.host("PRAGMA max_page_count = 1000000;");
    an_ordinary_write_works(&fixture);
    check_count(&fixture, 1);
}

#[test]
fn a_statement_kept_for_one_is_not_anothers() {
    let fixture = Fixture::new();
    let peek = "SELECT title FROM blog_posts";
    run(&fixture.engine.for_extension("blog"), mode::READ, move |conn| {
        query(conn, peek, &[]).unwrap();
        outcome::OK
    })
    .unwrap();
    // Every reader, so that the one that kept it is among them.
    for _ in 0..8 {
        run(&fixture.shop(), mode::READ, move |conn| {
            assert_eq!(query(conn, peek, &[]).unwrap_err().kind, kind::DENIED);
            outcome::OK
        })
        .unwrap();
    }
}

#[test]
fn foreign_keys_to_the_core_work_both_ways() {
    let fixture = Fixture::new();
    run(&fixture.shop(), mode::WRITE, |conn| {
        let sql = "INSERT INTO shop_items (name, account_id) VALUES ('tea', x'01')";
        assert_eq!(execute(conn, sql).unwrap(), 1);
        outcome::OK
    })
    .unwrap();
    let core = fixture.engine.core_object();
    run(&core, mode::WRITE, |conn| {
        assert_eq!(execute(conn, "DELETE FROM core_accounts WHERE id = x'01'").unwrap(), 1);
        assert_eq!(query(conn, "SELECT id FROM shop_items", &[]).unwrap_err().kind, kind::DENIED);
        outcome::OK
    })
    .unwrap();
    check_count(&fixture, 0);
}

#[test]
fn an_extension_touches_its_own_tables_alone() {
    let fixture = Fixture::new();
    for &(case, sql) in ATTEMPTS {
        assert_eq!(attempt(&fixture, sql), "denied", "{case}");
    }
    // What is its own is not denied, by the same means.
    assert_eq!(attempt(&fixture, "SELECT name FROM shop_items"), "answered");
    let left = fixture.engine.session().unwrap().rows("SELECT title FROM blog_posts", &[]).unwrap();
    assert_eq!(left.concat(), ["secret"]);
}

/// Lets `shop` run a statement; answers what became of it.
fn attempt(fixture: &Fixture, sql: &'static str) -> String {
    let (sender, got) = std::sync::mpsc::channel();
    let ran = run(&fixture.shop(), mode::WRITE, move |conn| {
        execute(conn, "INSERT OR IGNORE INTO shop_items (name) VALUES ('tea')").unwrap();
        sender.send(query(conn, sql, &[])).unwrap();
        outcome::OK
    });
    match (got.recv().unwrap(), ran) {
        (Err(error), Ok(())) if error.kind == kind::DENIED => "denied".to_owned(),
        (Err(error), Ok(())) => error.message.into(),
        (Ok(_), Ok(())) => "answered".to_owned(),
        (_, Err(error)) => format!("the job failed: {error}"),
    }
}

const ATTEMPTS: &[(&str, &str)] = &[
    ("read", "SELECT title FROM blog_posts"),
    ("read all", "SELECT * FROM blog_posts"),
    ("read, capitals", "SELECT title FROM BLOG_POSTS"),
    ("read, qualified", "SELECT title FROM main.blog_posts"),
    ("count", "SELECT count(*) FROM blog_posts"),
    ("exists", "SELECT EXISTS (SELECT 1 FROM blog_posts)"),
    ("join", "SELECT 1 FROM shop_items JOIN blog_posts USING (id)"),
    ("subquery", "SELECT (SELECT title FROM blog_posts)"),
    ("with", "WITH shop_x AS (SELECT title FROM blog_posts) SELECT * FROM shop_x"),
    ("union", "SELECT name FROM shop_items UNION SELECT title FROM blog_posts"),
    ("copy", "INSERT INTO shop_items (name) SELECT title FROM blog_posts"),
    (
        "upsert",
        "INSERT INTO shop_items (name) VALUES ('x') ON CONFLICT DO UPDATE SET name = (SELECT title FROM blog_posts)",
    ),
    (
        "returning",
        "INSERT INTO shop_items (name) VALUES ('y') RETURNING (SELECT title FROM blog_posts)",
    ),
    ("insert", "INSERT INTO blog_posts (title) VALUES ('x')"),
    ("replace", "REPLACE INTO blog_posts (id, title) VALUES (1, 'x')"),
    ("update", "UPDATE blog_posts SET title = 'x'"),
    ("update from", "UPDATE shop_items SET name = title FROM blog_posts"),
    ("delete", "DELETE FROM blog_posts"),
    ("own view", "SELECT title FROM shop_peek"),
    ("own view, count", "SELECT count(*) FROM shop_peek"),
    ("own trigger", "UPDATE shop_items SET name = 'z'"),
    ("account", "SELECT id FROM core_accounts"),
    ("account's name", "SELECT name FROM core_accounts"),
    ("accounts copied", "INSERT INTO shop_items (account_id) SELECT id FROM core_accounts"),
    ("user", "SELECT email FROM core_users"),
    ("account deleted", "DELETE FROM core_accounts"),
    ("catalog", "SELECT sql FROM sqlite_master"),
    ("catalog, new name", "SELECT sql FROM sqlite_schema"),
    ("temporary catalog", "SELECT sql FROM sqlite_temp_master"),
    ("sequence", "SELECT * FROM sqlite_sequence"),
    ("sequence set", "UPDATE sqlite_sequence SET seq = 0"),
    ("pragma", "PRAGMA foreign_keys = OFF"),
    ("pragma read", "PRAGMA table_info(blog_posts)"),
    ("pragma function", "SELECT * FROM pragma_table_info('blog_posts')"),
    ("pragma list", "SELECT * FROM pragma_table_list"),
    ("dbstat", "SELECT * FROM dbstat"),
    ("writable schema", "PRAGMA writable_schema = ON"),
    ("attach", "ATTACH ':memory:' AS other"),
    ("detach", "DETACH main"),
    ("begin", "BEGIN"),
    ("commit", "COMMIT"),
    ("rollback", "ROLLBACK"),
    ("savepoint", "SAVEPOINT x"),
    ("release", "RELEASE x"),
    ("two statements", "SELECT 1; DELETE FROM blog_posts"),
    ("two statements, own", "SELECT 1; SELECT 2"),
    ("commit, then attach", "COMMIT; ATTACH ':memory:' AS other"),
    ("create table", "CREATE TABLE shop_more (id INTEGER)"),
    ("create temporary table", "CREATE TEMP TABLE shop_more (id INTEGER)"),
    ("create view", "CREATE VIEW shop_more AS SELECT 1"),
    ("create temporary view", "CREATE TEMP VIEW shop_more AS SELECT 1"),
    ("create trigger", "CREATE TRIGGER shop_t AFTER INSERT ON shop_items BEGIN SELECT 1; END"),
    (
        "create temporary trigger",
        "CREATE TEMP TRIGGER shop_t AFTER INSERT ON blog_posts BEGIN SELECT 1; END",
    ),
    ("create index", "CREATE INDEX shop_i ON shop_items (name)"),
    ("create virtual table", "CREATE VIRTUAL TABLE shop_f USING fts5(x)"),
    ("drop table", "DROP TABLE blog_posts"),
    ("drop own table", "DROP TABLE shop_items"),
    ("alter table", "ALTER TABLE blog_posts RENAME TO shop_posts"),
    ("alter own table", "ALTER TABLE shop_items RENAME TO blog_items"),
    ("reindex", "REINDEX blog_posts"),
    ("analyze", "ANALYZE"),
    ("vacuum", "VACUUM"),
    ("vacuum into", "VACUUM INTO '/tmp/powernode-copy.db'"),
    ("load extension", "SELECT load_extension('x')"),
    ("tokenizer", "SELECT fts3_tokenizer('simple')"),
    ("explain", "EXPLAIN QUERY PLAN SELECT title FROM blog_posts"),
];

#[test]
fn the_core_waits_for_an_extension_that_writes_without_end_for_seconds_at_most() {
    const ENDLESS: &str = "INSERT INTO shop_items (name) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
        SELECT 'tea ' || i FROM n";
    let fixture = Fixture::new();
    let (shop, engine) = (fixture.shop(), fixture.engine.clone());
    let (begun, begins) = std::sync::mpsc::channel();
    let runaway = std::thread::spawn(move || {
        run(&shop, mode::TRANSACTION, move |conn| {
            execute(conn, ADD).unwrap();
            begun.send(()).unwrap();
            u32::from(execute(conn, ENDLESS).is_err())
        })
    });
    begins.recv().unwrap();
    // Another of the extension's does not come between.
    let (shop, later) =
        (fixture.shop(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let done = later.clone();
    let next = std::thread::spawn(move || {
        run(&shop, mode::TRANSACTION, move |conn| {
            done.store(true, std::sync::atomic::Ordering::SeqCst);
            execute(conn, "INSERT INTO shop_items (name) VALUES ('coffee')").unwrap();
            outcome::OK
        })
    });
    std::thread::sleep(std::time::Duration::from_millis(50));
    let waited = std::time::Instant::now();
    run(&engine.core_object(), mode::WRITE, move |conn| {
        assert!(
            !later.load(std::sync::atomic::Ordering::SeqCst),
            "the extension's next went first"
        );
        u32::from(execute(conn, "UPDATE core_accounts SET name = 'two'").is_err())
    })
    .unwrap();
    assert!(waited.elapsed() < std::time::Duration::from_secs(4), "{:?}", waited.elapsed());
    let interrupted = runaway.join().unwrap().unwrap_err();
    assert_eq!(interrupted.kind, kind::CANCELLED, "{interrupted}");
    assert!(interrupted.message.contains("while the platform waited"), "{interrupted}");
    next.join().unwrap().unwrap();
    check_count(&fixture, 1);
}
