//! Flags that flip and queues that pause while jobs run: everything is done once, and nothing begins behind a closed
//! gate.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use powernode_tests::{
    client::Client,
    instance::within,
    report::{Report, cases},
};
use serde_json::{Value, json};

use crate::{
    BASE, SOON,
    ledger::{Ledger, Runs, fates, is_idle, marks},
    setups,
};

const FLAG: &str = "/api/v1/admin/extensions/fixture-000/flag";
const QUEUE: &str = "/api/v1/admin/queues/fixture-000";
/// What was claimed before a pause was acknowledged may begin so long after it.
const CLAIMED: u64 = 100;
/// What passed the gate before the toggle was acknowledged may leave its mark so long after it.
const ADMITTED: u64 = 20;

/// From the acknowledgement that nothing begins any more to the request that lets it begin again, in milliseconds.
type Window = (u64, u64);

#[test]
fn nothing_is_lost_in_a_storm_of_flags_and_pauses() {
    let mut report = Report::begin("gate_storm");
    let flips = cases(20);
    for (engine, setup) in setups() {
        let instance = setup.start().unwrap();
        let (operator, anyone) = (instance.operator(), instance.anonymous());
        let mut ledger = Ledger::default();
        let ends = AtomicBool::new(false);
        let (written, flags, pauses) = thread::scope(|scope| {
            let writer = scope.spawn(|| write(&instance.anonymous(), &ends));
            let flags = scope.spawn(|| flip(&instance.operator(), flips));
            let pauses = scope.spawn(|| pause(&instance.operator(), flips));
            let (flags, pauses) = (flags.join().unwrap(), pauses.join().unwrap());
            ends.store(true, Ordering::Relaxed);
            (writer.join().unwrap(), flags, pauses)
        });
        written.into_iter().for_each(|it| ledger.acknowledge(it));
        within(SOON, || is_idle(&operator));
        let all = ledger.cases(&fates(&operator, &anyone), Runs::MayBeginAgain);
        for (case, expected, got) in all {
            report.case(format!("{engine}: {case}"), expected, got);
        }
        let began = began(&marks(&anyone));
        for (what, windows) in [("flag", flags), ("pause", pauses)] {
            for (number, window) in windows.into_iter().enumerate() {
                let got = inside(&began, window).to_string();
                report.case(format!("{engine}: {what} {number}: jobs that began"), "0", got);
            }
        }
    }
    report.finish();
}

fn write(anyone: &Client, ends: &AtomicBool) -> Vec<i64> {
    let mut written = Vec::new();
    for place in 0.. {
        if ends.load(Ordering::Relaxed) {
            break;
        }
        let args = json!({ "name": format!("s{place}"), "ms": place * 7 % 40 });
        // While the flag is off there is nobody to ask.
        if let Ok(answer) =
            anyone.post(&format!("{BASE}/jobs"), &json!({ "handler": "work", "args": args }))
        {
            written.extend(answer.data().as_i64().filter(|_| answer.status == 201));
        }
        thread::sleep(Duration::from_millis(4));
    }
    written
}

fn flip(operator: &Client, times: u32) -> Vec<Window> {
    let switch =
        |on: bool| assert_eq!(operator.put(FLAG, &json!({ "enabled": on })).unwrap().status, 200);
    windows(times, ADMITTED, || switch(false), || switch(true), 31)
}

fn pause(operator: &Client, times: u32) -> Vec<Window> {
    let order = |word: &str| {
        let answer = operator.post(&format!("{QUEUE}/{word}"), &json!({})).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    windows(times, CLAIMED, || order("pause"), || order("resume"), 53)
}

fn windows(times: u32, slack: u64, close: impl Fn(), open: impl Fn(), step: u64) -> Vec<Window> {
    let mut windows = Vec::new();
    for turn in 0..u64::from(times) {
        thread::sleep(Duration::from_millis(20 + turn * step % 120));
        close();
        let begin = now() + slack;
        thread::sleep(Duration::from_millis(slack + 20 + turn * step % 90));
        let end = now();
        open();
        windows.push((begin, end));
    }
    windows
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// When each run began: a mark's id says its moment.
fn began(marks: &[Value]) -> Vec<u64> {
    let of = marks.iter().filter(|it| it["word"] == "began");
    let moment = |it: &Value| {
        let digits: String = it["id"].as_str()?.chars().filter(|it| *it != '-').take(12).collect();
        u64::from_str_radix(&digits, 16).ok()
    };
    of.filter_map(moment).collect()
}

fn inside(moments: &[u64], (begin, end): Window) -> usize {
    moments.iter().filter(|it| (begin..end).contains(it)).count()
}

#[test]
fn a_run_behind_a_closed_gate_is_found() {
    let instance = setups().remove(0).1.start().unwrap();
    let (operator, anyone) = (instance.operator(), instance.anonymous());
    let begin = now();
    let job = json!({ "handler": "work", "args": { "name": "open" } });
    assert_eq!(anyone.post(&format!("{BASE}/jobs"), &job).unwrap().status, 201);
    assert!(within(SOON, || is_idle(&operator) && began(&marks(&anyone)).len() == 1));
    // As if the gate had been closed in all that time.
    assert_eq!(inside(&began(&marks(&anyone)), (begin, now() + 1)), 1);
}
