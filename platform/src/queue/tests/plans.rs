//! What is done costs nothing to whoever looks for what is to be done: no statement reads the table from end to end.

use diesel::sql_types::{BigInt, Text};

use super::*;
use crate::{
    db::{Sql, Twin},
    queue::{claim as claims, finish as finishes, prune as prunes, queues as sizes_of},
};

/// Twenty thousand jobs that ended, and one that waits.
fn fill(it: &Fixture) {
    it.put(job());
    measure::fill(it, 20_000);
    // SQLite keeps no statistics while it runs.
    if it.engine.dialect() == powernode_abi::data::POSTGRES {
        it.meddle("ANALYZE");
    }
}

#[derive(Clone, Copy)]
enum Bind {
    N(i64),
    T(&'static str),
}

#[track_caller]
fn check(it: &Fixture, name: &str, twin: Twin, binds: &'static [Bind]) {
    fn bound<Row>(text: String, binds: &[Bind]) -> Sql<Row> {
        binds.iter().fold(Sql::both(text), |sql, bind| match bind {
            Bind::N(number) => sql.number(*number),
            Bind::T(text) => sql.text(*text),
        })
    }
    let plan: Vec<String> = it.core(move |conn| {
        if conn.dialect() == powernode_plugin_api::db::Dialect::Postgres {
            let explain = format!("EXPLAIN {}", twin.postgres);
            return Ok(bound::<Text>(explain, binds).load(conn)?);
        }
        let explain = format!("EXPLAIN QUERY PLAN {}", twin.sqlite);
        let steps = bound::<(BigInt, BigInt, BigInt, Text)>(explain, binds);
        let steps = steps.load::<(i64, i64, i64, String)>(conn)?;
        Ok(steps.into_iter().map(|(.., detail)| detail).collect())
    });
    let whole = |line: &&String| {
        let line = line.trim_start_matches([' ', '-', '>']);
        line.starts_with("Seq Scan on core_jobs")
            || line.starts_with("JIT")
            || line.starts_with("SCAN") && line.contains("core_jobs") && !line.contains("USING")
    };
    assert!(!plan.is_empty(), "{name}: no plan");
    assert_eq!(plan.iter().find(whole), None, "{name}: {}", plan.join("\n"));
}

#[test]
fn no_statement_reads_what_is_done() {
    use Bind::{N, T};
    const PAIRS: &str = r#"[{"queue":"shop","handler":"send","n":5}]"#;
    const ENDS: &str = "[[1,1,1,4,null,1,0,null,null],[2,1,1,4,null,1,0,null,null]]";
    on_both(|it| {
        fill(it);
        let both = |text| Twin { sqlite: text, postgres: text };
        let heads = Twin { sqlite: claims::HEADS_SQLITE, postgres: "SELECT 1" };
        check(it, "heads", heads, &[T("shop"), T("send"), N(5)]);
        check(it, "suspect", claims::SUSPECT, &[T("n"), T(PAIRS)]);
        check(it, "take", claims::TAKE, &[T("n"), N(1), T("[1,2]")]);
        check(it, "finish", finishes::APPLY, &[T(ENDS), N(1)]);
        check(it, "due", super::super::stage::DUE, &[N(1), N(1_000)]);
        check(it, "promote", super::super::stage::PROMOTE, &[N(1), T(r#"["k"]"#)]);
        check(it, "promote all", super::super::stage::PROMOTE_ALL, &[N(1)]);
        check(it, "orphans", super::super::rescue::ORPHANS, &[N(1_000)]);
        check(it, "prune", prunes::PRUNE, &[N(1), N(1_000)]);
        check(it, "sizes", both(sizes_of::SIZES), &[N(10_000)]);
        check(it, "waiting", both(sizes_of::WAITING), &[N(10_000)]);
        check(it, "latency", both(sizes_of::LATENCY), &[]);
    });
    on_postgres(|it| {
        fill(it);
        let heads = Twin { sqlite: "", postgres: claims::HEADS_POSTGRES };
        check(it, "heads", heads, &[T(PAIRS)]);
    });
}
