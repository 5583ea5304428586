//! `/subscriptions/{token}`: for the owner of an address, who has a token and no account.

use powernode_plugin_api::prelude::*;

use crate::{
    Marketing,
    models::{Step, subscriber::Status},
    services::subscribers::{self, Subscription},
};

/// `GET /subscriptions/{token}`. It changes nothing: mail programs look at links beforehand.
pub async fn show(call: Call<Marketing>, Path(token): Path<String>) -> Result<Json<Subscription>> {
    call.db().read(move |conn| subscribers::subscription(conn, &token)).await.map(Json)
}

/// Takes a step for the holder of a token.
pub async fn take(
    call: Call<Marketing>,
    Path(token): Path<String>,
    step: &'static Step<Status>,
) -> Result<Json<Subscription>> {
    let now = call.host().runtime().now();
    let job = move |conn: &mut _| subscribers::take_by_token(conn, &token, step, now);
    call.db().transaction(job).await.map(Json)
}
