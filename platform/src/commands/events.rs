//! `powernode events`

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use powernode_plugin_api::db::RunError;
use serde_json::{Value, json};

use super::{Output, by, client::segment, exit, jobs::Desk, output::table, place, place::Place};
use crate::{
    config::Settings,
    events::{self, Filter, Pattern, Replayed, Since},
};

const EVENTS: &str = "/api/v1/admin/events";
const SUBSCRIPTIONS: &str = "/api/v1/admin/subscriptions";

#[derive(Debug, Subcommand)]
pub(super) enum Events {
    /// List events, the newest first.
    List {
        /// Their topics: `shop.order.*`; a part may be `*`, which is any.
        #[arg(long)]
        topic: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// Older than the event of this number.
        #[arg(long, value_name = "EVENT")]
        before: Option<i64>,
    },
    /// List who hears what.
    Subscriptions,
    /// Deliver events to a subscription again, the oldest first.
    Replay {
        /// The subscription: `<extension>/<handler>`, as `events subscriptions` shows it.
        subscription: String,
        /// From this event on.
        #[arg(long, value_name = "EVENT", required_unless_present = "since")]
        from: Option<i64>,
        /// From this moment on, such as 2026-01-31T00:00:00Z.
        #[arg(long, value_name = "TIME", conflicts_with = "from")]
        since: Option<DateTime<Utc>>,
    },
}

impl Events {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        let place = Place::find(settings)?;
        let desk = Desk::at(&place, settings)?;
        let output = place.output(output);
        match self {
            Self::List { topic, limit, before } => {
                let pattern = topic.map(|it| Pattern::parse(&it)).transpose();
                let pattern = pattern.map_err(|error| exit::usage(error.to_string()))?;
                let events = desk.events(Filter { pattern, before, id: None }, limit)?;
                output.answer(&json!({ "events": events }), || {
                    let rows: Vec<_> = events.as_array().into_iter().flatten().map(event).collect();
                    table(&["EVENT", "TOPIC", "KEY", "PUBLISHED", "SAYS"], &rows)
                })?;
            }
            Self::Subscriptions => {
                let all = desk.subscriptions()?;
                output.answer(&json!({ "subscriptions": all }), || {
                    let rows = all.as_array().into_iter().flatten().map(subscription);
                    let heading = ["SUBSCRIPTION", "HEARS", "QUEUE", "ORDERED", "GONE SINCE"];
                    table(&heading, &rows.collect::<Vec<_>>())
                })?;
            }
            Self::Replay { subscription, from, since } => {
                let since = match (from, since) {
                    (Some(id), _) => Since::Id(id),
                    (None, Some(time)) => Since::Time(time),
                    (None, None) => return Err(exit::usage("say `--from` or `--since`")),
                };
                let replayed = desk.replay(&subscription, since)?;
                output.answer(&replayed, || {
                    format!(
                        "{} events are delivered to `{subscription}` again.",
                        replayed["events"]
                    )
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Desk<'_> {
    fn events(&self, filter: Filter, most: u32) -> anyhow::Result<Value> {
        match self {
            Self::Running(client) => {
                let mut path = format!("{EVENTS}?per_page={most}");
                if let Some(pattern) = &filter.pattern {
                    path += &format!("&topic={}", segment(&pattern.to_string()));
                }
                if let Some(before) = filter.before {
                    path += &format!("&before={before}");
                }
                Ok(client.get(&path)?)
            }
            Self::Offline(runtime, core) => {
                let list =
                    move |conn: &mut _| Ok::<_, RunError>(events::list(conn, &filter, most)?);
                Ok(json!(runtime.block_on(core.db.read(list))?))
            }
        }
    }

    fn subscriptions(&self) -> anyhow::Result<Value> {
        match self {
            Self::Running(client) => Ok(client.get(SUBSCRIPTIONS)?),
            Self::Offline(runtime, core) => {
                let list = |conn: &mut _| Ok::<_, RunError>(events::subscriptions(conn)?);
                Ok(json!(runtime.block_on(core.db.read(list))?))
            }
        }
    }

    fn replay(&self, subscription: &str, since: Since) -> anyhow::Result<Value> {
        let missing = || place::unknown("subscription", subscription, "events subscriptions");
        let (extension, handler) = subscription.split_once('/').ok_or_else(missing)?;
        match self {
            Self::Running(client) => {
                let (extension, handler) = (segment(extension), segment(handler));
                let path = format!("{SUBSCRIPTIONS}/{extension}/{handler}/replay");
                let body = match since {
                    Since::Id(id) => json!({ "from_id": id }),
                    Since::Time(time) => json!({ "from_time": time }),
                };
                Ok(client.send("POST", &path, &body)?)
            }
            Self::Offline(runtime, core) => {
                let replay = events::replay_all(&core.db, extension, handler, since, by());
                match runtime.block_on(replay)?.ok_or_else(missing)? {
                    Replayed::Delivered(events) => Ok(json!({ "events": events })),
                    Replayed::Vanished => Err(exit::conflict(format!(
                        "`{extension}` does not bring the subscription `{handler}` any more"
                    ))),
                }
            }
        }
    }
}

fn event(event: &Value) -> Vec<String> {
    let says: String = event["payload"].to_string().chars().take(60).collect();
    vec![
        event["id"].to_string(),
        text(&event["topic"]),
        event["key"].as_str().unwrap_or("-").to_owned(),
        text(&event["published_at"]),
        says,
    ]
}

fn subscription(it: &Value) -> Vec<String> {
    vec![
        format!("{}/{}", text(&it["extension"]), text(&it["handler"])),
        text(&it["pattern"]),
        text(&it["queue"]),
        if it["ordered"] == true { "by key" } else { "no" }.to_owned(),
        it["vanished_at"].as_str().unwrap_or("-").to_owned(),
    ]
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
