//! `/calendar`.

use powernode_plugin_api::prelude::*;

use crate::{
    Marketing,
    models::{
        Actor, Entry, Step,
        calendar_entry::{ChangeEntry, NewEntry, Occurrence, Status},
    },
    services::{
        calendar::{self, Filter, Planned},
        publications,
    },
};

/// `GET /calendar`.
pub async fn list(
    call: Call<Marketing>,
    Query(filter): Query<Filter>,
    page: Page,
) -> Result<Paged<Occurrence>> {
    let account = call.account()?;
    call.db().read(move |conn| calendar::list(conn, account, &filter, page)).await
}

/// `GET /calendar/conflicts`.
pub async fn conflicts(
    call: Call<Marketing>,
    Query(planned): Query<Planned>,
) -> Result<Json<Vec<Occurrence>>> {
    let account = call.account()?;
    call.db().read(move |conn| calendar::conflicts(conn, account, &planned)).await.map(Json)
}

/// `GET /calendar/{id}`.
pub async fn show(call: Call<Marketing>, Path(id): Path<Id<Entry>>) -> Result<Json<Entry>> {
    let account = call.account()?;
    call.db().read(move |conn| calendar::find(conn, account, id)).await.map(Json)
}

/// `POST /calendar`.
pub async fn create(call: Call<Marketing>, Body(new): Body<NewEntry>) -> Result<Created<Entry>> {
    let actor = Actor::of(&call)?;
    call.db().transaction(move |conn| calendar::create(conn, actor, new)).await.map(Created)
}

/// `PATCH` and `PUT /calendar/{id}`.
pub async fn update(
    call: Call<Marketing>,
    Path(id): Path<Id<Entry>>,
    Body(change): Body<ChangeEntry>,
) -> Result<Json<Entry>> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| {
        let entry = calendar::change(conn, actor, id, change)?;
        publications::plan(conn, &entry, actor.now).map(|()| entry)
    };
    call.db().transaction(job).await.map(Json)
}

/// `DELETE /calendar/{id}`.
pub async fn delete(call: Call<Marketing>, Path(id): Path<Id<Entry>>) -> Result<NoContent> {
    let account = call.account()?;
    let job = move |conn: &mut _| calendar::delete(conn, account, id);
    call.db().transaction(job).await.map(|()| NoContent)
}

/// Takes a step with an entry.
pub async fn take(
    call: Call<Marketing>,
    id: Id<Entry>,
    step: &'static Step<Status>,
) -> Result<Json<Entry>> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| {
        let entry = calendar::take(conn, actor, id, step)?;
        publications::plan(conn, &entry, actor.now).map(|()| entry)
    };
    call.db().transaction(job).await.map(Json)
}
