//! Two and three nodes on PostgreSQL, one of which is killed again and again: others run its jobs.

use std::{thread, time::Duration};

use powernode_tests::{
    instance::within,
    postgres::Cluster,
    report::{Report, cases},
};
use serde_json::{Value, json};

use crate::{
    BASE, Process, SOON,
    ledger::{Ledger, Runs, fates, is_idle},
    setup,
};

#[test]
fn others_run_what_a_killed_node_ran() {
    let Some(cluster) = Cluster::shared() else { return };
    let mut report = Report::begin("nodes");
    for count in [2, 3] {
        let database = cluster.database().unwrap();
        let url = Some(database.as_str());
        let instance = setup(url).start().unwrap();
        let (operator, anyone) = (instance.operator(), instance.anonymous());
        let places: Vec<_> = (1..count).map(|_| setup(url)).collect();
        let mut workers: Vec<_> = places.iter().map(|it| Process::start(it, &["worker"])).collect();
        let known = || operator.get("/api/v1/admin/nodes").unwrap().data();
        let has =
            |count: usize| within(SOON, || known().as_array().is_some_and(|it| it.len() >= count));
        assert!(has(count), "{}", known());
        let mut ledger = Ledger::default();
        for kill in 0..cases(6) {
            for place in 0..20 {
                let args = json!({ "name": format!("n{kill}-{place}"), "ms": place * 11 % 60 });
                let job = json!({ "handler": "work", "args": args });
                let written = anyone.post(&format!("{BASE}/jobs"), &job).unwrap();
                ledger.acknowledge(written.data().as_i64().unwrap());
            }
            thread::sleep(Duration::from_millis(u64::from(20 + kill * 29 % 90)));
            let which = kill as usize % workers.len();
            let process = workers[which].id();
            workers[which].kill();
            ledger.crash(&ran_on(cluster, &database, process));
            workers[which] = Process::start(&places[which], &["worker"]);
        }
        within(SOON, || is_idle(&operator));
        let all = ledger.cases(&fates(&operator, &anyone), Runs::ByCrashes);
        for (case, expected, got) in all {
            report.case(format!("{count} nodes: {case}"), expected, got);
        }
        // Each of them ran some.
        report.case(format!("{count} nodes: they are known"), "true", has(count).to_string());
    }
    report.finish();
}

/// What ran on a process that is gone: its rescue comes later.
fn ran_on(cluster: &Cluster, database: &str, process: u32) -> Value {
    let sql = format!(
        "SELECT coalesce(json_agg(json_build_object('id', j.id, 'node', j.node_id, 'attempt', j.attempt)), '[]') \
         FROM core.core_jobs j JOIN core.core_nodes n ON n.id = j.node_id WHERE j.state = 2 AND n.pid = {process}"
    );
    serde_json::from_str(&cluster.ask(database, &sql).unwrap()).unwrap()
}
