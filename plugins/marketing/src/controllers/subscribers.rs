//! `/email_lists/{id}/subscribers`.

use powernode_plugin_api::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::subscriptions::{CONFIRM, Link, Purpose, UNSUBSCRIBE};
use crate::{
    Marketing,
    models::{
        Actor, EmailList, Step, Subscriber,
        subscriber::{ChangeSubscriber, CountedSubscriber, NewSubscriber, Status},
    },
    services::{
        confirmations, sendings,
        subscribers::{self, Filter},
    },
};

/// A list and one of its subscribers, in the path.
pub type Ids = Path<Both<Id<EmailList>, Id<Subscriber>>>;

/// `GET /email_lists/{id}/subscribers`.
pub async fn list(
    call: Call<Marketing>,
    Path(list): Path<Id<EmailList>>,
    Query(filter): Query<Filter>,
    page: Page,
) -> Result<Paged<CountedSubscriber>> {
    let account = call.account()?;
    call.db().read(move |conn| subscribers::list(conn, account, list, &filter, page)).await
}

/// `GET /email_lists/{id}/subscribers/{subscriber_id}`.
pub async fn show(
    call: Call<Marketing>,
    Path(Both(list, id)): Ids,
) -> Result<Json<CountedSubscriber>> {
    let account = call.account()?;
    call.db().read(move |conn| subscribers::show(conn, account, (list, id))).await.map(Json)
}

/// `POST /email_lists/{id}/subscribers`.
pub async fn add(
    call: Call<Marketing>,
    Path(list): Path<Id<EmailList>>,
    Body(new): Body<NewSubscriber>,
) -> Result<Created<CountedSubscriber>> {
    let actor = Actor::of(&call)?;
    let has_mail = call.extension().mail.is_some();
    let job = move |conn: &mut _| {
        let added = subscribers::add(conn, actor, list, new)?;
        if has_mail {
            confirmations::ask(conn, std::slice::from_ref(&added.subscriber), actor.now)?;
        }
        Ok::<_, Error>(added)
    };
    call.db().transaction(job).await.map(Created)
}

/// `PATCH` and `PUT /email_lists/{id}/subscribers/{subscriber_id}`.
pub async fn update(
    call: Call<Marketing>,
    Path(Both(list, id)): Ids,
    Body(change): Body<ChangeSubscriber>,
) -> Result<Json<CountedSubscriber>> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| subscribers::change(conn, actor, (list, id), change);
    call.db().transaction(job).await.map(Json)
}

/// `DELETE /email_lists/{id}/subscribers/{subscriber_id}`.
pub async fn remove(call: Call<Marketing>, Path(Both(list, id)): Ids) -> Result<NoContent> {
    let account = call.account()?;
    let job = move |conn: &mut _| subscribers::remove(conn, account, (list, id));
    call.db().transaction(job).await.map(|()| NoContent)
}

/// Takes a step with a subscriber.
pub async fn take(
    call: Call<Marketing>,
    Path(Both(list, id)): Ids,
    step: &'static Step<Status>,
) -> Result<Json<CountedSubscriber>> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| subscribers::take(conn, actor, (list, id), step);
    call.db().transaction(job).await.map(Json)
}

/// `POST /email_lists/{id}/subscribers/{subscriber_id}/ask`: asks the owner of the address to confirm, once more.
pub async fn ask(
    call: Call<Marketing>,
    Path(Both(list, id)): Ids,
) -> Result<Json<CountedSubscriber>> {
    let actor = Actor::of(&call)?;
    let has_mail = call.extension().mail.is_some();
    let job = move |conn: &mut _| {
        subscribers::find(conn, actor.account, (list, id))?;
        if !has_mail {
            return Err(sendings::no_mailer());
        }
        confirmations::ask_again(conn, actor, (list, id))
    };
    call.db().transaction(job).await.map(Json)
}

/// Why an e-mail came back.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    pub reason: String,
}

/// `POST /email_lists/{id}/subscribers/{subscriber_id}/bounce`.
pub async fn bounce(
    call: Call<Marketing>,
    Path(Both(list, id)): Ids,
    Body(Reason { reason }): Body<Reason>,
) -> Result<Json<CountedSubscriber>> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| subscribers::bounce(conn, actor, (list, id), reason);
    call.db().transaction(job).await.map(Json)
}

/// What the owner of an address follows, without a login.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Links {
    /// For those alone who wait for a confirmation.
    pub confirm: Option<Link>,
    pub unsubscribe: Link,
}

/// `GET /email_lists/{id}/subscribers/{subscriber_id}/links`.
pub async fn links(call: Call<Marketing>, Path(Both(list, id)): Ids) -> Result<Json<Links>> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| subscribers::find(conn, actor.account, (list, id));
    let subscriber = call.db().read(job).await?;
    let link = |purpose: &Purpose| purpose.link(call.host(), actor, subscriber.id);
    Ok(Json(Links {
        confirm: (subscriber.status == Status::Pending).then(|| link(&CONFIRM)).transpose()?,
        unsubscribe: link(&UNSUBSCRIBE)?,
    }))
}
