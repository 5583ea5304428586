use expect_test::{Expect, expect};
use powernode_plugin_api::db::migration;

use super::*;
use crate::db::DatabaseSettings;

struct Fixture {
    settings: DatabaseSettings,
    migrator: Migrator,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = DatabaseSettings::sqlite(folder.path().join("powernode.db"));
        let migrator = Migrator::new(&Engine::open(&settings).unwrap());
        Self { settings, migrator, _folder: folder }
    }

    fn run(&self, sources: &[ExtensionMigrations]) -> String {
        let plan = self.migrator.plan(sources).unwrap();
        let outcomes = self.migrator.run(&plan).unwrap();
        outcomes.iter().skip(1).map(line).collect()
    }

    fn tables(&self, prefix: &str) -> Vec<String> {
        let mut session = self.migrator.session().unwrap();
        let select = "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, length($1)) = $1 ORDER BY 1";
        session.rows(select, &[prefix]).unwrap().concat()
    }
}

fn line(outcome: &Outcome) -> String {
    match &outcome.result {
        Ok(ran) => {
            let versions: Vec<_> = ran.iter().map(|it| it.version.as_str()).collect();
            format!("{}: {}\n", outcome.slug, versions.join(" "))
        }
        Err(error) => format!("{}: {error}\n", outcome.slug),
    }
}

fn source(slug: &str, texts: &[(&str, &'static str, &'static str)]) -> ExtensionMigrations {
    let def = |(folder, up, down): &(&str, &'static str, &'static str)| {
        migration(folder, up, down, up, down)
    };
    ExtensionMigrations { slug: slug.to_owned(), migrations: texts.iter().map(def).collect() }
}

const ITEMS: (&str, &str, &str) = (
    "2026-02-01-000000_items",
    "CREATE TABLE shop_items (id INTEGER PRIMARY KEY, account_id BLOB REFERENCES core_accounts (id));
     CREATE INDEX shop_items_account ON shop_items (account_id);",
    "DROP TABLE shop_items;",
);

#[track_caller]
fn check(text: &'static str, expect: Expect) {
    let fixture = Fixture::new();
    let shop = source("shop", &[ITEMS, ("2026-02-02-000000_next", text, "SELECT 1;")]);
    let blog = source(
        "blog",
        &[("1_b", "CREATE TABLE blog_posts (id INTEGER);", "DROP TABLE blog_posts")],
    );
    let lines = fixture.run(&[blog, shop]);
    expect.assert_eq(&lines.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>());
}

#[test]
fn each_runs_once_and_the_core_first() {
    let fixture = Fixture::new();
    let shop = [source("shop", &[ITEMS])];
    expect![[r#"
        core: 7 to run
          2026-01-01-000000_core
          2026-02-01-000000_roles
          2026-03-01-000000_queue
          2026-03-02-000000_events
          2026-03-03-000000_webhooks
          2026-03-04-000000_queue_limits
          2026-03-05-000000_changes
        shop: 1 to run
          2026-02-01-000000_items
    "#]]
    .assert_eq(&fixture.migrator.plan(&shop).unwrap().to_string());
    assert_eq!(fixture.tables("core_"), Vec::<String>::new(), "a plan changes nothing");
    assert_eq!(fixture.run(&shop), "shop: 2026-02-01-000000\n");
    assert_eq!(fixture.run(&shop), "shop: \n");
    assert_eq!(fixture.tables("shop_"), ["shop_items"]);
    expect![[r#"
        core: up to date
        shop: up to date
    "#]]
    .assert_eq(&fixture.migrator.plan(&shop).unwrap().to_string());
}

#[test]
fn equal_versions_of_two_extensions_both_run() {
    let fixture = Fixture::new();
    let one = |slug, up| source(slug, &[("1_a", up, "SELECT 1;")]);
    let sources = [
        one("shop", "CREATE TABLE shop_a (id INTEGER);"),
        one("blog", "CREATE TABLE blog_a (id INTEGER);"),
    ];
    assert_eq!(fixture.run(&sources), "shop: 1\nblog: 1\n");
}

#[test]
fn an_edited_migration_is_refused() {
    let fixture = Fixture::new();
    fixture.run(&[source("shop", &[("1_a", "CREATE TABLE shop_a (id INTEGER);", "SELECT 1;")])]);
    let edited = source("shop", &[("1_a", "CREATE TABLE shop_a (id TEXT);", "SELECT 1;")]);
    expect![[r#"
        shop: migration `1_a` of `shop` was edited after it ran: the ledger has checksum b9f5, its sqlite/up.sql has 27c5; restore the text, and put the change into a new migration
    "#]]
    .assert_eq(&shorten(&fixture.run(&[edited])));
}

/// Keeps four digits of each checksum.
fn shorten(text: &str) -> String {
    let word = |word: &str| {
        let digits = word.trim_end_matches([',', ';']);
        if digits.len() == 64 { word.replacen(digits, &digits[..4], 1) } else { word.to_owned() }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_run_is_atomic_and_fails_alone() {
    let fixture = Fixture::new();
    let shop = source(
        "shop",
        &[
            ITEMS,
            (
                "2026-02-02-000000_bad",
                "CREATE TABLE shop_b (id INTEGER); SELECT nonsense;",
                "SELECT 1;",
            ),
        ],
    );
    let blog = source("blog", &[("1_a", "CREATE TABLE blog_a (id INTEGER);", "SELECT 1;")]);
    expect![[r#"
        shop: up.sql of migration `2026-02-02-000000_bad` of `shop` failed: no such column: nonsense
        blog: 1
    "#]]
    .assert_eq(&fixture.run(&[shop, blog]));
    assert_eq!(fixture.tables("shop_"), Vec::<String>::new());
}

#[test]
fn a_migration_stays_within_its_names() {
    check(
        "CREATE TABLE blog_more (id INTEGER);",
        expect![[r#"
        shop: up.sql of migration `2026-02-02-000000_next` of `shop` failed: extension `shop` may not create, alter or drop `blog_more` here: migrations do that, for names that begin with `shop_`
    "#]],
    );
    check(
        "ALTER TABLE shop_items RENAME TO other_items;",
        expect![[r#"
        shop: migration `2026-02-02-000000_next` of `shop` was rolled back: it made index `shop_items_account`; it made table `other_items`; its names begin with `shop_`, and its foreign keys point to its own tables, `core_accounts` or `core_users`
    "#]],
    );
    check(
        "DROP TABLE blog_posts;",
        expect![[r#"
        shop: up.sql of migration `2026-02-02-000000_next` of `shop` failed: extension `shop` may not create, alter or drop `blog_posts` here: migrations do that, for names that begin with `shop_`
    "#]],
    );
    check(
        "INSERT INTO shop_items SELECT id, NULL FROM blog_posts;",
        expect![[r#"
        shop: up.sql of migration `2026-02-02-000000_next` of `shop` failed: extension `shop` may not read `blog_posts.id`: its own tables begin with `shop_`
    "#]],
    );
    check(
        "CREATE TABLE shop_b (id INTEGER REFERENCES blog_posts (id));",
        expect![[r#"
        shop: migration `2026-02-02-000000_next` of `shop` was rolled back: a foreign key of `shop_b` points to `blog_posts`; its names begin with `shop_`, and its foreign keys point to its own tables, `core_accounts` or `core_users`
    "#]],
    );
    check(
        "CREATE VIEW shop_v AS SELECT id FROM core_accounts;",
        expect![[r#"
        shop: migration `2026-02-02-000000_next` of `shop` was rolled back: view `shop_v` names `core_accounts`; its names begin with `shop_`, and its foreign keys point to its own tables, `core_accounts` or `core_users`
    "#]],
    );
    check(
        "INSERT INTO core_epoch VALUES ('x', 1);",
        expect![[r#"
        shop: up.sql of migration `2026-02-02-000000_next` of `shop` failed: extension `shop` may not insert into `core_epoch`: its own tables begin with `shop_`
    "#]],
    );
    check(
        "DELETE FROM sqlite_sequence;",
        expect![[r#"
        shop: up.sql of migration `2026-02-02-000000_next` of `shop` failed: extension `shop` may not delete from `sqlite_sequence`: its own tables begin with `shop_`
    "#]],
    );
    check(
        "COMMIT;",
        expect![[r#"
        shop: up.sql of migration `2026-02-02-000000_next` of `shop` failed: extension `shop` may not write COMMIT as text: use the connection's `transaction`
    "#]],
    );
    check(
        "PRAGMA foreign_keys = OFF;",
        expect![[r#"
        shop: up.sql of migration `2026-02-02-000000_next` of `shop` failed: extension `shop` may not use PRAGMA foreign_keys
    "#]],
    );
    check(
        "CREATE TEMP TABLE shop_t (id INTEGER);",
        expect![[r#"
        shop: up.sql of migration `2026-02-02-000000_next` of `shop` failed: extension `shop` may not insert into `sqlite_temp_master`: its own tables begin with `shop_`
    "#]],
    );
}

#[test]
fn a_table_may_be_rebuilt() {
    check(
        "CREATE TABLE shop_new (id INTEGER PRIMARY KEY AUTOINCREMENT, account_id BLOB REFERENCES core_accounts (id));
         INSERT INTO shop_new SELECT * FROM shop_items;
         DROP TABLE shop_items;
         ALTER TABLE shop_new RENAME TO shop_items;
         ALTER TABLE shop_items ADD COLUMN name TEXT;
         ALTER TABLE shop_items RENAME COLUMN name TO title;
         ALTER TABLE shop_items DROP COLUMN title;
         CREATE VIRTUAL TABLE shop_search USING fts5(title);
         DROP TABLE shop_search;",
        expect![[r#"
            shop: 2026-02-01-000000 2026-02-02-000000
        "#]],
    );
}

#[test]
fn what_was_counted_goes_with_a_table() {
    let fixture = Fixture::new();
    let rows = ("2_rows", "INSERT INTO shop_items (id) VALUES (1), (2);", "SELECT 1;");
    let first = [("1_items", ITEMS.1, ITEMS.2), rows];
    fixture.run(&[source("shop", &first)]);
    let mut session = fixture.migrator.session().unwrap();
    session.script(&Principal::core(), "ANALYZE").unwrap();
    drop(session);
    let last = ("3_drop", "DROP INDEX shop_items_account; DROP TABLE shop_items;", "SELECT 1;");
    assert_eq!(fixture.run(&[source("shop", &[first[0], rows, last])]), "shop: 3\n");
    let other = ("4_stat", "DELETE FROM sqlite_stat1;", "SELECT 1;");
    assert!(
        fixture.run(&[source("shop", &[first[0], rows, last, other])]).contains("may not delete")
    );
}

#[test]
fn texts_and_versions_are_checked() {
    let fixture = Fixture::new();
    let mut refused = String::new();
    for (folder, up, down) in [
        ("1_a", "SELECT 1;", " "),
        ("x_a", "SELECT 1;", "SELECT 1;"),
        ("_a", "SELECT 1;", "SELECT 1;"),
    ] {
        refused += &fixture.run(&[source("shop", &[(folder, up, down)])]);
    }
    refused += &fixture.run(&[source(
        "shop",
        &[("1_a", "SELECT 1", "SELECT 1"), ("1_b", "SELECT 1", "SELECT 1")],
    )]);
    expect![[r#"
        shop: migration `1_a` of `shop` has an empty sqlite/down.sql: each migration brings both directions
        shop: migration `x_a` of `shop`: a version is digits and dashes, as in `2026-01-31-120000`
        shop: migration `_a` of `shop`: a version is digits and dashes, as in `2026-01-31-120000`
        shop: `shop` has two migrations of version `1`: give one of them another
    "#]].assert_eq(&refused);
}

#[test]
fn reverting_undoes_one_extension_alone() {
    let fixture = Fixture::new();
    let shop = source(
        "shop",
        &[
            ITEMS,
            (
                "2026-02-02-000000_b",
                "CREATE TABLE shop_b (id INTEGER REFERENCES shop_items (id));",
                "DROP TABLE shop_b;",
            ),
        ],
    );
    let blog =
        source("blog", &[("1_a", "CREATE TABLE blog_a (id INTEGER);", "DROP TABLE blog_a;")]);
    fixture.run(&[shop.clone(), blog]);
    assert_eq!(
        fixture.migrator.revert(&shop, None).unwrap(),
        ["2026-02-02-000000", "2026-02-01-000000"]
    );
    assert_eq!(fixture.tables("shop_"), Vec::<String>::new());
    assert_eq!(fixture.tables("blog_"), ["blog_a"]);
    assert_eq!(fixture.run(&[shop]), "shop: 2026-02-01-000000 2026-02-02-000000\n");
}

#[test]
fn of_several_at_once_one_runs_them() {
    let fixture = Fixture::new();
    let runs: Vec<String> = std::thread::scope(|scope| {
        let run = || {
            // An engine each, as processes have.
            let migrator = Migrator::new(&Engine::open(&fixture.settings).unwrap());
            let plan = migrator.plan(&[source("shop", &[ITEMS])]).unwrap();
            migrator.run(&plan).unwrap().iter().map(line).collect::<String>()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let count = |version| runs.iter().filter(|run| run.contains(version)).count();
    assert_eq!((count("core: 2026"), count("shop: 2026")), (1, 1), "{runs:?}");
}

/// Many rows, so that a kill finds the run at work.
const MANY: (&str, &str, &str) = (
    "2026-02-02-000000_many",
    "INSERT INTO shop_items (id)
         WITH RECURSIVE shop_n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM shop_n WHERE i < 100000)
         SELECT i FROM shop_n;
     CREATE TABLE shop_last (id INTEGER);",
    "DROP TABLE shop_last;",
);

const KILLED: &str = "POWERNODE_TEST_KILLED_RUN";

/// As a child of itself this test only runs the migrations, and is killed meanwhile.
#[test]
fn a_killed_run_converges() {
    let shop = [source("shop", &[ITEMS, MANY])];
    if let Some(path) = std::env::var_os(KILLED) {
        let migrator = Migrator::new(&Engine::open(&DatabaseSettings::sqlite(&path)).unwrap());
        let plan = migrator.plan(&shop).unwrap();
        std::fs::write(std::path::Path::new(&path).with_extension("begun"), "").unwrap();
        migrator.run(&plan).unwrap();
        return;
    }
    let mut interrupted = 0;
    for round in 0..8u64 {
        let fixture = Fixture::new();
        let path = &fixture.settings.path;
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "migrator::tests::a_killed_run_converges"])
            .env(KILLED, path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let begun = path.with_extension("begun");
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while !begun.exists() && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        let moment = std::time::Instant::now() + std::time::Duration::from_millis(1 + round * 6);
        while std::time::Instant::now() < moment {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let pending = fixture.migrator.plan(&shop).unwrap().steps[1].pending.clone().unwrap();
        assert!([0, 2].contains(&pending.len()), "half a run is left: {pending:?}");
        assert_eq!(fixture.tables("shop_").len(), 2 - pending.len(), "round {round}");
        interrupted += usize::from(pending.len() == 2);
        fixture.run(&shop);
        assert_eq!(fixture.tables("shop_"), ["shop_items", "shop_last"], "round {round}");
    }
    assert!(interrupted > 0, "no kill found a run at work");
}
