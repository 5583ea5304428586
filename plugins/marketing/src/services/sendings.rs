//! A campaign going out: who gets it, in which batches, and when that is done.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::{db::for_update, prelude::*};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{campaigns, posts};
use crate::{
    mail,
    models::{
        Actor, Campaign, Channel, Content, Letter, Sending, Subscriber,
        campaign::{self, EXECUTE},
        content,
        sending::{Delivery, LAUNCH, State},
        subscriber,
    },
    schema::{
        marketing_campaign_contents as contents, marketing_campaign_email_lists as audience,
        marketing_campaigns as campaign_rows, marketing_deliveries as letters,
        marketing_email_subscribers as subscribers, marketing_sendings as sendings,
        marketing_tracked_links as links,
    },
};

/// Rows of one statement; a database takes only so many values.
const ROWS_AT_ONCE: usize = 100;

/// The argument of the job that writes down who gets a sending.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Prepare {
    pub sending: Uuid,
}

/// The arguments of the job that sends one batch.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SendBatch {
    pub sending: Uuid,
    pub batch: i32,
}

/// What a page of addresses left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    More,
    All,
    /// The campaign is paused, or over: whoever resumes it asks again.
    Held,
}

/// A sending, and how many of its e-mails are in which state.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Progress {
    #[serde(flatten)]
    pub sending: Sending,
    pub deliveries: std::collections::BTreeMap<Delivery, i64>,
}

/// The job that writes down who gets a sending; never two of one sending at a time.
pub fn prepare_job(sending: Uuid) -> NewJob {
    NewJob::new("prepare", &Prepare { sending }).serial(format!("prepare/{sending}"))
}

/// The job that sends a batch; never two of one sending at a time, so that a letter which is spoken about is not taken
/// for one that a crash left behind, and a crash leaves one of them at most.
pub fn batch_job(sending: Uuid, batch: i32) -> NewJob {
    NewJob::new("send", &SendBatch { sending, batch }).serial(format!("send/{sending}"))
}

/// The job that asks for a batch again, after a while: in it wait those whom the mail server did not take at once. It
/// holds nobody up meanwhile.
pub fn again_job(args: SendBatch, at: DateTime<Utc>) -> NewJob {
    NewJob::new("send_again", &args).at(at)
}

/// Starts a campaign, by hand or by its time.
pub fn execute(
    conn: &mut HostConnection,
    actor: Actor,
    id: Id<Campaign>,
    has_mail: bool,
) -> Result<Campaign> {
    let campaign = campaigns::take(conn, actor, id, &EXECUTE)?;
    begin(conn, &campaign, LAUNCH, has_mail, actor.now)?;
    Ok(campaign)
}

/// Lets a campaign go out on an occasion, once; answers whether there was anything to send.
pub fn begin(
    conn: &mut HostConnection,
    campaign: &Campaign,
    occasion: &str,
    has_mail: bool,
    now: DateTime<Utc>,
) -> Result<bool> {
    let approved = approved(conn, campaign.id)?;
    let lists: i64 = audience::table
        .filter(audience::marketing_campaign_id.eq(campaign.id))
        .count()
        .get_result(conn)?;
    let email: Vec<_> = approved.iter().filter(|it| it.channel == Channel::Email).collect();
    let mails = lists > 0 && !email.is_empty();
    if mails && !has_mail {
        return Err(no_mailer());
    }
    let sending = Sending::new(campaign, occasion, now);
    let posts = posts::of(conn, &sending, &approved, now)?;
    if !mails && posts.is_empty() {
        return Ok(false);
    }
    let begun = diesel::insert_into(sendings::table)
        .values(&sending)
        .on_conflict((sendings::marketing_campaign_id, sendings::occasion))
        .do_nothing()
        .execute(conn)?;
    if begun == 0 {
        return Ok(true);
    }
    for content in email {
        for url in mail::urls(&content.body, &content.cta_url) {
            let row = (
                links::id.eq(Uuid::now_v7()),
                links::account_id.eq(campaign.account_id),
                links::marketing_campaign_id.eq(campaign.id),
                links::url.eq(url),
            );
            diesel::insert_into(links::table)
                .values(row)
                .on_conflict((links::marketing_campaign_id, links::url))
                .do_nothing()
                .execute(conn)?;
        }
    }
    posts::add(conn, &posts)?;
    enqueue(conn, prepare_job(sending.id.uuid()))?;
    Ok(true)
}

/// Why nothing is sent by e-mail.
pub fn no_mailer() -> Error {
    let message =
        "this installation has nothing to send e-mail with: set extension.marketing.transport";
    Error::new(409, "NO_MAILER", message)
}

/// Writes down the next addresses of a sending, and asks for the batch that they are: in one transaction, so that a
/// crash leaves both or none.
pub fn prepare(
    conn: &mut HostConnection,
    id: Uuid,
    size: u16,
    now: DateTime<Utc>,
) -> Result<Prepared> {
    let Some((mut sending, campaign)) = hold(conn, id)? else { return Ok(Prepared::Held) };
    if sending.state != State::Preparing {
        resume_batches(conn, &sending)?;
        return Ok(Prepared::All);
    }
    match campaign.status {
        campaign::Status::Active | campaign::Status::Completed => {}
        _ => return Ok(Prepared::Held),
    }
    let approved = approved(conn, campaign.id)?;
    let email = approved.iter().filter(|it| it.channel == Channel::Email).map(|it| it.id);
    let email: Vec<_> = email.collect();
    let page = if email.is_empty() { Vec::new() } else { page(conn, &sending, size)? };
    let Some((_, last)) = page.last() else {
        sending.state = State::Sending;
        save(conn, &sending)?;
        complete(conn, &mut sending, &campaign, now)?;
        return Ok(Prepared::All);
    };
    sending.reached.clone_from(last);
    let closed = closed(conn, sending.account_id, &page)?;
    let mut seen = HashSet::new();
    sending.batches += 1;
    let rows: Vec<Letter> = page
        .iter()
        .filter(|(_, address)| !closed.contains(address) && seen.insert(address))
        .map(|(subscriber, address)| sending.letter(&email, *subscriber, address, now))
        .collect();
    for chunk in rows.chunks(ROWS_AT_ONCE) {
        diesel::insert_into(letters::table)
            .values(chunk)
            .on_conflict((letters::marketing_sending_id, letters::email))
            .do_nothing()
            .execute(conn)?;
    }
    if !rows.is_empty() {
        enqueue(conn, batch_job(id, sending.batches))?;
    }
    save(conn, &sending)?;
    Ok(Prepared::More)
}

/// Ends a sending that has nothing left to send, and its campaign when that was the last one.
pub fn complete_if_done(conn: &mut HostConnection, id: Uuid, now: DateTime<Utc>) -> Result<()> {
    match hold(conn, id)? {
        Some((mut sending, campaign)) => complete(conn, &mut sending, &campaign, now),
        None => Ok(()),
    }
}

/// Asks for the work of a campaign again that a pause had put aside.
pub fn resume(conn: &mut HostConnection, campaign: Id<Campaign>) -> Result<()> {
    let open: Vec<Uuid> = sendings::table
        .filter(sendings::marketing_campaign_id.eq(campaign))
        .filter(sendings::state.ne(State::Done))
        .select(sendings::id)
        .load(conn)?;
    enqueue_all(conn, open.iter().map(|it| prepare_job(*it)))?;
    posts::resume(conn, campaign)
}

/// Leaves out what has not gone out yet, when somebody ends a campaign.
pub fn end(conn: &mut HostConnection, campaign: Id<Campaign>, now: DateTime<Utc>) -> Result<()> {
    diesel::update(letters::table)
        .filter(letters::marketing_campaign_id.eq(campaign))
        .filter(letters::state.eq(Delivery::Pending))
        .set((letters::state.eq(Delivery::Skipped), letters::answer.eq("the campaign was ended")))
        .execute(conn)?;
    posts::end(conn, campaign)?;
    diesel::update(sendings::table)
        .filter(sendings::marketing_campaign_id.eq(campaign))
        .filter(sendings::state.ne(State::Done))
        .set((sendings::state.eq(State::Done), sendings::completed_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

/// The sendings of a campaign, the newest first.
pub fn list(
    conn: &mut HostConnection,
    account: Uuid,
    campaign: Id<Campaign>,
) -> Result<Vec<Progress>> {
    campaigns::find(conn, account, campaign)?;
    let rows: Vec<Sending> = sendings::table
        .filter(sendings::marketing_campaign_id.eq(campaign))
        .order(sendings::id.desc())
        .limit(100)
        .select(Sending::as_select())
        .load(conn)?;
    let mut all = Vec::new();
    for sending in rows {
        let counts: Vec<(Delivery, i64)> = letters::table
            .filter(letters::marketing_sending_id.eq(sending.id))
            .group_by(letters::state)
            .select((letters::state, diesel::dsl::count_star()))
            .load(conn)?;
        all.push(Progress { sending, deliveries: counts.into_iter().collect() });
    }
    Ok(all)
}

/// The campaigns whose time has come, by account.
pub fn due(conn: &mut HostConnection, now: DateTime<Utc>) -> Result<Vec<(Uuid, Id<Campaign>)>> {
    Ok(campaign_rows::table
        .filter(campaign_rows::status.eq(campaign::Status::Scheduled))
        .filter(campaign_rows::scheduled_at.le(now))
        .order(campaign_rows::scheduled_at)
        .select((campaign_rows::account_id, campaign_rows::id))
        .load(conn)?)
}

/// Launches a campaign whose time has come, unless somebody moved it since.
pub fn execute_due(
    conn: &mut HostConnection,
    actor: Actor,
    id: Id<Campaign>,
    has_mail: bool,
) -> Result<()> {
    let campaign = campaigns::hold(conn, actor.account, id)?;
    let is_due = campaign.scheduled_at.is_some_and(|it| it <= actor.now);
    if campaign.status == campaign::Status::Scheduled && is_due {
        execute(conn, actor, id, has_mail)?;
    }
    Ok(())
}

/// The contents of a campaign that may be sent.
pub fn approved(conn: &mut HostConnection, campaign: Id<Campaign>) -> Result<Vec<Content>> {
    Ok(contents::table
        .filter(contents::marketing_campaign_id.eq(campaign))
        .filter(contents::status.eq(content::Status::Approved))
        .order((contents::channel, contents::variant_name))
        .select(Content::as_select())
        .load(conn)?)
}

/// A sending and its campaign, both held until the transaction ends; the campaign first, as everybody does.
pub fn hold(conn: &mut HostConnection, id: Uuid) -> Result<Option<(Sending, Campaign)>> {
    let row = sendings::table.find(id).select(Sending::as_select()).first(conn);
    let Some(sending): Option<Sending> = row.optional()? else { return Ok(None) };
    let campaign = campaigns::hold(conn, sending.account_id, sending.marketing_campaign_id)?;
    let row = for_update(sendings::table.find(id).select(Sending::as_select()));
    Ok(row.get_result(conn).optional()?.map(|it| (it, campaign)))
}

/// The next addresses behind those that were looked at.
fn page(
    conn: &mut HostConnection,
    sending: &Sending,
    size: u16,
) -> Result<Vec<(Id<Subscriber>, String)>> {
    let on_lists = audience::table
        .filter(audience::marketing_campaign_id.eq(sending.marketing_campaign_id))
        .select(audience::marketing_email_list_id);
    Ok(subscribers::table
        .filter(subscribers::account_id.eq(sending.account_id))
        .filter(subscribers::marketing_email_list_id.eq_any(on_lists))
        .filter(subscribers::status.eq(subscriber::Status::Subscribed))
        .filter(subscribers::email.gt(&sending.reached))
        .order((subscribers::email, subscribers::id))
        .limit(size.into())
        .select((subscribers::id, subscribers::email))
        .load(conn)?)
}

/// Those addresses to which nothing is sent from any list: they came back, or called something spam.
fn closed(
    conn: &mut HostConnection,
    account: Uuid,
    page: &[(Id<Subscriber>, String)],
) -> Result<HashSet<String>> {
    let states = [subscriber::Status::Bounced, subscriber::Status::Complained];
    let addresses: Vec<String> = subscribers::table
        .filter(subscribers::account_id.eq(account))
        .filter(subscribers::email.eq_any(page.iter().map(|(_, it)| it)))
        .filter(subscribers::status.eq_any(states))
        .select(subscribers::email)
        .load(conn)?;
    Ok(addresses.into_iter().collect())
}

/// Asks for each batch again in which something is left.
fn resume_batches(conn: &mut HostConnection, sending: &Sending) -> Result<()> {
    let open: Vec<i32> = letters::table
        .filter(letters::marketing_sending_id.eq(sending.id))
        .filter(letters::state.eq_any([Delivery::Pending, Delivery::Sending]))
        .select(letters::batch)
        .distinct()
        .load(conn)?;
    enqueue_all(conn, open.iter().map(|it| batch_job(sending.id.uuid(), *it)))?;
    Ok(())
}

fn complete(
    conn: &mut HostConnection,
    sending: &mut Sending,
    campaign: &Campaign,
    now: DateTime<Utc>,
) -> Result<()> {
    if sending.state != State::Sending || is_open(conn, sending.id)? {
        return Ok(());
    }
    sending.state = State::Done;
    sending.completed_at = Some(now);
    save(conn, sending)?;
    let others: Option<Uuid> = sendings::table
        .filter(sendings::marketing_campaign_id.eq(campaign.id))
        .filter(sendings::state.ne(State::Done))
        .select(sendings::id)
        .first(conn)
        .optional()?;
    if others.is_none() && campaign.status == campaign::Status::Active {
        let actor = Actor { account: campaign.account_id, user: None, now };
        campaigns::take(conn, actor, campaign.id, &campaign::COMPLETE)?;
    }
    Ok(())
}

fn is_open(conn: &mut HostConnection, sending: Id<Sending>) -> Result<bool> {
    let letter: Option<Option<Uuid>> = letters::table
        .filter(letters::marketing_sending_id.eq(sending))
        .filter(letters::state.eq_any([Delivery::Pending, Delivery::Sending]))
        .select(letters::id.nullable())
        .first(conn)
        .optional()?;
    Ok(letter.is_some() || posts::is_open(conn, sending)?)
}

fn save(conn: &mut HostConnection, sending: &Sending) -> Result<()> {
    diesel::update(sendings::table.find(sending.id)).set(sending).execute(conn)?;
    Ok(())
}
