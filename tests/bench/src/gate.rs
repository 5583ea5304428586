//! What a check of a gate costs.

use std::{
    env,
    hint::black_box,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use powernode::gate::{ActorId, Edit, Percentage};
use powernode_tests::artefacts;

use crate::{
    figure::Figure,
    gates::{ACTOR, Asked},
};

const ROUNDS: usize = 30;
const CHECKS: u32 = 500_000;

pub(crate) fn measure() -> Result<Vec<Figure>> {
    let allocations = allocations()?;
    let share = Edit::PercentageOfActors(Percentage::new(50.0)?);
    let mine = Edit::EnableActor(ACTOR.parse::<ActorId>()?);
    Ok(vec![
        beside("gate_check", &Edit::Enable)?
            .both_at_most(20.0)
            .and("no allocation", allocations == 0),
        beside("gate_check_off", &Edit::Disable)?
            .both_at_most(20.0)
            .and("no allocation", allocations == 0),
        beside("gate_check_percentage", &share)?,
        beside("gate_check_actor", &mine)?,
    ])
}

/// A check among 1,000 flags, beside one where there is but one flag.
fn beside(name: &'static str, edit: &Edit) -> Result<Figure> {
    let (one, many) = (Asked::new(1, edit)?, Asked::new(1000, edit)?);
    let pairs: Vec<_> = (0..ROUNDS).map(|_| (time(&one), time(&many))).collect();
    Ok(Figure::beside(name, "ns", &pairs))
}

fn time(asked: &Asked) -> f64 {
    let begun = Instant::now();
    for _ in 0..CHECKS {
        black_box(asked.ask());
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(CHECKS)
}

/// How often checks of every kind allocate; a program of its own counts.
fn allocations() -> Result<u64> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(artefacts::root())
        .args(["run", "--quiet", "--release", "-p", "powernode-bench", "--bin", "allocations"])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "allocations were not counted");
    String::from_utf8_lossy(&output.stdout).trim().parse().context("no number of allocations")
}
