//! Handlers that panic, hang, end the process, and allocate without end: each costs itself, and no other.

use std::time::Duration;

use powernode_tests::{
    instance::{Instance, within},
    report::Report,
};
use serde_json::{Value, json};

use crate::{BASE, SOON, bounded};

#[test]
fn a_handler_that_misbehaves_costs_itself_alone() {
    let mut report = Report::begin("handler_faults");
    for (engine, setup) in bounded() {
        let mut instance = setup.start().unwrap();
        let mut check = |what: &str, expected: &str, got: String| {
            report.case(format!("{engine}: {what}"), expected, got);
        };
        // Those that the process survives.
        for (handler, args, timeout, error) in [
            ("panic", json!({ "times": 9 }), 60_000, "on purpose"),
            ("fail", json!({ "times": 9 }), 60_000, "on purpose"),
            ("hang", json!({}), 300, "it took longer than 0.3 s"),
            ("block", json!({ "name": "blocked", "ms": 7_000 }), 300, "blocks its thread"),
        ] {
            let process = instance.id();
            let asked =
                json!({ "handler": handler, "args": args, "attempts": 1, "timeout_ms": timeout });
            let (bad, good) = (ask(&instance, &asked), ask(&instance, &good()));
            check(&format!("beside {handler}"), "done", ends(&instance, good));
            check(handler, "dead", ends(&instance, bad));
            let errors = shown(&instance, bad)["errors"].to_string();
            check(&format!("{handler}, its error"), "true", errors.contains(error).to_string());
            check(
                &format!("{handler}, the process"),
                &process.to_string(),
                instance.id().to_string(),
            );
        }
        // Those that take it down: it starts again, and after three times they are dead.
        for handler in ["exit", "grow"] {
            // Whoever asks has the answer by then; the other is due when the process has fallen, or is about to.
            let due = |ms| chrono::Utc::now() + chrono::TimeDelta::milliseconds(ms);
            let asked =
                json!({ "handler": handler, "args": { "times": 99 }, "run_at": due(1_000) });
            let beside =
                json!({ "handler": "mark", "args": { "name": "beside" }, "run_at": due(1_300) });
            let (good, bad) = (ask(&instance, &beside), ask(&instance, &asked));
            let mut fallen = 0;
            while fallen < 10 {
                let ended = within(Duration::from_secs(20), || {
                    instance.wait(Duration::ZERO).is_ok() || state(&instance, bad) == "dead"
                });
                assert!(
                    ended,
                    "{engine}: {handler}: {} {}",
                    instance
                        .operator()
                        .get("/api/v1/admin/jobs")
                        .map_or_else(|it| it.to_string(), |it| it.text()),
                    instance.log()
                );
                if instance.wait(Duration::ZERO).is_err() {
                    break;
                }
                fallen += 1;
                instance = instance.again().unwrap();
            }
            check(&format!("{handler} takes the process down"), "3", fallen.to_string());
            check(handler, "dead", ends(&instance, bad));
            let reason = shown(&instance, bad)["reason"].to_string();
            check(
                &format!("{handler}, its reason"),
                "true",
                reason.contains("took its process down 3 times").to_string(),
            );
            check(&format!("beside {handler}"), "done", ends(&instance, good));
        }
        check("serves", "200", instance.anonymous().get("/readyz").unwrap().status.to_string());
    }
    report.finish();
}

fn good() -> Value {
    json!({ "handler": "mark", "args": { "name": "beside" } })
}

fn ask(instance: &Instance, job: &Value) -> i64 {
    let written = instance.anonymous().post(&format!("{BASE}/jobs"), job).unwrap();
    written.data().as_i64().unwrap()
}

fn shown(instance: &Instance, job: i64) -> Value {
    let shown = instance.operator().get(&format!("/api/v1/admin/jobs/{job}"));
    shown.map(|it| it.data()).unwrap_or_default()
}

fn state(instance: &Instance, job: i64) -> String {
    shown(instance, job)["state"].as_str().unwrap_or_default().to_owned()
}

/// The state in which it ends.
fn ends(instance: &Instance, job: i64) -> String {
    within(SOON, || ["done", "dead", "cancelled"].contains(&state(instance, job).as_str()));
    state(instance, job)
}
