//! `powernode audit`

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use chrono::Utc;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Output, client::segment, exit::Exit, place::Place, runtime};
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
    let mut count = 0;
    let mut write = |rows: Vec<Value>| {
        for row in rows.into_iter().rev() {
            count += 1;
            writeln!(to, "{row}")?;
        }
        Ok::<_, anyhow::Error>(())
    };
    // What is appended meanwhile would move the pages.
    let until = Utc::now();
    match place {
        Place::Running(client) => {
            let path = format!("/api/v1/admin/audit?until={}", segment(&until.to_rfc3339()));
            let (_, pages) = client.page(&path, 1)?;
            for page in (1..=pages).rev() {
                write(client.page(&path, page)?.0)?;
            }
        }
        Place::Data(_) => {
            let runtime = runtime()?;
            let core = boot::core(settings, runtime.handle())?;
            let filter = Filter { until: Some(until), ..Filter::default() };
            let rows = |page: i64| {
                let filter = filter.clone();
                runtime.block_on(core.db.read(move |conn| {
                    audit::list(conn, &filter, page, ROWS)
                        .map_err(powernode_plugin_api::db::RunError::from)
                }))
            };
            let (_, total) = rows(1)?;
            for page in (1..=(total + ROWS - 1) / ROWS).rev() {
                let (rows, _) = rows(page)?;
                write(rows.iter().map(serde_json::to_value).collect::<Result<_, _>>()?)?;
            }
        }
    }
    Ok(count)
}

fn exported(output: &Output, rows: u64, path: &Path) -> anyhow::Result<ExitCode> {
    output.answer(&json!({ "rows": rows, "file": path }), || {
        format!("{rows} rows are in `{}`.", path.display())
    })?;
    Ok(ExitCode::SUCCESS)
}
