//! Counts what checks of the gates allocate, and prints it: 0.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the number is its answer")]

#[path = "../gates.rs"]
mod gates;

use anyhow::{Result, ensure};
use powernode::gate::{ActorId, Edit, Percentage};

use gates::{ACTOR, Asked};

fn main() -> Result<()> {
    let edits = [
        Edit::Enable,
        Edit::Disable,
        Edit::PercentageOfActors(Percentage::new(50.0)?),
        Edit::EnableActor(ACTOR.parse::<ActorId>()?),
    ];
    let mut count = 0;
    for edit in &edits {
        let asked = Asked::new(1000, edit)?;
        // A thread's first check sets up what later ones use.
        asked.ask();
        let counted = allocation_counter::measure(|| {
            for _ in 0..1000 {
                std::hint::black_box(asked.ask());
            }
        });
        count += counted.count_total;
    }
    let seen = allocation_counter::measure(|| drop(std::hint::black_box(vec![1_u8])));
    ensure!(seen.count_total == 1, "an allocation is not counted: 0 would say nothing");
    println!("{count}");
    Ok(())
}
