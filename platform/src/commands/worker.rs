//! `powernode worker`

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::{Output, exit};
use crate::{
    boot::{self, jobs, lock::DataLock, serve},
    config::Settings,
    telemetry::Telemetry,
};

#[derive(Debug, Args)]
pub(super) struct Worker {}

impl Worker {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        jobs::may_be_apart(settings, "powernode worker")
            .map_err(|error| exit::usage(error.to_string()))?;
        let _telemetry = Telemetry::init(&settings.log.filter, settings.log.format)?;
        // Libraries are opened in the data directory: each process has its own.
        let _lock = DataLock::take(&settings.data)?;
        let runtime = super::runtime()?;
        let (core, _serving) = boot::wait::serving(settings, runtime.handle(), None)?;
        let booted = boot::extensions(core, settings, runtime.handle())?;
        let worker = jobs::start(&booted, settings, runtime.handle())
            .context("cannot start the threads of jobs")?;
        let process = std::process::id();
        output.answer(&serde_json::json!({ "process": process }), || {
            format!("powernode {} runs jobs: process {process}", env!("CARGO_PKG_VERSION"))
        })?;
        let ended = runtime.block_on(serve::work(&booted));
        worker.stop();
        serve::stop(&booted, settings.extensions.init_timeout);
        tracing::info!("Stopped");
        ended?;
        Ok(ExitCode::SUCCESS)
    }
}
