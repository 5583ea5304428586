//! The e-mails of a sending: each is claimed before it is spoken about, and settled after.
//!
//! What was claimed and not settled, a crash left behind: it is sent again, under the same `Message-ID`. An e-mail
//! therefore goes out at least once, and twice only where the process ended between the mail server's yes and the note
//! of it: at most one e-mail for each batch that ran then.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::{
    db::{HostBackend, for_update},
    prelude::*,
};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use super::{campaigns, counts, notices, sendings};
use crate::{
    mail::Verdict,
    models::{
        Campaign, Channel, Content, Letter, Sending, Subscriber, campaign,
        metric::Figures,
        sending::{Delivery, MOST_ATTEMPTS, State, said},
        subscriber,
    },
    schema::{
        marketing_campaigns as campaign_rows,
        marketing_deliveries::{self as letters, BoxedQuery},
        marketing_email_subscribers as subscribers, marketing_sendings as sending_rows,
        marketing_tracked_links as links,
    },
};

/// What a list of e-mails may be narrowed by.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Filter {
    pub state: Option<Delivery>,
}

/// What all e-mails of a batch have in common.
#[derive(Debug)]
pub struct Batch {
    pub account: Uuid,
    pub contents: Vec<Content>,
    /// The numbers of the links that are counted.
    pub links: HashMap<String, Uuid>,
}

/// The next thing to do in a batch.
#[derive(Debug)]
pub enum Claim {
    Next(Box<(Letter, Subscriber)>),
    /// Each was tried; as many have to wait.
    Through {
        later: i64,
    },
    /// The campaign is paused, or over.
    Held,
    /// Its words are being changed, and nobody approved the new ones.
    Unapproved,
}

/// Reads what a batch has in common; none where the campaign is gone.
pub fn batch(conn: &mut HostConnection, id: Uuid) -> Result<Option<Batch>> {
    let row = sending_rows::table.find(id).select(Sending::as_select()).first(conn);
    let Some(sending): Option<Sending> = row.optional()? else { return Ok(None) };
    let campaign = sending.marketing_campaign_id;
    let links: Vec<(String, Uuid)> = links::table
        .filter(links::marketing_campaign_id.eq(campaign))
        .select((links::url, links::id))
        .load(conn)?;
    let contents = sendings::approved(conn, campaign)?;
    Ok(Some(Batch { account: sending.account_id, contents, links: links.into_iter().collect() }))
}

/// Takes the next e-mail of a batch, unless nobody wants it any more.
pub fn claim(
    conn: &mut HostConnection,
    (sending, number): (Uuid, i32),
    after: Option<Uuid>,
    contents: &[Id<Content>],
    now: DateTime<Utc>,
) -> Result<Claim> {
    let held: Option<(State, campaign::Status)> = sending_rows::table
        .inner_join(campaign_rows::table)
        .filter(sending_rows::id.eq(sending))
        .select((sending_rows::state, campaign_rows::status))
        .first(conn)
        .optional()?;
    match held {
        Some((State::Done, _)) | None => return Ok(Claim::Held),
        Some((_, campaign::Status::Active | campaign::Status::Completed)) => {}
        Some(_) => return Ok(Claim::Held),
    }
    let mut after = after.unwrap_or_default();
    loop {
        let next: Option<Letter> = of_batch(sending, number)
            .filter(letters::id.gt(after))
            .order(letters::id)
            .select(Letter::as_select())
            .first(conn)
            .optional()?;
        let Some(mut letter) = next else {
            let later = of_batch(sending, number).count().get_result(conn)?;
            return Ok(Claim::Through { later });
        };
        after = letter.id.uuid();
        let subscriber: Option<Subscriber> = subscribers::table
            .find(letter.marketing_email_subscriber_id)
            .select(Subscriber::as_select())
            .first(conn)
            .optional()?;
        let wanted = subscriber.filter(|it| it.status == subscriber::Status::Subscribed);
        let (Some(subscriber), Some(content)) = (wanted, letter.marketing_campaign_content_id)
        else {
            letter.state = Delivery::Skipped;
            letter.answer = "nobody wants it any more, or its content was deleted".to_owned();
            save(conn, &letter)?;
            continue;
        };
        if !contents.contains(&content) {
            return Ok(Claim::Unapproved);
        }
        letter.state = Delivery::Sending;
        letter.attempts += 1;
        letter.claimed_at = Some(now);
        save(conn, &letter)?;
        return Ok(Claim::Next(Box::new((letter, subscriber))));
    }
}

/// Notes what became of an e-mail, and counts it; an error: nobody knows, and it has its turn again.
///
/// What its reader did meanwhile stays: an e-mail may be opened before the mail server's answer is here.
pub fn settle(
    conn: &mut HostConnection,
    letter: Letter,
    verdict: Result<Verdict, String>,
    now: DateTime<Utc>,
) -> Result<()> {
    let mut figures = Figures { sends: 1, ..Figures::default() };
    let (mut sent_at, mut bounced_at) = (None, None);
    let (state, answer) = match verdict {
        Ok(Verdict::Sent(answer)) => {
            sent_at = Some(now);
            figures.deliveries = 1;
            (Delivery::Sent, answer)
        }
        Ok(Verdict::Bounced(answer)) => {
            bounced_at = Some(now);
            figures.bounces = 1;
            notices::bounced(conn, &letter, &answer, true, now)?;
            (Delivery::Bounced, answer)
        }
        Ok(Verdict::Failed(answer)) => (Delivery::Failed, answer),
        Ok(Verdict::Later(answer)) if letter.attempts >= MOST_ATTEMPTS => {
            (Delivery::Failed, answer)
        }
        Ok(Verdict::Later(answer)) | Err(answer) => {
            figures.sends = 0;
            (Delivery::Pending, answer)
        }
    };
    diesel::update(letters::table.find(letter.id))
        .filter(letters::state.eq(Delivery::Sending))
        .set((
            letters::state.eq(state),
            letters::answer.eq(said(&answer)),
            letters::sent_at.eq(sent_at),
            letters::bounced_at.eq(bounced_at),
        ))
        .execute(conn)?;
    counts::add(conn, letter.account_id, letter.marketing_campaign_id, Channel::Email, figures, now)
}

/// One page of a campaign's e-mails, in the order in which they were written down.
pub fn list(
    conn: &mut HostConnection,
    account: Uuid,
    campaign: Id<Campaign>,
    filter: &Filter,
    page: Page,
) -> Result<Paged<Letter>> {
    campaigns::find(conn, account, campaign)?;
    let matching = || {
        let mut query: BoxedQuery<'_, HostBackend> =
            letters::table.filter(letters::marketing_campaign_id.eq(campaign)).into_boxed();
        if let Some(state) = filter.state {
            query = query.filter(letters::state.eq(state));
        }
        query
    };
    let rows = matching()
        .order(letters::id)
        .limit(page.limit())
        .offset(page.offset())
        .select(Letter::as_select())
        .load(conn)?;
    Ok(Paged { rows, page, total: matching().count().get_result(conn)? })
}

/// One e-mail of the account, held until the transaction ends.
pub fn hold(conn: &mut HostConnection, account: Uuid, id: Id<Letter>) -> Result<Option<Letter>> {
    let row =
        letters::table.filter(letters::account_id.eq(account)).find(id).select(Letter::as_select());
    Ok(for_update(row).get_result(conn).optional()?)
}

/// Writes an e-mail's row.
pub fn save(conn: &mut HostConnection, letter: &Letter) -> Result<()> {
    diesel::update(letters::table.find(letter.id)).set(letter).execute(conn)?;
    Ok(())
}

/// The e-mails of a batch that have not gone out.
#[diesel::dsl::auto_type]
fn of_batch(sending: Uuid, number: i32) -> _ {
    let open: [Delivery; 2] = [Delivery::Pending, Delivery::Sending];
    letters::table
        .filter(letters::marketing_sending_id.eq(sending))
        .filter(letters::batch.eq(number))
        .filter(letters::state.eq_any(open))
}
