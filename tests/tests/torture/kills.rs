//! One process that is killed again and again while jobs are written and run.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use powernode_tests::{
    client::Client,
    instance::{Instance, within},
    postgres::Cluster,
    report::{Report, cases},
    setup::Setup,
};
use serde_json::{Value, json};

use crate::{
    BASE, SOON,
    ledger::{Ledger, Runs, fates, is_idle},
    setup,
};

/// How many write jobs at once.
const WRITERS: u32 = 2;

#[test]
fn what_was_acknowledged_is_done_on_sqlite() {
    torture("job_torture_sqlite", setup(None));
}

#[test]
fn what_was_acknowledged_is_done_on_postgres() {
    let Some(cluster) = Cluster::shared() else { return };
    torture("job_torture_postgres", setup(Some(&cluster.database().unwrap())));
}

fn torture(name: &str, setup: Setup) {
    let mut report = Report::begin(name);
    let cycles = cases(10);
    let mut ledger = Ledger::default();
    let mut instance = setup.start().unwrap();
    for cycle in 0..cycles {
        instance = killed(instance, cycle, &mut ledger);
    }
    let operator = instance.operator();
    within(SOON, || is_idle(&operator));
    for (case, expected, got) in
        ledger.cases(&fates(&operator, &instance.anonymous()), Runs::ByCrashes)
    {
        report.case(case, expected, got);
    }
    assert!(ledger.crashes() > 0, "no kill met a job: the rig proves nothing");
    report.finish();
}

/// Writes jobs until the process is killed, and starts it again.
fn killed(instance: Instance, cycle: u32, ledger: &mut Ledger) -> Instance {
    let written = Mutex::new(Vec::new());
    let (number, ends) = (AtomicU32::new(0), AtomicBool::new(false));
    let stopped = thread::scope(|scope| {
        for _ in 0..WRITERS {
            let (client, written, number, ends) = (instance.anonymous(), &written, &number, &ends);
            scope.spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    let place = number.fetch_add(1, Ordering::Relaxed);
                    match write(&client, &format!("c{cycle}-{place}"), place) {
                        Some(job) => written.lock().unwrap().push(job),
                        None => break,
                    }
                    thread::sleep(Duration::from_millis(5));
                }
            });
        }
        // At another moment in each cycle.
        thread::sleep(Duration::from_millis(60 + u64::from(cycle * 47 % 240)));
        let stopped = instance.kill().unwrap();
        ends.store(true, Ordering::Relaxed);
        stopped
    });
    for job in written.into_inner().unwrap() {
        ledger.acknowledge(job);
    }
    ledger.crash(&running(stopped.setup()));
    stopped.start().unwrap()
}

/// A job that takes its time; none where the platform is gone.
fn write(client: &Client, name: &str, place: u32) -> Option<i64> {
    let ms = u64::from(place * 13 % 30);
    let job = json!({ "handler": "work", "args": { "name": name, "ms": ms } });
    client.post(&format!("{BASE}/jobs"), &job).ok()?.data().as_i64()
}

/// The jobs that ran when the process was killed: nobody else touches them before the next start.
fn running(setup: &Setup) -> Value {
    let said = setup.cli(&["jobs", "list", "--status", "running", "--limit", "100", "--json"]);
    said.unwrap().json().unwrap()["jobs"].take()
}

#[test]
fn a_job_that_is_lost_and_one_that_runs_twice_are_found() {
    let instance = setup(None).start().unwrap();
    let (operator, anyone) = (instance.operator(), instance.anonymous());
    let mut ledger = Ledger::default();
    for name in ["one", "two", "three"] {
        ledger.acknowledge(write(&anyone, name, 0).unwrap());
    }
    assert!(within(SOON, || is_idle(&operator)));
    let wrong = |ledger: &Ledger| {
        let cases = ledger.cases(&fates(&operator, &anyone), Runs::ByCrashes);
        cases
            .into_iter()
            .filter(|(_, expected, got)| expected != got)
            .map(|it| it.2)
            .collect::<Vec<_>>()
    };
    assert_eq!(wrong(&ledger), Vec::<String>::new());
    // One that never ran, as if it had been dropped.
    let waits =
        json!({ "handler": "work", "args": { "name": "four" }, "run_at": "2999-01-01T00:00:00Z" });
    let waits = anyone.post(&format!("{BASE}/jobs"), &waits).unwrap().data().as_i64().unwrap();
    ledger.acknowledge(waits);
    operator.post(&format!("/api/v1/admin/jobs/{waits}/cancel"), &json!({})).unwrap();
    assert_eq!(wrong(&ledger), ["cancelled after 0 deaths"]);
    // And one that is gone without a trace.
    operator.post(&format!("/api/v1/admin/jobs/{waits}/discard"), &json!({})).unwrap();
    assert_eq!(wrong(&ledger), ["lost"]);
}
