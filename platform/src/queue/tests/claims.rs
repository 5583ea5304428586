//! Claiming.

use super::*;

#[test]
fn a_claim_says_who_runs_what() {
    on_both(|it| {
        let id = it.put(job());
        let run = it.claim_at(7, 1).remove(0);
        assert_eq!((run.fence.id, run.fence.attempt), (id, 1));
        assert_eq!(
            (run.queue.as_str(), run.extension.as_str(), run.args.as_str()),
            ("shop", "shop", "{}")
        );
        assert_eq!(run.idempotency_key(), format!("job:{id}:1700000000000"));
        let job = it.job(id);
        assert_eq!(
            (job.state, job.node.as_deref(), job.started_at),
            (State::Running, Some("n"), Some(at(7)))
        );
        assert_eq!(it.claim(9), [], "it is taken");
    });
}

#[test]
fn priority_goes_before_time_and_time_before_number() {
    on_both(|it| {
        let late = it.put(job().at(at(-1)));
        let early = it.put(job().at(at(-2)));
        let urgent = it.put(job().with_priority(0));
        let same = it.put(job().at(at(-1)));
        assert_eq!(ids(&it.claim(9)), [urgent, early, late, same]);
    });
}

#[test]
fn queues_take_turns() {
    on_both(|it| {
        let flood = it.enqueue(vec![job(); 50]);
        let mail = it.put(job().in_queue("mail"));
        let wants = [want("shop", "send", 50), want("shop:mail", "send", 50)];
        let taken = it.core(move |conn| Ok(claim(conn, "n", &wants, 3, at(0))?));
        assert_eq!(ids(&taken), [flood[0].unwrap(), mail, flood[1].unwrap()]);
    });
}

#[test]
fn jobs_without_a_handler_here_wait_and_hold_up_nobody() {
    on_both(|it| {
        let strange = it.enqueue(vec![NewJob::new("unknown", "{}").with_priority(0); 200]);
        let id = it.put(job());
        assert_eq!(ids(&it.claim(1)), [id]);
        let waits = it.job(strange[0].unwrap());
        assert_eq!((waits.state, waits.attempt), (State::Ready, 0));
        let found = it.claim_of(&[want("shop", "unknown", 5)], 0);
        assert_eq!(found.len(), 5, "no flood when it is there again");
    });
}

#[test]
fn a_paused_queue_gives_nothing_until_it_goes_on() {
    on_both(|it| {
        let id = it.put(job());
        assert!(it.core(|conn| Ok(pause(conn, "shop", at(1))?)));
        assert!(!it.core(|conn| Ok(pause(conn, "nowhere", at(1))?)));
        // Even a node that has not heard of it yet.
        assert_eq!(it.claim(9), []);
        let queue = it.core(|conn| Ok(queues(conn)?)).remove(0);
        assert_eq!(queue.paused_at, Some(at(1)), "it is written down, for all nodes and starts");
        assert_eq!((it.state(id), it.job(id).attempt), (State::Ready, 0));
        assert!(it.core(|conn| Ok(resume(conn, "shop")?)));
        assert_eq!(ids(&it.claim(9)), [id]);
    });
}

#[test]
fn on_all_nodes_together_no_more_run_than_may() {
    on_both(|it| {
        it.enqueue(vec![job(); 10]);
        let limits = Limits { max_global: Some(Some(3)), ..Limits::default() };
        it.core(move |conn| Ok(set_limits(conn, "shop", limits)?));
        let claim_as = |node: &'static str| {
            it.core(move |conn| Ok(claim(conn, node, &[want("shop", "send", 2)], 9, at(0))?))
        };
        assert_eq!(claim_as("a").len(), 2);
        let second = claim_as("b");
        assert_eq!(second.len(), 1);
        assert_eq!(claim_as("c").len(), 0);
        it.finish(&second[0], Outcome::Done);
        assert_eq!(claim_as("c").len(), 1);
        let limits = Limits { max_global: Some(None), ..Limits::default() };
        it.core(move |conn| Ok(set_limits(conn, "shop", limits)?));
        assert_eq!(claim_as("d").len(), 2);
    });
}

#[test]
fn two_nodes_that_claim_at_once_share_the_jobs() {
    on_postgres(|it| {
        it.enqueue(vec![job(); 400]);
        let nodes: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .map(|node| {
                let db = open(&it.settings).core();
                std::thread::spawn(move || {
                    let mut mine = Vec::new();
                    loop {
                        let wants = [want("shop", "send", 7)];
                        let some: Result<_, QueueError> = block_on(
                            db.transaction(move |conn| Ok(claim(conn, node, &wants, 7, at(0))?)),
                        );
                        let some = some.unwrap();
                        if some.is_empty() {
                            return mine;
                        }
                        mine.extend(ids(&some));
                    }
                })
            })
            .collect();
        let mut all: Vec<i64> = nodes.into_iter().flat_map(|it| it.join().unwrap()).collect();
        all.sort_unstable();
        let claimed = all.len();
        all.dedup();
        // Who found all others' rows locked may have stopped before the end.
        let mut left = 0;
        loop {
            let some = it.claim(100).len();
            left += some;
            if some == 0 {
                break;
            }
        }
        assert_eq!((all.len(), claimed + left), (claimed, 400), "none twice, none lost");
    });
}

#[test]
fn a_global_bound_holds_when_nodes_claim_at_once() {
    on_postgres(|it| {
        it.enqueue(vec![job(); 50]);
        let limits = Limits { max_global: Some(Some(5)), ..Limits::default() };
        it.core(move |conn| Ok(set_limits(conn, "shop", limits)?));
        let nodes: Vec<_> = ["a", "b", "c", "d"]
            .into_iter()
            .map(|node| {
                let db = open(&it.settings).core();
                std::thread::spawn(move || {
                    let mut mine = 0;
                    for _ in 0..10 {
                        let wants = [want("shop", "send", 2)];
                        let some: Result<_, QueueError> = block_on(
                            db.transaction(move |conn| Ok(claim(conn, node, &wants, 2, at(0))?)),
                        );
                        mine += some.unwrap().len();
                    }
                    mine
                })
            })
            .collect();
        let all: usize = nodes.into_iter().map(|it| it.join().unwrap()).sum();
        assert_eq!(all, 5);
    });
}

#[test]
fn after_a_pause_was_acknowledged_nothing_begins() {
    on_postgres(|it| {
        it.enqueue(vec![job(); 3]);
        let (claims, claimed) = std::sync::mpsc::channel();
        let (go_on, goes_on) = std::sync::mpsc::channel::<()>();
        let db = open(&it.settings).core();
        let claimer = std::thread::spawn(move || {
            let answer: Result<usize, QueueError> = block_on(db.transaction(move |conn| {
                let some = claim(conn, "n", &[want("shop", "send", 1)], 9, at(0))?;
                claims.send(()).unwrap();
                goes_on.recv().unwrap();
                Ok(some.len())
            }));
            answer.unwrap()
        });
        claimed.recv().unwrap();
        let (db, core) = (open(&it.settings).core(), it.engine.core());
        let pauser = std::thread::spawn(move || {
            let answer: Result<bool, QueueError> =
                block_on(db.transaction(|conn| Ok(pause(conn, "shop", at(0))?)));
            answer.unwrap()
        });
        // The pause waits for the claim: PostgreSQL says so.
        diesel::table! { pg_locks (pid) { pid -> Integer, granted -> Bool, } }
        let waits = || {
            let count: Result<i64, QueueError> = block_on(core.read(|conn| {
                Ok(diesel::dsl::sql::<diesel::sql_types::BigInt>(
                    "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'",
                )
                .get_result(conn)?)
            }));
            count.unwrap() > 0
        };
        let begun = std::time::Instant::now();
        while !waits() {
            assert!(begun.elapsed() < Duration::from_secs(20) && !pauser.is_finished());
        }
        go_on.send(()).unwrap();
        assert_eq!(claimer.join().unwrap(), 1);
        assert!(pauser.join().unwrap());
        assert_eq!(it.claim(9), []);
    });
}

#[test]
fn of_a_serial_key_one_runs_after_the_other() {
    on_both(|it| {
        let keyed = || job().serial("k");
        let all: Vec<i64> =
            it.enqueue(vec![keyed(), keyed(), keyed()]).into_iter().flatten().collect();
        assert_eq!(it.claim(9), [], "none is ready before somebody looks");
        assert_eq!((it.stage_at(0), it.stage_at(0)), (1, 0));
        let first = it.claim(9);
        assert_eq!(ids(&first), all[..1]);
        it.finish(&first[0], Outcome::RetryIn(Duration::from_secs(5), "no".into()));
        assert_eq!((it.stage_at(1), it.claim(9).len()), (0, 0), "it still has the key");
        it.stage_at(5);
        let again = it.claim(9);
        assert_eq!(ids(&again), all[..1]);
        it.finish(&again[0], Outcome::Done);
        let second = it.claim(9);
        assert_eq!(ids(&second), all[1..2], "who ends lets the next go on");
        it.finish(&second[0], Outcome::Dead("no".into()));
        assert_eq!(ids(&it.claim(9)), all[2..]);
    });
}

#[test]
fn a_delayed_job_holds_its_serial_key_until_its_time() {
    on_both(|it| {
        let later = it.put(job().serial("k").at(at(60)));
        let next = it.put(job().serial("k"));
        it.stage_at(0);
        assert_eq!((it.state(later), it.state(next)), (State::Scheduled, State::Blocked));
        it.stage_at(60);
        let run = it.claim(9);
        assert_eq!(ids(&run), [later]);
        it.finish(&run[0], Outcome::Done);
        assert_eq!(ids(&it.claim(9)), [next]);
    });
}

#[test]
fn nodes_that_promote_at_once_start_one_job_of_a_key() {
    on_postgres(|it| {
        for round in 0..5 {
            it.enqueue((0..20).map(|key| job().serial(format!("{round}.{}", key % 4))).collect());
            let nodes: Vec<_> = (0..3)
                .map(|_| {
                    let db = open(&it.settings).core();
                    std::thread::spawn(move || {
                        let staged: Result<usize, QueueError> =
                            block_on(db.transaction(|conn| Ok(stage(conn, at(0), 100)?)));
                        staged.unwrap()
                    })
                })
                .collect();
            let staged: usize = nodes.into_iter().map(|it| it.join().unwrap()).sum();
            assert_eq!(staged, 4);
        }
    });
}
