//! What a job may expect on PostgreSQL.

use diesel::prelude::*;
use powernode_abi::data::tag;
use powernode_plugin_api::db::{Db, RunError, migration};
use powernode_tests::postgres::Cluster;

use std::time::Duration;

use super::connection;
use crate::{
    db::{DatabaseSettings, Engine, schema::core_epoch},
    migrator::{ExtensionMigrations, Migrator},
};

diesel::table! {
    shop_items (id) {
        id -> BigInt,
        name -> Text,
    }
}

struct Fixture {
    cluster: &'static Cluster,
    url: String,
    engine: Engine,
}

impl Fixture {
    fn new() -> Option<Self> {
        let cluster = Cluster::shared()?;
        let url = cluster.database().unwrap();
        let engine = Engine::open(&DatabaseSettings::postgres(&url)).unwrap();
        let fixture = Self { cluster, url, engine };
        assert_eq!(fixture.migrate("1_items", ITEMS), "");
        Some(fixture)
    }

    /// Answers the error of the extension's own migration.
    fn migrate(&self, folder: &str, up: &'static str) -> String {
        let migrations = vec![migration(folder, up, "SELECT 1", up, "SELECT 1")];
        let migrator = Migrator::new(&self.engine);
        let plan =
            migrator.plan(&[ExtensionMigrations { slug: "shop".to_owned(), migrations }]).unwrap();
        let outcomes = migrator.run(&plan).unwrap();
        outcomes[1].result.as_ref().err().map(ToString::to_string).unwrap_or_default()
    }

    fn shop(&self) -> Db {
        Db::new(self.engine.for_extension("shop"))
    }

    fn count(&self) -> i64 {
        block_on(
            self.shop().read(|conn| Ok::<_, Failure>(shop_items::table.count().get_result(conn)?)),
        )
        .unwrap()
    }
}

const ITEMS: &str = "CREATE TABLE shop_items (id BIGINT PRIMARY KEY, name TEXT NOT NULL, \
                     account_id UUID REFERENCES core_accounts (id));";

#[derive(Debug)]
enum Failure {
    Diesel(diesel::result::Error),
    Run(RunError),
}

impl From<diesel::result::Error> for Failure {
    fn from(error: diesel::result::Error) -> Self {
        Self::Diesel(error)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn add(conn: &mut powernode_plugin_api::db::HostConnection, id: i64) -> QueryResult<usize> {
    diesel::insert_into(shop_items::table)
        .values((shop_items::id.eq(id), shop_items::name.eq("tea")))
        .execute(conn)
}

#[test]
fn an_extension_works_in_its_schema() {
    let Some(fixture) = Fixture::new() else { return };
    let shop = fixture.shop();
    let added = block_on(shop.transaction(|conn| Ok::<_, Failure>(add(conn, 1)?))).unwrap();
    assert_eq!((added, fixture.count()), (1, 1));
    let place: Vec<String> = block_on(shop.read(|conn| {
        let place = diesel::dsl::sql::<diesel::sql_types::Text>(
            "SELECT schemaname::text FROM pg_tables WHERE tablename = 'shop_items'",
        );
        Ok::<_, Failure>(place.load(conn)?)
    }))
    .unwrap();
    assert_eq!(place, ["shop"]);
    block_on(fixture.engine.core().write(|conn| {
        let row = (core_epoch::name.eq("flags"), core_epoch::value.eq(7));
        Ok::<_, Failure>(diesel::insert_into(core_epoch::table).values(row).execute(conn)?)
    }))
    .unwrap();
}

#[test]
fn what_does_not_end_well_is_rolled_back() {
    let Some(fixture) = Fixture::new() else { return };
    let shop = fixture.shop();
    let failed = block_on(shop.transaction(|conn| {
        add(conn, 1)?;
        Err::<(), _>(Failure::Diesel(diesel::result::Error::NotFound))
    }));
    assert!(matches!(failed, Err(Failure::Diesel(diesel::result::Error::NotFound))));
    let panicked = block_on(shop.transaction(|conn| -> Result<(), Failure> {
        add(conn, 1)?;
        panic!("on purpose")
    }));
    assert!(matches!(panicked, Err(Failure::Run(RunError::Panicked(_)))), "{panicked:?}");
    // PostgreSQL answers a COMMIT of a spoiled transaction with a rollback, and no error.
    let spoiled = block_on(shop.transaction(|conn| {
        add(conn, 1)?;
        assert!(diesel::sql_query("SELECT nonsense").execute(conn).is_err());
        Ok::<_, Failure>(())
    }));
    assert!(spoiled.is_err());
    let nested = block_on(shop.transaction(|conn| {
        add(conn, 1)?;
        let inner = conn.transaction(|conn| {
            add(conn, 2)?;
            add(conn, 2)
        });
        assert!(inner.is_err());
        Ok::<_, Failure>(())
    }));
    nested.unwrap();
    assert_eq!(fixture.count(), 1);
}

#[test]
fn texts_that_are_the_platforms_are_refused() {
    let Some(fixture) = Fixture::new() else { return };
    for sql in
        ["COMMIT", "SET search_path TO public", "SELECT 1; SELECT 2", "DROP TABLE shop_items"]
    {
        let answer = block_on(
            fixture
                .shop()
                .write(move |conn| Ok::<_, Failure>(diesel::sql_query(sql).execute(conn)?)),
        );
        assert!(answer.is_err(), "{sql}");
    }
    let written = block_on(fixture.shop().read(|conn| Ok::<_, Failure>(add(conn, 1)?)));
    assert!(written.is_err());
    assert_eq!(fixture.count(), 0);
}

#[test]
fn a_cancelled_statement_stops() {
    let Some(fixture) = Fixture::new() else { return };
    let began = std::time::Instant::now();
    let shop = fixture.shop();
    block_on(async {
        let job = shop.transaction(|conn| {
            add(conn, 1)?;
            Ok::<_, Failure>(diesel::sql_query("SELECT pg_sleep(30)").execute(conn)?)
        });
        let waited = tokio::time::timeout(Duration::from_millis(200), job).await;
        assert!(waited.is_err());
    });
    // All connections are back: more jobs at once than there would be without it.
    block_on(async {
        let jobs = (0..10).map(|_| {
            shop.read(|conn| {
                Ok::<_, Failure>(diesel::sql_query("SELECT pg_sleep(0.1)").execute(conn)?)
            })
        });
        for job in futures_util::future::join_all(jobs).await {
            job.unwrap();
        }
    });
    assert_eq!(fixture.count(), 0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_server_that_is_back_is_used_again() {
    let Some(fixture) = Fixture::new() else { return };
    assert_eq!(fixture.count(), 0);
    fixture.cluster.cut(&fixture.url).unwrap();
    assert_eq!(fixture.count(), 0);
}

#[test]
fn a_migration_stays_in_its_schema() {
    let Some(fixture) = Fixture::new() else { return };
    let made = fixture.migrate("2_a", "CREATE TABLE public.shop_more (id INT);");
    assert!(made.contains("it made `public.shop_more`"), "{made}");
    let named = fixture.migrate("2_b", "CREATE TABLE other (id INT);");
    assert!(named.contains("it made `other`"), "{named}");
    let dropped = fixture.migrate("2_c", "DROP TABLE core_epoch;");
    assert!(dropped.contains("it removed `public.core_epoch`"), "{dropped}");
    let keyed =
        fixture.migrate("2_d", "CREATE TABLE shop_k (name TEXT REFERENCES core_epoch (name));");
    assert!(keyed.contains("points to `public.core_epoch`"), "{keyed}");
    assert_eq!(fixture.migrate("2_e", "CREATE TABLE shop_e (id INT);"), "");
}

#[test]
fn sixteen_types_are_read() {
    let Some(fixture) = Fixture::new() else { return };
    let sql = "SELECT true, 1::smallint, 2, 3::bigint, 1.5::real, 2.5::float8, -12.50::numeric, 'x'::text, \
               '\\x0102'::bytea, '2000-01-02'::date, '00:00:01'::time, '2000-01-01 00:00:01'::timestamp, \
               '2000-01-01 00:00:02+00'::timestamptz, '00000000-0000-0000-0000-000000000001'::uuid, \
               '{}'::json, '[]'::jsonb, NULL::int";
    let mut connection = connection::Connection::open(&fixture.url).unwrap();
    let rows = connection.all(sql).unwrap();
    let tags: Vec<u32> = rows.cells.iter().map(|cell| cell.tag).collect();
    let mut expected: Vec<u32> = (tag::BOOL..=tag::JSONB).collect();
    expected.push(tag::NULL);
    assert_eq!(tags, expected);
    let numbers: Vec<u64> = rows.cells.iter().map(|cell| cell.val).take(4).collect();
    assert_eq!(numbers, [1, 1, 2, 3]);
    assert_eq!(rows.heap.as_slice(), b"-12.50x\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01{}[]");
    assert!(connection.all("SELECT '(1,2)'::point").unwrap_err().message.contains("type 600"));
}
