//! `/analytics`, and the figures that it is made of.

use powernode_plugin_api::prelude::*;

use crate::{
    Marketing,
    models::{Actor, Campaign, metric::NewMetric},
    services::analytics::{
        self, Days, Entered, OfCampaign, OfChannel, Performance, Performer, Ranking, Worth,
    },
};

/// `PUT /campaigns/{id}/metrics`.
pub async fn enter(
    call: Call<Marketing>,
    Path(id): Path<Id<Campaign>>,
    Body(new): Body<NewMetric>,
) -> Result<Json<Entered>> {
    let actor = Actor::of(&call)?;
    call.db().transaction(move |conn| analytics::enter(conn, actor, id, new)).await.map(Json)
}

/// `GET /analytics/overview`.
pub async fn overview(
    call: Call<Marketing>,
    Query(days): Query<Days>,
) -> Result<Json<Performance>> {
    let account = call.account()?;
    call.db().read(move |conn| analytics::overview(conn, account, days)).await.map(Json)
}

/// `GET /analytics/channels`.
pub async fn channels(
    call: Call<Marketing>,
    Query(days): Query<Days>,
) -> Result<Json<Vec<OfChannel>>> {
    let account = call.account()?;
    call.db().read(move |conn| analytics::channels(conn, account, days)).await.map(Json)
}

/// `GET /analytics/campaigns/{id}`.
pub async fn campaign(
    call: Call<Marketing>,
    Path(id): Path<Id<Campaign>>,
    Query(days): Query<Days>,
) -> Result<Json<OfCampaign>> {
    let account = call.account()?;
    call.db().read(move |conn| analytics::campaign(conn, account, id, days)).await.map(Json)
}

/// `GET /analytics/roi`.
pub async fn roi(
    call: Call<Marketing>,
    Query(days): Query<Days>,
    page: Page,
) -> Result<Paged<Worth>> {
    let account = call.account()?;
    call.db().read(move |conn| analytics::roi(conn, account, days, page)).await
}

/// `GET /analytics/top_performers`.
pub async fn top_performers(
    call: Call<Marketing>,
    Query(ranking): Query<Ranking>,
) -> Result<Json<Vec<Performer>>> {
    let account = call.account()?;
    let job = move |conn: &mut _| analytics::top_performers(conn, account, ranking);
    call.db().read(job).await.map(Json)
}
