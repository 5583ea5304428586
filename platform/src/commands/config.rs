//! `powernode config`

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::{Output, exit, exit::Exit, output::table, place};
use crate::{
    config::{self, ConfigError, Settings, Sources},
    package::{WrongChoice, all_wrong_choices},
};

/// What was chosen, and where.
#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Read all layers, and name everything that is wrong in them; exit code 3 where something is.
    Check,
    /// Show what holds; secrets are masked.
    Show {
        /// This key alone, such as `server.port`.
        key: Option<String>,
        /// Show where each value comes from.
        #[arg(long)]
        origin: bool,
    },
    /// Write the page that documents every key, in Markdown.
    Reference,
}

impl Config {
    pub(super) fn run(self, sources: Sources, output: &Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Check => {
                let (settings, problems) = Settings::salvage(sources);
                let wrong = settings.as_ref().map(all_wrong_choices).unwrap_or_default();
                check(&problems, &wrong, &own(settings.as_ref(), output))
            }
            Self::Show { key, origin } => {
                let settings = Settings::load(sources)?;
                show(&settings, key.as_deref(), origin, &own(Some(&settings), output))
            }
            Self::Reference => {
                let page = config::reference();
                output.answer(&json!({ "markdown": page }), || page.clone())?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// Settings are read anew, also beside a platform that was started with others.
fn own(settings: Option<&Settings>, output: &Output) -> Output {
    match settings.map(place::data) {
        Some(source) => output.clone().from(source.read_now()),
        None => output.clone(),
    }
}

fn check(
    problems: &[ConfigError],
    wrong: &[WrongChoice],
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let row = |it: &ConfigError| json!({ "key": it.key(), "origin": it.origin(), "message": sentence(it) });
    let of_extension =
        |it: &WrongChoice| json!({ "key": it.key, "origin": it.origin, "message": it.to_string() });
    let rows: Vec<_> = problems.iter().map(row).chain(wrong.iter().map(of_extension)).collect();
    output.answer(&json!({ "sound": rows.is_empty(), "problems": rows }), || {
        if rows.is_empty() {
            return "All settings are sound.".to_owned();
        }
        let lines = rows.iter().filter_map(|it| it["message"].as_str());
        lines.collect::<Vec<_>>().join("\n")
    })?;
    Ok(if rows.is_empty() { Exit::Done.into() } else { Exit::No.into() })
}

/// The problem with its cause.
pub(super) fn sentence(problem: &ConfigError) -> String {
    match std::error::Error::source(problem) {
        Some(cause) => format!("{problem}: {cause}"),
        None => problem.to_string(),
    }
}

fn show(
    settings: &Settings,
    key: Option<&str>,
    origin: bool,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let rows: Vec<_> =
        settings.explain().iter().filter(|it| key.is_none_or(|key| it.key == key)).collect();
    if let (Some(key), true) = (key, rows.is_empty()) {
        return Err(exit::not_found(format!(
            "there is no setting `{key}`: `powernode config show` lists those there are"
        )));
    }
    output.answer(&json!({ "settings": rows }), || {
        let cells: Vec<_> = rows
            .iter()
            .map(|it| {
                let value = it.value.clone().unwrap_or_else(|| "-".to_owned());
                let mut cells = vec![it.key.clone(), value];
                if origin {
                    cells.push(it.origin.to_string());
                }
                cells
            })
            .collect();
        let heading: &[_] = if origin { &["KEY", "VALUE", "ORIGIN"] } else { &["KEY", "VALUE"] };
        table(heading, &cells)
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_is_in_step() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/CONFIGURATION.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == crate::config::reference(), "{path} is outdated: run `cargo xtask docs`");
    }
}
