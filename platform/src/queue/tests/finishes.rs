//! Ends, retries, rescues.

use super::*;

fn ended(state: State) -> impl Fn(&[Ended]) -> bool {
    move |ended| matches!(ended, [only] if only.state == state)
}

#[test]
fn each_outcome_has_its_state() {
    on_both(|it| {
        let check = |outcome: Outcome, state: State, attempt: u32, reason: Option<&str>| {
            let id = it.put(job());
            let run = it.claim(1).remove(0);
            let answer = it.finish(&run, outcome);
            assert_eq!(answer, [Ended { id, state }]);
            let kept = it.job(id);
            assert_eq!((kept.state, kept.attempt), (state, attempt));
            assert_eq!((kept.reason.as_deref(), kept.node), (reason, None));
            assert_eq!(kept.finished_at.is_some(), state.is_final());
            it.meddle("DELETE FROM core_jobs");
        };
        check(Outcome::Done, State::Done, 1, None);
        check(Outcome::Retry("e".into()), State::Scheduled, 1, None);
        check(Outcome::RetryIn(Duration::from_secs(1), "e".into()), State::Scheduled, 1, None);
        check(Outcome::Discard("unwanted".into()), State::Cancelled, 1, Some("unwanted"));
        check(Outcome::Dead("e".into()), State::Dead, 1, Some("its handler gave it up"));
        check(Outcome::Snooze(Duration::from_secs(1)), State::Scheduled, 0, None);
        check(Outcome::Release, State::Ready, 0, None);
    });
}

#[test]
fn a_retry_waits_as_sidekiq_has_it_and_remembers_why() {
    on_both(|it| {
        let id = it.put(job());
        let run = it.claim(1).remove(0);
        it.finish(&run, Outcome::Retry("first".into()));
        assert_eq!(it.job(id).run_at, at(15));
        assert_eq!(it.stage_at(14), 0);
        it.stage_at(15);
        let run = it.claim_at(15, 1).remove(0);
        assert_eq!(run.fence.attempt, 2);
        it.finish_at(15, &run, Outcome::Retry("second".into()));
        assert_eq!(it.job(id).run_at, at(15 + 16));
        let errors: serde_json::Value = serde_json::from_str(&it.job(id).errors.unwrap()).unwrap();
        assert_eq!(errors[0]["error"], "first");
        assert_eq!((&errors[1]["error"], &errors[1]["attempt"]), (&"second".into(), &2.into()));
    });
}

#[test]
fn who_used_up_its_attempts_is_dead() {
    on_both(|it| {
        let id = it.put(job().with_attempts(2));
        let run = it.claim(1).remove(0);
        assert!(ended(State::Scheduled)(
            &it.finish(&run, Outcome::RetryIn(Duration::ZERO, "e".into()))
        ));
        it.stage_at(0);
        let run = it.claim(1).remove(0);
        assert!(ended(State::Dead)(&it.finish(&run, Outcome::RetryIn(Duration::ZERO, "e".into()))));
        assert_eq!(it.job(id).reason.as_deref(), Some("all 2 attempts failed"));
    });
}

#[test]
fn only_the_last_ten_errors_are_kept() {
    on_both(|it| {
        let id = it.put(job());
        for number in 0..12 {
            it.stage_at(0);
            let run = it.claim(1).remove(0);
            it.finish(&run, Outcome::RetryIn(Duration::ZERO, format!("e{number}\0")));
        }
        let errors: serde_json::Value = serde_json::from_str(&it.job(id).errors.unwrap()).unwrap();
        assert_eq!(errors.as_array().map(Vec::len), Some(10));
        assert_eq!(errors[9]["error"], "e11");
    });
}

#[test]
fn a_run_that_was_given_up_ends_nothing() {
    on_both(|it| {
        let id = it.put(job());
        let old = it.claim(1).remove(0);
        it.finish(&old, Outcome::Release);
        assert_eq!(it.finish(&old, Outcome::Done), [], "it is not running");
        let new = it.claim(1).remove(0);
        assert_eq!(
            old.fence.attempt, new.fence.attempt,
            "the attempt alone would not tell them apart"
        );
        assert_eq!(it.finish(&old, Outcome::Done), []);
        let late = old.fence;
        assert!(!it.core(move |conn| progress(conn, late, "{}")));
        assert_eq!(it.state(id), State::Running);
        assert!(ended(State::Done)(&it.finish(&new, Outcome::Done)));
        assert_eq!(it.finish(&new, Outcome::Done), [], "once");
    });
}

#[test]
fn many_ends_are_booked_at_once() {
    on_both(|it| {
        it.enqueue(vec![job(); 100]);
        let runs = it.claim(100);
        let mut finishes: Vec<Finish> =
            runs.iter().map(|run| Finish::new(run, Outcome::Done)).collect();
        finishes[7] = Finish::new(&runs[7], Outcome::Retry("e".into()));
        let ended = it.core(move |conn| Ok(finish(conn, &finishes, at(0), &mut |_| 0)?));
        let done = ended.iter().filter(|it| it.state == State::Done).count();
        assert_eq!((ended.len(), done, runs.len()), (100, 99, 100));
    });
}

#[test]
fn progress_is_seen_while_it_runs() {
    on_both(|it| {
        let id = it.put(job());
        let run = it.claim(1).remove(0);
        let fence = run.fence;
        assert!(it.core(move |conn| progress(conn, fence, r#"{"done":3}"#)));
        assert_eq!(it.job(id).progress.as_deref(), Some(r#"{"done":3}"#));
        let long = "x".repeat(20_000);
        let answer = block_on(it.engine.core().write(move |conn| progress(conn, fence, &long)));
        assert!(matches!(answer, Err(QueueError::Job(_))), "{answer:?}");
    });
}

fn node(id: &str) -> NewNode {
    NewNode { id: id.into(), host: "host".into(), pid: 7, version: "1".into() }
}

fn join_as(it: &Fixture, id: &'static str) {
    it.core(move |conn| Ok(join(conn, &node(id), at(0))?));
}

fn beat_as(it: &Fixture, id: &'static str) -> Beat {
    it.core(move |conn| Ok(beat(conn, id, at(1))?))
}

#[test]
fn a_cancelled_job_ends_or_is_asked_to() {
    on_both(|it| {
        join_as(it, "n");
        let (waits, later) = (it.put(job()), it.put(job().at(at(60))));
        let by_id = |id| Filter { id: Some(id), ..Filter::default() };
        let cancel = |id| it.core(move |conn| Ok(cancel(conn, &by_id(id), 9, at(2))?));
        assert_eq!((cancel(later), it.state(later)), (1, State::Cancelled));
        let run = it.claim(1).remove(0);
        assert_eq!((cancel(waits), it.state(waits)), (1, State::Running));
        assert_eq!(beat_as(it, "n"), Beat::Alive(vec![waits]));
        assert!(ended(State::Cancelled)(&it.finish(&run, Outcome::Retry("stopped".into()))));
        assert_eq!(it.job(waits).reason.as_deref(), Some("cancelled"));
        assert_eq!(cancel(waits), 0, "it ended");
    });
}

#[test]
fn who_ends_well_before_he_heard_of_it_ended_well() {
    on_both(|it| {
        let id = it.put(job());
        let run = it.claim(1).remove(0);
        it.core(|conn| Ok(cancel(conn, &Filter::default(), 9, at(0))?));
        assert!(ended(State::Done)(&it.finish(&run, Outcome::Done)));
        assert_eq!(it.state(id), State::Done);
    });
}

#[test]
fn a_cancelled_job_lets_the_next_of_its_serial_key_go_on() {
    on_both(|it| {
        let first = it.put(job().serial("k"));
        let next = it.put(job().serial("k"));
        it.stage_at(0);
        let filter = Filter { id: Some(first), ..Filter::default() };
        it.core(move |conn| Ok(cancel(conn, &filter, 9, at(0))?));
        assert_eq!(ids(&it.claim(9)), [next]);
    });
}

#[test]
fn a_dead_nodes_jobs_are_ready_again_and_a_living_ones_are_not() {
    on_both(|it| {
        join_as(it, "dead");
        join_as(it, "lives");
        let (one, two) = (it.put(job()), it.put(job()));
        let as_node = |node: &'static str| {
            it.core(move |conn| Ok(claim(conn, node, &[want("shop", "send", 1)], 1, at(0))?))
                .remove(0)
        };
        let (lost, kept) = (as_node("dead"), as_node("lives"));
        assert_eq!((lost.fence.id, kept.fence.id), (one, two));
        let seen = it.core(|conn| Ok(nodes(conn)?));
        assert_eq!(
            seen.iter().map(|it| (it.id.as_str(), it.running)).collect::<Vec<_>>(),
            [("dead", 1), ("lives", 1)]
        );
        let dead = |beat| [Dead { node: "dead".into(), beat }];
        assert_eq!(beat_as(it, "dead"), Beat::Alive(vec![]));
        let early = it.core(move |conn| Ok(rescue(conn, &dead(0), at(0))?));
        assert_eq!(early, [], "it counted on meanwhile");
        let rescued = it.core(move |conn| Ok(rescue(conn, &dead(1), at(0))?));
        assert_eq!(rescued, [Ended { id: one, state: State::Ready }]);
        assert_eq!(
            (it.state(two), it.job(one).attempt, it.job(one).deaths),
            (State::Running, 1, 1)
        );
        assert_eq!(beat_as(it, "dead"), Beat::Lost);
        assert_eq!(it.finish(&lost, Outcome::Done), [], "it comes too late");
        let again = it.claim(1).remove(0);
        assert_eq!((again.fence.id, again.fence.attempt), (one, 2));
    });
}

#[test]
fn what_a_node_that_is_gone_ran_is_rescued_too() {
    on_both(|it| {
        let id = it.put(job());
        it.claim(1);
        let rescued = it.core(|conn| Ok(rescue(conn, &[], at(0))?));
        assert_eq!(rescued, [Ended { id, state: State::Ready }]);
    });
}

#[test]
fn at_the_start_of_the_only_process_everything_that_runs_is_rescued() {
    on_both(|it| {
        join_as(it, "n");
        it.enqueue(vec![job(); 5]);
        assert_eq!(it.claim(3).len(), 3);
        assert_eq!(it.core(|conn| Ok(rescue_all(conn, at(0))?)).len(), 3);
        assert_eq!(it.core(|conn| Ok(nodes(conn)?)), []);
        assert_eq!(it.claim(9).len(), 3, "the two that never ran, and one suspect");
    });
}

#[test]
fn who_takes_its_process_down_three_times_is_dead_and_those_beside_it_are_not() {
    on_both(|it| {
        let poison = it.put(NewJob::new("poison", "{}"));
        let others: Vec<i64> = it.enqueue(vec![job(); 9]).into_iter().flatten().collect();
        let both = Want { handlers: vec!["poison".into(), "send".into()], ..want("shop", "", 9) };
        for _ in 0..20 {
            let runs = it.claim_of(std::slice::from_ref(&both), 0);
            if runs.is_empty() {
                break;
            }
            if ids(&runs).contains(&poison) {
                it.core(|conn| Ok(rescue_all(conn, at(0))?));
            } else {
                for run in runs {
                    it.finish(&run, Outcome::Done);
                }
            }
        }
        let dead = it.job(poison);
        assert_eq!((dead.state, dead.deaths), (State::Dead, 3));
        assert_eq!(dead.reason.as_deref(), Some("it took its process down 3 times"));
        assert!(dead.errors.is_some_and(|it| it.contains("the process died that ran it (node n)")));
        for id in others {
            assert_eq!(it.state(id), State::Done);
        }
    });
}

#[test]
fn a_rescue_uses_up_attempts() {
    on_both(|it| {
        let id = it.put(job().with_attempts(1));
        it.claim(1);
        it.core(|conn| Ok(rescue_all(conn, at(0))?));
        let dead = it.job(id);
        assert_eq!(dead.state, State::Dead);
        assert_eq!(
            dead.reason.as_deref(),
            Some("all 1 attempts failed: its process died during the last")
        );
    });
}

#[test]
fn a_node_that_ends_gives_back_what_it_runs_and_no_attempt_counts() {
    on_both(|it| {
        join_as(it, "n");
        let id = it.put(job());
        let run = it.claim(1).remove(0);
        let back = it.core(|conn| Ok(leave(conn, "n", at(0))?));
        assert_eq!(back, [Ended { id, state: State::Ready }]);
        assert_eq!((it.job(id).attempt, it.job(id).deaths), (0, 0));
        assert_eq!(it.finish(&run, Outcome::Done), []);
        assert_eq!(it.core(|conn| Ok(nodes(conn)?)), []);
    });
}
