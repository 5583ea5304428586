//! Each fault is planted in a place where all is well: the doctor names it, and nothing else; where it gives a command
//! that can be run as it is written, that command mends it.

mod extensions;
mod house;
mod places;
mod records;

use anyhow::{Context as _, Result, ensure};
use powernode_tests::report::Report;

use crate::house::House;

/// A fault: what the doctor must call it, and how it comes about.
pub(crate) struct Fault {
    pub(crate) id: &'static str,
    /// Whether its fix runs as it is written.
    pub(crate) mends: bool,
    pub(crate) plant: fn(House) -> Result<House>,
}

/// A fault that a person mends.
pub(crate) const fn by_hand(id: &'static str, plant: fn(House) -> Result<House>) -> Fault {
    Fault { id, mends: false, plant }
}

/// A fault that the doctor's own command mends.
pub(crate) const fn mended(id: &'static str, plant: fn(House) -> Result<House>) -> Fault {
    Fault { id, mends: true, plant }
}

#[test]
fn every_planted_fault_is_named_alone_and_its_command_mends_it() {
    let mut report = Report::begin("doctor_faults");
    report.case("a healthy place", "", named(&House::new().unwrap()).unwrap());
    let running = House::new().unwrap().start().unwrap();
    report.case("a healthy place with a platform", "", named(&running).unwrap());
    drop(running);
    let mut planted = 0;
    let faults = places::faults().into_iter().chain(records::faults()).chain(extensions::faults());
    for fault in faults {
        planted += 1;
        if let Err(error) = examine(&fault, &mut report) {
            report.case(fault.id, "", format!("{error:#}"));
        }
    }
    assert!(planted >= 30, "{planted} faults were planted");
    report.finish();
}

fn examine(fault: &Fault, report: &mut Report) -> Result<()> {
    let house = (fault.plant)(House::new()?).context("while it was planted")?;
    let said = house.doctor()?;
    let json = said.json()?;
    let names = names(&json);
    if names != fault.id {
        report.case(fault.id, fault.id, format!("{names}: {json}"));
        return Ok(());
    }
    report.case(fault.id, fault.id, names);
    ensure!(said.code == Some(3), "it exits with {:?}", said.code);
    let finding = &json["findings"][0];
    for part in ["subject", "message"] {
        ensure!(finding[part].as_str().is_some_and(|it| !it.is_empty()), "no {part}: {finding}");
    }
    let command = finding["fix"]["command"].as_str().unwrap_or_default();
    ensure!(!command.is_empty(), "no way out: {finding}");
    let runs = finding["fix"]["runs_as_written"] == true;
    ensure!(runs == fault.mends, "its fix is `{command}`");
    if runs {
        let done = house.fix(command)?;
        ensure!(done.code == Some(0), "`{command}`: {done:?}");
        report.case(format!("{}, mended", fault.id), "", named(&house)?);
    }
    Ok(())
}

/// What the doctor finds.
fn named(house: &House) -> Result<String> {
    Ok(names(&house.doctor()?.json()?))
}

fn names(json: &serde_json::Value) -> String {
    match json["findings"].as_array() {
        Some(found) => {
            found.iter().filter_map(|it| it["id"].as_str()).collect::<Vec<_>>().join(", ")
        }
        None => json.to_string(),
    }
}
