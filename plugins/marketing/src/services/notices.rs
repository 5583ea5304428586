//! What mail servers report after the fact: e-mails that came back, and complaints.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::{db::for_update, prelude::*, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{counts, deliveries};
use crate::{
    models::{
        Actor, Channel, Letter, Subscriber,
        metric::Figures,
        sending::{Delivery, said},
        subscriber::{BOUNCE, Bounce, COMPLAIN, MOST_BOUNCES},
    },
    schema::{marketing_email_bounces as bounces, marketing_email_subscribers as subscribers},
};

/// Notices of one request at most.
pub const MOST: usize = 1_000;

text_enum! {
    /// What a mail server reports.
    pub enum Kind {
        Bounce = "bounce",
        Complaint = "complaint",
    }
}

/// What became of an e-mail after it was sent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    pub kind: Kind,
    /// As it stands in the e-mail, with or without angle brackets.
    pub message_id: String,
    /// Whether the address is gone for good; a mailbox that is full is not.
    #[serde(default = "yes")]
    pub permanent: bool,
    #[serde(default)]
    pub reason: String,
}

fn yes() -> bool {
    true
}

/// What clients send.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notices {
    pub notices: Vec<Notice>,
}

/// What became of the notices.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Taken {
    pub taken: usize,
    /// Those that were known before.
    pub known: usize,
    /// The places of those, from 0, that speak of no e-mail of this account.
    pub unknown: Vec<usize>,
}

/// Enters notices; the same one again changes nothing.
pub fn enter(conn: &mut HostConnection, actor: Actor, notices: &[Notice]) -> Result<Taken> {
    let mut checks = Checks::new();
    checks.require((1..=MOST).contains(&notices.len()), "notices", format!("must be 1 to {MOST}"));
    checks.finish()?;
    let mut taken = Taken::default();
    for (index, notice) in notices.iter().enumerate() {
        let letter = match number(&notice.message_id) {
            Some(id) => deliveries::hold(conn, actor.account, id)?,
            None => None,
        };
        match letter {
            Some(letter) => match enter_one(conn, letter, notice, actor.now)? {
                true => taken.taken += 1,
                false => taken.known += 1,
            },
            None => taken.unknown.push(index),
        }
    }
    Ok(taken)
}

/// Enters that an e-mail came back: for good, or once more.
pub fn bounced(
    conn: &mut HostConnection,
    letter: &Letter,
    reason: &str,
    permanent: bool,
    now: DateTime<Utc>,
) -> Result<()> {
    let Some(mut subscriber) = subscriber(conn, letter)? else { return Ok(()) };
    let bounce = Bounce::of(&subscriber, said(reason), now)?;
    diesel::insert_into(bounces::table).values(&bounce).execute(conn)?;
    let count: i64 = bounces::table
        .filter(bounces::marketing_email_subscriber_id.eq(subscriber.id))
        .count()
        .get_result(conn)?;
    if (permanent || count >= MOST_BOUNCES) && BOUNCE.from.contains(&subscriber.status) {
        subscriber.take(&BOUNCE, now)?;
        save(conn, &subscriber)?;
    }
    Ok(())
}

fn enter_one(
    conn: &mut HostConnection,
    mut letter: Letter,
    notice: &Notice,
    now: DateTime<Utc>,
) -> Result<bool> {
    let mut figures = Figures::default();
    match notice.kind {
        Kind::Bounce if letter.bounced_at.is_none() => {
            bounced(conn, &letter, &notice.reason, notice.permanent, now)?;
            letter.bounced_at = Some(now);
            letter.state = Delivery::Bounced;
            figures.bounces = 1;
        }
        Kind::Complaint if letter.complained_at.is_none() => {
            if let Some(mut subscriber) = subscriber(conn, &letter)?
                && COMPLAIN.from.contains(&subscriber.status)
            {
                subscriber.take(&COMPLAIN, now)?;
                save(conn, &subscriber)?;
            }
            letter.complained_at = Some(now);
            letter.state = Delivery::Complained;
        }
        Kind::Bounce | Kind::Complaint => return Ok(false),
    }
    letter.answer = said(&notice.reason);
    deliveries::save(conn, &letter)?;
    let campaign = letter.marketing_campaign_id;
    counts::add(conn, letter.account_id, campaign, Channel::Email, figures, now)?;
    Ok(true)
}

fn subscriber(conn: &mut HostConnection, letter: &Letter) -> Result<Option<Subscriber>> {
    let row = subscribers::table.find(letter.marketing_email_subscriber_id);
    Ok(for_update(row.select(Subscriber::as_select())).get_result(conn).optional()?)
}

fn save(conn: &mut HostConnection, subscriber: &Subscriber) -> Result<()> {
    diesel::update(subscribers::table.find(subscriber.id)).set(subscriber).execute(conn)?;
    Ok(())
}

/// The number of our own in a `Message-ID`.
fn number(message_id: &str) -> Option<Id<Letter>> {
    let text = message_id.trim().trim_start_matches('<');
    let (number, _) = text.split_once('@')?;
    number.parse::<Uuid>().ok().map(Id::from)
}
