//! The command line.
//!
//! Commands ask the platform that runs on the data directory, over its operator's socket; where none runs, they work
//! on the database and the directories themselves. They say which.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::{Settings, Sources};

mod accounts;
mod audit;
mod backup;
mod client;
mod config;
mod doctor;
mod deliveries;
mod events;
mod examples;
mod exit;
mod ext;
mod flags;
mod jobs;
mod key;
mod manual;
mod migrate;
mod output;
mod place;
mod probe;
mod queues;
mod seed;
mod serve;
mod state;
mod tokens;
mod worker;

use self::output::Output;

/// Runs a plugin platform, and looks after it.
#[derive(Debug, Parser)]
#[command(name = "powernode", version)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of all commands.
#[derive(Debug, Args)]
struct Global {
    /// Answer as JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
    /// The configuration file, instead of `config/powernode.toml`.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the platform keeps its own; the SQLite database is `powernode.db` in it.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where extensions are installed.
    #[arg(long, global = true, value_name = "DIR")]
    extensions: Option<PathBuf>,
    /// The file that disables extensions.
    #[arg(long, global = true, value_name = "FILE")]
    state: Option<PathBuf>,
    /// PostgreSQL's address, instead of SQLite.
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// Any other setting: `--set server.body_limit=2097152`.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve requests until SIGTERM or SIGINT.
    Serve(serve::Serve),
    /// Run jobs, and serve no requests, until SIGTERM or SIGINT; on PostgreSQL alone.
    Worker(worker::Worker),
    /// Bring the tables up to date: the core's, then those of extensions.
    Migrate(migrate::Migrate),
    /// Write the seeds of the extensions.
    Seed(seed::Seed),
    /// Make and list accounts.
    #[command(subcommand)]
    Accounts(accounts::Accounts),
    /// Make, list and revoke API tokens.
    #[command(subcommand)]
    Tokens(tokens::Tokens),
    /// Stage, list and explain extensions.
    #[command(subcommand)]
    Ext(ext::Ext),
    /// Show and switch flags.
    #[command(subcommand)]
    Flags(flags::Flags),
    /// Show and change what the next start leaves out.
    #[command(subcommand)]
    State(state::State),
    /// Look at jobs, and retry, discard or cancel them.
    #[command(subcommand)]
    Jobs(jobs::Jobs),
    /// Look at queues, pause them, and set their limits.
    #[command(subcommand)]
    Queues(queues::Queues),
    /// Look at schedules, and run one now.
    #[command(subcommand)]
    Schedules(queues::Schedules),
    /// Look at events, and deliver them again.
    #[command(subcommand)]
    Events(events::Events),
    /// Look at what was sent to webhooks, and send it again.
    #[command(subcommand)]
    Deliveries(deliveries::Deliveries),
    /// List the processes that run jobs.
    Nodes(queues::Nodes),
    /// Look into the audit log.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Back the platform's data up, check a backup, and put one back.
    #[command(subcommand)]
    Backup(backup::Backup),
    /// Show the master key's id, and go on with another.
    #[command(subcommand)]
    Key(key::Key),
    /// Check and show the settings.
    #[command(subcommand)]
    Config(config::Config),
    /// Find what is wrong, and say what mends it; exit code 3 where something is.
    Doctor(doctor::Doctor),
    /// Write a shell's completions to the standard output.
    Completions(manual::Completions),
    /// Write the manual.
    Man(manual::Man),
    /// Open one library, say so, and end.
    #[command(name = crate::package::PROBE_COMMAND, hide = true)]
    Probe { path: PathBuf },
}

/// Runs the command line of this process.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = command().try_get_matches_from(&arguments);
    let cli = match parsed.and_then(|it| Cli::from_arg_matches(&it)) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && arguments.iter().any(|it| it == "--json") => {
            // Its first paragraph says what is wrong; the rest is for people.
            let text = error.to_string();
            let text = text.split("\n\n").next().unwrap_or_default().replace("error: ", "");
            return Output::new(true).error(&exit::usage(text.trim()));
        }
        Err(error) => {
            // Help goes to the standard output, errors to the other; both are clap's business.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = Output::new(cli.global.json);
    match run(cli, &output) {
        Ok(code) => code,
        Err(error) => output.error(&error),
    }
}

/// The command line, with its exit codes in the help.
fn command() -> clap::Command {
    examples::add(Cli::command()).after_help(exit::help())
}

fn run(cli: Cli, output: &Output) -> anyhow::Result<ExitCode> {
    let mut flags = cli.global.settings()?;
    if let Command::Serve(serve) = &cli.command {
        flags.extend(serve.settings());
    }
    let sources = Sources::of_process(cli.global.config.clone(), flags);
    let settings = || Settings::load(sources.clone());
    match cli.command {
        Command::Probe { path } => Ok(probe::run(&path)),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(output),
        Command::Config(config) => config.run(sources, output),
        Command::Doctor(doctor) => doctor.run(sources, &cli.global.words(), output),
        Command::Ext(ext::Ext::Stage(stage)) if stage.into.is_some() => stage.run(None, output),
        Command::Serve(serve) => serve.run(settings()?, output),
        Command::Worker(worker) => worker.run(&settings()?, output),
        Command::Migrate(migrate) => beside(settings()?, output, |it, out| migrate.run(it, out)),
        Command::Seed(seed) => beside(settings()?, output, |it, out| seed.run(it, out)),
        Command::Accounts(accounts) => accounts.run(&settings()?, output),
        Command::Tokens(tokens) => tokens.run(&settings()?, output),
        Command::Ext(ext) => ext.run(&settings()?, output),
        Command::Flags(flags) => flags.run(&settings()?, output),
        Command::State(state) => state.run(&settings()?, output),
        Command::Jobs(jobs) => jobs.run(&settings()?, output),
        Command::Queues(queues) => queues.run(&settings()?, output),
        Command::Schedules(schedules) => schedules.run(&settings()?, output),
        Command::Events(events) => events.run(&settings()?, output),
        Command::Deliveries(deliveries) => deliveries.run(&settings()?, output),
        Command::Nodes(nodes) => nodes.run(&settings()?, output),
        Command::Audit(audit) => audit.run(&settings()?, output),
        Command::Backup(backup) => beside(settings()?, output, |it, out| backup.run(it, out)),
        Command::Key(key) => beside(settings()?, output, |it, out| key.run(it, out)),
    }
}

/// Runs what works on the database and the files themselves, and says so.
fn beside(
    settings: Settings,
    output: &Output,
    run: impl FnOnce(&Settings, &Output) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    run(&settings, &output.clone().from(place::data(&settings)))
}

impl Global {
    /// How this program was called, as far as places go; a password stays out.
    fn words(&self) -> Vec<String> {
        let mut words = vec!["powernode".to_owned()];
        let paths = [
            ("--config", &self.config),
            ("--data", &self.data),
            ("--extensions", &self.extensions),
            ("--state", &self.state),
        ];
        for (option, path) in paths {
            if let Some(path) = path {
                words.extend([option.to_owned(), path.display().to_string()]);
            }
        }
        for pair in self.set.iter().filter(|it| !it.contains("://")) {
            words.extend(["--set".to_owned(), pair.clone()]);
        }
        words
    }

    /// The options as settings.
    fn settings(&self) -> anyhow::Result<Vec<(String, String)>> {
        let paths = [
            ("data", &self.data),
            ("extensions.dir", &self.extensions),
            ("extensions.state_file", &self.state),
        ];
        let mut settings = Vec::new();
        for (key, path) in paths {
            if let Some(path) = path {
                let text = path.to_str();
                let text =
                    text.ok_or_else(|| anyhow::anyhow!("`{}` is not UTF-8", path.display()))?;
                settings.push((key.to_owned(), text.to_owned()));
            }
        }
        settings.extend(self.database_url.iter().map(|it| ("database.url".to_owned(), it.clone())));
        for pair in &self.set {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| exit::usage(format!("`--set {pair}` must be `--set KEY=VALUE`")))?;
            settings.push((key.to_owned(), value.to_owned()));
        }
        Ok(settings)
    }
}

/// Threads for what waits for the database.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Who works at the command line, for the audit log.
fn by() -> crate::audit::By {
    let user = rustix::process::getuid().as_raw();
    crate::audit::By::new(format!("cli:{user}"), chrono::Utc::now())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn no_option_of_a_command_is_one_of_all_commands() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_read() {
        for line in ["ext disable shop", "ext disable shop --at-restart", "serve --state x"] {
            let words = format!("powernode {line}");
            assert!(Cli::try_parse_from(words.split(' ')).is_ok(), "{line}");
        }
    }
}
