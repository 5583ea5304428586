//! Telling people something, by whoever passes notifications on.

use powernode_plugin_api::{prelude::*, providers::Notification};

use crate::Marketing;

/// Asks for people to be told, in the transaction of what they are told of.
pub fn tell(conn: &mut HostConnection, notification: &Notification) -> Result<()> {
    enqueue(conn, NewJob::new("notify", notification))?;
    Ok(())
}

/// Passes a notification on; where nobody does that, the log has it.
pub async fn notify(job: Job<Marketing>, notification: Notification) -> Result<Outcome> {
    tracing::info!(kind = notification.kind, title = notification.title, "notice");
    let notified = job.host().providers().notifications().notify(&notification).await;
    if let (false, Some(reason)) = (notified.delivered, notified.reason) {
        tracing::debug!(key = notification.key, reason, "nobody was told");
    }
    Ok(Outcome::Done)
}
