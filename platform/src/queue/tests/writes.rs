//! Enqueueing.

use super::*;

#[test]
fn a_job_is_ready_at_once_or_at_its_time() {
    on_both(|it| {
        let now = it.put(job());
        let later = it.put(job().at(at(60)));
        assert_eq!((it.state(now), it.state(later)), (State::Ready, State::Scheduled));
        assert_eq!(it.stage_at(59), 0);
        assert_eq!(it.core(|conn| Ok(next_due(conn)?)), Some(at(60)));
        assert_eq!(it.stage_at(60), 1);
        assert_eq!(it.state(later), State::Ready);
        assert_eq!(it.core(|conn| Ok(next_due(conn)?)), None);
    });
}

#[test]
fn everything_that_was_asked_for_is_kept() {
    on_both(|it| {
        let asked = NewJob::new("send", r#"{"to":"ä\"'\\"}"#)
            .in_queue("mail")
            .with_priority(3)
            .with_timeout(Duration::from_millis(1_500))
            .with_attempts(4)
            .with_meta("trace")
            .unique(Unique::UntilDone("u".into()))
            .serial("s");
        let id = it.put(asked);
        let kept = it.job(id);
        assert_eq!((kept.queue.as_str(), kept.extension.as_str()), ("shop:mail", "shop"));
        assert_eq!((kept.args.as_str(), kept.priority), (r#"{"to":"ä\"'\\"}"#, 3));
        assert_eq!(
            (kept.unique_key.as_deref(), kept.serial_key.as_deref()),
            (Some("u"), Some("s"))
        );
        assert_eq!(it.stage_at(0), 1);
        let claimed = it.claim_of(&[want("shop:mail", "send", 1)], 0).remove(0);
        assert_eq!(claimed.timeout, Some(Duration::from_millis(1_500)));
        assert_eq!((claimed.max_attempts, claimed.meta.as_deref()), (4, Some("trace")));
    });
}

#[test]
fn a_queue_is_there_as_soon_as_somebody_writes_to_it() {
    on_both(|it| {
        it.put(job().in_queue("mail"));
        let names = it.core(|conn| Ok(queues(conn)?)).into_iter().map(|it| it.name);
        assert_eq!(names.collect::<Vec<_>>(), ["shop:mail"]);
        it.core(|conn| Ok(ensure(conn, "blog", &["pictures"])?));
        let names = it.core(|conn| Ok(queues(conn)?)).into_iter().map(|it| it.name);
        assert_eq!(names.collect::<Vec<_>>(), ["blog", "blog:pictures", "shop:mail"]);
    });
}

#[test]
fn in_bulk_each_job_gets_its_number_and_a_taken_key_none() {
    on_both(|it| {
        let keyed = |key: &str| job().unique(Unique::UntilDone(key.into()));
        let first = it.enqueue(vec![keyed("a")])[0].unwrap();
        let numbers = it.enqueue(vec![job(), keyed("a"), keyed("b"), keyed("b"), job()]);
        let taken: Vec<bool> = numbers.iter().map(Option::is_none).collect();
        assert_eq!(taken, [false, true, false, true, false]);
        assert_eq!(numbers.iter().flatten().count(), 3);
        assert!(numbers.iter().flatten().all(|id| *id > first));
        assert_eq!(it.job(numbers[2].unwrap()).unique_key.as_deref(), Some("b"));
        assert_eq!(it.enqueue(vec![]), []);
    });
}

#[test]
fn a_key_is_free_again_when_its_job_ended() {
    on_both(|it| {
        let keyed = || job().unique(Unique::UntilDone("a".into()));
        it.put(keyed());
        let run = it.claim(1).remove(0);
        assert_eq!(it.enqueue(vec![keyed()]), [None], "it runs");
        it.finish(&run, Outcome::Retry("no".into()));
        assert_eq!(it.enqueue(vec![keyed()]), [None], "it waits for its next attempt");
        it.stage_at(99);
        let run = it.claim(1).remove(0);
        it.finish(&run, Outcome::Done);
        it.put(keyed());
    });
}

#[test]
fn a_key_until_the_start_is_free_when_its_job_runs() {
    on_both(|it| {
        let keyed = || job().unique(Unique::UntilStart("a".into()));
        it.put(keyed());
        assert_eq!(it.enqueue(vec![keyed()]), [None]);
        assert_eq!(it.claim(1).len(), 1);
        it.put(keyed());
    });
}

#[test]
fn a_key_for_a_period_is_taken_until_that_is_over() {
    on_both(|it| {
        // 1,700,000,000 is 800 s into its hour.
        let keyed = || job().unique(Unique::Period { key: "a".into(), period_ms: 3_600_000 });
        it.core(|conn| {
            Ok(set_limits(
                conn,
                "shop",
                Limits { retain_done: Some(Duration::ZERO), ..Limits::default() },
            )?)
        });
        it.put(keyed());
        it.core(|conn| {
            Ok(set_limits(
                conn,
                "shop",
                Limits { retain_done: Some(Duration::ZERO), ..Limits::default() },
            )?)
        });
        let run = it.claim(1).remove(0);
        it.finish(&run, Outcome::Done);
        assert_eq!(it.core(|conn| Ok(prune(conn, at(10), 100)?)), 0, "it is kept for its key");
        assert_eq!(it.enqueue(vec![keyed()]), [None]);
        let next = keyed();
        let after = it.core(move |conn| enqueue(conn, "shop", &[next], at(3_600)));
        assert!(after[0].is_some());
        assert_eq!(it.core(|conn| Ok(prune(conn, at(3_600), 100)?)), 1);
    });
}

#[test]
fn extensions_do_not_share_keys() {
    on_both(|it| {
        let keyed = || job().unique(Unique::UntilDone("a".into())).serial("s");
        it.put(keyed());
        let other = keyed();
        let written = it.core(move |conn| enqueue(conn, "blog", &[other], at(0)));
        assert!(written[0].is_some());
        assert_eq!(it.stage_at(0), 2, "both are first of their own serial key");
    });
}

#[test]
fn what_is_rolled_back_was_never_there() {
    on_both(|it| {
        let core = it.engine.core();
        let answer: Result<(), QueueError> = block_on(core.transaction(|conn| {
            enqueue(conn, "shop", &[job()], at(0))?;
            Err(diesel::result::Error::RollbackTransaction.into())
        }));
        assert!(answer.is_err());
        assert_eq!(it.claim(9), []);
    });
}

#[test]
fn one_bad_job_keeps_the_others_out() {
    on_both(|it| {
        let core = it.engine.core();
        let bad = [job(), NewJob::new("send", "{")];
        let answer = block_on(core.transaction(move |conn| enqueue(conn, "shop", &bad, at(0))));
        assert!(matches!(answer, Err(QueueError::Job(_))), "{answer:?}");
        assert_eq!(it.claim(9), []);
    });
}

#[test]
fn one_call_writes_no_more_than_it_may() {
    on_both(|it| {
        let refused = |jobs: Vec<NewJob>| {
            let answer: Result<_, QueueError> = block_on(
                it.engine.core().transaction(move |conn| enqueue(conn, "shop", &jobs, at(0))),
            );
            answer.unwrap_err().to_string()
        };
        assert_eq!(
            refused(vec![job(); 10_001]),
            "job `…`: 10001 jobs at once, and 10000 are allowed"
        );
        let large = NewJob::new("send", format!("{:?}", "x".repeat(250_000)));
        assert_eq!(
            refused(vec![large; 70]),
            "job `…`: 17500140 bytes at once, and 16777216 are allowed: enqueue in parts"
        );
        assert_eq!(it.claim(9), []);
    });
}
