//! What is done at its time.

use super::*;
use crate::queue::Missed;

fn hourly(missed: Missed) -> NewSchedule {
    NewSchedule {
        name: "hourly".into(),
        expression: "0 * * * *".into(),
        zone: "UTC".into(),
        job: job(),
        missed,
    }
}

fn prepare_with(it: &Fixture, schedules: Vec<NewSchedule>) -> queue::Synced {
    let contribution = Contribution {
        slug: "shop".into(),
        queues: vec![NewQueue { name: Some("mail".into()), ..NewQueue::default() }],
        schedules,
        subscriptions: Vec::new(),
    };
    let now = clock(&it.ahead)();
    block_on(prepare(&it.engine.core(), contribution, now)).unwrap()
}

fn quick() -> WorkerSettings {
    WorkerSettings { poll: Duration::from_millis(50), ..settings() }
}

fn jobs(it: &Fixture) -> Vec<Job> {
    it.core(|conn| Ok(queue::list(conn, &queue::Filter::default(), 100)?))
}

#[test]
fn a_tick_runs_once_whatever_the_number_of_nodes() {
    on_both(|it| {
        prepare_with(it, vec![hourly(Missed::Once)]);
        it.ahead.store(3_600_000, Ordering::SeqCst);
        let notes = Notes::default();
        let handler = |notes: &Notes| {
            let notes = notes.clone();
            move |_: Task| {
                notes.note("tick");
                async { Outcome::Done }
            }
        };
        let one = Worker::start(it.workshop(handler(&notes)), quick()).unwrap();
        let mut other = it.workshop(handler(&notes));
        if it.engine.dialect() == powernode_abi::data::POSTGRES {
            // On SQLite the second waits.
            other.lock = it.folder.path().join("other.lock");
        }
        let two = Worker::start(other, quick()).unwrap();
        notes.until(&["tick"]);
        it.ahead.store(7_200_000, Ordering::SeqCst);
        notes.until(&["tick", "tick"]);
        one.stop();
        two.stop();
        let schedule = it.core(|conn| Ok(queue::schedules(conn)?)).remove(0);
        assert_eq!((schedule.name.as_str(), schedule.skipped), ("shop/hourly", 0));
        assert_eq!(notes.all().len(), 2);
    });
}

#[test]
fn ticks_of_an_extension_that_is_off_are_counted() {
    on_both(|it| {
        prepare_with(it, vec![hourly(Missed::All)]);
        it.switch(false);
        it.ahead.store(3 * 3_600_000, Ordering::SeqCst);
        let worker = Worker::start(it.workshop(done), quick()).unwrap();
        let skipped = || it.core(|conn| Ok(queue::schedules(conn)?)).remove(0).skipped;
        until(|| (skipped() == 3).then_some(()), || skipped().to_string());
        worker.stop();
        assert_eq!(jobs(it).len(), 0);
    });
}

#[test]
fn an_extension_has_its_queues_and_its_schedules_once_it_is_prepared() {
    on_both(|it| {
        assert_eq!(prepare_with(it, vec![hourly(Missed::Once)]).added, ["shop/hourly"]);
        let names: Vec<_> =
            it.core(|conn| Ok(queue::queues(conn)?)).into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["shop", "shop:mail"]);
        assert_eq!(prepare_with(it, vec![]).vanished, ["shop/hourly"]);
    });
}

/// Why `schedules` are refused.
#[track_caller]
fn refused(it: &Fixture, schedules: Vec<NewSchedule>, expected: &str) {
    let contribution = Contribution {
        slug: "shop".into(),
        queues: Vec::new(),
        schedules,
        subscriptions: Vec::new(),
    };
    let error = block_on(prepare(&it.engine.core(), contribution, Utc::now())).unwrap_err();
    assert!(format!("{:#}", anyhow::Error::from(error)).starts_with(expected));
    assert_eq!(it.core(|conn| Ok(queue::schedules(conn)?)), [], "nothing was written");
}

#[test]
fn a_schedule_that_cannot_be_is_named() {
    on_sqlite(|it| {
        let (good, bad) = (hourly(Missed::Once), hourly(Missed::Once));
        let bad = NewSchedule { name: "bad".into(), expression: "hourly".into(), ..bad };
        refused(it, vec![good.clone(), bad], "schedule `shop/bad`: `hourly` is not five fields");
        refused(it, vec![good.clone(), good], "schedule `shop/hourly` is named twice");
    });
}

#[test]
fn what_ended_long_ago_is_deleted() {
    on_both(|it| {
        let worker = it.work(done);
        let id = it.put(job());
        it.until(id, State::Done);
        worker.stop();
        it.ahead.store(25 * 3_600_000, Ordering::SeqCst);
        let worker = it.work(done);
        until(|| jobs(it).is_empty().then_some(()), || format!("{:?}", jobs(it)));
        worker.stop();
    });
}
