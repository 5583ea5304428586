//! A job waits while a gate is closed to it.

use super::*;
use crate::gate::{Flag, FlagSet, Gate, Gates, Groups, Installed};

fn gate(installed: &[&str]) -> Gate {
    let gate = Gate::new(Groups::standard());
    let extension = |slug: &&str| Installed {
        slug: (*slug).to_owned(),
        flag: format!("{slug}_mode"),
        loaded: Ok(()),
        state_disabled: false,
        quarantined: None,
        capabilities: Vec::new(),
        dependencies: Vec::new(),
    };
    gate.install(installed.iter().map(extension).collect());
    gate
}

fn switch(gate: &Gate, epoch: i64, on: bool) {
    gate.publish(FlagSet::new(
        epoch,
        [Flag {
            name: "shop_mode".into(),
            description: String::new(),
            created_at: DateTime::UNIX_EPOCH,
            chosen: true,
            gates: Gates { boolean: on, ..Gates::default() },
            changed: None,
        }],
    ));
}

fn handlers(slug: &str, names: &[&str]) -> Handlers {
    [(slug.to_owned(), names.iter().map(|it| (*it).to_owned()).collect())].into()
}

#[test]
fn a_job_waits_for_its_extension_and_its_handler() {
    on_both(|it| {
        let id = it.put(job());
        let tries = |gate: &Gate, handlers: &Handlers| {
            let queues = it.core(|conn| Ok(queues(conn)?));
            it.claim_of(&wants(gate, &queues, handlers, &HashMap::new()), 0)
        };
        let known = handlers("shop", &["send"]);
        let there = gate(&["shop"]);
        assert_eq!(tries(&gate(&[]), &known), [], "the extension is absent");
        assert_eq!(tries(&there, &known), [], "no flags were read yet");
        switch(&there, 1, false);
        assert_eq!(tries(&there, &known), [], "its flag is off");
        switch(&there, 2, true);
        assert_eq!(tries(&there, &handlers("shop", &[])), [], "it has no handlers");
        assert_eq!(tries(&there, &handlers("shop", &["other"])), [], "it has others");
        assert_eq!(tries(&there, &handlers("blog", &["send"])), [], "another has one of this name");
        there.quarantine(there.find("shop").unwrap(), "it panicked");
        assert_eq!(tries(&there, &known), [], "it is in quarantine");
        there.release(there.find("shop").unwrap());
        let waited = it.job(id);
        assert_eq!((waited.state, waited.attempt, waited.errors), (State::Ready, 0, None));
        assert_eq!(ids(&tries(&there, &known)), [id]);
    });
}

#[test]
fn what_waited_does_not_come_all_at_once() {
    on_both(|it| {
        it.enqueue(vec![job(); 100]);
        let gate = gate(&["shop"]);
        switch(&gate, 1, true);
        let all = it.core(|conn| Ok(queues(conn)?));
        let running = |count| HashMap::from([("shop".to_owned(), count)]);
        let of = |count| wants(&gate, &all, &handlers("shop", &["send"]), &running(count));
        assert_eq!(it.claim_of(&of(0), 0).len(), 5);
        assert_eq!(it.claim_of(&of(4), 0).len(), 1);
        assert_eq!(of(5), []);
    });
}

#[test]
fn the_cores_own_jobs_wait_for_nobody() {
    on_both(|it| {
        it.core(|conn| enqueue(conn, "core", &[job()], at(0)));
        let all = it.core(|conn| Ok(queues(conn)?));
        let wants = wants(&gate(&[]), &all, &handlers("core", &["send"]), &HashMap::new());
        assert_eq!(it.claim_of(&wants, 0).len(), 1);
    });
}
