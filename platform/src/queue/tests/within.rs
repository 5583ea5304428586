//! Enqueueing from an extension's own transaction.

use diesel::sql_types::Text;

use super::*;

diesel::table! {
    shop_items (id) {
        id -> BigInt,
        name -> Text,
    }
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Text)]
    answer: String,
}

fn shop(it: &Fixture) -> Db {
    Db::new(it.engine.for_extension("shop"))
}

fn add(conn: &mut HostConnection, id: i64) -> QueryResult<()> {
    let row = (shop_items::id.eq(id), shop_items::name.eq("tea"));
    diesel::insert_into(shop_items::table).values(row).execute(conn).map(drop)
}

/// What the SDK sends.
fn ask(conn: &mut HostConnection, jobs: &[NewJob]) -> QueryResult<String> {
    let call = diesel::sql_query("SELECT core_enqueue($1)")
        .bind::<Text, _>(serde_json::to_string(jobs).unwrap());
    Ok(call.get_result::<Answer>(conn)?.answer)
}

fn items(it: &Fixture) -> i64 {
    let count: Result<i64, QueueError> =
        block_on(shop(it).read(|conn| Ok(shop_items::table.count().get_result(conn)?)));
    count.unwrap()
}

#[test]
fn a_job_is_committed_with_the_row_that_it_belongs_to() {
    on_both(|it| {
        let answer: Result<String, QueueError> = block_on(shop(it).transaction(|conn| {
            add(conn, 1)?;
            Ok(ask(conn, &[job().in_queue("mail"), job().serial("k")])?)
        }));
        let numbers: Vec<Option<i64>> = serde_json::from_str(&answer.unwrap()).unwrap();
        let kept = it.job(numbers[0].unwrap());
        assert_eq!(
            (kept.queue.as_str(), kept.extension.as_str(), kept.created_at),
            ("shop:mail", "shop", at(0))
        );
        assert_eq!(it.state(numbers[1].unwrap()), State::Blocked);
        assert_eq!(items(it), 1);
    });
}

#[test]
fn a_job_is_rolled_back_with_it() {
    on_both(|it| {
        let answer: Result<(), QueueError> = block_on(shop(it).transaction(|conn| {
            add(conn, 1)?;
            ask(conn, &[job()])?;
            Err(diesel::result::Error::RollbackTransaction.into())
        }));
        assert!(answer.is_err());
        assert_eq!(
            (items(it), it.core(|conn| Ok(list(conn, &Filter::default(), 9)?)).len()),
            (0, 0)
        );
        // The same with a savepoint of the author's own.
        let answer: Result<(), QueueError> = block_on(shop(it).transaction(|conn| {
            add(conn, 1)?;
            let inner: QueryResult<()> = conn.transaction(|conn| {
                ask(conn, &[job()])?;
                Err(diesel::result::Error::RollbackTransaction)
            });
            assert!(inner.is_err());
            Ok(())
        }));
        answer.unwrap();
        assert_eq!(
            (items(it), it.core(|conn| Ok(list(conn, &Filter::default(), 9)?)).len()),
            (1, 0)
        );
    });
}

#[test]
fn a_taken_key_is_told_and_spoils_no_transaction() {
    on_both(|it| {
        let keyed = || [job().unique(Unique::UntilDone("a".into()))];
        let answer: Result<String, QueueError> = block_on(shop(it).transaction(move |conn| {
            ask(conn, &keyed())?;
            let second = ask(conn, &keyed())?;
            add(conn, 1)?;
            Ok(second)
        }));
        assert_eq!((answer.unwrap().as_str(), items(it)), ("[null]", 1));
    });
}

#[track_caller]
fn check_refused(sql: &'static str, argument: &'static str, sqlite: &str, postgres: &str) {
    on_both(|it| {
        let answer: Result<usize, QueueError> = block_on(shop(it).transaction(move |conn| {
            let query = diesel::sql_query(sql).bind::<Text, _>(argument);
            Ok(query.load::<Answer>(conn)?.len())
        }));
        let Err(QueueError::Database(error)) = answer else { panic!("{sql}: {answer:?}") };
        let expected = match shop(it).dialect() {
            powernode_plugin_api::db::Dialect::Postgres => postgres,
            _ => sqlite,
        };
        assert!(error.to_string().contains(expected), "{sql}: {error}");
        assert_eq!(it.core(|conn| Ok(list(conn, &Filter::default(), 9)?)).len(), 0);
    });
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let sql = "SELECT core_enqueue($1)";
    let unread = "jobs that cannot be read: ";
    check_refused(sql, "{", unread, unread);
    let bad = "job `x`: its arguments are no JSON";
    check_refused(sql, r#"[{"handler":"x","args":""}]"#, bad, bad);
}

#[test]
fn an_extension_writes_no_jobs_of_others() {
    const ROW: &str = r#"[{"queue":"blog","handler":"x","args":"{}","priority":1,"run_at":1,"max_attempts":1,"unique_scope":0}]"#;
    let none = "no such function";
    check_refused(
        "SELECT job::text AS answer FROM core_enqueue('blog', $1, 1)",
        ROW,
        "",
        "this login role may not enqueue jobs of `blog`",
    );
    check_refused(
        "SELECT job::text AS answer FROM core_enqueue('shop', $1, 1)",
        ROW,
        "",
        "a queue of `shop` is called so, or begins with `shop:`",
    );
    check_refused("SELECT core_enqueue($1, 1)", ROW, none, "may not touch `core_enqueue`");
    check_refused(
        "INSERT INTO core_jobs (queue, extension, handler, args, state, priority, run_at, max_attempts, created_at) \
        VALUES ('shop', 'shop', 'x', $1, 1, 1, 1, 1, 1) RETURNING handler AS answer",
        "{}",
        "may not insert into `core_jobs`",
        "core_jobs",
    );
    check_refused(
        "SELECT args AS answer FROM core_jobs WHERE args = $1",
        "{}",
        "may not read `core_jobs",
        "core_jobs",
    );
}

#[test]
fn where_all_share_a_role_each_still_writes_its_own() {
    let Some(cluster) = Cluster::shared() else { return };
    let mut settings = DatabaseSettings::postgres(cluster.database().unwrap());
    settings.confinement = crate::db::Confinement::SearchPath;
    let it = Fixture::new(settings, tempfile::tempdir().unwrap());
    let answer: Result<String, QueueError> =
        block_on(shop(&it).transaction(|conn| Ok(ask(conn, &[job()])?)));
    let numbers: Vec<i64> = serde_json::from_str(&answer.unwrap()).unwrap();
    assert_eq!(it.job(numbers[0]).extension, "shop");
}

#[test]
fn without_the_right_to_write_nothing_is_written() {
    on_both(|it| {
        let answer: Result<String, QueueError> =
            block_on(shop(it).read(|conn| Ok(ask(conn, &[job()])?)));
        assert!(answer.is_err());
        assert_eq!(it.core(|conn| Ok(list(conn, &Filter::default(), 9)?)).len(), 0);
    });
}
