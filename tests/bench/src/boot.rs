//! What an extension costs at the start, and in memory.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
    time::Instant,
};

use anyhow::{Result, ensure};
use powernode_tests::setup::Setup;

use crate::{
    figure::{Figure, median},
    place,
    routes::resident,
};

const EXTENSIONS: usize = 50;
const ROUNDS: usize = 12;
const FIRST_ROUNDS: usize = 10;

pub(crate) fn measure() -> Result<Vec<Figure>> {
    let (none, full) = (setup(0)?, setup(EXTENSIONS)?);
    let mut first = Vec::new();
    for round in 0..FIRST_ROUNDS {
        let (empty, loaded) = both(&none, &full, true, round)?;
        first.push(each(&empty, &loaded));
    }
    let (mut times, mut idle, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (empty, loaded) = both(&none, &full, false, round)?;
        times.push(each(&empty, &loaded));
        idle.push(empty.kilobytes / 1024.0);
        let above = (loaded.kilobytes - empty.kilobytes) / EXTENSIONS as f64;
        memory.push((empty.kilobytes, above));
    }
    let above: Vec<_> = times.iter().map(|it| it.1).collect();
    ensure!(median(&above) > 0.0, "no extension was loaded");
    Ok(vec![
        Figure::beside("boot_50_extensions", "ms", &times)
            .value_at_most(4.0)
            .with_note(EACH.to_owned()),
        Figure::beside("boot_50_first", "ms", &first).with_note(EACH.to_owned()),
        Figure::of("idle_rss_mb", "MB", &idle),
        Figure::beside("rss_per_extension_kb", "kB", &memory).with_note(EACH.to_owned()),
    ])
}

/// What value and baseline are.
const EACH: &str = "each of 50, above a start with none, which is the baseline";

/// Starts with none and with all, the one that comes first in turn.
fn both(none: &Setup, full: &Setup, forget: bool, round: usize) -> Result<(Started, Started)> {
    if round.is_multiple_of(2) {
        let empty = boot(none, forget)?;
        Ok((empty, boot(full, forget)?))
    } else {
        let loaded = boot(full, forget)?;
        Ok((boot(none, forget)?, loaded))
    }
}

/// Milliseconds of a start with none, and of each extension above it.
fn each(none: &Started, full: &Started) -> (f64, f64) {
    (none.seconds * 1e3, (full.seconds - none.seconds) * 1e3 / EXTENSIONS as f64)
}

fn setup(extensions: usize) -> Result<Setup> {
    let setup = Setup::new()?.with_setting("server.workers", "2");
    place::install(&setup.extensions(), extensions)?;
    Ok(setup)
}

struct Started {
    seconds: f64,
    kilobytes: f64,
}

/// Starts the platform, and measures until it says where it serves; `forget` lets it know no hash.
fn boot(setup: &Setup, forget: bool) -> Result<Started> {
    if forget && setup.data().exists() {
        for entry in fs::read_dir(setup.data())? {
            let path = entry?.path();
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
    }
    let log = fs::File::create(setup.log_file())?;
    let mut command = setup.command();
    command.args(["serve", "--port", "0"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let begun = Instant::now();
    let mut child = command.spawn()?;
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut said)?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let kilobytes = resident(child.id());
    child.kill()?;
    child.wait()?;
    ensure!(said.contains("serves"), "it did not start: {}", fs::read_to_string(setup.log_file())?);
    Ok(Started { seconds, kilobytes: kilobytes? })
}
