//! `/email_lists`.

use powernode_plugin_api::prelude::*;

use super::rows::Rows;
use crate::{
    Marketing,
    models::{
        Actor, EmailList,
        email_list::{ChangeEmailList, CountedList, NewEmailList},
    },
    permissions,
    services::{
        confirmations,
        email_lists::{self, Filter},
        import::{self, Imported},
        list_statistics::{self, ListStatistics, Period},
    },
};

/// `/email_lists`.
#[derive(Debug)]
pub struct EmailLists;

impl Resource for EmailLists {
    type Extension = Marketing;
    type Id = Id<EmailList>;
    type Filter = Filter;
    type Row = CountedList;
    type New = NewEmailList;
    type Change = ChangeEmailList;

    const NAME: &'static str = "email_lists";
    const READ: &'static str = permissions::EMAIL_LISTS_READ;
    const MANAGE: &'static str = permissions::EMAIL_LISTS_MANAGE;

    async fn list(call: Call<Marketing>, filter: Filter, page: Page) -> Result<Paged<CountedList>> {
        let account = call.account()?;
        call.db().read(move |conn| email_lists::list(conn, account, &filter, page)).await
    }

    async fn show(call: Call<Marketing>, id: Id<EmailList>) -> Result<CountedList> {
        let account = call.account()?;
        call.db().read(move |conn| email_lists::show(conn, account, id)).await
    }

    async fn create(call: Call<Marketing>, new: NewEmailList) -> Result<CountedList> {
        let actor = Actor::of(&call)?;
        call.db().transaction(move |conn| email_lists::create(conn, actor, new)).await
    }

    async fn update(
        call: Call<Marketing>,
        id: Id<EmailList>,
        change: ChangeEmailList,
    ) -> Result<CountedList> {
        let actor = Actor::of(&call)?;
        call.db().transaction(move |conn| email_lists::change(conn, actor, id, change)).await
    }

    async fn delete(call: Call<Marketing>, id: Id<EmailList>) -> Result<()> {
        let account = call.account()?;
        call.db().transaction(move |conn| email_lists::delete(conn, account, id)).await
    }
}

/// `GET /email_lists/{id}/statistics`.
pub async fn statistics(
    call: Call<Marketing>,
    Path(list): Path<Id<EmailList>>,
    Query(period): Query<Period>,
) -> Result<Json<ListStatistics>> {
    let actor = Actor::of(&call)?;
    call.db().read(move |conn| list_statistics::show(conn, actor, list, period)).await.map(Json)
}

/// `POST /email_lists/{id}/import`.
pub async fn import(
    call: Call<Marketing>,
    Path(list): Path<Id<EmailList>>,
    Rows(rows): Rows,
) -> Result<Json<Imported>> {
    let actor = Actor::of(&call)?;
    let has_mail = call.extension().mail.is_some();
    let job = move |conn: &mut _| {
        let imported = import::import(conn, actor, list, rows)?;
        if has_mail {
            confirmations::ask_new(conn, actor, list)?;
        }
        Ok::<_, Error>(imported)
    };
    call.db().transaction(job).await.map(Json)
}
