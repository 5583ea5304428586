//! A call into a loaded library that does nothing there.

use std::{hint::black_box, time::Instant};

use anyhow::{Context as _, Result};
use powernode_abi::abi_stable::std_types::ROption;

use crate::{figure::Figure, place::Place};

const ROUNDS: usize = 30;
const CALLS: u32 = 1_000_000;

pub(crate) fn measure() -> Result<Vec<Figure>> {
    let place = Place::serve(1, |_| ())?;
    let entry = place.booted.registry.entries.first().context("no extension")?;
    let plugin = entry.plugin.clone().context("the extension is not loaded")?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..CALLS {
            let answer = plugin.available(black_box("billing").into(), ROption::RNone);
            black_box(&answer);
        }
        times.push(begun.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
    }
    Ok(vec![Figure::of("abi_call", "ns", &times).at_most(5.0)])
}
