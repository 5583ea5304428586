//! Double opt-in: asking the owner of an address, twice more where nobody answers, and then giving up.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use powernode_plugin_api::{db::for_update, prelude::*};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::subscribers as subscribers_service;
use crate::{
    models::{
        Actor, EmailList, Subscriber,
        sending::said,
        subscriber::{self, BOUNCE, Bounce, CountedSubscriber, EXPIRE, Status},
    },
    schema::{
        marketing_email_bounces as bounces, marketing_email_confirmations as confirmations,
        marketing_email_lists as lists, marketing_email_subscribers as subscribers,
    },
};

/// The first request and two reminders.
const ROUNDS: i32 = 3;

/// The arguments of the job that asks.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Confirm {
    pub subscriber: Uuid,
    /// From 1; the one after the last gives the address up.
    pub round: i32,
}

/// What a round comes to.
#[derive(Debug)]
pub enum Next {
    /// The subscriber, and the name of the list.
    Ask(Box<(Subscriber, String)>),
    /// Somebody answered, or the round was before.
    Nothing,
}

/// Asks the owners of those addresses that wait for a confirmation.
pub fn ask(conn: &mut HostConnection, of: &[Subscriber], now: DateTime<Utc>) -> Result<()> {
    let pending: Vec<_> = of.iter().filter(|it| it.status == Status::Pending).collect();
    for subscriber in &pending {
        let row = (
            confirmations::marketing_email_subscriber_id.eq(subscriber.id),
            confirmations::account_id.eq(subscriber.account_id),
            confirmations::asked.eq(0),
            confirmations::asked_at.eq(now),
        );
        diesel::insert_into(confirmations::table)
            .values(row)
            .on_conflict(confirmations::marketing_email_subscriber_id)
            .do_nothing()
            .execute(conn)?;
    }
    enqueue_all(
        conn,
        pending.iter().map(|it| job(Confirm { subscriber: it.id.uuid(), round: 1 })),
    )?;
    Ok(())
}

/// Asks the owners of those addresses that came to a list just now, and wait for a confirmation.
pub fn ask_new(conn: &mut HostConnection, actor: Actor, list: Id<EmailList>) -> Result<()> {
    let new: Vec<Subscriber> = subscribers::table
        .filter(subscribers::account_id.eq(actor.account))
        .filter(subscribers::marketing_email_list_id.eq(list))
        .filter(subscribers::status.eq(Status::Pending))
        .filter(subscribers::created_at.eq(actor.now))
        .select(Subscriber::as_select())
        .load(conn)?;
    ask(conn, &new, actor.now)
}

/// Asks the owner of an address once more, from the first round on.
pub fn ask_again(
    conn: &mut HostConnection,
    actor: Actor,
    ids: (Id<EmailList>, Id<Subscriber>),
) -> Result<CountedSubscriber> {
    let counted = subscribers_service::take(conn, actor, ids, &subscriber::ASK)?;
    diesel::delete(confirmations::table.find(counted.subscriber.id)).execute(conn)?;
    ask(conn, std::slice::from_ref(&counted.subscriber), actor.now)?;
    Ok(counted)
}

/// What a round comes to; the one after the last ends the waiting.
pub fn next(conn: &mut HostConnection, args: Confirm, now: DateTime<Utc>) -> Result<Next> {
    let Some((mut subscriber, asked)) = hold(conn, args)? else { return Ok(Next::Nothing) };
    if subscriber.status != Status::Pending || asked != args.round - 1 {
        return Ok(Next::Nothing);
    }
    if args.round > ROUNDS {
        subscriber.take(&EXPIRE, now)?;
        save(conn, &subscriber)?;
        return Ok(Next::Nothing);
    }
    let list =
        lists::table.find(subscriber.marketing_email_list_id).select(lists::name).first(conn)?;
    Ok(Next::Ask(Box::new((subscriber, list))))
}

/// Notes that a round was sent, and asks for the next one.
pub fn asked(
    conn: &mut HostConnection,
    args: Confirm,
    now: DateTime<Utc>,
    reminder: TimeDelta,
) -> Result<()> {
    let noted = diesel::update(confirmations::table.find(args.subscriber))
        .filter(confirmations::asked.eq(args.round - 1))
        .set((confirmations::asked.eq(args.round), confirmations::asked_at.eq(now)))
        .execute(conn)?;
    if noted == 1 {
        let next = Confirm { round: args.round + 1, ..args };
        enqueue(conn, job(next).at(now + reminder))?;
    }
    Ok(())
}

/// Notes that there is no such address.
pub fn bounced(
    conn: &mut HostConnection,
    args: Confirm,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let Some((mut subscriber, _)) = hold(conn, args)? else { return Ok(()) };
    let bounce = Bounce::of(&subscriber, said(reason), now)?;
    diesel::insert_into(bounces::table).values(&bounce).execute(conn)?;
    if BOUNCE.from.contains(&subscriber.status) {
        subscriber.take(&BOUNCE, now)?;
        save(conn, &subscriber)?;
    }
    Ok(())
}

fn hold(conn: &mut HostConnection, args: Confirm) -> Result<Option<(Subscriber, i32)>> {
    let row = for_update(subscribers::table.find(args.subscriber).select(Subscriber::as_select()));
    let Some(subscriber): Option<Subscriber> = row.get_result(conn).optional()? else {
        return Ok(None);
    };
    let asked = confirmations::table
        .find(args.subscriber)
        .select(confirmations::asked)
        .first(conn)
        .optional()?;
    Ok(asked.map(|it| (subscriber, it)))
}

fn job(args: Confirm) -> NewJob {
    NewJob::new("confirm", &args).serial(format!("confirm/{}", args.subscriber))
}

fn save(conn: &mut HostConnection, subscriber: &Subscriber) -> Result<()> {
    diesel::update(subscribers::table.find(subscriber.id)).set(subscriber).execute(conn)?;
    Ok(())
}
