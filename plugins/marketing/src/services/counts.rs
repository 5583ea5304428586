//! Adding to the figures of a day.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::prelude::*;
use uuid::Uuid;

use crate::{
    models::{
        Campaign, Channel,
        metric::{Figures, Metric},
    },
    schema::marketing_campaign_metrics as metrics,
};

/// Adds to what a campaign did on a channel today, where there is something to add.
///
/// Figures that somebody enters for the day replace what was counted until then; what is counted later is added.
pub fn add(
    conn: &mut HostConnection,
    account: Uuid,
    campaign: Id<Campaign>,
    channel: Channel,
    more: Figures,
    now: DateTime<Utc>,
) -> Result<()> {
    if more == Figures::default() {
        return Ok(());
    }
    let metric = Metric {
        id: Uuid::now_v7(),
        account_id: account,
        marketing_campaign_id: campaign,
        channel,
        measured_on: now.date_naive(),
        figures: more,
        created_at: now,
        updated_at: now,
    };
    diesel::insert_into(metrics::table)
        .values(&metric)
        .on_conflict((metrics::marketing_campaign_id, metrics::channel, metrics::measured_on))
        .do_update()
        .set((
            metrics::sends.eq(metrics::sends + more.sends),
            metrics::deliveries.eq(metrics::deliveries + more.deliveries),
            metrics::opens.eq(metrics::opens + more.opens),
            metrics::unique_opens.eq(metrics::unique_opens + more.unique_opens),
            metrics::clicks.eq(metrics::clicks + more.clicks),
            metrics::unsubscribes.eq(metrics::unsubscribes + more.unsubscribes),
            metrics::bounces.eq(metrics::bounces + more.bounces),
            metrics::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}
