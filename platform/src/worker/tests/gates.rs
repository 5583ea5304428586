//! A gate that closes.

use super::*;

/// Notes that it runs, and then why it should end.
fn waits(notes: &Notes, answer: Outcome) -> impl Handler {
    let notes = notes.clone();
    move |mut task: Task| {
        let (notes, answer) = (notes.clone(), answer.clone());
        async move {
            notes.note("runs");
            notes.note(format!("{:?}", task.cancel.cancelled().await));
            answer
        }
    }
}

#[test]
fn a_job_waits_while_its_extension_is_off_and_runs_as_soon_as_it_is_on() {
    on_both(|it| {
        it.switch(false);
        let worker = it.work(done);
        let id = it.put(job());
        let turns = worker.turns();
        it.wake.ring();
        until(|| (worker.turns() > turns).then_some(()), || "no look".into());
        let waits = it.job(id);
        assert_eq!((waits.state, waits.attempt), (State::Ready, 0));
        it.switch(true);
        assert_eq!(it.until(id, State::Done).attempt, 1);
        worker.stop();
    });
}

#[test]
fn what_runs_when_the_flag_goes_off_is_told_and_may_end() {
    on_both(|it| {
        let notes = Notes::default();
        let worker = it.work(waits(&notes, Outcome::Done));
        let id = it.put(job());
        notes.until(&["runs"]);
        it.switch(false);
        notes.until(&["runs", "Closed"]);
        it.until(id, State::Done);
        let next = it.put(job());
        worker.stop();
        assert_eq!(it.job(next).attempt, 0, "nothing begins");
    });
}

#[test]
fn who_gives_up_when_the_flag_goes_off_burns_no_attempt() {
    on_both(|it| {
        let notes = Notes::default();
        let worker = it.work(waits(&notes, Outcome::Retry("gave up".into())));
        let id = it.put(job());
        notes.until(&["runs"]);
        it.switch(false);
        let waits = it.until(id, State::Ready);
        assert_eq!((waits.attempt, waits.errors), (0, None));
        worker.stop();
    });
}

#[test]
fn a_gate_that_closes_between_claim_and_call_gives_the_job_back() {
    on_sqlite(|it| {
        let notes = Notes::default();
        let shop = it.workshop(waits(&notes, Outcome::Done));
        it.switch(false);
        let place = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut runs = crate::worker::runs::Runs::new(
            place.handle().clone(),
            it.gate.clone(),
            JobMeters::default(),
        );
        it.put(job());
        let want = queue::Want { queue: "shop".into(), handlers: vec!["send".into()], slots: 1 };
        let claimed = it.core(move |conn| Ok(queue::claim(conn, "n", &[want], 1, Utc::now())?));
        let known = shop.crew.find("shop", "send").unwrap();
        runs.start(claimed[0].clone(), known, SOON);
        let ended = place.block_on(runs.next());
        assert_eq!(ended, Some(queue::Finish::new(&claimed[0], Outcome::Release)));
        assert_eq!((notes.all().len(), runs.len()), (0, 0));
    });
}
