//! From the order to switch an extension off to the answer, after which no request is admitted;
//! beside what it takes to look at the extension.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use powernode_tests::setup::Setup;
use serde_json::json;

use crate::{figure::Figure, place};

const TOGGLES: usize = 50;
const CLIENTS: usize = 2;
const FLAG: &str = "/api/v1/admin/extensions/fixture-000/flag";
const SHOWN: &str = "/api/v1/admin/extensions/fixture-000";
const ROUTE: &str = "/api/v1/fixture-000/small";

pub(crate) fn measure() -> Result<Vec<Figure>> {
    let setup = Setup::new()?
        .with_setting("limits.per_address", "1000000000")
        .with_setting("limits.per_token", "1000000000");
    place::install(&setup.extensions(), 1)?;
    let instance = setup.start()?;
    let ended = AtomicBool::new(false);
    // When each request that got through was sent, and when its answer was there.
    let through = Mutex::new(Vec::new());
    let (mut times, mut closed) = (Vec::new(), Vec::new());
    let outcome = thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let client = instance.operator();
            let (ended, through) = (&ended, &through);
            scope.spawn(move || {
                while !ended.load(Ordering::SeqCst) {
                    let sent = Instant::now();
                    if client.get(ROUTE).is_ok_and(|it| it.status == 200) {
                        let answered = Instant::now();
                        through
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((sent, answered));
                    }
                }
            });
        }
        let operator = instance.operator();
        let mut toggle = || -> Result<()> {
            let pause = || thread::sleep(Duration::from_millis(5));
            for _ in 0..TOGGLES {
                pause();
                let begun = Instant::now();
                let answer = operator.get(SHOWN)?;
                let looked = begun.elapsed();
                ensure!(answer.status == 200, "{}", answer.text());
                let begun = Instant::now();
                let answer = operator.put(FLAG, &json!({ "enabled": false }))?;
                let acknowledged = Instant::now();
                ensure!(answer.status == 200, "{}", answer.text());
                let took = acknowledged - begun;
                times.push((looked.as_secs_f64() * 1e6, took.as_secs_f64() * 1e6));
                pause();
                let end = Instant::now();
                let answer = operator.put(FLAG, &json!({ "enabled": true }))?;
                ensure!(answer.status == 200, "{}", answer.text());
                closed.push((acknowledged, end));
            }
            Ok(())
        };
        let outcome = toggle();
        ended.store(true, Ordering::SeqCst);
        outcome
    });
    outcome?;
    let through = through.into_inner().unwrap_or_else(PoisonError::into_inner);
    ensure!(!through.is_empty(), "no request got through while it was on");
    let late = through
        .iter()
        .filter(|(sent, answered)| closed.iter().any(|(from, to)| sent >= from && answered <= to));
    let late = late.count();
    Ok(vec![
        Figure::beside("toggle_latency_us", "us", &times).and("none admitted after", late == 0),
    ])
}
