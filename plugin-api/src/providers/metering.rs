//! `metering`: what an account used.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Ask, contract::contract};

/// What an account used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The account.
    pub account_id: Uuid,
    /// What is counted: `emails`.
    pub meter: String,
    /// How many.
    pub quantity: u64,
    /// The same for the same use: one that comes twice counts once.
    pub key: String,
    /// When it was used.
    pub at: DateTime<Utc>,
}

/// Whether it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metered {
    /// Whether it counts.
    pub recorded: bool,
    /// Why not.
    #[serde(default)]
    pub reason: Option<String>,
}

contract! {
    /// What an account used.
    ///
    /// Where nobody provides it, nothing is counted, and the answer says so. Where the provider fails, neither is it:
    /// that is logged, and who used something goes on.
    trait Metering {
        /// Counts it.
        async fn record(usage: Usage) -> Metered;
    }
}

/// Counts what accounts use.
#[derive(Debug)]
pub struct AskMetering(pub(crate) Ask);

impl AskMetering {
    /// Counts it.
    pub async fn record(&self, usage: &Usage) -> Metered {
        let not = |reason: &str| Metered { recorded: false, reason: Some(reason.to_owned()) };
        match self.0.ask("metering", "record", usage).await {
            Ok(metered) => metered.unwrap_or_else(|| not("nobody meters")),
            Err(error) => {
                let meter = &usage.meter;
                tracing::error!(meter, key = usage.key, "what provides `metering` fails: {error}");
                not("the meter failed")
            }
        }
    }
}
