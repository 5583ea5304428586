use expect_test::{Expect, expect};
use powernode_abi::data::SQLITE;
use powernode_plugin_api::db::migration;

use super::*;

#[track_caller]
fn check(text: &'static str, expect: Expect) {
    const FIRST: &str = "CREATE TABLE shop_a (id INTEGER PRIMARY KEY, name TEXT, size NUMERIC(5, 2) NOT NULL, \
         UNIQUE (name, size)); CREATE TABLE shop_b (id INTEGER);";
    let defs =
        [migration("1_first", FIRST, "x", "x", "x"), migration("2_next", text, "x", "x", "x")];
    let found = lint(&defs, SQLITE);
    expect.assert_eq(
        &found.iter().map(|it| format!("{}: {}\n", it.migration, it.message)).collect::<String>(),
    );
}

#[test]
fn what_is_taken_away_is_named() {
    check(
        "ALTER TABLE shop_a DROP COLUMN name",
        expect![[r#"
        2_next: drops or renames column `shop_a.name`
    "#]],
    );
    check(
        "ALTER TABLE \"shop_a\" DROP IF EXISTS \"name\", ADD x TEXT;",
        expect![[r#"
        2_next: drops or renames column `shop_a.name`
    "#]],
    );
    check(
        "ALTER TABLE shop.shop_a ALTER COLUMN name SET NOT NULL;",
        expect![[r#"
        2_next: makes column `shop_a.name` NOT NULL
    "#]],
    );
    check(
        "ALTER TABLE shop_a ADD COLUMN x TEXT NOT NULL",
        expect![[r#"
        2_next: adds column `shop_a.x`, which is NOT NULL and has no default,
    "#]],
    );
    check(
        "ALTER TABLE shop_a RENAME name TO title; DROP TABLE IF EXISTS shop_b;",
        expect![[r#"
        2_next: drops or renames column `shop_a.name`
        2_next: drops or renames table `shop_b`
    "#]],
    );
}

#[test]
fn what_is_taken_away_otherwise_is_named_too() {
    check(
        "DO $$ BEGIN IF EXISTS (SELECT 1) THEN ALTER TABLE shop_a DROP COLUMN name; END IF;
         EXECUTE 'DROP TABLE shop_b'; END $$;",
        expect![[r#"
            2_next: drops or renames column `shop_a.name`
            2_next: drops or renames table `shop_b`
        "#]],
    );
    check(
        "ALTER TABLE shop_a ADD CONSTRAINT shop_n CHECK (name IS NOT NULL) NOT VALID;
         ALTER TABLE shop_b ADD PRIMARY KEY (id);",
        expect![[r#"
            2_next: makes column `shop_a.name` NOT NULL
            2_next: makes column `shop_b.id` NOT NULL
        "#]],
    );
    check(
        "ALTER TABLE shop_a ALTER name TYPE BYTEA USING name::bytea, ALTER COLUMN size SET DATA TYPE TEXT;",
        expect![[r#"
            2_next: changes the type of column `shop_a.name`
            2_next: changes the type of column `shop_a.size`
        "#]],
    );
}

#[test]
fn a_rebuilt_table_is_compared() {
    check(
        "CREATE TABLE shop_new (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
         INSERT INTO shop_new SELECT id, name FROM shop_a; DROP TABLE shop_a;
         ALTER TABLE shop_new RENAME TO shop_a;",
        expect![[r#"
            2_next: makes column `shop_a.name` NOT NULL
            2_next: drops or renames column `shop_a.size`
        "#]],
    );
}

#[test]
fn what_only_adds_is_fine() {
    check(
        "ALTER TABLE shop_a ADD COLUMN x TEXT NOT NULL DEFAULT ''; ALTER TABLE shop_a ADD y TEXT;
         CREATE TABLE shop_c (id INTEGER NOT NULL); CREATE INDEX shop_i ON shop_a (name);
         ALTER TABLE shop_a ADD CONSTRAINT shop_u UNIQUE (size); ALTER TABLE shop_a ALTER size DROP NOT NULL;",
        expect![""],
    );
}

#[test]
fn the_author_may_say_that_it_is_the_second_step() {
    check("-- powernode: contract\nALTER TABLE shop_a DROP COLUMN name", expect![""]);
}

#[test]
fn nonsense_is_passed_over() {
    check("ALTER TABLE; CREATE TABLE shop_x (; DROP; ALTER TABLE shop_a ADD; ((( ;", expect![""]);
}
