//! Who opened, clicked and left.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::prelude::*;
use uuid::Uuid;

use super::{counts, deliveries};
use crate::{
    models::{Actor, Channel, Letter, Subscriber, metric::Figures},
    schema::{marketing_deliveries as letters, marketing_tracked_links as links},
};

/// Notes that an e-mail was opened; where its subscriber is gone there is nothing to note.
pub fn opened(conn: &mut HostConnection, actor: Actor, id: Id<Letter>) -> Result<()> {
    let Some(mut letter) = deliveries::hold(conn, actor.account, id)? else { return Ok(()) };
    let first = letter.opened_at.is_none();
    let figures = Figures { opens: 1, unique_opens: first.into(), ..Figures::default() };
    if first {
        letter.opened_at = Some(actor.now);
        deliveries::save(conn, &letter)?;
    }
    count(conn, &letter, figures, actor.now)
}

/// Notes that a link was followed, and answers where it leads; 404 where nobody wrote such a link.
pub fn clicked(
    conn: &mut HostConnection,
    actor: Actor,
    id: Id<Letter>,
    link: Uuid,
) -> Result<String> {
    let url = links::table
        .filter(links::account_id.eq(actor.account))
        .filter(links::id.eq(link))
        .select(links::url)
        .first(conn)
        .optional()?;
    let url: String = url.ok_or_else(|| Error::not_found("link"))?;
    let Some(mut letter) = deliveries::hold(conn, actor.account, id)? else { return Ok(url) };
    let mut figures = Figures::default();
    if letter.clicked_at.is_none() {
        // The rate of clicks is one of people, as that of opens is.
        figures.clicks = 1;
        letter.clicked_at = Some(actor.now);
        deliveries::save(conn, &letter)?;
    }
    count(conn, &letter, figures, actor.now)?;
    Ok(url)
}

/// Counts a subscriber who left for the last campaign that wrote to them.
pub fn left(conn: &mut HostConnection, actor: Actor, id: Id<Subscriber>) -> Result<()> {
    let last: Option<Letter> = letters::table
        .filter(letters::account_id.eq(actor.account))
        .filter(letters::marketing_email_subscriber_id.eq(id))
        .filter(letters::sent_at.is_not_null())
        .filter(letters::unsubscribed_at.is_null())
        .order(letters::sent_at.desc())
        .select(Letter::as_select())
        .first(conn)
        .optional()?;
    let Some(mut letter) = last else { return Ok(()) };
    letter.unsubscribed_at = Some(actor.now);
    deliveries::save(conn, &letter)?;
    count(conn, &letter, Figures { unsubscribes: 1, ..Figures::default() }, actor.now)
}

fn count(
    conn: &mut HostConnection,
    letter: &Letter,
    figures: Figures,
    now: DateTime<Utc>,
) -> Result<()> {
    let campaign = letter.marketing_campaign_id;
    counts::add(conn, letter.account_id, campaign, Channel::Email, figures, now)
}
