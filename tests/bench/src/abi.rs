//! A call into a loaded library that does nothing there, beside one that stays in the program.

use std::{hint::black_box, time::Instant};

use anyhow::{Context as _, Result, ensure};
use powernode_abi::abi_stable::std_types::{ROption, RResult::ROk};

use crate::{figure::Figure, place::Place};

const ROUNDS: usize = 30;
const CALLS: u32 = 1_000_000;

pub(crate) fn measure() -> Result<Vec<Figure>> {
    let place = Place::serve(1, |_| ())?;
    let entry = place.booted.registry.entries.first().context("no extension")?;
    let plugin = entry.plugin.clone().context("the extension is not loaded")?;
    let here: &dyn Available = black_box(&Here);
    let mut pairs = Vec::new();
    for _ in 0..ROUNDS {
        let native = timed(|| here.available(black_box("billing")))?;
        // The compiler sees nothing of the library, so that no call can be left out.
        let across =
            timed(|| matches!(plugin.available("billing".into(), ROption::RNone), ROk(true)))?;
        pairs.push((native, across));
    }
    Ok(vec![Figure::beside("abi_call", "ns", &pairs).value_at_most(5.0)])
}

/// Nanoseconds of a call, which must answer that it is so.
fn timed(call: impl Fn() -> bool) -> Result<f64> {
    let mut granted = 0;
    let begun = Instant::now();
    for _ in 0..CALLS {
        granted += u32::from(call());
    }
    let took = begun.elapsed();
    ensure!(granted == CALLS, "a call was not answered");
    Ok(took.as_secs_f64() * 1e9 / f64::from(CALLS))
}

/// What a plugin in the program itself would be called by.
trait Available {
    fn available(&self, capability: &str) -> bool;
}

struct Here;

impl Available for Here {
    fn available(&self, capability: &str) -> bool {
        !capability.is_empty()
    }
}
