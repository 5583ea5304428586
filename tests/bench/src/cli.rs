//! How long a person waits for the first word of a command, with and without a platform that runs.

use std::{
    fs,
    io::{Read as _, Write as _},
    process::Stdio,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use powernode_tests::{
    artefacts::{plugin, root},
    setup::Setup,
};
use serde_json::{Value, json};

use crate::{
    figure::{Figure, LATE, median, quantile},
    place,
};

const ROUNDS: usize = 60;
/// Extensions beside marketing.
const EXTENSIONS: usize = 10;
const BACKUP: &str = "backup-to-verify";

/// What each other command is held against: it does nothing but answer.
const LEAST: &str = "--version";

/// Every command that changes nothing, but the doctor.
const READS: [&str; 25] = [
    LEAST,
    "--help",
    "help flags",
    "ext list",
    "ext show marketing",
    "ext why marketing",
    "flags list",
    "flags get marketing_mode",
    "flags export",
    "state list",
    "accounts list",
    "tokens list",
    "config check",
    "config show",
    "config show --origin",
    "config reference",
    "audit verify",
    "audit export",
    "migrate status",
    "migrate --dry-run",
    "backup verify backup-to-verify",
    "completions bash",
    "ext list --json",
    "ext show marketing --json",
    "flags list --json",
];

const DOCTOR: &str = "doctor";

/// Measures each command where no platform runs, and where one does.
pub(crate) fn measure() -> Result<Vec<Figure>> {
    let offline = setup()?.start()?.stop()?;
    let online = setup()?.start()?;
    let places = [("offline", offline.setup()), ("online", online.setup())];
    for (_, setup) in places {
        let made = setup.cli(&["backup", "create", "--to", BACKUP])?;
        ensure!(made.code == Some(0), "no backup: {made:?}");
    }

    let mut rows: Vec<Row<'_>> = Vec::new();
    for command in READS.into_iter().chain([DOCTOR]) {
        for (place, setup) in places {
            rows.push(Row { command, place, setup, times: Vec::new() });
        }
    }
    // The first round brings everything into memory, and does not count.
    for round in 0..=ROUNDS {
        for row in &mut rows {
            let took = first_byte(row.setup, row.command)
                .with_context(|| format!("{} {}", row.place, row.command))?;
            if round > 0 {
                row.times.push(took);
            }
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:<40}{:>9}{:>9}  from the start to the first byte",
        "command", "p50 ms", "p95 ms"
    )?;
    for row in &rows {
        let (name, p95) = (format!("{} {}", row.place, row.command), quantile(&row.times, LATE));
        writeln!(out, "{name:<40}{:>9.1}{p95:>9.1}", median(&row.times))?;
    }

    let (doctors, reads): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.command == DOCTOR);
    Ok(vec![
        slowest("cli_first_output", &rows, &reads)?.value_at_most(100.0),
        slowest("cli_first_output_doctor", &rows, &doctors)?,
    ])
}

/// One command in one place, and what it took in each round, in milliseconds.
struct Row<'a> {
    command: &'static str,
    place: &'static str,
    setup: &'a Setup,
    times: Vec<f64>,
}

/// The slowest of some, beside the least that any command takes in the same rounds.
fn slowest(name: &'static str, all: &[Row<'_>], of: &[&Row<'_>]) -> Result<Figure> {
    let p95 = |row: &Row<'_>| quantile(&row.times, LATE);
    let slowest = of.iter().max_by(|a, b| p95(a).total_cmp(&p95(b))).context("no command")?;
    let least = all
        .iter()
        .find(|row| row.command == LEAST && row.place == slowest.place)
        .context("nothing to hold it against")?;
    let pairs: Vec<_> = least.times.iter().copied().zip(slowest.times.iter().copied()).collect();
    let note = format!(
        "p95 of `powernode {}`, {}, the slowest of {}; baseline `powernode {LEAST}`",
        slowest.command,
        slowest.place,
        of.len()
    );
    Ok(Figure::late(name, "ms", &pairs).with_note(note))
}

/// Milliseconds until a command's first byte stands on its standard output; it must end well, too.
fn first_byte(setup: &Setup, command: &str) -> Result<f64> {
    let mut child = setup.command();
    child.args(command.split(' ')).stdin(Stdio::null());
    child.stdout(Stdio::piped()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = child.spawn()?;
    let mut out = child.stdout.take().context("no standard output")?;
    let mut first = [0];
    let read = out.read(&mut first)?;
    let took = begun.elapsed();
    std::io::copy(&mut out, &mut std::io::sink())?;
    let ended = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(read == 1, "it wrote nothing: {said}");
    // The doctor may find something; that is an answer.
    let fine = ended.status.success() || (command == DOCTOR && ended.status.code() == Some(3));
    ensure!(fine, "it ended with {}: {said}", ended.status);
    Ok(took.as_secs_f64() * 1e3)
}

/// A place with extensions, switched on.
fn setup() -> Result<Setup> {
    let text = fs::read_to_string(root().join("plugins/marketing/extension.json"))?;
    let mut manifest: Value = serde_json::from_str(&text)?;
    manifest["default_enabled"] = json!(true);
    let setup = Setup::new()?;
    place::install(&setup.extensions(), EXTENSIONS)?;
    setup.with_extension(&plugin("powernode-marketing")?, &manifest)
}
