//! Processes that die, that are taken for dead, and that follow each other.

use super::*;

/// Never ends, and notes whose run it is.
fn hangs(notes: &Notes, name: &'static str) -> impl Handler {
    let notes = notes.clone();
    move |_: Task| {
        notes.note(name);
        std::future::pending()
    }
}

/// Ends well, and notes whose run it is.
fn ends(notes: &Notes, name: &'static str) -> impl Handler {
    let notes = notes.clone();
    move |_: Task| {
        notes.note(name);
        async { Outcome::Done }
    }
}

#[test]
fn what_a_process_ran_that_died_runs_again() {
    on_both(|it| {
        let notes = Notes::default();
        let first = it.work(hangs(&notes, "first"));
        let id = it.put(job());
        notes.until(&["first"]);
        drop(first);
        assert_eq!(it.job(id).state, State::Running, "nothing was booked");
        let begun = Instant::now();
        let second = it.other("second.lock", ends(&notes, "second"));
        let ended = it.until(id, State::Done);
        assert_eq!(ended.attempt, 2);
        // The setting is a second, and the machine may be busy.
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        notes.until(&["first", "second"]);
        second.stop();
    });
}

#[test]
fn a_new_process_waits_until_the_old_released_the_lock() {
    on_both(|it| {
        let notes = Notes::default();
        let old = it.work(hangs(&notes, "old"));
        let held = it.put(job());
        notes.until(&["old"]);
        let new = it.work(ends(&notes, "new"));
        let waits = it.put(NewJob::new("send", "{}"));
        notes.until(&["old", "old"]);
        it.switch(false);
        let next = it.put(job());
        it.switch(true);
        notes.until(&["old"; 3]);
        old.stop();
        for id in [held, waits, next] {
            assert_eq!(it.until(id, State::Done).attempt, 1, "it was given back, not rescued");
        }
        notes.until(&["old", "old", "old", "new", "new", "new"]);
        new.stop();
    });
}

#[test]
fn who_waits_for_the_lock_can_be_stopped() {
    on_sqlite(|it| {
        let (old, new) = (it.work(done), it.work(done));
        new.stop();
        old.stop();
    });
}

#[test]
fn a_node_that_was_taken_for_dead_stops_its_jobs_and_begins_again() {
    on_postgres(|it| {
        let notes = Notes::default();
        let own = notes.clone();
        let handler = move |task: Task| {
            let own = own.clone();
            async move {
                let dropped = Dropped(own.clone());
                own.note(format!("run {}", task.job.fence.attempt));
                if task.job.fence.attempt == 1 {
                    std::future::pending::<()>().await;
                }
                std::mem::forget(dropped);
                Outcome::Done
            }
        };
        let worker = it.work(handler);
        let id = it.put(job());
        notes.until(&["run 1"]);
        let before = it.core(|conn| Ok(queue::nodes(conn)?)).remove(0).id;
        it.meddle("DELETE FROM core_nodes");
        assert_eq!(it.until(id, State::Done).attempt, 2);
        // Where the thread is busy, it is dropped after the other run has ended.
        let dropped = || notes.all().contains(&"dropped".to_owned()).then_some(());
        until(dropped, || format!("{:?}", notes.all()));
        let after = it.core(|conn| Ok(queue::nodes(conn)?)).remove(0).id;
        assert_ne!(before, after);
        worker.stop();
    });
}

#[test]
fn a_node_that_cannot_reach_its_database_stops_its_jobs_since_others_may_run_them() {
    on_postgres(|it| {
        let (Some(cluster), Some(url)) = (Cluster::shared(), &it.settings.url) else { return };
        let notes = Notes::default();
        let own = notes.clone();
        let handler = move |_: Task| {
            let own = own.clone();
            async move {
                let again = own.all().contains(&"dropped".to_owned());
                let dropped = Dropped(own.clone());
                own.note("runs");
                if !again {
                    std::future::pending::<()>().await;
                }
                std::mem::forget(dropped);
                Outcome::Done
            }
        };
        let worker = it.work(handler);
        let id = it.put(job());
        notes.until(&["runs"]);
        cluster.take_away(url).unwrap();
        notes.until(&["runs", "dropped"]);
        cluster.give_back(url).unwrap();
        notes.until(&["runs", "dropped", "runs"]);
        until(
            || {
                let found =
                    it.engine.core().read(move |conn| Ok::<_, QueueError>(queue::find(conn, id)?));
                block_on(found).ok().flatten().filter(|it| it.state == State::Done)
            },
            || "it did not end".into(),
        );
        worker.stop();
    });
}

struct Dropped(Notes);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.note("dropped");
    }
}

#[test]
fn a_node_hears_at_once_of_a_job_that_another_process_wrote() {
    on_postgres(|it| {
        // Where none works, as with `--no-worker`.
        let _listening = Listening::start(&it.engine, &it.wake).unwrap();
        let worker = it.other("other.lock", done);
        it.until(it.put(job()), State::Done);
        let begun = Instant::now();
        for _ in 0..5 {
            it.until(it.put(job()), State::Done);
        }
        // By itself it would look in a minute.
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        worker.stop();
    });
}

#[test]
fn two_nodes_run_each_job_once() {
    on_postgres(|it| {
        let notes = Notes::default();
        // Jobs that are written after both looked are told of.
        let _listening = Listening::start(&it.engine, &it.wake).unwrap();
        let [one, two] = ["one", "two"].map(|node| {
            let notes = notes.clone();
            it.other(node, move |task: Task| {
                notes.note(task.job.fence.id.to_string());
                async {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    Outcome::Done
                }
            })
        });
        let ids = it.enqueue(vec![job(); 100]);
        for id in &ids {
            it.until(*id, State::Done);
        }
        let mut ran: Vec<i64> = notes.all().iter().map(|it| it.parse().unwrap()).collect();
        ran.sort_unstable();
        assert_eq!(ran, ids);
        one.stop();
        two.stop();
    });
}
