//! The posts of a sending: each approved content on each account of its platform.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::{db::for_update, prelude::*};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{campaigns, counts, sendings};
use crate::{
    adapters::Refusal,
    models::{
        Actor, Campaign, Channel, Content, Post, Sending, SocialAccount, campaign,
        metric::Figures,
        sending::{Delivery, MOST_ATTEMPTS, said},
        social_account::{Platform, Status},
    },
    schema::{
        marketing_campaign_contents as contents, marketing_social_accounts as accounts,
        marketing_social_posts as posts,
    },
};

/// The argument of the job that posts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PostOne {
    pub post: Uuid,
}

/// The posts of a sending, one for each content and connected account of its channel.
pub fn of(
    conn: &mut HostConnection,
    sending: &Sending,
    approved: &[Content],
    now: DateTime<Utc>,
) -> Result<Vec<Post>> {
    let connected: Vec<SocialAccount> = accounts::table
        .filter(accounts::account_id.eq(sending.account_id))
        .filter(accounts::status.eq(Status::Connected))
        .order(accounts::id)
        .select(SocialAccount::as_select())
        .load(conn)?;
    let fits =
        |content: &Content, it: &SocialAccount| platform(content.channel) == Some(it.platform);
    let posts = approved.iter().flat_map(|content| {
        let accounts = connected.iter().filter(move |it| fits(content, it));
        accounts.map(move |it| sending.post(content.id, it.id, now))
    });
    Ok(posts.collect())
}

/// Writes posts down, and asks for each to be posted.
pub fn add(conn: &mut HostConnection, rows: &[Post]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    diesel::insert_into(posts::table).values(rows).execute(conn)?;
    enqueue_all(conn, rows.iter().map(|it| job(it.id.uuid())))?;
    Ok(())
}

/// Asks for the posts again that a pause had put aside.
pub fn resume(conn: &mut HostConnection, campaign: Id<Campaign>) -> Result<()> {
    let open: Vec<Uuid> = posts::table
        .filter(posts::marketing_campaign_id.eq(campaign))
        .filter(posts::state.eq_any([Delivery::Pending, Delivery::Sending]))
        .select(posts::id)
        .load(conn)?;
    enqueue_all(conn, open.iter().map(|it| job(*it)))?;
    Ok(())
}

/// Leaves out what was not posted yet.
pub fn end(conn: &mut HostConnection, campaign: Id<Campaign>) -> Result<()> {
    diesel::update(posts::table)
        .filter(posts::marketing_campaign_id.eq(campaign))
        .filter(posts::state.eq(Delivery::Pending))
        .set((posts::state.eq(Delivery::Skipped), posts::answer.eq("the campaign was ended")))
        .execute(conn)?;
    Ok(())
}

/// Takes a post that is to go out now, with its words and its account.
pub fn claim(
    conn: &mut HostConnection,
    id: Uuid,
) -> Result<Option<(Post, Content, SocialAccount)>> {
    let row = for_update(posts::table.find(id).select(Post::as_select()));
    let Some(mut post): Option<Post> = row.get_result(conn).optional()? else { return Ok(None) };
    let campaign = campaigns::find(conn, post.account_id, post.marketing_campaign_id)?;
    let goes = matches!(campaign.status, campaign::Status::Active | campaign::Status::Completed);
    if !goes || !matches!(post.state, Delivery::Pending | Delivery::Sending) {
        return Ok(None);
    }
    let content = contents::table
        .find(post.marketing_campaign_content_id)
        .select(Content::as_select())
        .first(conn)?;
    let social = accounts::table
        .find(post.marketing_social_account_id)
        .select(SocialAccount::as_select())
        .first(conn)?;
    post.state = Delivery::Sending;
    post.attempts += 1;
    save(conn, &post)?;
    Ok(Some((post, content, social)))
}

/// Notes what became of a post; answers whether it is to be tried again.
pub fn settle(
    conn: &mut HostConnection,
    mut post: Post,
    channel: Channel,
    answer: Result<String, Refusal>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let again = match &answer {
        Ok(_) => false,
        Err(Refusal::Expired) => post.attempts < MOST_ATTEMPTS,
        Err(Refusal::Refused(_)) => false,
    };
    let sent = answer.is_ok();
    let (state, text) = match answer {
        Ok(number) => (Delivery::Sent, number),
        Err(refusal) => {
            let text = match refusal {
                Refusal::Expired => "the token expired".to_owned(),
                Refusal::Refused(text) => text,
            };
            (if again { Delivery::Pending } else { Delivery::Failed }, text)
        }
    };
    post.state = state;
    post.answer = said(&text);
    post.posted_at = sent.then_some(now);
    save(conn, &post)?;
    let figures = Figures { sends: 1, deliveries: sent.into(), ..Figures::default() };
    if !again {
        counts::add(conn, post.account_id, post.marketing_campaign_id, channel, figures, now)?;
        sendings::complete_if_done(conn, post.marketing_sending_id.uuid(), now)?;
    }
    Ok(again)
}

/// Whether something of a sending is still to be posted.
pub fn is_open(conn: &mut HostConnection, sending: Id<Sending>) -> Result<bool> {
    let open: i64 = posts::table
        .filter(posts::marketing_sending_id.eq(sending))
        .filter(posts::state.eq_any([Delivery::Pending, Delivery::Sending]))
        .count()
        .get_result(conn)?;
    Ok(open > 0)
}

/// One page of a campaign's posts.
pub fn list(
    conn: &mut HostConnection,
    account: Uuid,
    campaign: Id<Campaign>,
    page: Page,
) -> Result<Paged<Post>> {
    campaigns::find(conn, account, campaign)?;
    let rows = posts::table
        .filter(posts::marketing_campaign_id.eq(campaign))
        .order(posts::id)
        .limit(page.limit())
        .offset(page.offset())
        .select(Post::as_select())
        .load(conn)?;
    let all = posts::table.filter(posts::marketing_campaign_id.eq(campaign));
    Ok(Paged { rows, page, total: all.count().get_result(conn)? })
}

/// The accounts whose token's time is over, and who they are held to be good.
pub fn expired(conn: &mut HostConnection, now: DateTime<Utc>) -> Result<Vec<SocialAccount>> {
    Ok(accounts::table
        .filter(accounts::status.eq(Status::Connected))
        .filter(accounts::token_expires_at.le(now))
        .select(SocialAccount::as_select())
        .load(conn)?)
}

/// Marks an account whose token's time is over, unless somebody renewed it since.
pub fn expire(conn: &mut HostConnection, actor: Actor, id: Id<SocialAccount>) -> Result<bool> {
    let mut marked = false;
    super::social_accounts::change(conn, actor, id, |it| {
        if it.status == Status::Connected && it.is_expired(actor.now) {
            let tested = it.last_tested_at;
            it.tested(Err(Refusal::Expired), actor.now);
            it.last_tested_at = tested;
            marked = true;
        }
        Ok(())
    })?;
    Ok(marked)
}

fn job(post: Uuid) -> NewJob {
    NewJob::new("post", &PostOne { post }).serial(format!("post/{post}"))
}

fn platform(channel: Channel) -> Option<Platform> {
    match channel {
        Channel::Twitter => Some(Platform::Twitter),
        Channel::Linkedin => Some(Platform::Linkedin),
        Channel::Facebook => Some(Platform::Facebook),
        Channel::Instagram => Some(Platform::Instagram),
        Channel::Email | Channel::Sms | Channel::Chat => None,
    }
}

fn save(conn: &mut HostConnection, post: &Post) -> Result<()> {
    diesel::update(posts::table.find(post.id)).set(post).execute(conn)?;
    Ok(())
}
