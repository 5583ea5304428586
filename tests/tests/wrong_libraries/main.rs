//! Ways to be wrong: each is refused or contained, its reason is readable, and nine sound extensions serve beside it.

#![forbid(unsafe_code)]

mod bench;
mod faults;
mod libraries;
mod manifests;
mod plans;
mod starts;

use std::{fmt::Write as _, fs};

use anyhow::{Result, ensure};
use powernode_tests::{
    artefacts::target,
    library::{Build, Library},
    report::Report,
};

use self::bench::{Bench, Row};

#[test]
fn whatever_is_wrong_with_one_the_others_serve() -> Result<()> {
    let mut report = Report::begin("wrong_libraries");
    let faulty = Library::built("faulty", Build::Plain)?;
    let mut rows = Vec::new();

    let mut bench = Bench::new(&faulty)?;
    libraries::plant(&mut bench)?;
    manifests::plant(&mut bench)?;
    plans::plant(&mut bench)?;
    faults::plant(&mut bench)?;
    bench.run(&mut report, &mut rows)?;
    starts::run(&faulty, &mut report, &mut rows)?;

    fs::create_dir_all(target().join("report"))?;
    print(&rows)?;
    report.finish();
    Ok(())
}

#[test]
fn what_does_not_hold_is_a_failure() -> Result<()> {
    let mut report = Report::begin("not_written");
    let mut bench = Bench::new(&Library::built("faulty", Build::Plain)?)?;
    bench.plant("nothing is wrong", "verify hash_mismatch", |plot| {
        plot.package()?.write(&plot.directory)
    })?;
    fs::remove_dir_all(bench.setup.extensions().join(bench::sound(3)))?;
    bench.run(&mut report, &mut Vec::new())?;
    let failed: Vec<_> = report.failed.iter().map(|it| it.case.as_str()).collect();
    ensure!(failed == ["nothing is wrong", "sound-00003 beside `nothing is wrong`"], "{failed:?}");
    ensure!(report.held == 8, "{report:?}");
    Ok(())
}

/// Prints the table, and keeps it beside the report.
#[expect(clippy::print_stdout, reason = "the table is what a person reads of this test")]
fn print(rows: &[Row]) -> Result<()> {
    let mut table =
        "| what is wrong | what became of it | why, as it is said |\n|---|---|---|\n".to_owned();
    for Row { case, outcome, message } in rows {
        writeln!(table, "| {case} | {outcome} | {message} |")?;
    }
    println!("{table}");
    Ok(fs::write(target().join("report/wrong_libraries.md"), table)?)
}
