//! Running jobs.

use super::*;

#[test]
fn a_job_runs_as_soon_as_it_is_committed() {
    on_both(|it| {
        let worker = it.work(done);
        let first = it.until(it.put(job()), State::Done);
        assert_eq!((first.attempt, first.node), (1, None));
        // The worker has long slept by now; the next look without a bell would be in a minute.
        let begun = Instant::now();
        for _ in 0..5 {
            it.until(it.put(job().serial("k")), State::Done);
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        worker.stop();
    });
}

#[test]
fn a_handler_gets_its_job_and_says_where_it_is() {
    on_both(|it| {
        let notes = Notes::default();
        let own = notes.clone();
        let handler = move |task: Task| {
            own.note(format!("{} {}", task.job.args, task.pass.is_some()));
            async move {
                task.progress.set("{\"half\":true}");
                let mut cancel = task.cancel;
                cancel.cancelled().await;
                Outcome::Done
            }
        };
        let settings = WorkerSettings { poll: Duration::from_millis(50), ..settings() };
        let worker = Worker::start(it.workshop(handler), settings).unwrap();
        let id = it.put(NewJob::new("send", "{\"to\":1}"));
        notes.until(&["{\"to\":1} true"]);
        let said = || Some(it.job(id)).filter(|it| it.progress.is_some());
        let half = until(said, || format!("{:?}", it.job(id)));
        assert_eq!(half.progress.as_deref(), Some("{\"half\":true}"));
        worker.stop();
    });
}

/// What a job's last error is, once its only attempt failed.
#[track_caller]
fn fails(it: &Fixture, job: NewJob, expected: &str) {
    let dead = it.until(it.put(job.with_attempts(1)), State::Dead);
    let errors = dead.errors.unwrap().to_string();
    assert!(errors.contains(expected), "{errors}");
}

#[test]
fn a_panic_or_a_timeout_is_an_attempt_that_failed() {
    on_both(|it| {
        let handler = |task: Task| async move {
            match task.job.args.as_str() {
                "1" => panic!("out of tea"),
                "2" => std::future::pending().await,
                _ => Outcome::Retry("no".into()),
            }
        };
        let worker = it.work(handler);
        let job = |args| NewJob::new("send", args).with_timeout(Duration::from_millis(30));
        fails(it, job("1"), "panicked: out of tea");
        fails(it, job("2"), "it took longer than 0.03 s");
        fails(it, job("3"), "no");
        worker.stop();
    });
}

#[test]
fn a_panic_in_the_call_itself_is_an_attempt_that_failed() {
    struct Bad;
    impl Handler for Bad {
        fn run(&self, task: Task) -> std::pin::Pin<Box<dyn Future<Output = Outcome> + Send>> {
            panic!("no future for {}", task.job.handler)
        }
    }
    on_sqlite(|it| {
        let worker = it.work(Bad);
        fails(it, job(), "panicked: no future for send");
        worker.stop();
    });
}

#[test]
fn a_handler_that_blocks_its_thread_keeps_nobody_from_the_others() {
    on_sqlite(|it| {
        let handler = |task: Task| async move {
            if task.job.args == "1" {
                thread::sleep(Duration::from_secs(9));
            }
            Outcome::Done
        };
        let settings = WorkerSettings { poll: Duration::from_millis(50), ..settings() };
        let worker = Worker::start(it.workshop(handler), settings).unwrap();
        let stuck = it
            .put(NewJob::new("send", "1").with_attempts(1).with_timeout(Duration::from_millis(10)));
        it.until(stuck, State::Running);
        it.until(it.put(job()), State::Done);
        let dead = it.until(stuck, State::Dead);
        assert!(dead.errors.unwrap().to_string().contains("blocks its thread"));
        drop(worker);
    });
}

/// The most that ran at once of `count` jobs.
fn most_at_once(it: &Fixture, settings: WorkerSettings, count: usize) -> u32 {
    let (now, most) = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
    let (running, peak) = (now, most.clone());
    let handler = move |_: Task| {
        let running = running.clone();
        peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            Outcome::Done
        }
    };
    let worker = Worker::start(it.workshop(handler), settings).unwrap();
    for id in it.enqueue(vec![job(); count]) {
        it.until(id, State::Done);
    }
    worker.stop();
    most.load(Ordering::SeqCst)
}

#[test]
fn no_more_run_than_may() {
    on_both(|it| {
        assert_eq!(most_at_once(it, settings(), 20), 5, "the queue's bound");
        let two = WorkerSettings { concurrency: 2, ..settings() };
        assert_eq!(most_at_once(it, two, 8), 2, "the process's");
        let limits = queue::Limits { max_global: Some(Some(3)), ..queue::Limits::default() };
        it.core(move |conn| Ok(queue::set_limits(conn, "shop", limits)?));
        assert_eq!(most_at_once(it, settings(), 9), 3, "that of all nodes");
    });
}

#[test]
fn a_job_begins_at_its_time_and_nothing_happens_before() {
    on_both(|it| {
        let patient = WorkerSettings { rescue_after: Duration::from_secs(60), ..settings() };
        let worker = Worker::start(it.workshop(done), patient).unwrap();
        let id = it.put(job().at(Utc::now() + Duration::from_secs(2)));
        it.until(id, State::Scheduled);
        thread::sleep(Duration::from_millis(300));
        let idle = worker.turns();
        thread::sleep(Duration::from_secs(1));
        assert!(worker.turns() - idle <= 1, "it turned {} times", worker.turns() - idle);
        let ended = it.until(id, State::Done);
        assert!(ended.started_at >= Some(ended.run_at), "{ended:?}");
        worker.stop();
    });
}

#[test]
fn what_an_operator_cancels_is_told_and_ends() {
    on_both(|it| {
        let notes = Notes::default();
        let own = notes.clone();
        let handler = move |mut task: Task| {
            let own = own.clone();
            async move {
                own.note("runs");
                own.note(format!("{:?}", task.cancel.cancelled().await));
                Outcome::Retry("cancelled".into())
            }
        };
        let worker = it.work(handler);
        let id = it.put(job());
        notes.until(&["runs"]);
        it.core(move |conn| {
            let one = queue::Filter { id: Some(id), ..queue::Filter::default() };
            Ok(queue::cancel(conn, &one, 10, Utc::now())?)
        });
        notes.until(&["runs", "Asked"]);
        it.until(id, State::Cancelled);
        worker.stop();
    });
}

#[test]
fn a_stop_gives_back_what_does_not_end() {
    on_both(|it| {
        let notes = Notes::default();
        let own = notes.clone();
        let handler = move |mut task: Task| {
            let own = own.clone();
            async move {
                own.note("runs");
                let reason = task.cancel.cancelled().await;
                match task.job.args.as_str() {
                    "1" => Outcome::Done,
                    "2" => Outcome::Retry(format!("{reason:?}")),
                    _ => std::future::pending().await,
                }
            }
        };
        let worker = it.work(handler);
        let ids = it.enqueue(["1", "2", "3"].map(|it| NewJob::new("send", it)).to_vec());
        notes.until(&["runs"; 3]);
        worker.stop();
        let stands = |id| (it.job(id).state, it.job(id).attempt);
        assert_eq!(stands(ids[0]), (State::Done, 1));
        assert_eq!(stands(ids[1]), (State::Ready, 0), "it was interrupted");
        assert_eq!(stands(ids[2]), (State::Ready, 0), "it was dropped");
        assert_eq!(it.core(|conn| Ok(queue::nodes(conn)?)), []);
    });
}
