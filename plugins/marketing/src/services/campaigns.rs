//! What happens to campaigns.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::{dsl::count_star, prelude::*};
use powernode_plugin_api::{
    db::{HostBackend, for_update, ilike},
    prelude::*,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{contents, events, search::anywhere, sendings, slug};
use crate::{
    jobs::sweep_at,
    models::{
        Actor, Campaign, Step,
        campaign::{CAMPAIGN, CampaignType, ChangeCampaign, NewCampaign, SCHEDULE, Status},
    },
    schema::marketing_campaigns::{self as campaigns, BoxedQuery},
};

/// What a list of campaigns may be narrowed by.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Filter {
    pub status: Option<Status>,
    pub campaign_type: Option<CampaignType>,
    /// A part of the name, in any case.
    pub search: Option<String>,
}

/// How many campaigns there are.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Statistics {
    pub total: i64,
    pub by_status: BTreeMap<Status, i64>,
    pub by_type: BTreeMap<CampaignType, i64>,
}

/// One page of the account's campaigns, the newest first.
pub fn list(
    conn: &mut HostConnection,
    account: Uuid,
    filter: &Filter,
    page: Page,
) -> Result<Paged<Campaign>> {
    let matching = || {
        let mut query: BoxedQuery<'_, HostBackend> =
            campaigns::table.filter(campaigns::account_id.eq(account)).into_boxed();
        if let Some(status) = filter.status {
            query = query.filter(campaigns::status.eq(status));
        }
        if let Some(kind) = filter.campaign_type {
            query = query.filter(campaigns::campaign_type.eq(kind));
        }
        if let Some(text) = &filter.search {
            query = query.filter(ilike(campaigns::name, anywhere(text)).escape('\\'));
        }
        query
    };
    let rows = matching()
        .order((campaigns::created_at.desc(), campaigns::id.desc()))
        .limit(page.limit())
        .offset(page.offset())
        .select(Campaign::as_select())
        .load(conn)?;
    Ok(Paged { rows, page, total: matching().count().get_result(conn)? })
}

/// One campaign of the account.
pub fn find(conn: &mut HostConnection, account: Uuid, id: Id<Campaign>) -> Result<Campaign> {
    let row = campaigns::table
        .filter(campaigns::account_id.eq(account))
        .find(id)
        .select(Campaign::as_select())
        .first(conn)
        .optional()?;
    row.ok_or_else(|| Error::not_found(CAMPAIGN))
}

/// The same, and nobody else changes it before the transaction ends.
pub fn hold(conn: &mut HostConnection, account: Uuid, id: Id<Campaign>) -> Result<Campaign> {
    let row = campaigns::table
        .filter(campaigns::account_id.eq(account))
        .find(id)
        .select(Campaign::as_select());
    for_update(row).get_result(conn).optional()?.ok_or_else(|| Error::not_found(CAMPAIGN))
}

/// Creates a draft.
pub fn create(conn: &mut HostConnection, actor: Actor, new: NewCampaign) -> Result<Campaign> {
    let slug = free_slug(conn, actor.account, &new.name)?;
    insert(conn, Campaign::draft(actor, new, slug)?)
}

/// Creates a draft that says what another campaign says: `Sale (copy)`, `Sale (copy 2)`.
pub fn duplicate(conn: &mut HostConnection, actor: Actor, id: Id<Campaign>) -> Result<Campaign> {
    let original = find(conn, actor.account, id)?;
    let name = free_name(conn, actor.account, &original.name)?;
    let slug = free_slug(conn, actor.account, &name)?;
    let copy = insert(conn, original.duplicate(actor, name, slug))?;
    contents::copy(conn, &original, &copy)?;
    Ok(copy)
}

/// Changes a campaign.
pub fn change(
    conn: &mut HostConnection,
    actor: Actor,
    id: Id<Campaign>,
    change: ChangeCampaign,
) -> Result<Campaign> {
    let mut campaign = hold(conn, actor.account, id)?;
    campaign.change(change, actor.now)?;
    contents::fit(conn, &campaign)?;
    save(conn, campaign)
}

/// Takes a step with a campaign.
pub fn take(
    conn: &mut HostConnection,
    actor: Actor,
    id: Id<Campaign>,
    step: &Step<Status>,
) -> Result<Campaign> {
    let mut campaign = hold(conn, actor.account, id)?;
    campaign.take(step, actor.now)?;
    let campaign = save(conn, campaign)?;
    events::campaign(conn, &campaign, step.done)?;
    match step.done {
        "resumed" => sendings::resume(conn, id)?,
        "completed" => sendings::end(conn, id, actor.now)?,
        _ => {}
    }
    Ok(campaign)
}

/// Sets the time at which a campaign starts.
pub fn schedule(
    conn: &mut HostConnection,
    actor: Actor,
    id: Id<Campaign>,
    at: DateTime<Utc>,
) -> Result<Campaign> {
    let mut campaign = hold(conn, actor.account, id)?;
    campaign.take(&SCHEDULE, actor.now)?;
    let mut checks = Checks::new();
    checks.require(at > actor.now, "scheduled_at", "must be in the future");
    checks.finish()?;
    campaign.scheduled_at = Some(at);
    sweep_at(conn, at)?;
    let campaign = save(conn, campaign)?;
    events::campaign(conn, &campaign, SCHEDULE.done)?;
    Ok(campaign)
}

/// Deletes a campaign.
pub fn delete(conn: &mut HostConnection, account: Uuid, id: Id<Campaign>) -> Result<()> {
    hold(conn, account, id)?.may_be_deleted()?;
    diesel::delete(campaigns::table.find(id)).execute(conn)?;
    Ok(())
}

/// Counts the account's campaigns; what there is none of stands there with 0.
pub fn statistics(conn: &mut HostConnection, account: Uuid) -> Result<Statistics> {
    let counts: Vec<(Status, CampaignType, i64)> = campaigns::table
        .filter(campaigns::account_id.eq(account))
        .group_by((campaigns::status, campaigns::campaign_type))
        .select((campaigns::status, campaigns::campaign_type, count_star()))
        .load(conn)?;
    let mut statistics = Statistics {
        total: 0,
        by_status: Status::ALL.iter().map(|it| (*it, 0)).collect(),
        by_type: CampaignType::ALL.iter().map(|it| (*it, 0)).collect(),
    };
    for (status, kind, count) in counts {
        statistics.total += count;
        *statistics.by_status.entry(status).or_default() += count;
        *statistics.by_type.entry(kind).or_default() += count;
    }
    Ok(statistics)
}

fn insert(conn: &mut HostConnection, campaign: Campaign) -> Result<Campaign> {
    diesel::insert_into(campaigns::table)
        .values(&campaign)
        .execute(conn)
        .map_err(Error::taken("name"))?;
    Ok(campaign)
}

fn save(conn: &mut HostConnection, campaign: Campaign) -> Result<Campaign> {
    diesel::update(campaigns::table.find(campaign.id))
        .set(&campaign)
        .execute(conn)
        .map_err(Error::taken("name"))?;
    Ok(campaign)
}

fn free_slug(conn: &mut HostConnection, account: Uuid, name: &str) -> Result<String> {
    let slug = slug::slug(name, CAMPAIGN);
    let taken: Vec<String> = campaigns::table
        .filter(campaigns::account_id.eq(account))
        .filter(campaigns::slug.like(format!("{slug}%")))
        .select(campaigns::slug)
        .load(conn)?;
    Ok(slug::free(&slug, &taken))
}

fn free_name(conn: &mut HostConnection, account: Uuid, name: &str) -> Result<String> {
    // Room for the longest ending within the 255 characters of a name.
    let stem: String = name.chars().take(230).collect();
    let taken: Vec<String> = campaigns::table
        .filter(campaigns::account_id.eq(account))
        .filter(campaigns::name.like(anywhere(&stem)).escape('\\'))
        .select(campaigns::name)
        .load(conn)?;
    let numbered = (2_u64..).map(|number| format!("{stem} (copy {number})"));
    let names = std::iter::once(format!("{stem} (copy)")).chain(numbered);
    Ok(names.into_iter().find(|it| !taken.contains(it)).unwrap_or_default())
}
