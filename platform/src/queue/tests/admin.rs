//! What an operator sees and does.

use super::*;

fn of(state: State) -> Filter {
    Filter { state: Some(state), ..Filter::default() }
}

/// Three dead jobs, of which one has another handler.
fn three_dead(it: &Fixture) -> Vec<i64> {
    let ids = it.enqueue(vec![job(), NewJob::new("other", "{}"), job()]);
    for handler in ["send", "other"] {
        for run in it.claim_of(&[want("shop", handler, 9)], 0) {
            it.finish(&run, Outcome::Dead("e".into()));
        }
    }
    ids.into_iter().flatten().collect()
}

#[test]
fn lists_are_filtered_and_paged_from_the_newest() {
    on_both(|it| {
        let mut all: Vec<i64> = it.enqueue(vec![job(); 5]).into_iter().flatten().collect();
        let mail = it.put(job().in_queue("mail"));
        all.push(mail);
        let page = |filter: Filter, most| {
            let jobs = it.core(move |conn| Ok(list(conn, &filter, most)?));
            jobs.into_iter().map(|it| it.id).collect::<Vec<_>>()
        };
        all.reverse();
        assert_eq!(page(Filter::default(), 4), all[..4]);
        assert_eq!(page(Filter { before: Some(all[3]), ..Filter::default() }, 4), all[4..]);
        assert_eq!(
            page(Filter { queue: Some("shop:mail".into()), ..Filter::default() }, 9),
            [mail]
        );
        assert_eq!(page(Filter { extension: Some("blog".into()), ..Filter::default() }, 9), [0; 0]);
        assert_eq!(page(Filter { handler: Some("send".into()), ..of(State::Ready) }, 9), all);
        assert_eq!(page(of(State::Dead), 9), [0; 0]);
        assert_eq!(it.core(|conn| Ok(find(conn, i64::MAX)?)), None);
    });
}

#[test]
fn every_state_can_be_listed() {
    on_both(|it| {
        three_dead(it);
        for state in State::ALL {
            let jobs = it.core(move |conn| Ok(list(conn, &of(state), 9)?));
            assert_eq!(jobs.len(), if state == State::Dead { 3 } else { 0 }, "{state:?}");
        }
    });
}

#[test]
fn dead_jobs_are_tried_again_by_filter() {
    on_both(|it| {
        let ids_of = three_dead(it);
        let other = Filter { handler: Some("other".into()), ..Filter::default() };
        assert_eq!(it.core(move |conn| Ok(retry(conn, &other, 9, at(5))?)), 1);
        let again = it.job(ids_of[1]);
        assert_eq!((again.state, again.attempt, again.finished_at), (State::Ready, 0, None));
        assert!(again.errors.is_some(), "what went wrong is still told");
        assert_eq!(it.core(|conn| Ok(retry(conn, &Filter::default(), 1, at(5))?)), 1, "in batches");
        assert_eq!(it.core(|conn| Ok(retry(conn, &Filter::default(), 9, at(5))?)), 1);
        assert_eq!(it.core(|conn| Ok(retry(conn, &Filter::default(), 9, at(5))?)), 0);
        assert_eq!(it.claim(9).len(), 2);
    });
}

#[test]
fn dead_jobs_are_thrown_away_by_filter_and_no_others() {
    on_both(|it| {
        three_dead(it);
        let waits = it.put(job());
        let other = Filter { handler: Some("other".into()), ..Filter::default() };
        assert_eq!(it.core(move |conn| Ok(discard(conn, &other, 9)?)), 1);
        assert_eq!(it.core(|conn| Ok(discard(conn, &Filter::default(), 9)?)), 2);
        assert_eq!(it.core(|conn| Ok(list(conn, &Filter::default(), 9)?)).len(), 1);
        assert_eq!(it.state(waits), State::Ready);
        assert_eq!(it.core(|conn| Ok(discard(conn, &of(State::Ready), 9)?)), 0);
    });
}

#[test]
fn a_dead_job_tried_again_waits_its_turn_among_its_serial_key() {
    on_both(|it| {
        let first = it.put(job().serial("k"));
        let next = it.put(job().serial("k"));
        it.stage_at(0);
        it.finish(&it.claim(1)[0], Outcome::Dead("e".into()));
        assert_eq!(it.core(|conn| Ok(retry(conn, &Filter::default(), 9, at(0))?)), 1);
        it.stage_at(0);
        assert_eq!((it.state(first), it.state(next)), (State::Blocked, State::Ready));
    });
}

#[test]
fn sizes_tell_what_waits_and_how_long() {
    on_both(|it| {
        it.enqueue(vec![
            job(),
            job().at(at(-7)).with_priority(9),
            job().at(at(60)),
            job().serial("k"),
            job().serial("k"),
        ]);
        it.core(|conn| Ok(ensure(conn, "blog", &[])?));
        it.stage_at(0);
        it.claim_of(&[want("shop", "send", 1)], 0);
        let sizes = it.core(|conn| Ok(sizes(conn, at(3))?));
        let lines: Vec<String> = sizes
            .iter()
            .map(|it| {
                format!(
                    "{}: {} {} {} {} {} {:?}",
                    it.queue,
                    it.scheduled,
                    it.ready,
                    it.running,
                    it.blocked,
                    it.dead,
                    it.latency_ms
                )
            })
            .collect();
        assert_eq!(lines, ["blog: 0 0 0 0 0 None", "shop: 1 2 1 1 0 Some(10000)"]);
    });
}

#[test]
fn a_job_is_kept_as_long_as_its_queue_says() {
    on_both(|it| {
        it.core(|conn| Ok(ensure(conn, "shop", &[])?));
        let limits = Limits {
            retain_done: Some(Duration::from_secs(10)),
            retain_dead: Some(Duration::from_secs(20)),
            ..Limits::default()
        };
        it.core(move |conn| Ok(set_limits(conn, "shop", limits)?));
        it.enqueue(vec![job(); 4]);
        for (number, run) in it.claim(4).iter().enumerate() {
            let outcome = if number == 3 { Outcome::Dead("e".into()) } else { Outcome::Done };
            it.finish(run, outcome);
        }
        let prune = |seconds, most| it.core(move |conn| Ok(prune(conn, at(seconds), most)?));
        assert_eq!(
            (prune(9, 9), prune(10, 2), prune(10, 2), prune(19, 9), prune(20, 9)),
            (0, 2, 1, 0, 1)
        );
    });
}

#[test]
fn limits_are_set_one_by_one() {
    on_both(|it| {
        it.core(|conn| Ok(ensure(conn, "shop", &[])?));
        let set = |limits: Limits| it.core(move |conn| Ok(set_limits(conn, "shop", limits)?));
        assert!(set(Limits {
            max_per_node: Some(9),
            max_global: Some(Some(4)),
            ..Limits::default()
        }));
        assert!(set(Limits { retain_done: Some(Duration::from_secs(1)), ..Limits::default() }));
        let queue = it.core(|conn| Ok(queues(conn)?)).remove(0);
        assert_eq!((queue.max_per_node, queue.max_global), (9, Some(4)));
        assert_eq!(queue.retain_done, Duration::from_secs(1));
        assert!(!it.core(|conn| Ok(set_limits(conn, "nowhere", Limits::default())?)));
    });
}

#[test]
fn an_extension_s_limits_hold_until_an_operator_says_otherwise() {
    on_both(|it| {
        it.core(|conn| Ok(ensure(conn, "shop", &["mail"])?));
        let suggest = |per_node, global| {
            it.core(move |conn| Ok(suggest(conn, "shop:mail", per_node, global)?));
            let all = it.core(|conn| Ok(queues(conn)?));
            let queue = all.into_iter().find(|it| it.name == "shop:mail").unwrap();
            (queue.max_per_node, queue.max_global)
        };
        assert_eq!(suggest(Some(2), Some(3)), (2, Some(3)));
        assert_eq!(suggest(Some(1), None), (1, None));
        assert_eq!(suggest(None, None), (5, None));
        // How long jobs are kept says nothing of that.
        let keep = Limits { retain_done: Some(Duration::ZERO), ..Limits::default() };
        it.core(move |conn| Ok(set_limits(conn, "shop:mail", keep)?));
        assert_eq!(suggest(Some(2), None), (2, None));
        let limits = Limits { max_per_node: Some(9), ..Limits::default() };
        it.core(move |conn| Ok(set_limits(conn, "shop:mail", limits)?));
        assert_eq!(suggest(Some(2), Some(2)), (9, None));
    });
}
