//! `powernode deliveries`

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Output, by, exit, jobs::Desk, output::table, place, place::Place};
use crate::{
    config::Settings,
    webhooks::{self, Deliveries as Filter, DeliveryState, Redelivered},
};

const BASE: &str = "/api/v1/admin/deliveries";

#[derive(Debug, Subcommand)]
pub(super) enum Deliveries {
    /// List what was sent to webhooks, the newest first.
    List {
        /// How far they are.
        #[arg(long, value_enum)]
        status: Option<Stands>,
        /// How many at most.
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// Older than this delivery.
        #[arg(long, value_name = "DELIVERY")]
        before: Option<Uuid>,
    },
    /// Send a delivery again.
    Redeliver {
        /// Its id.
        delivery: Uuid,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Stands {
    Pending,
    Delivered,
    Failed,
}

impl Deliveries {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        let place = Place::find(settings)?;
        let desk = Desk::at(&place, settings)?;
        let output = place.output(output);
        match self {
            Self::List { status, limit, before } => {
                let which = Filter { state: status.map(Into::into), before, ..Filter::default() };
                let all = desk.deliveries(which, limit)?;
                output.answer(&json!({ "deliveries": all }), || {
                    let rows: Vec<_> = all.as_array().into_iter().flatten().map(row).collect();
                    table(&["DELIVERY", "TOPIC", "STATE", "TRIED", "ANSWER", "WRITTEN"], &rows)
                })?;
            }
            Self::Redeliver { delivery } => {
                let again = desk.redeliver(delivery)?;
                output.answer(&again, || format!("`{delivery}` is sent again."))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Desk<'_> {
    fn deliveries(&self, which: Filter, most: u32) -> anyhow::Result<Value> {
        match self {
            Self::Running(client) => {
                let mut path = format!("{BASE}?per_page={most}");
                if let Some(state) = which.state {
                    path += &format!("&state={}", state.word());
                }
                if let Some(before) = which.before {
                    path += &format!("&before={before}");
                }
                Ok(client.get(&path)?)
            }
            Self::Offline(runtime, core) => {
                Ok(json!(runtime.block_on(webhooks::deliveries(&core.db, which, most))?))
            }
        }
    }

    fn redeliver(&self, delivery: Uuid) -> anyhow::Result<Value> {
        match self {
            Self::Running(client) => {
                Ok(client.send("POST", &format!("{BASE}/{delivery}/redeliver"), &json!({}))?)
            }
            Self::Offline(runtime, core) => {
                let again = webhooks::redeliver(&core.db, None, delivery, by());
                match runtime.block_on(again)? {
                    Redelivered::Again(delivery) => Ok(json!(delivery)),
                    Redelivered::Pending => Err(exit::conflict("it is being sent already")),
                    Redelivered::Unknown => {
                        Err(place::unknown("delivery", &delivery.to_string(), "deliveries list"))
                    }
                }
            }
        }
    }
}

impl From<Stands> for DeliveryState {
    fn from(stands: Stands) -> Self {
        match stands {
            Stands::Pending => Self::Pending,
            Stands::Delivered => Self::Delivered,
            Stands::Failed => Self::Failed,
        }
    }
}

fn row(delivery: &Value) -> Vec<String> {
    let text = |name: &str| delivery[name].as_str().unwrap_or_default().to_owned();
    let answer = match (&delivery["error"], &delivery["status"]) {
        (Value::String(error), _) => error.clone(),
        (_, Value::Number(status)) => status.to_string(),
        _ => "-".to_owned(),
    };
    let tried = delivery["attempts"].to_string();
    vec![text("id"), text("topic"), text("state"), tried, answer, text("created_at")]
}
