//! `powernode audit`

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Output, exit::Exit, place::Place, runtime};
use crate::{
    audit::{self, Filter},
    boot,
    config::Settings,
};

/// Rows that are read at once.
const ROWS: i64 = 1000;

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Check the chain of hashes; the first row that is wrong is named, with exit code 3.
    Verify,
    /// Write the whole log, oldest row first, one JSON object a line, each with its hash.
    Export {
        /// The file, which must not be there yet; the standard output if not given.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

impl Audit {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        let place = Place::find(settings)?;
        let output = place.output(output);
        match self {
            Self::Verify => verify(&place, settings, &output),
            Self::Export { to: Some(path) } => {
                let file = File::create_new(&path)
                    .with_context(|| format!("cannot make the file `{}`", path.display()))?;
                let mut file = BufWriter::new(file);
                let rows = export(&place, settings, &mut file)?;
                file.flush()?;
                exported(&output, rows, &path)
            }
            Self::Export { to: None } => {
                output.tell();
                let mut stdout = BufWriter::new(io::stdout().lock());
                export(&place, settings, &mut stdout)?;
                stdout.flush()?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// The running platform is asked for its rows, and not for its opinion of them.
fn verify(place: &Place, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
    let verdict = match place {
        Place::Running(client) => client.get("/api/v1/admin/audit/verify")?,
        Place::Data(_) => {
            let runtime = runtime()?;
            let core = boot::core(settings, runtime.handle())?;
            serde_json::to_value(audit::Verdict::of(
                runtime.block_on(core.db.read(audit::verify))?,
            ))?
        }
    };
    let intact = verdict["intact"] == true;
    output.answer(&verdict, || match intact {
        true => format!("The audit log is intact: {} rows.", verdict["rows"]),
        false => format!(
            "The audit log was tampered with: {}.",
            verdict["first_bad"].as_str().unwrap_or_default()
        ),
    })?;
    Ok(if intact { Exit::Done.into() } else { Exit::No.into() })
}

fn export(place: &Place, settings: &Settings, to: &mut dyn Write) -> anyhow::Result<u64> {
    match place {
        Place::Running(client) => write(to, |after| match after {
            None => Ok(client.page("/api/v1/admin/audit", 1)?.0),
            Some(after) => Ok(client.page(&format!("/api/v1/admin/audit?after={after}"), 1)?.0),
        }),
        Place::Data(_) => {
            let runtime = runtime()?;
            let core = boot::core(settings, runtime.handle())?;
            write(to, |after| {
                let filter = Filter { after, ..Filter::default() };
                let rows = runtime.block_on(core.db.read(move |conn| {
                    audit::list(conn, &filter, 1, ROWS)
                        .map_err(powernode_plugin_api::db::RunError::from)
                }))?;
                Ok(rows.0.iter().map(serde_json::to_value).collect::<Result<_, _>>()?)
            })
        }
    }
}

/// Writes what `rows` answers after each number, up to the row that is the newest now; without a number it answers the
/// newest rows, the newest first.
fn write(
    to: &mut dyn Write,
    rows: impl Fn(Option<i64>) -> anyhow::Result<Vec<Value>>,
) -> anyhow::Result<u64> {
    let seq = |row: &Value| row["seq"].as_i64();
    let newest = rows(None)?.first().and_then(seq).unwrap_or(0);
    let (mut last, mut count) = (0, 0);
    while last < newest {
        let page = rows(Some(last))?;
        let Some(end) = page.last().and_then(seq).filter(|it| *it > last) else { break };
        for row in page.iter().filter(|it| seq(it).is_some_and(|it| it <= newest)) {
            count += 1;
            writeln!(to, "{row}")?;
        }
        last = end;
    }
    Ok(count)
}

fn exported(output: &Output, rows: u64, path: &Path) -> anyhow::Result<ExitCode> {
    output.answer(&json!({ "rows": rows, "file": path }), || {
        format!("{rows} rows are in `{}`.", path.display())
    })?;
    Ok(ExitCode::SUCCESS)
}
