//! Ticks.

use super::*;

fn schedule(name: &str, missed: Missed) -> Schedule {
    Schedule {
        name: format!("shop/{name}"),
        extension: "shop".into(),
        expression: "0 * * * *".into(),
        zone: "UTC".into(),
        job: job(),
        missed,
        next_at: at(10),
        last_at: None,
        skipped: 0,
        vanished_at: None,
    }
}

fn sync_all(it: &Fixture, named: &[Schedule]) -> String {
    let named = named.to_vec();
    let Synced { added, changed, vanished } =
        it.core(move |conn| Ok(sync(conn, "shop", &named, at(1))?));
    format!("+{} ~{} -{}", added.join(","), changed.join(","), vanished.join(","))
}

fn a_tick(seen: i64, next: i64, runs: &[i64]) -> Tick {
    Tick {
        schedule: "shop/a".into(),
        seen: at(seen),
        next_at: at(next),
        runs: runs.iter().map(|it| at(*it)).collect(),
        skipped: 0,
    }
}

fn take(it: &Fixture, a: Tick) -> bool {
    it.core(move |conn| tick(conn, &a, at(20)))
}

#[test]
fn what_an_extension_no_longer_names_is_reported_and_kept() {
    on_both(|it| {
        let (a, b) = (schedule("a", Missed::Once), schedule("b", Missed::Skip));
        assert_eq!(sync_all(it, &[a.clone(), b.clone()]), "+shop/a,shop/b ~ -");
        assert_eq!(it.core(|conn| Ok(schedules(conn)?)), [a.clone(), b.clone()]);
        assert_eq!(sync_all(it, &[a.clone(), b.clone()]), "+ ~ -");
        assert_eq!(sync_all(it, std::slice::from_ref(&b)), "+ ~ -shop/a");
        assert_eq!(sync_all(it, std::slice::from_ref(&b)), "+ ~ -", "reported once");
        assert_eq!(it.core(|conn| Ok(schedules(conn)?))[0].vanished_at, Some(at(1)));
        assert!(!take(it, a_tick(10, 70, &[10])), "it ticks no more");
        let back = Schedule { next_at: at(99), ..a };
        assert_eq!(sync_all(it, &[back, b]), "+shop/a ~ -");
        let kept = it.core(|conn| Ok(schedules(conn)?)).remove(0);
        assert_eq!((kept.vanished_at, kept.next_at), (None, at(99)));
    });
}

#[test]
fn a_start_does_not_move_the_next_tick_and_another_expression_does() {
    on_both(|it| {
        sync_all(it, &[schedule("a", Missed::Once)]);
        let next = || it.core(|conn| Ok(schedules(conn)?)).remove(0).next_at;
        sync_all(it, &[Schedule { next_at: at(500), ..schedule("a", Missed::Once) }]);
        assert_eq!(next(), at(10));
        let edited = Schedule {
            next_at: at(500),
            expression: "5 * * * *".into(),
            ..schedule("a", Missed::Once)
        };
        assert_eq!(sync_all(it, &[edited]), "+ ~shop/a -");
        assert_eq!(next(), at(500));
    });
}

#[test]
fn a_tick_is_taken_once() {
    on_both(|it| {
        sync_all(it, &[schedule("a", Missed::All)]);
        assert!(take(it, a_tick(10, 70, &[10])));
        assert!(!take(it, a_tick(10, 70, &[10])), "another node was first");
        let kept = it.core(|conn| Ok(schedules(conn)?)).remove(0);
        assert_eq!((kept.next_at, kept.last_at), (at(70), Some(at(10))));
        let run = it.claim_at(20, 9);
        assert_eq!(run.len(), 1);
        let meta: serde_json::Value =
            serde_json::from_str(run[0].meta.as_deref().unwrap()).unwrap();
        assert_eq!(
            (&meta["schedule"], &meta["tick"]),
            (&"shop/a".into(), &"2023-11-14T22:13:30Z".into())
        );
    });
}

#[test]
fn nodes_that_tick_at_once_write_one_job() {
    on_postgres(|it| {
        sync_all(it, &[schedule("a", Missed::All)]);
        let nodes: Vec<_> = (0..4)
            .map(|_| {
                let db = open(&it.settings).core();
                std::thread::spawn(move || {
                    let taken: Result<bool, QueueError> =
                        block_on(db.transaction(|conn| tick(conn, &a_tick(10, 70, &[10]), at(20))));
                    taken.unwrap()
                })
            })
            .collect();
        let taken = nodes.into_iter().map(|it| it.join().unwrap());
        assert_eq!(taken.filter(|it| *it).count(), 1);
        assert_eq!(it.claim_at(20, 9).len(), 1);
    });
}

#[test]
fn missed_ticks_run_each_or_wait_as_one() {
    on_both(|it| {
        sync_all(it, &[schedule("a", Missed::All)]);
        assert!(take(it, a_tick(10, 30, &[10, 15, 20])));
        assert_eq!(it.claim_at(20, 9).len(), 3);
        sync_all(it, &[schedule("a", Missed::Once)]);
        assert!(take(it, a_tick(30, 40, &[30])));
        assert!(take(it, a_tick(40, 50, &[40])));
        assert_eq!(it.claim_at(20, 9).len(), 1, "one waits at a time");
    });
}

#[test]
fn ticks_while_an_extension_is_off_are_counted() {
    on_both(|it| {
        sync_all(it, &[schedule("a", Missed::Once)]);
        assert!(take(it, Tick { skipped: 3, ..a_tick(10, 70, &[]) }));
        let kept = it.core(|conn| Ok(schedules(conn)?)).remove(0);
        assert_eq!((kept.skipped, kept.last_at), (3, None));
        assert_eq!(it.claim_at(20, 9), []);
    });
}
