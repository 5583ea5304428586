//! `powernode state`

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::{Output, ext::extensions, place, place::Place};
use crate::{config::Settings, gate::StateFile};

/// The state file: what the next start leaves out.
#[derive(Debug, Subcommand)]
pub(super) enum State {
    /// List what the state file disables.
    List,
    /// Let an extension in again, from the next start on.
    Enable {
        /// Its slug.
        slug: String,
    },
    /// Leave an extension out, from the next start on.
    Disable {
        /// Its slug.
        slug: String,
    },
}

impl State {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        let (slug, disabled) = match self {
            Self::List => return list(settings, output),
            Self::Enable { slug } => (slug, false),
            Self::Disable { slug } => (slug, true),
        };
        let place = Place::find(settings)?;
        let value = extensions(&place, settings)?.state(&slug, disabled)?;
        place.output(output).answer(&value, || {
            let does = if disabled { "leaves out" } else { "lets in" };
            match value["changed"] == true {
                true => format!("The next start {does} `{slug}`."),
                false => format!("The next start {does} `{slug}`, as it would have."),
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The file is the same for whoever reads it.
fn list(settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
    let path = &settings.extensions.state_file;
    let state = StateFile::new(path).read();
    let warning = state.warning.filter(|_| path.exists());
    let value = json!({ "file": path, "disabled": state.disabled, "warning": warning });
    output.clone().from(place::data(settings)).answer(&value, || {
        let mut lines: Vec<String> = warning.iter().map(|it| format!("warning: {it}")).collect();
        match state.disabled.is_empty() {
            true => lines.push("No extension is disabled.".to_owned()),
            false => lines.extend(state.disabled.iter().cloned()),
        }
        lines.join("\n")
    })?;
    Ok(ExitCode::SUCCESS)
}
