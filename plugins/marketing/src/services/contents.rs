//! What happens to contents.

use diesel::prelude::*;
use powernode_plugin_api::{
    db::{HostBackend, for_update},
    prelude::*,
};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use super::campaigns;
use crate::{
    models::{
        Actor, Campaign, Channel, Content, Step,
        content::{CONTENT, ChangeContent, NewContent, Status},
    },
    schema::marketing_campaign_contents::{self as contents, BoxedQuery},
};

/// What a list of contents may be narrowed by.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Filter {
    pub status: Option<Status>,
    pub channel: Option<Channel>,
}

/// One page of a campaign's contents, by channel and variant.
pub fn list(
    conn: &mut HostConnection,
    account: Uuid,
    campaign: Id<Campaign>,
    filter: &Filter,
    page: Page,
) -> Result<Paged<Content>> {
    campaigns::find(conn, account, campaign)?;
    let matching = || {
        let mut query: BoxedQuery<'_, HostBackend> =
            contents::table.filter(contents::marketing_campaign_id.eq(campaign)).into_boxed();
        if let Some(status) = filter.status {
            query = query.filter(contents::status.eq(status));
        }
        if let Some(channel) = filter.channel {
            query = query.filter(contents::channel.eq(channel));
        }
        query
    };
    let rows = matching()
        .order((contents::channel, contents::variant_name))
        .limit(page.limit())
        .offset(page.offset())
        .select(Content::as_select())
        .load(conn)?;
    Ok(Paged { rows, page, total: matching().count().get_result(conn)? })
}

/// One content of a campaign.
pub fn find(
    conn: &mut HostConnection,
    account: Uuid,
    (campaign, id): (Id<Campaign>, Id<Content>),
) -> Result<Content> {
    let row = of(account, campaign).filter(contents::id.eq(id)).first(conn);
    row.optional()?.ok_or_else(|| Error::not_found(CONTENT))
}

/// Creates a draft.
pub fn create(
    conn: &mut HostConnection,
    actor: Actor,
    campaign: Id<Campaign>,
    new: NewContent,
) -> Result<Content> {
    let campaign = campaigns::hold(conn, actor.account, campaign)?;
    campaign.may_be_changed()?;
    insert(conn, Content::draft(&campaign, new, actor.now)?)
}

/// Creates another variant of a content, for the same channel.
pub fn add_variant(
    conn: &mut HostConnection,
    actor: Actor,
    ids: (Id<Campaign>, Id<Content>),
    change: ChangeContent,
) -> Result<Content> {
    let content = hold(conn, actor.account, ids)?;
    let taken: Vec<String> = contents::table
        .filter(contents::marketing_campaign_id.eq(content.marketing_campaign_id))
        .filter(contents::channel.eq(content.channel))
        .select(contents::variant_name)
        .load(conn)?;
    insert(conn, content.variant(change, &taken, actor.now)?)
}

/// Changes a content, which is a draft then.
pub fn change(
    conn: &mut HostConnection,
    actor: Actor,
    ids: (Id<Campaign>, Id<Content>),
    change: ChangeContent,
) -> Result<Content> {
    let mut content = hold(conn, actor.account, ids)?;
    content.change(change, actor.now)?;
    save(conn, content)
}

/// Takes a step of the review.
pub fn take(
    conn: &mut HostConnection,
    actor: Actor,
    ids: (Id<Campaign>, Id<Content>),
    step: &Step<Status>,
) -> Result<Content> {
    let mut content = hold(conn, actor.account, ids)?;
    content.take(step, actor)?;
    save(conn, content)
}

/// Deletes a content.
pub fn delete(
    conn: &mut HostConnection,
    account: Uuid,
    ids: (Id<Campaign>, Id<Content>),
) -> Result<()> {
    let content = hold(conn, account, ids)?;
    diesel::delete(contents::table.find(content.id)).execute(conn)?;
    Ok(())
}

/// Gives `to` drafts of what `from` says.
pub fn copy(conn: &mut HostConnection, from: &Campaign, to: &Campaign) -> Result<()> {
    let originals: Vec<Content> = of(from.account_id, from.id).load(conn)?;
    let copies: Vec<_> = originals.iter().map(|it| it.duplicate(to)).collect();
    diesel::insert_into(contents::table).values(&copies).execute(conn)?;
    Ok(())
}

/// 422 where a campaign has a content that its type does not send.
pub fn fit(conn: &mut HostConnection, campaign: &Campaign) -> Result<()> {
    let channels: Vec<Channel> = contents::table
        .filter(contents::marketing_campaign_id.eq(campaign.id))
        .select(contents::channel)
        .distinct()
        .load(conn)?;
    let kind = campaign.campaign_type;
    let other = channels.into_iter().find(|it| !kind.sends_by(*it));
    other.map_or(Ok(()), |channel| {
        let message = format!("{kind} does not fit a content on the channel {channel}");
        Err(Error::invalid("campaign_type", message))
    })
}

/// One content, held until the transaction ends, of a campaign that may still be changed.
fn hold(
    conn: &mut HostConnection,
    account: Uuid,
    (campaign, id): (Id<Campaign>, Id<Content>),
) -> Result<Content> {
    campaigns::hold(conn, account, campaign)?.may_be_changed()?;
    let row = for_update(of(account, campaign).filter(contents::id.eq(id))).get_result(conn);
    row.optional()?.ok_or_else(|| Error::not_found(CONTENT))
}

#[diesel::dsl::auto_type]
fn of(account: Uuid, campaign: Id<Campaign>) -> _ {
    let select: diesel::dsl::AsSelect<Content, HostBackend> = Content::as_select();
    contents::table
        .filter(contents::account_id.eq(account))
        .filter(contents::marketing_campaign_id.eq(campaign))
        .select(select)
}

fn insert(conn: &mut HostConnection, content: Content) -> Result<Content> {
    diesel::insert_into(contents::table)
        .values(&content)
        .execute(conn)
        .map_err(Error::taken("variant_name"))?;
    Ok(content)
}

fn save(conn: &mut HostConnection, content: Content) -> Result<Content> {
    diesel::update(contents::table.find(content.id))
        .set(&content)
        .execute(conn)
        .map_err(Error::taken("variant_name"))?;
    Ok(content)
}
