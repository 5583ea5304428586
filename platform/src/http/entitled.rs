//! What an account may have, by whoever provides `entitlements`.

use powernode_plugin_api::providers::{Demand, Verdict};
use uuid::Uuid;

use super::{error::ApiError, state::Platform};

/// Whether an account that has `current` of a resource may have one more; where nobody provides `entitlements`, it may.
///
/// # Errors
///
/// 403 with the provider's reason, and where the provider fails: a limit that cannot be asked holds.
pub(super) async fn entitled(
    platform: &Platform,
    account: Uuid,
    resource: &str,
    current: usize,
) -> Result<(), ApiError> {
    let current = u64::try_from(current).unwrap_or(u64::MAX);
    let demand = Demand { account_id: account, resource: resource.to_owned(), current, amount: 1 };
    let demand = serde_json::to_string(&demand).map_err(ApiError::internal)?;
    let failed =
        || ApiError::not_entitled("what the plan allows cannot be asked now; try again later");
    let answer = platform.providers.ask("entitlements", "check", &demand).await;
    let Some(answer) = answer.map_err(|_| failed())? else { return Ok(()) };
    let verdict: Verdict = serde_json::from_str(&answer).map_err(|_| failed())?;
    if verdict.allowed {
        return Ok(());
    }
    let reason = verdict.reason.unwrap_or_else(|| format!("the plan allows no more {resource}"));
    Err(ApiError::not_entitled(reason))
}
