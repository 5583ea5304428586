//! A call into a loaded library that does nothing there.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use powernode_abi::abi_stable::std_types::{ROption, RResult::ROk};

use crate::{figure::Figure, place::Place};

const ROUNDS: usize = 30;
const CALLS: u32 = 1_000_000;

pub(crate) fn measure() -> Result<Vec<Figure>> {
    let place = Place::serve(1, |_| ())?;
    let entry = place.booted.registry.entries.first().context("no extension")?;
    let plugin = entry.plugin.clone().context("the extension is not loaded")?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut granted = 0;
        let begun = Instant::now();
        for _ in 0..CALLS {
            // The compiler sees nothing of the library, so that no call can be left out.
            let answer = plugin.available("billing".into(), ROption::RNone);
            granted += u32::from(matches!(answer, ROk(true)));
        }
        let took = begun.elapsed();
        ensure!(granted == CALLS, "a call was not answered");
        times.push(took.as_secs_f64() * 1e9 / f64::from(CALLS));
    }
    Ok(vec![Figure::of("abi_call", "ns", &times).at_most(5.0)])
}
