//! `powernode jobs`

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    Output, by,
    client::{Client, segment},
    exit,
    output::table,
    place::{self, Place},
    runtime,
};
use crate::{
    boot::{self, Core},
    config::Settings,
    queue::{self, Action, Filter, State},
};

const BASE: &str = "/api/v1/admin/jobs";

#[derive(Debug, Subcommand)]
pub(super) enum Jobs {
    /// List jobs, the newest first.
    List {
        #[command(flatten)]
        which: Which,
        /// How many at most.
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// Older than the job of this number.
        #[arg(long, value_name = "JOB")]
        before: Option<i64>,
    },
    /// Show a job, with what went wrong.
    Show {
        /// Its number.
        job: i64,
    },
    /// Try dead or cancelled jobs again: those named, or all that the options tell.
    Retry(Chosen),
    /// Delete dead or cancelled jobs: those named, or all that the options tell.
    Discard(Chosen),
    /// Cancel jobs that have not ended: those named, or all that the options tell.
    Cancel(Chosen),
}

/// Which jobs; what is left out does not matter.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Where they stand.
    #[arg(long, value_enum)]
    status: Option<Stands>,
    /// Their queue.
    #[arg(long)]
    queue: Option<String>,
    /// Whose they are.
    #[arg(long)]
    extension: Option<String>,
    /// Their handler.
    #[arg(long)]
    handler: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Chosen {
    /// Their numbers.
    #[arg(conflicts_with_all = ["all", "status", "queue", "extension", "handler"])]
    jobs: Vec<i64>,
    /// All jobs that the other options tell.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    which: Which,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Stands {
    Scheduled,
    Ready,
    Running,
    Blocked,
    Done,
    Dead,
    Cancelled,
}

/// What either place knows of jobs and queues.
pub(super) enum Desk<'a> {
    /// The platform that runs.
    Running(&'a Client),
    /// The database.
    Offline(Runtime, Box<Core>),
}

impl<'a> Desk<'a> {
    pub(super) fn at(place: &'a Place, settings: &Settings) -> anyhow::Result<Self> {
        Ok(match place {
            Place::Running(client) => Self::Running(client),
            Place::Data(_) => {
                let runtime = runtime()?;
                let core = boot::core(settings, runtime.handle())?;
                Self::Offline(runtime, Box::new(core))
            }
        })
    }

    fn list(&self, filter: Filter, most: u32) -> anyhow::Result<Value> {
        match self {
            Self::Running(client) => {
                let Filter { state, queue, extension, handler, before, .. } = &filter;
                let state = state.map(|it| json!(it)).and_then(|it| it.as_str().map(str::to_owned));
                let texts = [
                    ("state", state.as_ref()),
                    ("queue", queue.as_ref()),
                    ("extension", extension.as_ref()),
                    ("handler", handler.as_ref()),
                ];
                let mut path = format!("{BASE}?per_page={most}");
                for (name, text) in texts {
                    if let Some(text) = text {
                        path += &format!("&{name}={}", segment(text));
                    }
                }
                if let Some(before) = before {
                    path += &format!("&before={before}");
                }
                Ok(client.get(&path)?)
            }
            Self::Offline(runtime, core) => {
                Ok(json!(runtime.block_on(queue::see_jobs(&core.db, filter, most))?))
            }
        }
    }

    fn show(&self, id: i64) -> anyhow::Result<Value> {
        match self {
            Self::Running(client) => Ok(client.get(&format!("{BASE}/{id}"))?),
            Self::Offline(runtime, core) => {
                let job = runtime.block_on(queue::see_job(&core.db, id))?;
                Ok(json!(job.ok_or_else(|| missing(id))?))
            }
        }
    }

    /// Answers how many it was done to.
    fn change(&self, action: Action, filter: Filter) -> anyhow::Result<u64> {
        match self {
            Self::Running(client) => {
                let word = action.word();
                let changed = match filter.id {
                    Some(id) => client.send("POST", &format!("{BASE}/{id}/{word}"), &json!({}))?,
                    None => {
                        let Filter { state, queue, extension, handler, .. } = filter;
                        let body = json!({
                            "state": state, "queue": queue, "extension": extension, "handler": handler,
                        });
                        client.send("POST", &format!("{BASE}/{word}"), &body)?
                    }
                };
                changed["jobs"].as_u64().context("the platform said no number")
            }
            Self::Offline(runtime, core) => {
                let id = filter.id;
                if let Some(id) = id {
                    let job = runtime.block_on(queue::see_job(&core.db, id))?;
                    job.ok_or_else(|| missing(id))?;
                }
                let changed = runtime.block_on(queue::change(&core.db, action, filter, by()))?;
                match id {
                    Some(id) if changed == 0 => Err(exit::conflict(format!(
                        "job {id} stands where `{}` does nothing: `powernode jobs show {id}`",
                        action.word()
                    ))),
                    _ => Ok(u64::try_from(changed)?),
                }
            }
        }
    }
}

impl Jobs {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        let place = Place::find(settings)?;
        let desk = Desk::at(&place, settings)?;
        let output = place.output(output);
        match self {
            Self::List { which, limit, before } => {
                let jobs = desk.list(Filter { before, ..which.filter() }, limit)?;
                output.answer(&json!({ "jobs": jobs }), || {
                    let rows: Vec<_> = jobs.as_array().into_iter().flatten().map(row).collect();
                    table(&["JOB", "QUEUE", "HANDLER", "STATE", "ATTEMPT", "DUE"], &rows)
                })?;
            }
            Self::Show { job } => {
                let job = desk.show(job)?;
                output.answer(&job, || serde_json::to_string_pretty(&job).unwrap_or_default())?;
            }
            Self::Retry(chosen) => chosen.change(&desk, Action::Retry, "ready again", &output)?,
            Self::Discard(chosen) => chosen.change(&desk, Action::Discard, "deleted", &output)?,
            Self::Cancel(chosen) => {
                chosen.change(&desk, Action::Cancel, "cancelled, or asked to stop", &output)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Chosen {
    fn change(
        self,
        desk: &Desk<'_>,
        action: Action,
        done: &str,
        output: &Output,
    ) -> anyhow::Result<()> {
        let Self { jobs, all, which } = self;
        let filter = which.filter();
        if jobs.is_empty() && !all && filter == Filter::default() {
            let word = action.word();
            return Err(exit::usage(format!("name jobs, or say which: `jobs {word} --all`")));
        }
        let filters: Vec<Filter> = match jobs.is_empty() {
            true => vec![filter],
            false => {
                jobs.into_iter().map(|id| Filter { id: Some(id), ..Filter::default() }).collect()
            }
        };
        let mut changed = 0;
        for filter in filters {
            changed += desk.change(action, filter)?;
        }
        let count = if changed == 1 { "1 job".to_owned() } else { format!("{changed} jobs") };
        output.answer(&json!({ "jobs": changed }), || format!("{count}: {done}."))
    }
}

impl Which {
    fn filter(self) -> Filter {
        let Self { status, queue, extension, handler } = self;
        Filter { state: status.map(Stands::state), queue, extension, handler, ..Filter::default() }
    }
}

impl Stands {
    fn state(self) -> State {
        match self {
            Self::Scheduled => State::Scheduled,
            Self::Ready => State::Ready,
            Self::Running => State::Running,
            Self::Blocked => State::Blocked,
            Self::Done => State::Done,
            Self::Dead => State::Dead,
            Self::Cancelled => State::Cancelled,
        }
    }
}

fn missing(id: i64) -> anyhow::Error {
    place::unknown("job", &id.to_string(), "jobs list")
}

fn row(job: &Value) -> Vec<String> {
    let text = |name: &str| job[name].as_str().unwrap_or_default().to_owned();
    vec![
        job["id"].to_string(),
        text("queue"),
        text("handler"),
        text("state"),
        format!("{}/{}", job["attempt"], job["max_attempts"]),
        text("run_at"),
    ]
}
