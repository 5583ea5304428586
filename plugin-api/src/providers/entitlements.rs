//! `entitlements`: what an account may have, by its plan.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Ask, contract::contract};

/// An account wants more of something that is counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// The account.
    pub account_id: Uuid,
    /// What is counted; the core asks for `users`, `api_keys` and `webhooks`.
    pub resource: String,
    /// How many it has.
    pub current: u64,
    /// How many more it wants.
    pub amount: u64,
}

/// An account wants to use something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// The account.
    pub account_id: Uuid,
    /// What it wants to use.
    pub feature: String,
}

/// Whether it may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether it may.
    pub allowed: bool,
    /// How many it may have in all; none is without limit.
    #[serde(default)]
    pub limit: Option<u64>,
    /// Why not, for the account's people.
    #[serde(default)]
    pub reason: Option<String>,
}

impl Verdict {
    /// It may, without limit.
    pub fn allowed() -> Self {
        Self { allowed: true, limit: None, reason: None }
    }

    /// It may, within a limit.
    pub fn within(limit: u64) -> Self {
        Self { limit: Some(limit), ..Self::allowed() }
    }

    /// It may not.
    pub fn denied(reason: impl Into<String>) -> Self {
        Self { allowed: false, limit: None, reason: Some(reason.into()) }
    }
}

contract! {
    /// What an account may have, by its plan.
    ///
    /// Where nobody provides it, every account may have everything. Where the provider fails, the account may not: a
    /// limit that cannot be asked holds.
    trait Entitlements {
        /// Whether an account may have more of something.
        async fn check(demand: Demand) -> Verdict;
        /// Whether an account may use something.
        async fn feature(feature: Feature) -> Verdict;
    }
}

/// Asks what an account may have.
#[derive(Debug)]
pub struct AskEntitlements(pub(crate) Ask);

impl AskEntitlements {
    /// Whether an account that has `current` of something may have `amount` more.
    pub async fn check(
        &self,
        account_id: Uuid,
        resource: &str,
        current: u64,
        amount: u64,
    ) -> Verdict {
        let demand = Demand { account_id, resource: resource.to_owned(), current, amount };
        self.ask("check", &demand).await
    }

    /// Whether an account may use something.
    pub async fn feature(&self, account_id: Uuid, feature: &str) -> Verdict {
        self.ask("feature", &Feature { account_id, feature: feature.to_owned() }).await
    }

    async fn ask(&self, method: &str, argument: &impl Serialize) -> Verdict {
        match self.0.ask("entitlements", method, argument).await {
            Ok(verdict) => verdict.unwrap_or_else(Verdict::allowed),
            Err(error) => {
                tracing::error!("what provides `entitlements` fails, so it is denied: {error}");
                Verdict::denied("what the plan allows cannot be asked now; try again later")
            }
        }
    }
}
