//! `powernode queues`, `powernode schedules` and `powernode nodes`

use std::process::ExitCode;

use chrono::Utc;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Output, by, client::segment, exit, jobs::Desk, output::table, place, place::Place};
use crate::{
    config::Settings,
    queue::{self, NewLimits},
};

const QUEUES: &str = "/api/v1/admin/queues";
const SCHEDULES: &str = "/api/v1/admin/schedules";
const NODES: &str = "/api/v1/admin/nodes";

#[derive(Debug, Subcommand)]
pub(super) enum Queues {
    /// List queues, with how much waits in them and how long.
    List,
    /// Pause a queue on all nodes: none of its jobs begins, and those that run go on.
    Pause {
        /// Its name: `marketing`, or `marketing:mail`.
        queue: String,
    },
    /// Let a queue go on.
    Resume {
        /// Its name.
        queue: String,
    },
    /// Set a queue's limits; what is not given stays as it is.
    Set(Set),
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// Its name.
    queue: String,
    /// How many of its jobs run at once on one node.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_per_node: Option<u32>,
    /// How many on all nodes together; 0 takes the bound away.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    max_global: Option<u32>,
    /// How long a job is kept that ends well or is cancelled from now on.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=315_360_000))]
    retain_done: Option<u32>,
    /// How long a job is kept that dies from now on.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=315_360_000))]
    retain_dead: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Schedules {
    /// List schedules, with when they tick next.
    List,
    /// Write a schedule's job now, beside its ticks.
    Run {
        /// Its name: `marketing/launch`.
        schedule: String,
    },
}

/// List the processes that run jobs.
#[derive(Debug, Args)]
pub(super) struct Nodes {}

impl Queues {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        let place = Place::find(settings)?;
        let desk = Desk::at(&place, settings)?;
        let output = place.output(output);
        let queue = match self {
            Self::List => {
                let queues = desk.queues()?;
                output.answer(&json!({ "queues": queues }), || {
                    let rows: Vec<_> = queues.as_array().into_iter().flatten().map(row).collect();
                    let heading = [
                        "QUEUE", "READY", "RUNNING", "LATER", "BLOCKED", "DEAD", "WAITS", "NODE",
                        "ALL", "STATE",
                    ];
                    table(&heading, &rows)
                })?;
                return Ok(ExitCode::SUCCESS);
            }
            Self::Pause { queue } => desk.set_paused(&queue, true)?,
            Self::Resume { queue } => desk.set_paused(&queue, false)?,
            Self::Set(set) => {
                let Set { queue, max_per_node, max_global, retain_done, retain_dead } = set;
                let new = NewLimits {
                    max_per_node,
                    max_global,
                    retain_done_s: retain_done,
                    retain_dead_s: retain_dead,
                };
                if new == NewLimits::default() {
                    return Err(exit::usage("say what to set, such as `--max-per-node 10`"));
                }
                desk.limit(&queue, new)?
            }
        };
        output.answer(&queue, || {
            let state = if queue["paused_at"].is_null() { "open" } else { "paused" };
            let most = |name: &str| match &queue[name] {
                Value::Null => "any number".to_owned(),
                most => most.to_string(),
            };
            format!(
                "Queue `{}` is {state}: {} of its jobs run at once on one node, {} on all together.",
                text(&queue["name"]),
                most("max_per_node"),
                most("max_global")
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Schedules {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        let place = Place::find(settings)?;
        let desk = Desk::at(&place, settings)?;
        let output = place.output(output);
        match self {
            Self::List => {
                let schedules = desk.schedules()?;
                output.answer(&json!({ "schedules": schedules }), || {
                    let rows =
                        schedules.as_array().into_iter().flatten().map(tick).collect::<Vec<_>>();
                    table(&["SCHEDULE", "TICKS", "ZONE", "NEXT", "LAST", "SKIPPED"], &rows)
                })?;
            }
            Self::Run { schedule } => {
                let written = desk.run_now(&schedule)?;
                output.answer(&written, || {
                    format!("Job {} of `{schedule}` is written.", written["job"])
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Nodes {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        let place = Place::find(settings)?;
        let desk = Desk::at(&place, settings)?;
        let nodes = match &desk {
            Desk::Running(client) => client.get(NODES)?,
            Desk::Offline(runtime, core) => json!(runtime.block_on(queue::see_nodes(&core.db))?),
        };
        place.output(output).answer(&json!({ "nodes": nodes }), || {
            let row = |it: &Value| {
                vec![
                    text(&it["id"]),
                    text(&it["host"]),
                    it["pid"].to_string(),
                    text(&it["version"]),
                    it["running"].to_string(),
                    text(&it["beat_at"]),
                ]
            };
            let rows: Vec<_> = nodes.as_array().into_iter().flatten().map(row).collect();
            table(&["NODE", "HOST", "PROCESS", "VERSION", "RUNNING", "LAST BEAT"], &rows)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Desk<'_> {
    fn queues(&self) -> anyhow::Result<Value> {
        match self {
            Self::Running(client) => Ok(client.get(QUEUES)?),
            Self::Offline(runtime, core) => {
                Ok(json!(runtime.block_on(queue::see_queues(&core.db, Utc::now()))?))
            }
        }
    }

    fn set_paused(&self, queue: &str, paused: bool) -> anyhow::Result<Value> {
        match self {
            Self::Running(client) => {
                let word = if paused { "pause" } else { "resume" };
                let path = format!("{QUEUES}/{}/{word}", segment(queue));
                Ok(client.send("POST", &path, &json!({}))?)
            }
            Self::Offline(runtime, core) => {
                let set = queue::set_paused(&core.db, queue, paused, by());
                self.changed(runtime.block_on(set)?, queue)
            }
        }
    }

    fn limit(&self, queue: &str, new: NewLimits) -> anyhow::Result<Value> {
        match self {
            Self::Running(client) => {
                Ok(client.send("PUT", &format!("{QUEUES}/{}", segment(queue)), &json!(new))?)
            }
            Self::Offline(runtime, core) => {
                let set = queue::limit(&core.db, queue, new, by());
                self.changed(runtime.block_on(set)?, queue)
            }
        }
    }

    fn changed(&self, changed: Option<()>, queue: &str) -> anyhow::Result<Value> {
        let missing = || place::unknown("queue", queue, "queues list");
        changed.ok_or_else(missing)?;
        let queues = self.queues()?;
        let found = queues.as_array().into_iter().flatten().find(|it| it["name"] == queue);
        Ok(found.ok_or_else(missing)?.clone())
    }

    fn schedules(&self) -> anyhow::Result<Value> {
        match self {
            Self::Running(client) => Ok(client.get(SCHEDULES)?),
            Self::Offline(runtime, core) => {
                Ok(json!(runtime.block_on(queue::see_schedules(&core.db))?))
            }
        }
    }

    fn run_now(&self, schedule: &str) -> anyhow::Result<Value> {
        let missing = || place::unknown("schedule", schedule, "schedules list");
        match self {
            Self::Running(client) => {
                let (extension, name) = schedule.split_once('/').ok_or_else(missing)?;
                let path = format!("{SCHEDULES}/{}/{}/run", segment(extension), segment(name));
                Ok(client.send("POST", &path, &json!({}))?)
            }
            Self::Offline(runtime, core) => {
                let known = runtime.block_on(queue::see_schedules(&core.db))?;
                if !known.iter().any(|it| it.name() == schedule) {
                    return Err(missing());
                }
                let job = runtime.block_on(queue::run_now(&core.db, schedule, by()))?;
                let there = "is there already, and its key is unique";
                let job =
                    job.ok_or_else(|| exit::conflict(format!("the job of `{schedule}` {there}")))?;
                Ok(json!({ "job": job }))
            }
        }
    }
}

fn row(queue: &Value) -> Vec<String> {
    let number = |name: &str| match &queue[name] {
        Value::Null => "-".to_owned(),
        number => number.to_string(),
    };
    let waits = queue["latency_ms"].as_u64();
    vec![
        text(&queue["name"]),
        number("ready"),
        number("running"),
        number("scheduled"),
        number("blocked"),
        number("dead"),
        waits.map_or_else(|| "-".to_owned(), |it| format!("{:.1} s", it as f64 / 1000.0)),
        number("max_per_node"),
        number("max_global"),
        if queue["paused_at"].is_null() { "open" } else { "paused" }.to_owned(),
    ]
}

fn tick(schedule: &Value) -> Vec<String> {
    let next = match schedule["vanished_at"].as_str() {
        Some(since) => format!("gone since {since}"),
        None => text(&schedule["next"][0]),
    };
    vec![
        text(&schedule["name"]),
        text(&schedule["expression"]),
        text(&schedule["zone"]),
        next,
        schedule["last_at"].as_str().unwrap_or("-").to_owned(),
        schedule["skipped"].to_string(),
    ]
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
