//! `powernode doctor`: what is wrong, why that matters, and the command that mends it.
//!
//! Nothing is changed. A fault that makes others look like faults ends their checks, so that it is told alone.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use self::finding::{Findings, Fix, Severity, word};
use super::{
    Output,
    client::Client,
    exit::Exit,
    output::{bad, good, warn},
    place::Place,
    runtime,
};
use crate::{
    config::{Settings, Sources},
    http::socket,
};

mod data;
mod database;
mod extensions;
mod finding;
mod process;
mod records;
mod settings;

/// What nothing that is found here can say.
const TRUST: &str = "No signature is looked at: the hash in its manifest is all that ties a library to its vendor, and \
    whoever may write a manifest may write its hash. Install what you trust.";

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Space that should be free where the data directory is, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    min_free: u64,
}

impl Doctor {
    /// `powernode` is how this very command line is called, with its options.
    pub(super) fn run(
        self,
        sources: Sources,
        powernode: &[String],
        output: &Output,
    ) -> anyhow::Result<ExitCode> {
        let words: Vec<_> = powernode.iter().map(|it| word(it)).collect();
        let mut findings = Findings::new(words.join(" "));
        let (settings, problems) = Settings::salvage(sources);
        let place = settings.as_ref().and_then(|it| Place::find(it).ok());
        let output = place.map_or_else(|| output.clone(), |it| it.output(output));
        settings::problems(&problems, &mut findings);
        if let Some(settings) = settings {
            self.examine(&settings, &mut findings)?;
        }
        let found = findings.list();
        let value = json!({ "sound": found.is_empty(), "findings": found, "trust": TRUST });
        output.answer(&value, || {
            let mark = |it| match it {
                Severity::Error => bad("fault"),
                Severity::Warning => warn("hint"),
            };
            let said = match found {
                [] => good("Nothing is wrong."),
                found => found.iter().map(|it| it.lines(mark)).collect::<Vec<_>>().join("\n\n"),
            };
            format!("{said}\n\n{TRUST}")
        })?;
        Ok(if found.is_empty() { Exit::Done.into() } else { Exit::No.into() })
    }

    fn examine(&self, settings: &Settings, findings: &mut Findings) -> anyhow::Result<()> {
        settings::choices(settings, findings);
        settings::of_extensions(settings, findings);
        process::limits(findings);
        let least_free = self.min_free.saturating_mul(1 << 20);
        let usable = data::directory(settings, least_free, findings);
        let client = Client::find(&socket::path(&settings.data)).ok();
        if client.is_none() {
            settings::port(settings, findings);
        }
        let found = extensions::check(settings, findings);
        if !usable {
            return Ok(());
        }
        data::leftovers(settings, client.is_some(), findings);
        let key = data::key(settings, findings);
        let runtime = runtime()?;
        let core = database::check(settings, client.is_some(), findings);
        if let Some(core) = core
            && let Err(error) =
                records::check(&core, settings, key.as_ref(), found.as_deref(), &runtime, findings)
        {
            let fix = Fix::by_hand(findings.powernode("migrate --dry-run"));
            findings.error("database.unreadable", "database", format!("{error:#}"), fix);
        }
        if let Some(client) = client
            && let Err(error) = process::running(&client, settings, findings)
        {
            let fix = Fix::by_hand("restart the platform: systemctl restart powernode".to_owned());
            findings.error("platform.does_not_answer", "platform", format!("{error:#}"), fix);
        }
        Ok(())
    }
}
