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
const FIRST_ROUNDS: usize = 3;

pub(crate) fn measure() -> Result<Vec<Figure>> {
    let (none, full) = (setup(0)?, setup(EXTENSIONS)?);
    let mut first = Vec::new();
    for _ in 0..FIRST_ROUNDS {
        let empty = boot(&none, true)?.seconds;
        first.push(each(empty, boot(&full, true)?.seconds));
    }
    let (mut times, mut idle, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (empty, loaded) = (boot(&none, false)?, boot(&full, false)?);
        times.push(each(empty.seconds, loaded.seconds));
        idle.push(empty.kilobytes / 1024.0);
        memory.push((loaded.kilobytes - empty.kilobytes) / EXTENSIONS as f64);
    }
    ensure!(median(&times) > 0.0, "no extension was loaded");
    Ok(vec![
        Figure::of("boot_50_extensions", "ms", &times).at_most(4.0),
        Figure::of("boot_50_first", "ms", &first),
        Figure::of("idle_rss_mb", "MB", &idle),
        Figure::of("rss_per_extension_kb", "kB", &memory),
    ])
}

/// Milliseconds of each extension, above a start with none.
fn each(none: f64, full: f64) -> f64 {
    (full - none) * 1000.0 / EXTENSIONS as f64
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
