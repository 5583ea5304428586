//! Ways to be wrong: each is refused or contained, its reason is readable, and nine sound extensions serve beside it.

#![forbid(unsafe_code)]

mod bench;
mod faults;
mod libraries;
mod manifests;
mod plans;
mod starts;

use anyhow::Result;
use powernode_tests::{
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

    print(&rows);
    report.finish();
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is what a person reads of this test")]
fn print(rows: &[Row]) {
    println!("| what is wrong | what became of it | why, as it is said |");
    println!("|---|---|---|");
    for Row { case, outcome, message } in rows {
        let message: String = message.chars().take(160).collect();
        println!("| {case} | {outcome} | {message} |");
    }
}
