//! `/campaigns/{id}/contents`.

use powernode_plugin_api::prelude::*;

use crate::{
    Marketing,
    models::{
        Actor, Campaign, Content, Step,
        content::{ChangeContent, NewContent, Status},
    },
    services::contents::{self, Filter},
};

/// A campaign and one of its contents, in the path.
pub type Ids = Path<Both<Id<Campaign>, Id<Content>>>;

/// `GET /campaigns/{id}/contents`.
pub async fn list(
    call: Call<Marketing>,
    Path(campaign): Path<Id<Campaign>>,
    Query(filter): Query<Filter>,
    page: Page,
) -> Result<Paged<Content>> {
    let account = call.account()?;
    call.db().read(move |conn| contents::list(conn, account, campaign, &filter, page)).await
}

/// `GET /campaigns/{id}/contents/{content_id}`.
pub async fn show(call: Call<Marketing>, Path(Both(campaign, id)): Ids) -> Result<Json<Content>> {
    let account = call.account()?;
    call.db().read(move |conn| contents::find(conn, account, (campaign, id))).await.map(Json)
}

/// `POST /campaigns/{id}/contents`.
pub async fn create(
    call: Call<Marketing>,
    Path(campaign): Path<Id<Campaign>>,
    Body(new): Body<NewContent>,
) -> Result<Created<Content>> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| contents::create(conn, actor, campaign, new);
    call.db().transaction(job).await.map(Created)
}

/// `POST /campaigns/{id}/contents/{content_id}/variants`.
pub async fn add_variant(
    call: Call<Marketing>,
    Path(Both(campaign, id)): Ids,
    Body(change): Body<ChangeContent>,
) -> Result<Created<Content>> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| contents::add_variant(conn, actor, (campaign, id), change);
    call.db().transaction(job).await.map(Created)
}

/// `PATCH` and `PUT /campaigns/{id}/contents/{content_id}`.
pub async fn update(
    call: Call<Marketing>,
    Path(Both(campaign, id)): Ids,
    Body(change): Body<ChangeContent>,
) -> Result<Json<Content>> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| contents::change(conn, actor, (campaign, id), change);
    call.db().transaction(job).await.map(Json)
}

/// `DELETE /campaigns/{id}/contents/{content_id}`.
pub async fn delete(call: Call<Marketing>, Path(Both(campaign, id)): Ids) -> Result<NoContent> {
    let account = call.account()?;
    let job = move |conn: &mut _| contents::delete(conn, account, (campaign, id));
    call.db().transaction(job).await.map(|()| NoContent)
}

/// Takes a step of the review.
pub async fn take(
    call: Call<Marketing>,
    Path(Both(campaign, id)): Ids,
    step: &'static Step<Status>,
) -> Result<Json<Content>> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| contents::take(conn, actor, (campaign, id), step);
    call.db().transaction(job).await.map(Json)
}
