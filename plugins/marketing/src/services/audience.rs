//! Which lists a campaign goes to.

use diesel::prelude::*;
use powernode_plugin_api::prelude::*;
use uuid::Uuid;

use super::{campaigns, email_lists};
use crate::{
    models::{Actor, Campaign, Channel, EmailList, email_list::CountedList},
    schema::{marketing_campaign_email_lists as audience, marketing_email_lists as lists},
};

/// The lists of a campaign, by name.
pub fn list(
    conn: &mut HostConnection,
    account: Uuid,
    campaign: Id<Campaign>,
) -> Result<Vec<CountedList>> {
    campaigns::find(conn, account, campaign)?;
    let rows = audience::table
        .inner_join(lists::table)
        .filter(audience::marketing_campaign_id.eq(campaign))
        .order((lists::name, lists::id))
        .select(EmailList::as_select())
        .load(conn)?;
    email_lists::counted(conn, rows)
}

/// Lets a campaign go to a list; nothing happens where it does already.
pub fn attach(
    conn: &mut HostConnection,
    actor: Actor,
    (campaign, list): (Id<Campaign>, Id<EmailList>),
) -> Result<()> {
    let campaign = campaigns::hold(conn, actor.account, campaign)?;
    let list = email_lists::find(conn, actor.account, list)?;
    campaign.may_be_changed()?;
    if !campaign.campaign_type.sends_by(Channel::Email) {
        let kind = campaign.campaign_type;
        return Err(Error::invalid(
            "campaign_type",
            format!("a campaign of the type {kind} sends no e-mail"),
        ));
    }
    let row = (
        audience::marketing_campaign_id.eq(campaign.id),
        audience::marketing_email_list_id.eq(list.id),
    );
    diesel::insert_into(audience::table).values(row).on_conflict_do_nothing().execute(conn)?;
    Ok(())
}

/// Lets a campaign go to a list no more.
pub fn detach(
    conn: &mut HostConnection,
    actor: Actor,
    (campaign, list): (Id<Campaign>, Id<EmailList>),
) -> Result<()> {
    campaigns::hold(conn, actor.account, campaign)?.may_be_changed()?;
    match diesel::delete(audience::table.find((campaign, list))).execute(conn)? {
        0 => Err(Error::not_found("e-mail list of the campaign")),
        _ => Ok(()),
    }
}
