//! `powernode serve`

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use chrono::Utc;
use clap::Args;
use serde_json::json;

use super::{Output, exit};
use crate::{
    audit::By,
    boot::{self, jobs, lock::DataLock, serve},
    config::Settings,
    http::{self, socket::AdminSocket},
    registry::State,
    telemetry::Telemetry,
    worker::{Listening, Worker},
};

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The port; 0 takes a free one.
    #[arg(long)]
    port: Option<u16>,
    /// The address.
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<String>,
    /// Run no jobs here: `powernode worker` does; on PostgreSQL alone.
    #[arg(long)]
    no_worker: bool,
}

impl Serve {
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        let port = self.port.map(|it| ("server.port".to_owned(), it.to_string()));
        let bind = self.bind.clone().map(|it| ("server.bind".to_owned(), it));
        port.into_iter().chain(bind).collect()
    }

    pub(super) fn run(self, settings: Settings, output: &Output) -> anyhow::Result<ExitCode> {
        if self.no_worker {
            jobs::may_be_apart(&settings, "--no-worker")
                .map_err(|error| exit::usage(error.to_string()))?;
        }
        let _telemetry = Telemetry::init(&settings.log.filter, settings.log.format)?;
        let address = SocketAddr::new(settings.server.bind, settings.server.port);
        let listener = http::listen(address).map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => exit::conflict(format!(
                "{address} is taken by another process: end it, or choose another with `--port N`"
            )),
            _ => anyhow::Error::from(error).context(format!("cannot listen on {address}")),
        })?;
        // Held until the process ends: what another platform left there is not touched before.
        let _lock = DataLock::take(&settings.data)?;
        let runtime = super::runtime()?;
        let (core, _serving) = boot::wait::serving(&settings, runtime.handle(), Some(&listener))?;
        let booted = boot::extensions(core, &settings, runtime.handle())?;
        let platform = Arc::new(serve::platform(&booted, &settings, runtime.handle())?);
        let by = By::new("platform", Utc::now());
        let token = runtime.block_on(platform.access.bootstrap(by))?.map(|it| it.text);
        let operators = match AdminSocket::open(&settings.data) {
            Ok(socket) => Some(socket),
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::warn!("The command line works without the platform: {error:#}");
                None
            }
        };
        let address = listener.local_addr().context("the socket has no address")?;
        if let Some(own) = boot::reached(address).filter(|_| settings.server.url.is_none()) {
            booted.egress.reached_at(own);
        }
        greet(output, address, token.as_deref(), &booted)?;

        let system = actix_web::rt::System::with_tokio_rt(|| {
            // The runtime that serves: its workers are actix's own threads.
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap_or_else(|error| panic!("no runtime for the server: {error}"))
        });
        // Who runs the jobs hears of them.
        let _listening = match self.no_worker {
            true => Some(Listening::start(&booted.core.engine, &booted.core.wake)?),
            false => None,
        };
        let worker = match self.no_worker {
            true => None,
            false => Some(
                jobs::start(&booted, &settings, runtime.handle())
                    .context("cannot start the threads of jobs")?,
            ),
        };
        let tell = worker.as_ref().map(Worker::stopper);
        let stopping = move || tell.into_iter().for_each(|tell| tell());
        system.block_on(serve::serve(platform, listener, operators, &settings, stopping))?;
        if let Some(worker) = worker {
            worker.stop();
        }
        serve::stop(&booted, settings.extensions.init_timeout);
        tracing::info!("Stopped");
        Ok(ExitCode::SUCCESS)
    }
}

/// Says where it listens, and what to try first.
fn greet(
    output: &Output,
    address: SocketAddr,
    token: Option<&str>,
    booted: &boot::Booted,
) -> anyhow::Result<()> {
    let url = format!("http://{address}");
    let entries = &booted.registry.entries;
    let started = entries.iter().filter(|it| it.state == State::Started);
    let started: Vec<_> = started.map(|it| it.slug.as_str()).collect();
    let value = json!({ "url": url, "token": token, "extensions": started });
    output.answer(&value, || {
        let mut lines = vec![format!("powernode {} serves {url}", env!("CARGO_PKG_VERSION"))];
        lines.push(match started.as_slice() {
            [] => "No extension is loaded: core mode.".to_owned(),
            slugs => format!("Extensions: {}", slugs.join(", ")),
        });
        for entry in entries.iter().filter(|it| it.state != State::Started) {
            let reason = entry.refusal.as_ref().map(ToString::to_string);
            lines.push(format!("  {} stays out: {}", entry.slug, reason.unwrap_or_else(|| "it is disabled".into())));
        }
        let shown = token.unwrap_or("<your token>");
        match token {
            Some(token) => lines.push(format!("Operator's token, shown this once: {token}")),
            None => lines.push("A token: `powernode tokens create`".to_owned()),
        }
        let slug = started.first().copied().unwrap_or("<slug>");
        lines.push("Try:".to_owned());
        lines.push(format!("  curl {url}/api/v1/config"));
        lines.push(format!("  curl -H 'Authorization: Bearer {shown}' {url}/api/v1/admin/extensions"));
        lines.push(format!(
            "  curl -X PUT -H 'Authorization: Bearer {shown}' -H 'Content-Type: application/json' -d '{{\"enabled\":true}}' {url}/api/v1/admin/extensions/{slug}/flag"
        ));
        lines.join("\n")
    })
}
