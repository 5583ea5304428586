use diesel::connection::SimpleConnection;
use diesel::sqlite::SqliteConnection;
use expect_test::{Expect, expect};
use powernode_plugin_api::db::{Db, RunError};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::db::{DatabaseSettings, Engine};

/// The core's database in a directory of its own.
pub(crate) struct CoreDb {
    pub(crate) db: Db,
    directory: TempDir,
}

impl CoreDb {
    pub(crate) fn new() -> CoreDb {
        let directory = tempfile::tempdir().unwrap();
        let mut db = CoreDb { db: open(&directory).core(), directory };
        db.meddle(include_str!("../../../migrations/sqlite/2026-01-01-000000_core/up.sql"));
        db
    }

    /// Runs SQL behind the platform's back.
    pub(crate) fn meddle(&mut self, sql: &str) {
        let path = self.directory.path().join("powernode.db");
        let mut raw = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        raw.batch_execute("PRAGMA busy_timeout = 30000").unwrap();
        raw.batch_execute(sql).unwrap();
    }
}

fn open(directory: &TempDir) -> Engine {
    Engine::open(&DatabaseSettings::sqlite(directory.path().join("powernode.db"))).unwrap()
}

pub(crate) fn by(actor: &str) -> By {
    By::new(actor, DateTime::from_timestamp(1_700_000_000, 123_456_789).unwrap())
}

async fn filled(rows: i64) -> CoreDb {
    let core = CoreDb::new();
    core.db
        .transaction(move |conn| {
            for number in 1..=rows {
                let entry = Entry::new("flag.enable", format!("flag/f{number}"))
                    .with_before(json!({"boolean": false}))
                    .with_after(json!({"boolean": true, "text": "ü\u{0}\"", "share": 33.3}));
                append(conn, &by("User;1").with_request("r-1"), entry)?;
            }
            Ok::<_, RunError>(())
        })
        .await
        .unwrap();
    core
}

async fn verdict(core: &CoreDb) -> String {
    match core.db.read(|conn| Ok::<_, RunError>(verify(conn)?)).await.unwrap() {
        Ok(rows) => format!("{rows} rows"),
        Err(bad) => bad.to_string(),
    }
}

/// Writes four rows, runs `sql` behind the platform's back, and verifies.
#[track_caller]
fn check(sql: &str, outcome: Expect) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let verdict = runtime.block_on(async {
        let mut core = filled(4).await;
        core.meddle(sql);
        verdict(&core).await
    });
    outcome.assert_eq(&verdict);
}

#[test]
fn what_nobody_touched_holds() {
    check("SELECT 1", expect!["4 rows"]);
}

#[test]
fn each_changed_field_is_noticed() {
    for (field, value) in [
        ("at", "'2026-01-01 00:00:00'"),
        ("actor", "'User;2'"),
        ("action", "'flag.disable'"),
        ("subject", "'flag/f9'"),
        ("before", "'{\"boolean\": false}'"),
        ("before", "NULL"),
        ("after", "'{}'"),
        ("request_id", "NULL"),
        ("request_id", "''"),
        ("hash", "previous_hash"),
    ] {
        check(
            &format!("UPDATE core_audit SET {field} = {value} WHERE seq = 2"),
            expect!["audit row 2 is not as it was written"],
        );
    }
}

#[test]
fn a_changed_link_is_noticed() {
    check(
        "UPDATE core_audit SET previous_hash = hash WHERE seq = 2",
        expect!["audit row 2 does not carry the hash of the row before"],
    );
}

#[test]
fn swapped_texts_are_noticed() {
    check(
        "UPDATE core_audit SET actor = action, action = actor WHERE seq = 3",
        expect!["audit row 3 is not as it was written"],
    );
}

#[test]
fn a_row_that_cannot_be_read_is_named() {
    check(
        "UPDATE core_audit SET at = 'yesterday' WHERE seq = 3",
        expect!["audit row 3 cannot be read (Error deserializing field)"],
    );
}

#[test]
fn a_row_taken_out_is_named() {
    check("DELETE FROM core_audit WHERE seq = 2", expect!["audit row 2 is missing"]);
    check("DELETE FROM core_audit WHERE seq = 1", expect!["audit row 1 is missing"]);
}

#[test]
fn a_row_taken_out_with_its_number_is_noticed() {
    check(
        "DELETE FROM core_audit WHERE seq = 2; UPDATE core_audit SET seq = seq - 1 WHERE seq > 2",
        expect!["audit row 2 does not carry the hash of the row before"],
    );
}

#[test]
fn rows_taken_off_the_end_are_noticed() {
    check(
        "DELETE FROM core_audit WHERE seq > 2",
        expect!["audit row 3 is missing: the log had 4 rows"],
    );
    check("DELETE FROM core_audit", expect!["audit row 1 is missing: the log had 4 rows"]);
}

#[test]
fn a_row_put_in_is_noticed() {
    let copy = |seq: &str| {
        format!(
            "INSERT INTO core_audit SELECT {seq}, at, actor, action, subject, before, after, request_id, previous_hash, hash FROM core_audit WHERE seq = 4"
        )
    };
    check(&copy("5"), expect!["audit row 5 does not carry the hash of the row before"]);
    check(&copy("0"), expect!["audit row 0 was put in before the first"]);
    check(&copy("-7"), expect!["audit row -7 was put in before the first"]);
}

#[test]
fn swapped_rows_are_noticed() {
    check(
        "UPDATE core_audit SET seq = 99 WHERE seq = 2; UPDATE core_audit SET seq = 2 WHERE seq = 3; UPDATE core_audit SET seq = 3 WHERE seq = 99",
        expect!["audit row 2 does not carry the hash of the row before"],
    );
}

#[tokio::test]
async fn a_log_longer_than_a_batch_is_followed_to_its_end() {
    let mut core = filled(1200).await;
    assert_eq!(verdict(&core).await, "1200 rows");
    core.meddle("UPDATE core_audit SET actor = 'x' WHERE seq = 1100");
    expect!["audit row 1100 is not as it was written"].assert_eq(&verdict(&core).await);
}

#[tokio::test]
async fn what_is_rolled_back_leaves_no_gap() {
    let core = filled(1).await;
    let rolled_back: Result<(), RunError> = core
        .db
        .transaction(|conn| {
            append(conn, &by("User;1"), Entry::new("flag.enable", "flag/a"))?;
            Err(RunError::Other("changed my mind".into()))
        })
        .await;
    assert!(rolled_back.is_err());
    let seq = core
        .db
        .transaction(|conn| Ok::<_, RunError>(append(conn, &by("User;1"), Entry::new("a", "b"))?))
        .await
        .unwrap();
    assert_eq!((seq, verdict(&core).await.as_str()), (2, "2 rows"));
}

#[tokio::test]
async fn concurrent_writers_make_one_chain() {
    let core = CoreDb::new();
    let writers = (0..20).map(|number| {
        core.db.transaction(move |conn| {
            let entry = Entry::new("flag.enable", format!("flag/f{number}"));
            Ok::<_, RunError>(append(conn, &by("User;1"), entry)?)
        })
    });
    for written in futures_util::future::join_all(writers).await {
        written.unwrap();
    }
    assert_eq!(verdict(&core).await, "20 rows");
}

#[tokio::test]
async fn work_goes_on_after_the_log_was_meddled_with_and_the_gap_stays_named() {
    for meddling in ["DELETE FROM core_audit WHERE seq > 2", "UPDATE core_epoch SET value = 1"] {
        let mut core = filled(4).await;
        core.meddle(meddling);
        core.db
            .transaction(|conn| {
                Ok::<_, RunError>(append(conn, &by("User;1"), Entry::new("a", "b"))?)
            })
            .await
            .unwrap();
        let expected =
            if meddling.starts_with("DELETE") { "audit row 3 is missing" } else { "5 rows" };
        assert_eq!(verdict(&core).await, expected);
    }
}

#[tokio::test]
async fn the_list_is_paged_newest_first_and_filtered() {
    let core = filled(25).await;
    let (page, total, filtered, newest) = core
        .db
        .read(|conn| {
            let (page, total) = list(conn, &Filter::default(), 2, 10)?;
            let filter = Filter {
                actor: Some("User;1".into()),
                action: Some("flag.enable".into()),
                subject: Some("flag/f7".into()),
                request_id: Some("r-1".into()),
                since: Some(by("").at.trunc_subsecs(6)),
                until: Some(by("").at + chrono::TimeDelta::seconds(1)),
                after: Some(0),
            };
            let filtered = list(conn, &filter, 1, 10)?;
            let newest = last(conn, "flag.enable", "flag/f25")?;
            Ok::<_, RunError>((page, total, filtered, newest))
        })
        .await
        .unwrap();
    assert_eq!(total, 25);
    assert_eq!(
        page.iter().map(|row| row.seq).collect::<Vec<_>>(),
        (6..=15).rev().collect::<Vec<_>>()
    );
    assert_eq!((filtered.0.len(), filtered.1, filtered.0[0].seq), (1, 1, 7));
    let newest = newest.unwrap();
    assert_eq!((newest.seq, newest.at), (25, by("").at.trunc_subsecs(6)));
    assert_eq!(newest.after, Some(json!({"boolean": true, "text": "ü\u{0}\"", "share": 33.3})));
}

#[tokio::test]
async fn each_filter_lets_only_its_own_through() {
    let core = filled(3).await;
    let none = |filter: Filter| {
        let db = core.db.clone();
        async move {
            db.read(move |conn| Ok::<_, RunError>(list(conn, &filter, 1, 10)?.1)).await.unwrap()
        }
    };
    let other = || Some("other".to_owned());
    assert_eq!(none(Filter { actor: other(), ..Filter::default() }).await, 0);
    assert_eq!(none(Filter { action: other(), ..Filter::default() }).await, 0);
    assert_eq!(none(Filter { subject: other(), ..Filter::default() }).await, 0);
    assert_eq!(none(Filter { request_id: other(), ..Filter::default() }).await, 0);
    assert_eq!(none(Filter { until: Some(DateTime::UNIX_EPOCH), ..Filter::default() }).await, 0);
    assert_eq!(
        none(Filter { since: DateTime::from_timestamp(4_000_000_000, 0), ..Filter::default() })
            .await,
        0
    );
}
