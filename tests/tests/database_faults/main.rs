//! A database that misbehaves: what clients hear, what `/readyz` says, that nothing acknowledged is lost, and that it
//! goes on without a restart.

#![expect(clippy::unwrap_used, reason = "a test ends where its setup fails")]
#![expect(clippy::print_stdout, reason = "a run tells what it does")]

use std::{sync::Mutex, thread};

use powernode_tests::report::Report;

mod postgres;
mod rig;
mod sqlite;

#[test]
fn a_database_that_misbehaves_is_named_survived_and_loses_nothing() {
    let report = Mutex::new(Report::begin("database_faults"));
    let faults = [sqlite::FAULTS, postgres::FAULTS].concat();
    thread::scope(|scope| {
        for (name, fault) in faults {
            let report = &report;
            thread::Builder::new()
                .name(name.to_owned())
                .spawn_scoped(scope, move || {
                    let cases = fault(name);
                    let mut report = report.lock().unwrap();
                    cases.into_iter().for_each(|(case, expected, got)| {
                        report.case(format!("{name}: {case}"), expected, got);
                    });
                })
                .unwrap();
        }
    });
    report.into_inner().unwrap().finish();
}

#[test]
fn a_lost_row_and_a_platform_that_notices_nothing_are_found() {
    let mut rig = sqlite::start();
    rig.hears(sqlite::GONE);
    sqlite::lose_a_row(&rig);
    let failed: Vec<_> =
        rig.finish().into_iter().filter(|(_, expected, got)| expected != got).collect();
    let failed: Vec<_> = failed.iter().map(|(case, _, _)| case.as_str()).collect();
    assert_eq!(failed, ["a write", "/readyz", "the way back", "acknowledged and lost"]);
}
