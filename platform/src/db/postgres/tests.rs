//! What a job may expect on PostgreSQL.

use diesel::prelude::*;
use powernode_abi::data::tag;
use powernode_plugin_api::db::{Db, RunError, migration};
use powernode_tests::postgres::Cluster;

use std::{sync::Arc, time::Duration};

use super::{connection, session::LOCK};
use crate::{
    db::{Confinement, DatabaseSettings, Engine, schema::core_epoch},
    migrator::{ExtensionMigrations, Migrator},
    services::MasterKey,
};

diesel::table! {
    shop_items (id) {
        id -> BigInt,
        name -> Text,
    }
}

fn engine(settings: &DatabaseSettings) -> Engine {
    let engine = Engine::open(settings).unwrap();
    engine.keep_with(Arc::new(MasterKey::parse(KEY).unwrap()));
    engine
}

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

struct Fixture {
    cluster: &'static Cluster,
    url: String,
    engine: Engine,
}

impl Fixture {
    fn new() -> Option<Self> {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut DatabaseSettings)) -> Option<Self> {
        let cluster = Cluster::shared()?;
        let url = cluster.database().unwrap();
        let mut settings = DatabaseSettings::postgres(&url);
        change(&mut settings);
        let fixture = Self { cluster, url, engine: engine(&settings) };
        assert_eq!(fixture.migrate("1_items", ITEMS), "");
        Some(fixture)
    }

    /// Answers the error of the extension's own migration.
    fn migrate(&self, folder: &str, up: &'static str) -> String {
        let mut migrations = vec![migration(folder, up, "SELECT 1", up, "SELECT 1")];
        // What ran stays among what is brought.
        if folder != "1_items" {
            migrations.push(migration("1_items", ITEMS, "SELECT 1", ITEMS, "SELECT 1"));
        }
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

#[track_caller]
fn check_migration(fixture: &Fixture, up: &'static str, expected: &str) {
    let error = fixture.migrate("2_next", up);
    assert!(error.contains(expected), "{up}: {error}");
}

#[test]
fn a_migration_stays_in_its_schema() {
    for confinement in [Confinement::Roles, Confinement::SearchPath] {
        let Some(fixture) = Fixture::with(|it| it.confinement = confinement) else { return };
        let check = |up, by_role: &str, by_path: &str| {
            let roles = confinement == Confinement::Roles && !by_role.is_empty();
            check_migration(&fixture, up, if roles { by_role } else { by_path });
        };
        let made = "it made `public.shop_more`";
        check("CREATE TABLE public.shop_more (id INT);", "denied for schema public", made);
        check("CREATE TABLE other (id INT);", "", "it made `other`");
        check(
            "DROP TABLE core_epoch;",
            "owner of table core_epoch",
            "it removed `core.core_epoch`",
        );
        check(
            "CREATE TABLE shop_k (name TEXT REFERENCES core_epoch (name));",
            "permission denied for table core_epoch",
            "points to `core.core_epoch`",
        );
        check(
            "CREATE FUNCTION shop_f() RETURNS INT LANGUAGE sql AS 'SELECT 1';",
            "",
            "function `shop_f`: an extension makes no functions",
        );
        check("COMMIT; CREATE TABLE shop_c (id INT);", "", "the transaction is the platform's");
        assert_eq!(fixture.migrate("3_e", "CREATE TABLE shop_e (id INT);"), "");
    }
}

#[test]
fn the_lock_of_migrations_is_no_extensions_to_hold() {
    let Some(fixture) = Fixture::new() else { return };
    let held = block_on(fixture.shop().write(|conn| {
        Ok::<_, Failure>(
            diesel::sql_query(format!("SELECT pg_advisory_lock({LOCK})")).execute(conn)?,
        )
    }));
    held.unwrap();
    let began = std::time::Instant::now();
    assert_eq!(fixture.migrate("2_more", "CREATE TABLE shop_more (id INT);"), "");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(fixture.count(), 0);
}

#[test]
fn an_operator_who_owns_the_database_and_makes_roles_is_enough() {
    let Some(cluster) = Cluster::shared() else { return };
    let url = cluster.database_of_operator("CREATEROLE").unwrap();
    let engine = engine(&DatabaseSettings::postgres(&url));
    let fixture = Fixture { cluster, url, engine };
    assert_eq!(fixture.migrate("1_items", ITEMS), "");
    assert_eq!(fixture.count(), 0);
    let rights = "SELECT count(*) FROM pg_roles WHERE rolname IN (SELECT role FROM core.core_roles) \
                  AND rolcanlogin AND NOT (rolsuper OR rolcreaterole OR rolcreatedb OR rolinherit OR rolbypassrls)";
    assert_eq!(cluster.ask(&fixture.url, rights).unwrap(), "1");
}

#[test]
fn an_operator_who_may_not_make_roles_is_told_both_ways_out() {
    let Some(cluster) = Cluster::shared() else { return };
    let url = cluster.database_of_operator("").unwrap();
    let mut settings = DatabaseSettings::postgres(&url);
    let error = Engine::open(&settings).unwrap_err().to_string();
    assert!(error.contains("CREATEROLE") && error.contains("`search_path`"), "{error}");
    settings.confinement = Confinement::SearchPath;
    let fixture = Fixture { cluster, url, engine: engine(&settings) };
    assert_eq!(fixture.migrate("1_items", ITEMS), "");
    assert_eq!(fixture.count(), 0);
}

#[test]
fn a_database_of_the_weaker_mode_gets_its_roles_later_and_loses_them_again() {
    let Some(mut fixture) = Fixture::with(|it| it.confinement = Confinement::SearchPath) else {
        return;
    };
    block_on(fixture.shop().transaction(|conn| Ok::<_, Failure>(add(conn, 1)?))).unwrap();
    for confinement in [Confinement::Roles, Confinement::SearchPath, Confinement::Roles] {
        let settings = DatabaseSettings { confinement, ..DatabaseSettings::postgres(&fixture.url) };
        fixture.engine = engine(&settings);
        assert_eq!(fixture.migrate("1_items", ITEMS), "");
        assert_eq!(fixture.count(), 1);
    }
    let owner =
        "SELECT tableowner LIKE 'powernode_%_shop' FROM pg_tables WHERE tablename = 'shop_items'";
    assert_eq!(fixture.cluster.ask(&fixture.url, owner).unwrap(), "t");
}

#[test]
fn a_role_that_is_lost_is_made_again() {
    let Some(mut fixture) = Fixture::new() else { return };
    let ask = |fixture: &Fixture, sql: &str| fixture.cluster.ask(&fixture.url, sql).unwrap();
    let role = ask(&fixture, "SELECT role FROM core.core_roles");
    let sealed =
        "SELECT encode(ciphertext, 'hex') FROM core.core_secrets WHERE name = 'database/shop'";
    let before = ask(&fixture, sealed);
    fixture.cluster.cut(&fixture.url).unwrap();
    ask(
        &fixture,
        &format!("REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}"),
    );
    fixture.engine = engine(&DatabaseSettings::postgres(&fixture.url));
    assert_eq!(fixture.migrate("1_items", ITEMS), "");
    assert_eq!((fixture.count(), ask(&fixture, sealed)), (0, before));
    // One whose password is another gets the one that is kept.
    ask(&fixture, &format!("ALTER ROLE {role} PASSWORD 'other'"));
    fixture.engine = engine(&DatabaseSettings::postgres(&fixture.url));
    assert_eq!(fixture.count(), 0);
    // And one whose password does not open gets another.
    ask(&fixture, "UPDATE core.core_secrets SET ciphertext = '\\x00' WHERE name = 'database/shop'");
    fixture.engine = engine(&DatabaseSettings::postgres(&fixture.url));
    assert_eq!(fixture.migrate("1_items", ITEMS), "");
    assert_eq!(fixture.count(), 0);
}

#[test]
fn tables_of_an_older_platform_move_to_the_cores_schema() {
    let Some(mut fixture) = Fixture::new() else { return };
    let tables = "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'core\\_%' AND schemaname = ";
    let count = |fixture: &Fixture, place: &str| {
        fixture.cluster.ask(&fixture.url, &format!("{tables}'{place}'")).unwrap()
    };
    let all = count(&fixture, "core");
    let back = "DO $$ DECLARE t TEXT; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'core' \
                LOOP EXECUTE format('ALTER TABLE core.%I SET SCHEMA public', t); END LOOP; END $$";
    fixture.cluster.ask(&fixture.url, back).unwrap();
    assert_eq!(count(&fixture, "core"), "0");
    fixture.engine = engine(&DatabaseSettings::postgres(&fixture.url));
    assert_eq!(fixture.migrate("1_items", ITEMS), "");
    assert_eq!((count(&fixture, "core"), count(&fixture, "public")), (all, "0".to_owned()));
}

/// Begins `count` jobs of `db` that sleep, and answers what becomes of them and of `then`.
fn while_sleeping(db: &Db, count: usize, then: &Db) -> Result<(), RunError> {
    let sleep = |db: &Db| {
        let job = db.read(|conn| {
            Ok::<_, RunError>(diesel::sql_query("SELECT pg_sleep(1.5)").execute(conn)?)
        });
        async move { job.await.map(drop) }
    };
    block_on(async {
        let sleeping = futures_util::future::join_all((0..count).map(|_| sleep(db)));
        let other = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            then.read(|_| Ok::<_, RunError>(())).await
        };
        let (slept, answer) = tokio::join!(sleeping, other);
        slept.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
        answer
    })
}

#[test]
fn who_uses_all_connections_is_told_and_nobody_else_waits() {
    let small = |settings: &mut DatabaseSettings| {
        (settings.pool_size, settings.max_connections) = (2, 5);
        settings.acquire_timeout = Duration::from_millis(300);
    };
    let Some(fixture) = Fixture::with(small) else { return };
    let (shop, core) = (fixture.shop(), fixture.engine.core());
    let blog = Db::new(fixture.engine.for_extension("blog"));
    let own = while_sleeping(&shop, 2, &shop).unwrap_err();
    assert_eq!(
        own.to_string(),
        "no database connection became free within 0.3 s: extension `shop` uses all 2 that one may have (`database.pool_size`)"
    );
    assert!(matches!(own, RunError::Pool(_)));
    while_sleeping(&shop, 2, &core).unwrap();
    // It has no role, which it is told at once: it did not wait for the other's connections.
    let blog = while_sleeping(&shop, 2, &blog).unwrap_err().to_string();
    assert!(blog.contains("extension `blog` has no login role yet"), "{blog}");
}

#[test]
fn all_connections_together_have_a_bound() {
    let small = |settings: &mut DatabaseSettings| {
        (settings.pool_size, settings.max_connections) = (2, 4);
    };
    let Some(fixture) = Fixture::with(small) else { return };
    let migrator = Migrator::new(&fixture.engine);
    let slugs = ["a", "b", "c", "d", "e", "f"];
    let source = |slug: &str| ExtensionMigrations { slug: slug.to_owned(), migrations: Vec::new() };
    let plan = migrator.plan(&slugs.map(source)).unwrap();
    migrator.run(&plan).unwrap();
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND application_name LIKE 'powernode%'";
    for slug in slugs.iter().cycle().take(18) {
        let db = Db::new(fixture.engine.for_extension(slug));
        block_on(db.read(|_| Ok::<_, RunError>(()))).unwrap();
        let open: u32 = fixture.cluster.ask(&fixture.url, open).unwrap().parse().unwrap();
        assert!(open <= 4, "{open} connections");
    }
    let names = "SELECT count(DISTINCT application_name) FROM pg_stat_activity WHERE datname = current_database() \
                 AND application_name LIKE 'powernode-%'";
    assert_ne!(fixture.cluster.ask(&fixture.url, names).unwrap(), "0");
}

#[test]
fn a_statement_is_prepared_once_and_only_so_many_are_kept() {
    let Some(fixture) = Fixture::new() else { return };
    let kept = |rounds: i32| {
        let job = fixture.shop().read(move |conn| {
            for round in 0..rounds {
                let mut found = shop_items::table.select(shop_items::id).into_boxed();
                for _ in 0..round {
                    found = found.filter(shop_items::id.ne(0));
                }
                found.load::<i64>(conn)?;
                shop_items::table.count().get_result::<i64>(conn)?;
            }
            let kept = "(SELECT count(*) FROM pg_prepared_statements WHERE from_sql = false)";
            let kept = diesel::dsl::sql::<diesel::sql_types::BigInt>(kept);
            Ok::<_, Failure>(diesel::select(kept).get_result::<i64>(conn)?)
        });
        block_on(job).unwrap()
    };
    let few = kept(3);
    assert!((4..10).contains(&few), "{few}");
    // On the same connection.
    assert_eq!(kept(3), few);
    let many = kept(520);
    assert!((400..=500).contains(&many), "{many}");
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
