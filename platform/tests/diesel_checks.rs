//! What diesel can do through the SDK, tried on the platform's own side of the boundary.
//!
//! The same checks run from a built library as well; here they fail with a backtrace.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::{sync::Arc, time::Duration};

use diesel::{
    connection::TransactionManager,
    prelude::*,
    result::{DatabaseErrorKind, Error},
};
use powernode::{
    db::{DatabaseSettings, Engine},
    migrator::{ExtensionMigrations, Migrator},
    services::MasterKey,
};
use powernode_plugin_api::db::{Db, HostConnection, HostTransactions, RunError};
use powernode_tests::postgres::Cluster;

use self::tables::checks_pairs;

mod tables {
    diesel::table! {
        checks_pairs (one, two) {
            one -> Integer,
            two -> Integer,
            note -> Text,
        }
    }
}

/// A database with the tables of the checks, as their extension sees it.
struct Scene {
    db: Db,
    _dir: Option<tempfile::TempDir>,
}

impl Scene {
    fn new(settings: &DatabaseSettings, dir: Option<tempfile::TempDir>) -> Self {
        let engine = Engine::open(settings).unwrap();
        let key = MasterKey::generate().and_then(|key| MasterKey::parse(&key)).unwrap();
        engine.keep_with(Arc::new(key));
        let migrator = Migrator::new(&engine);
        let source =
            ExtensionMigrations { slug: "checks".into(), migrations: checks::migrations() };
        let plan = migrator.plan(&[source]).unwrap();
        for outcome in migrator.run(&plan).unwrap() {
            outcome.result.unwrap();
        }
        Self { db: Db::new(engine.for_extension("checks")), _dir: dir }
    }
}

/// One database of each kind; PostgreSQL where it is installed, and always under `CI=true`.
fn scenes() -> Vec<Scene> {
    let dir = tempfile::tempdir().unwrap();
    let settings = DatabaseSettings::sqlite(dir.path().join("test.db"));
    let mut scenes = vec![Scene::new(&settings, Some(dir))];
    if let Some(cluster) = Cluster::shared() {
        let settings = DatabaseSettings::postgres(cluster.database().unwrap());
        scenes.push(Scene::new(&settings, None));
    }
    scenes
}

fn pair(n: i32) -> impl FnOnce(&mut HostConnection) -> QueryResult<usize> + Send + 'static {
    move |conn| {
        diesel::insert_into(checks_pairs::table)
            .values((checks_pairs::one.eq(n), checks_pairs::two.eq(n), checks_pairs::note.eq("")))
            .execute(conn)
    }
}

async fn count(db: &Db) -> i64 {
    db.read(|conn| checks_pairs::table.count().get_result::<i64>(conn)).await.unwrap()
}

#[tokio::test]
async fn every_check_holds() {
    for Scene { db, _dir } in scenes() {
        let checks = db.transaction(|conn| Ok::<_, RunError>(checks::run(conn))).await.unwrap();
        let failed: Vec<_> = checks
            .iter()
            .filter_map(|check| Some(format!("{}: {}", check.name, check.outcome.as_ref().err()?)))
            .collect();
        assert!(
            failed.is_empty(),
            "{:?}, {} of {}:\n{}",
            db.dialect(),
            failed.len(),
            checks.len(),
            failed.join("\n")
        );
        assert!(checks.len() >= 64);
    }
}

#[tokio::test]
async fn a_job_that_answers_ok_is_committed() {
    for Scene { db, _dir } in scenes() {
        assert_eq!(db.transaction(pair(1)).await, Ok(1));
        assert_eq!(db.write(pair(2)).await, Ok(1));
        assert_eq!(count(&db).await, 2);
    }
}

#[derive(Debug, PartialEq)]
enum Own {
    Mine,
    Theirs(String),
}

impl From<RunError> for Own {
    fn from(error: RunError) -> Self {
        Self::Theirs(error.to_string())
    }
}

#[tokio::test]
async fn a_job_that_answers_an_error_is_rolled_back() {
    for Scene { db, _dir } in scenes() {
        let answer = db
            .transaction(|conn| {
                pair(1)(conn).map_err(RunError::from)?;
                Err::<(), _>(Own::Mine)
            })
            .await;
        assert_eq!(answer, Err(Own::Mine));
        assert_eq!(count(&db).await, 0);
    }
}

#[tokio::test]
async fn a_job_that_panics_is_rolled_back() {
    for Scene { db, _dir } in scenes() {
        let answer: Result<(), RunError> = db
            .transaction(|conn| {
                pair(1)(conn)?;
                panic!("on purpose")
            })
            .await;
        assert!(matches!(answer, Err(RunError::Panicked(text)) if text == "on purpose"));
        assert_eq!(count(&db).await, 0);
        assert_eq!(db.transaction(pair(2)).await, Ok(1));
    }
}

#[tokio::test]
async fn a_transaction_left_open_is_rolled_back() {
    for Scene { db, _dir } in scenes() {
        let answer: Result<(), RunError> = db
            .write(|conn| {
                HostTransactions::begin_transaction(conn)?;
                pair(1)(conn)?;
                Ok(())
            })
            .await;
        assert!(matches!(answer, Err(RunError::Leaked(_))), "{answer:?}");
        assert_eq!(count(&db).await, 0);
    }
}

#[tokio::test]
async fn the_platforms_transaction_cannot_be_ended_by_a_job() {
    for Scene { db, _dir } in scenes() {
        let answer: Result<(), Error> = db
            .transaction(|conn| {
                pair(1)(conn)?;
                let committed = HostTransactions::commit_transaction(conn);
                assert!(matches!(committed, Err(Error::NotInTransaction)));
                HostTransactions::rollback_transaction(conn)
            })
            .await;
        assert!(matches!(answer, Err(Error::NotInTransaction)), "{answer:?}");
        assert_eq!(count(&db).await, 0);
    }
}

#[tokio::test]
async fn a_read_cannot_write() {
    for Scene { db, _dir } in scenes() {
        let answer = db.read(pair(1)).await;
        assert!(
            matches!(&answer, Err(Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _))),
            "{answer:?}"
        );
        assert_eq!(count(&db).await, 0);
    }
}

#[tokio::test]
async fn a_violation_names_its_table() {
    for Scene { db, _dir } in scenes() {
        db.write(pair(1)).await.unwrap();
        let Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, what)) =
            db.write(pair(1)).await
        else {
            panic!("no violation")
        };
        assert_eq!(what.table_name(), Some("checks_pairs"), "{}", what.message());
    }
}

#[tokio::test]
async fn a_dropped_job_is_rolled_back() {
    for Scene { db, _dir } in scenes() {
        let (started, wait) = std::sync::mpsc::channel();
        let job = db.transaction(move |conn| {
            pair(1)(conn)?;
            started.send(()).map_err(|_| Error::NotFound)?;
            while !conn.is_cancelled() {
                std::thread::yield_now();
            }
            pair(2)(conn)
        });
        let dropped = tokio::time::timeout(Duration::from_millis(100), job).await;
        assert!(dropped.is_err());
        wait.recv_timeout(Duration::from_secs(5)).unwrap();
        // The next writer waits until the job has really ended.
        assert_eq!(db.write(pair(3)).await, Ok(1));
        assert_eq!(count(&db).await, 1);
    }
}
