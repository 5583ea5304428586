//! What marketing tells others, each in the transaction of its change: `marketing.campaign.<done>` and
//! `marketing.subscriber.<done>`.

use powernode_plugin_api::prelude::*;
use serde_json::json;

use crate::models::{Campaign, Subscriber};

/// A step was taken with a campaign: `scheduled`, `executed`, `paused`, `resumed`, `completed`, `archived`.
pub fn campaign(conn: &mut HostConnection, campaign: &Campaign, done: &str) -> Result<()> {
    let Campaign { id, name, campaign_type, status, .. } = campaign;
    let says = json!({ "id": id, "name": name, "campaign_type": campaign_type, "status": status });
    let event = NewEvent::new(format!("marketing.campaign.{done}"), &says);
    publish(conn, event.key(id.to_string()).account(campaign.account_id))?;
    Ok(())
}

/// The owner of an address `confirmed` or `unsubscribed`, or somebody said so for them.
///
/// The address itself is not told: who may read it asks for it.
pub fn subscriber(conn: &mut HostConnection, subscriber: &Subscriber, done: &str) -> Result<()> {
    let Subscriber { id, marketing_email_list_id: list, status, .. } = subscriber;
    let says = json!({ "id": id, "email_list_id": list, "status": status });
    let event = NewEvent::new(format!("marketing.subscriber.{done}"), &says);
    publish(conn, event.key(id.to_string()).account(subscriber.account_id))?;
    Ok(())
}
