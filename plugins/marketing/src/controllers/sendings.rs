//! What a campaign sent, and what came back of it.

use powernode_plugin_api::prelude::*;

use crate::{
    Marketing,
    mail::PASSWORD,
    models::{Actor, Campaign, Entry, Letter, Post, tokens::Token},
    services::{
        deliveries::{self, Filter},
        notices::{self, Notices, Taken},
        posts,
        publications::{self, Publication},
        sendings::{self, Progress},
    },
};

/// `GET /campaigns/{id}/sendings`.
pub async fn list(
    call: Call<Marketing>,
    Path(id): Path<Id<Campaign>>,
) -> Result<Json<Vec<Progress>>> {
    let account = call.account()?;
    call.db().read(move |conn| sendings::list(conn, account, id)).await.map(Json)
}

/// `GET /campaigns/{id}/deliveries`.
pub async fn deliveries(
    call: Call<Marketing>,
    Path(id): Path<Id<Campaign>>,
    Query(filter): Query<Filter>,
    page: Page,
) -> Result<Paged<Letter>> {
    let account = call.account()?;
    call.db().read(move |conn| deliveries::list(conn, account, id, &filter, page)).await
}

/// `GET /campaigns/{id}/posts`.
pub async fn posts(
    call: Call<Marketing>,
    Path(id): Path<Id<Campaign>>,
    page: Page,
) -> Result<Paged<Post>> {
    let account = call.account()?;
    call.db().read(move |conn| posts::list(conn, account, id, page)).await
}

/// `GET /calendar/{id}/publications`.
pub async fn publications(
    call: Call<Marketing>,
    Path(id): Path<Id<Entry>>,
    page: Page,
) -> Result<Paged<Publication>> {
    let account = call.account()?;
    call.db().read(move |conn| publications::list(conn, account, id, page)).await
}

/// `POST /deliveries/notices`: what mail servers report.
pub async fn enter_notices(
    call: Call<Marketing>,
    Body(sent): Body<Notices>,
) -> Result<Json<Taken>> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| notices::enter(conn, actor, &sent.notices);
    call.db().transaction(job).await.map(Json)
}

/// The password of the mail server.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Password {
    /// Kept encrypted, and never shown.
    pub password: Token,
}

/// `PUT /mail/password`: for the whole installation, and therefore for its first account alone.
pub async fn set_password(call: Call<Marketing>, Body(sent): Body<Password>) -> Result<NoContent> {
    let account = call.account()?;
    let first = call.host().accounts().all(None, 1).await?;
    if first.first().map(|it| it.id) != Some(account) {
        // As with every row of another account: it is not there.
        return Err(Error::not_found("mail server"));
    }
    if !sent.password.is_valid() {
        return Err(Error::invalid(
            "password",
            "must have 1 to 4096 characters and no white space",
        ));
    }
    call.host().settings().set_secret(PASSWORD, sent.password.reveal().as_bytes()).await?;
    Ok(NoContent)
}
