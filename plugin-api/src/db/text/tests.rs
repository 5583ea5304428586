use diesel::{
    prelude::*,
    query_builder::{QueryFragment, QueryId},
};

use super::*;

diesel::table! {
    rows (id) {
        id -> BigInt,
        a -> Nullable<Integer>,
        b -> Integer,
    }
}

#[derive(Clone, Copy, Insertable)]
#[diesel(table_name = rows)]
struct Row {
    a: Option<i32>,
    b: Option<i32>,
}

fn text<T: QueryFragment<HostBackend> + QueryId>(dialect: Dialect, query: &T) -> Text {
    let mut builder = HostQueryBuilder::new(dialect);
    query.to_sql(&mut builder, HostBackend::of(dialect)).unwrap();
    builder.into_text()
}

#[track_caller]
fn check<T: QueryFragment<HostBackend> + QueryId>(query: &T, sqlite: &[&str], postgres: &[&str]) {
    for (dialect, expected) in [(Dialect::Sqlite, sqlite), (Dialect::Postgres, postgres)] {
        let found = match text(dialect, query) {
            Text::One(text) => vec![text],
            Text::Many(statements) => statements
                .into_iter()
                .map(|statement| format!("{} {:?}", statement.sql, statement.binds))
                .collect(),
        };
        assert_eq!(found, expected, "{dialect:?}");
    }
}

#[test]
fn placeholders_and_quotes_differ() {
    check(
        &rows::table.filter(rows::b.eq(1)).filter(rows::a.eq(2)).select(rows::id),
        &["SELECT `rows`.`id` FROM `rows` WHERE ((`rows`.`b` = ?) AND (`rows`.`a` = ?))"],
        &[r#"SELECT "rows"."id" FROM "rows" WHERE (("rows"."b" = $1) AND ("rows"."a" = $2))"#],
    );
}

#[test]
fn a_lone_offset_gets_a_limit_on_sqlite() {
    check(
        &rows::table.select(rows::id).offset(3),
        &["SELECT `rows`.`id` FROM `rows` LIMIT -1 OFFSET ?"],
        &[r#"SELECT "rows"."id" FROM "rows" OFFSET $1"#],
    );
}

#[test]
fn returning_names_no_table() {
    check(
        &diesel::delete(rows::table).returning(rows::id),
        &["DELETE FROM `rows` RETURNING `id`"],
        &[r#"DELETE FROM "rows" RETURNING "id""#],
    );
}

#[test]
fn a_value_left_out_is_the_default() {
    check(
        &diesel::insert_into(rows::table).values(Row { a: None, b: Some(2) }),
        &["INSERT INTO `rows` (`b`) VALUES (?)"],
        &[r#"INSERT INTO "rows" ("a", "b") VALUES (DEFAULT, $1)"#],
    );
    check(
        &diesel::insert_into(rows::table).values(Row { a: None, b: None }),
        &["INSERT INTO `rows` DEFAULT VALUES"],
        &[r#"INSERT INTO "rows" ("a", "b") VALUES (DEFAULT, DEFAULT)"#],
    );
}

#[test]
fn rows_that_name_other_columns_go_into_other_statements_on_sqlite() {
    let batch = [
        Row { a: Some(1), b: Some(2) },
        Row { a: Some(3), b: Some(4) },
        Row { a: None, b: Some(5) },
        Row { a: None, b: None },
        Row { a: None, b: None },
        Row { a: Some(6), b: None },
    ];
    check(
        &diesel::insert_into(rows::table).values(batch.to_vec()).returning(rows::id),
        &[
            "INSERT INTO `rows` (`a`, `b`) VALUES (?, ?), (?, ?) RETURNING `id` [0..2, 2..4]",
            "INSERT INTO `rows` (`b`) VALUES (?) RETURNING `id` [4..5]",
            "INSERT INTO `rows` DEFAULT VALUES RETURNING `id` []",
            "INSERT INTO `rows` DEFAULT VALUES RETURNING `id` []",
            "INSERT INTO `rows` (`a`) VALUES (?) RETURNING `id` [5..6]",
        ],
        &[
            r#"INSERT INTO "rows" ("a", "b") VALUES ($1, $2), ($3, $4), (DEFAULT, $5), (DEFAULT, DEFAULT), (DEFAULT, DEFAULT), ($6, DEFAULT) RETURNING "id""#,
        ],
    );
}

#[test]
fn rows_that_name_the_same_columns_stay_together() {
    let batch = vec![Row { a: None, b: Some(1) }, Row { a: None, b: Some(2) }];
    check(
        &diesel::insert_into(rows::table).values(batch),
        &["INSERT INTO `rows` (`b`) VALUES (?), (?)"],
        &[r#"INSERT INTO "rows" ("a", "b") VALUES (DEFAULT, $1), (DEFAULT, $2)"#],
    );
}

#[test]
fn what_follows_the_rows_is_in_each_statement() {
    let batch = vec![Row { a: Some(1), b: Some(1) }, Row { a: None, b: Some(2) }];
    check(
        &diesel::insert_into(rows::table)
            .values(batch)
            .on_conflict(rows::id)
            .do_update()
            .set(rows::b.eq(9)),
        &[
            "INSERT INTO `rows` (`a`, `b`) VALUES (?, ?) ON CONFLICT (`id`) DO UPDATE SET `b` = ? [0..2, 3..4]",
            "INSERT INTO `rows` (`b`) VALUES (?) ON CONFLICT (`id`) DO UPDATE SET `b` = ? [2..3, 3..4]",
        ],
        &[
            r#"INSERT INTO "rows" ("a", "b") VALUES ($1, $2), (DEFAULT, $3) ON CONFLICT ("id") DO UPDATE SET "b" = $4"#,
        ],
    );
}

#[test]
fn a_batch_beyond_the_limit_of_binds_is_cut() {
    let batch: Vec<_> = (0..40_000).map(|n| (rows::a.eq(n), rows::b.eq(n))).collect();
    let query = diesel::insert_into(rows::table)
        .values(batch)
        .on_conflict(rows::id)
        .do_update()
        .set(rows::b.eq(9));
    for (dialect, expected) in
        [(Dialect::Sqlite, &[16_382, 16_382, 7_236][..]), (Dialect::Postgres, &[32_767, 7_233])]
    {
        let Text::Many(statements) = text(dialect, &query) else { panic!("one statement") };
        let rows: Vec<_> = statements.iter().map(|statement| statement.binds.len() - 1).collect();
        assert_eq!(rows, expected);
        for (statement, rows) in statements.iter().zip(rows) {
            let last = match dialect {
                Dialect::Sqlite => "SET `b` = ?".to_owned(),
                Dialect::Postgres => format!(r#"SET "b" = ${}"#, rows * 2 + 1),
            };
            assert!(
                statement.sql.ends_with(&last),
                "{}",
                &statement.sql[statement.sql.len() - 40..]
            );
            assert_eq!(statement.binds.last(), Some(&(80_000..80_001)));
        }
    }
}

#[test]
fn no_rows_are_no_statement_that_inserts() {
    check(
        &diesel::insert_into(rows::table).values(Vec::<Row>::new()),
        &["SELECT 1 FROM `rows` WHERE 1=0"],
        &[r#"SELECT 1 FROM "rows" WHERE 1=0"#],
    );
}
