//! What happens to subscribers.

use std::collections::HashMap;

use diesel::{dsl::count_star, prelude::*};
use powernode_plugin_api::{
    db::{HostBackend, for_update, ilike},
    prelude::*,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{email_lists, events, search::anywhere, tracking};
use crate::{
    models::{
        Actor, EmailList, Step, Subscriber,
        subscriber::{
            BOUNCE, Bounce, ChangeSubscriber, CountedSubscriber, MOST_BOUNCES, NewSubscriber,
            SUBSCRIBER, Status,
        },
    },
    schema::{
        marketing_email_bounces as bounces, marketing_email_lists as lists,
        marketing_email_subscribers::{self as subscribers, BoxedQuery},
    },
};

/// What a list of subscribers may be narrowed by.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Filter {
    pub status: Option<Status>,
    /// A part of the address, in any case.
    pub search: Option<String>,
}

/// What a subscriber is called where its owner reads it.
const SUBSCRIPTION: &str = "subscription";

/// A subscription, as the owner of the address sees it.
#[derive(Debug, Queryable, Serialize, JsonSchema)]
pub struct Subscription {
    pub email_list: String,
    pub email: String,
    pub status: Status,
}

/// One page of a list's subscribers, by address.
pub fn list(
    conn: &mut HostConnection,
    account: Uuid,
    list: Id<EmailList>,
    filter: &Filter,
    page: Page,
) -> Result<Paged<CountedSubscriber>> {
    email_lists::find(conn, account, list)?;
    let matching = || {
        let mut query: BoxedQuery<'_, HostBackend> =
            subscribers::table.filter(subscribers::marketing_email_list_id.eq(list)).into_boxed();
        if let Some(status) = filter.status {
            query = query.filter(subscribers::status.eq(status));
        }
        if let Some(text) = &filter.search {
            query = query.filter(ilike(subscribers::email, anywhere(text)).escape('\\'));
        }
        query
    };
    let rows = matching()
        .order(subscribers::email)
        .limit(page.limit())
        .offset(page.offset())
        .select(Subscriber::as_select())
        .load(conn)?;
    let total = matching().count().get_result(conn)?;
    Ok(Paged { rows: counted(conn, rows)?, page, total })
}

/// One subscriber of a list, and how many e-mails came back.
pub fn show(
    conn: &mut HostConnection,
    account: Uuid,
    ids: (Id<EmailList>, Id<Subscriber>),
) -> Result<CountedSubscriber> {
    let subscriber = find(conn, account, ids)?;
    count(conn, subscriber)
}

/// One subscriber of a list.
pub fn find(
    conn: &mut HostConnection,
    account: Uuid,
    (list, id): (Id<EmailList>, Id<Subscriber>),
) -> Result<Subscriber> {
    let row = of(account, list).filter(subscribers::id.eq(id)).first(conn);
    row.optional()?.ok_or_else(|| Error::not_found(SUBSCRIBER))
}

/// Adds a subscriber, who has to confirm where the list asks for it.
pub fn add(
    conn: &mut HostConnection,
    actor: Actor,
    list: Id<EmailList>,
    new: NewSubscriber,
) -> Result<CountedSubscriber> {
    let list = email_lists::find(conn, actor.account, list)?;
    let subscriber = Subscriber::new(&list, new, "api", actor.now)?;
    diesel::insert_into(subscribers::table)
        .values(&subscriber)
        .execute(conn)
        .map_err(Error::taken("email"))?;
    Ok(CountedSubscriber { subscriber, bounce_count: 0 })
}

/// Changes a subscriber.
pub fn change(
    conn: &mut HostConnection,
    actor: Actor,
    ids: (Id<EmailList>, Id<Subscriber>),
    change: ChangeSubscriber,
) -> Result<CountedSubscriber> {
    let mut subscriber = hold(conn, actor.account, ids)?;
    subscriber.change(change, actor.now)?;
    save(conn, &subscriber)?;
    count(conn, subscriber)
}

/// Takes a step with a subscriber.
pub fn take(
    conn: &mut HostConnection,
    actor: Actor,
    ids: (Id<EmailList>, Id<Subscriber>),
    step: &Step<Status>,
) -> Result<CountedSubscriber> {
    let mut subscriber = hold(conn, actor.account, ids)?;
    subscriber.take(step, actor.now)?;
    save(conn, &subscriber)?;
    count(conn, subscriber)
}

/// Enters a bounce; the third one ends the subscription.
pub fn bounce(
    conn: &mut HostConnection,
    actor: Actor,
    ids: (Id<EmailList>, Id<Subscriber>),
    reason: String,
) -> Result<CountedSubscriber> {
    let mut subscriber = hold(conn, actor.account, ids)?;
    let bounce = Bounce::of(&subscriber, reason, actor.now)?;
    diesel::insert_into(bounces::table).values(&bounce).execute(conn)?;
    let bounce_count = bounces::table
        .filter(bounces::marketing_email_subscriber_id.eq(subscriber.id))
        .count()
        .get_result(conn)?;
    if bounce_count >= MOST_BOUNCES && BOUNCE.from.contains(&subscriber.status) {
        subscriber.take(&BOUNCE, actor.now)?;
    }
    save(conn, &subscriber)?;
    Ok(CountedSubscriber { subscriber, bounce_count })
}

/// Removes a subscriber and what is known of the address.
pub fn remove(
    conn: &mut HostConnection,
    account: Uuid,
    ids: (Id<EmailList>, Id<Subscriber>),
) -> Result<()> {
    let subscriber = hold(conn, account, ids)?;
    diesel::delete(subscribers::table.find(subscriber.id)).execute(conn)?;
    Ok(())
}

/// What the owner of an address subscribed to.
pub fn subscription(
    conn: &mut HostConnection,
    account: Uuid,
    id: Id<Subscriber>,
) -> Result<Subscription> {
    let row = subscribers::table
        .inner_join(lists::table)
        .filter(subscribers::account_id.eq(account))
        .filter(subscribers::id.eq(id))
        .select((lists::name, subscribers::email, subscribers::status))
        .first(conn);
    row.optional()?.ok_or_else(|| Error::not_found(SUBSCRIPTION))
}

/// Takes a step for the owner of an address.
pub fn follow(
    conn: &mut HostConnection,
    actor: Actor,
    id: Id<Subscriber>,
    step: &Step<Status>,
) -> Result<Subscription> {
    let row = subscribers::table
        .filter(subscribers::account_id.eq(actor.account))
        .find(id)
        .select(Subscriber::as_select());
    let row: Option<Subscriber> = for_update(row).get_result(conn).optional()?;
    let mut subscriber = row.ok_or_else(|| Error::not_found(SUBSCRIPTION))?;
    if subscriber.follow(step, actor.now)? {
        save(conn, &subscriber)?;
        events::subscriber(conn, &subscriber, step.done)?;
        if subscriber.status == Status::Unsubscribed {
            tracking::left(conn, actor, subscriber.id)?;
        }
    }
    subscription(conn, actor.account, id)
}

/// One subscriber, held until the transaction ends.
fn hold(
    conn: &mut HostConnection,
    account: Uuid,
    (list, id): (Id<EmailList>, Id<Subscriber>),
) -> Result<Subscriber> {
    let row = for_update(of(account, list).filter(subscribers::id.eq(id))).get_result(conn);
    row.optional()?.ok_or_else(|| Error::not_found(SUBSCRIBER))
}

#[diesel::dsl::auto_type]
fn of(account: Uuid, list: Id<EmailList>) -> _ {
    let select: diesel::dsl::AsSelect<Subscriber, HostBackend> = Subscriber::as_select();
    subscribers::table
        .filter(subscribers::account_id.eq(account))
        .filter(subscribers::marketing_email_list_id.eq(list))
        .select(select)
}

fn save(conn: &mut HostConnection, subscriber: &Subscriber) -> Result<()> {
    diesel::update(subscribers::table.find(subscriber.id)).set(subscriber).execute(conn)?;
    Ok(())
}

/// Counts the bounces of each subscriber, with one query.
fn counted(conn: &mut HostConnection, rows: Vec<Subscriber>) -> Result<Vec<CountedSubscriber>> {
    let counts: Vec<(Id<Subscriber>, i64)> = bounces::table
        .filter(bounces::marketing_email_subscriber_id.eq_any(rows.iter().map(|it| it.id)))
        .group_by(bounces::marketing_email_subscriber_id)
        .select((bounces::marketing_email_subscriber_id, count_star()))
        .load(conn)?;
    let counts: HashMap<_, _> = counts.into_iter().collect();
    let count = |subscriber: Subscriber| CountedSubscriber {
        bounce_count: counts.get(&subscriber.id).copied().unwrap_or_default(),
        subscriber,
    };
    Ok(rows.into_iter().map(count).collect())
}

fn count(conn: &mut HostConnection, subscriber: Subscriber) -> Result<CountedSubscriber> {
    counted(conn, vec![subscriber])?.pop().ok_or_else(|| Error::not_found(SUBSCRIBER))
}
