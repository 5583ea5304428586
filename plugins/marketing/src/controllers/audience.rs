//! `/campaigns/{id}/email_lists`.

use powernode_plugin_api::prelude::*;

use crate::{
    Marketing,
    models::{Actor, Campaign, EmailList, email_list::CountedList},
    services::audience,
};

/// A campaign and a list, in the path.
type Ids = Path<Both<Id<Campaign>, Id<EmailList>>>;

/// `GET /campaigns/{id}/email_lists`.
pub async fn list(
    call: Call<Marketing>,
    Path(campaign): Path<Id<Campaign>>,
) -> Result<Json<Vec<CountedList>>> {
    let account = call.account()?;
    call.db().read(move |conn| audience::list(conn, account, campaign)).await.map(Json)
}

/// `PUT /campaigns/{id}/email_lists/{list_id}`.
pub async fn attach(call: Call<Marketing>, Path(Both(campaign, list)): Ids) -> Result<NoContent> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| audience::attach(conn, actor, (campaign, list));
    call.db().transaction(job).await.map(|()| NoContent)
}

/// `DELETE /campaigns/{id}/email_lists/{list_id}`.
pub async fn detach(call: Call<Marketing>, Path(Both(campaign, list)): Ids) -> Result<NoContent> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| audience::detach(conn, actor, (campaign, list));
    call.db().transaction(job).await.map(|()| NoContent)
}
