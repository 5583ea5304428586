//! What happens to e-mail lists.

use std::collections::HashMap;

use diesel::{dsl::count_star, prelude::*};
use powernode_plugin_api::{
    db::{HostBackend, for_update, ilike},
    prelude::*,
};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use super::{search::anywhere, slug};
use crate::{
    models::{
        Actor, EmailList,
        email_list::{ChangeEmailList, CountedList, EMAIL_LIST, NewEmailList},
        subscriber::Status,
    },
    schema::{
        marketing_email_lists::{self as lists, BoxedQuery},
        marketing_email_subscribers as subscribers,
    },
};

/// What the lists may be narrowed by.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Filter {
    /// A part of the name, in any case.
    pub search: Option<String>,
}

/// One page of the account's lists, the newest first.
pub fn list(
    conn: &mut HostConnection,
    account: Uuid,
    filter: &Filter,
    page: Page,
) -> Result<Paged<CountedList>> {
    let matching = || {
        let mut query: BoxedQuery<'_, HostBackend> =
            lists::table.filter(lists::account_id.eq(account)).into_boxed();
        if let Some(text) = &filter.search {
            query = query.filter(ilike(lists::name, anywhere(text)).escape('\\'));
        }
        query
    };
    let rows = matching()
        .order((lists::created_at.desc(), lists::id.desc()))
        .limit(page.limit())
        .offset(page.offset())
        .select(EmailList::as_select())
        .load(conn)?;
    let total = matching().count().get_result(conn)?;
    Ok(Paged { rows: counted(conn, rows)?, page, total })
}

/// One list of the account.
pub fn find(conn: &mut HostConnection, account: Uuid, id: Id<EmailList>) -> Result<EmailList> {
    let row = lists::table
        .filter(lists::account_id.eq(account))
        .find(id)
        .select(EmailList::as_select())
        .first(conn);
    row.optional()?.ok_or_else(|| Error::not_found(EMAIL_LIST))
}

/// The same, and how many people are subscribed.
pub fn show(conn: &mut HostConnection, account: Uuid, id: Id<EmailList>) -> Result<CountedList> {
    let list = find(conn, account, id)?;
    count(conn, list)
}

/// Creates a list.
pub fn create(conn: &mut HostConnection, actor: Actor, new: NewEmailList) -> Result<CountedList> {
    let slug = slug::slug(&new.name, "list");
    let taken: Vec<String> = lists::table
        .filter(lists::account_id.eq(actor.account))
        .filter(lists::slug.like(format!("{slug}%")))
        .select(lists::slug)
        .load(conn)?;
    let list = EmailList::empty(actor, new, slug::free(&slug, &taken))?;
    diesel::insert_into(lists::table).values(&list).execute(conn)?;
    Ok(CountedList { list, subscriber_count: 0 })
}

/// Changes a list.
pub fn change(
    conn: &mut HostConnection,
    actor: Actor,
    id: Id<EmailList>,
    change: ChangeEmailList,
) -> Result<CountedList> {
    let row = lists::table
        .filter(lists::account_id.eq(actor.account))
        .find(id)
        .select(EmailList::as_select());
    let row: Option<EmailList> = for_update(row).get_result(conn).optional()?;
    let mut list = row.ok_or_else(|| Error::not_found(EMAIL_LIST))?;
    list.change(change, actor.now)?;
    diesel::update(lists::table.find(id)).set(&list).execute(conn)?;
    count(conn, list)
}

/// Deletes a list and its subscribers.
pub fn delete(conn: &mut HostConnection, account: Uuid, id: Id<EmailList>) -> Result<()> {
    let list = find(conn, account, id)?;
    diesel::delete(lists::table.find(list.id)).execute(conn)?;
    Ok(())
}

/// Counts the subscribers of each list, with one query.
pub fn counted(conn: &mut HostConnection, rows: Vec<EmailList>) -> Result<Vec<CountedList>> {
    let counts: Vec<(Id<EmailList>, i64)> = subscribers::table
        .filter(subscribers::marketing_email_list_id.eq_any(rows.iter().map(|it| it.id)))
        .filter(subscribers::status.eq(Status::Subscribed))
        .group_by(subscribers::marketing_email_list_id)
        .select((subscribers::marketing_email_list_id, count_star()))
        .load(conn)?;
    let counts: HashMap<_, _> = counts.into_iter().collect();
    let count = |list: EmailList| CountedList {
        subscriber_count: counts.get(&list.id).copied().unwrap_or_default(),
        list,
    };
    Ok(rows.into_iter().map(count).collect())
}

fn count(conn: &mut HostConnection, list: EmailList) -> Result<CountedList> {
    counted(conn, vec![list])?.pop().ok_or_else(|| Error::not_found(EMAIL_LIST))
}
