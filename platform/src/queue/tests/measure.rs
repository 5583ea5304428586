//! Figures, for whoever asks: `cargo test -p powernode --release -- --ignored --nocapture queue::tests::measure`.

#![expect(clippy::print_stdout, reason = "figures are for whoever asked")]

use std::time::Instant;

use super::*;

/// Rows of jobs that ended.
pub(super) fn fill(it: &Fixture, rows: i64) {
    let sql = match it.engine.dialect() {
        powernode_abi::data::POSTGRES => format!(
            "INSERT INTO core_jobs (queue, extension, handler, args, state, priority, run_at, max_attempts, \
            finished_at, prune_at, created_at) SELECT 'shop', 'shop', 'send', '{{}}', 4, 5, n, 26, n, n + 86400000, n \
            FROM generate_series(1, {rows}) AS n"
        ),
        _ => format!(
            "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows}) \
            INSERT INTO core_jobs (queue, extension, handler, args, state, priority, run_at, max_attempts, \
            finished_at, prune_at, created_at) SELECT 'shop', 'shop', 'send', '{{}}', 4, 5, n, 26, n, n + 86400000, n FROM s"
        ),
    };
    it.core(move |conn| Ok(diesel::sql_query(sql).execute(conn)?));
}

fn drain(it: &Fixture, jobs: usize, batch: usize) -> f64 {
    let begun = Instant::now();
    for part in 0..jobs.div_ceil(1_000) {
        it.enqueue(vec![job(); 1_000.min(jobs - part * 1_000)]);
    }
    let enqueued = begun.elapsed();
    let core = it.engine.core();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let begun = Instant::now();
    let mut ended = 0;
    let mut finishes: Vec<Finish> = Vec::new();
    let slots = u32::try_from(batch).unwrap();
    while ended < jobs {
        let acks = std::mem::take(&mut finishes);
        let tick = core.transaction(move |conn| {
            let ended = finish(conn, &acks, at(1), &mut |_| 0)?.len();
            let wants = [want("shop", "send", slots)];
            Ok::<_, QueueError>((ended, claim(conn, "n", &wants, batch, at(1))?))
        });
        let (some, runs) = runtime.block_on(tick).unwrap();
        ended += some;
        finishes = runs.iter().map(|it| Finish::new(it, Outcome::Done)).collect();
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "  {jobs} jobs in batches of {batch}: enqueued in bulk {:.0}/s, drained {:.0}/s",
        jobs as f64 / enqueued.as_secs_f64(),
        jobs as f64 / seconds
    );
    seconds
}

#[test]
#[ignore = "takes a minute and prints figures"]
fn figures() {
    on_both(|it| {
        println!("dialect {}", it.engine.dialect());
        for batch in [16, 100] {
            drain(it, 10_000, batch);
        }
        let core = it.engine.core();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let begun = Instant::now();
        for _ in 0..1_000 {
            let one = core.transaction(|conn| enqueue(conn, "shop", &[job()], at(0)));
            runtime.block_on(one).unwrap();
        }
        println!("  enqueued one by one: {:.0}/s", 1_000.0 / begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        it.core(|conn| {
            for _ in 0..1_000 {
                enqueue(conn, "shop", &[job()], at(0))?;
            }
            Ok(())
        });
        println!(
            "  one more statement in an open transaction: {:.0} µs",
            begun.elapsed().as_secs_f64() * 1_000.0
        );
        it.meddle("DELETE FROM core_jobs");
        for rows in [1_000, 999_000] {
            fill(it, rows);
            it.enqueue(vec![job(); 3_000]);
            let mut times = Vec::new();
            for _ in 0..200 {
                let begun = Instant::now();
                let tick = core.transaction(|conn| {
                    Ok::<_, QueueError>(claim(conn, "n", &[want("shop", "send", 10)], 10, at(1))?)
                });
                let runs = runtime.block_on(tick).unwrap();
                times.push(begun.elapsed());
                assert_eq!(runs.len(), 10);
                let acks: Vec<_> = runs.iter().map(|it| Finish::new(it, Outcome::Done)).collect();
                it.core(move |conn| Ok(finish(conn, &acks, at(1), &mut |_| 0)?));
            }
            times.sort();
            println!(
                "  claim of 10 with {rows} more ended rows: median {:?}, p99 {:?}",
                times[100], times[197]
            );
            let begun = Instant::now();
            it.core(|conn| Ok(sizes(conn, at(1))?));
            let counted = begun.elapsed();
            let begun = Instant::now();
            let rare = Filter {
                queue: Some("nowhere".into()),
                state: Some(State::Done),
                ..Filter::default()
            };
            it.core(move |conn| Ok(list(conn, &rare, 50)?));
            println!("  sizes {counted:?}, a page of a rare filter {:?}", begun.elapsed());
            it.meddle("DELETE FROM core_jobs WHERE state < 4");
        }
        drain(it, 10_000, 100);
        let begun = Instant::now();
        it.core(|conn| Ok(prune(conn, at(0), 5_000)?));
        println!("  pruned 5,000 in {:?}", begun.elapsed());
    });
}
