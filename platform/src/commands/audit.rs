//! `powernode audit`

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::{Output, runtime};
use crate::{audit, boot, config::Settings};

/// Exit code of a log that was tampered with.
const TAMPERED: u8 = 3;

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Check the chain of hashes; the first row that is wrong is named, with exit code 3.
    Verify,
}

impl Audit {
    pub(super) fn run(self, settings: &Settings, output: Output) -> anyhow::Result<ExitCode> {
        let Self::Verify = self;
        let runtime = runtime()?;
        let core = boot::core(settings, runtime.handle())?;
        let verdict = runtime.block_on(core.db.read(audit::verify))?;
        match verdict {
            Ok(rows) => {
                let value = json!({ "intact": true, "rows": rows });
                output.answer(&value, || format!("The audit log is intact: {rows} rows."))?;
                Ok(ExitCode::SUCCESS)
            }
            Err(bad) => {
                let value = json!({ "intact": false, "first_bad": bad.to_string() });
                output.answer(&value, || format!("The audit log was tampered with: {bad}."))?;
                Ok(ExitCode::from(TAMPERED))
            }
        }
    }
}
