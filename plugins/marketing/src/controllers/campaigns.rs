//! `/campaigns`.

use chrono::{DateTime, Utc};
use powernode_plugin_api::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    Marketing,
    models::{
        Actor, Campaign, Step,
        campaign::{ChangeCampaign, NewCampaign, Status},
    },
    permissions,
    services::{
        campaigns::{self, Filter, Statistics},
        sendings,
    },
};

/// `/campaigns`.
#[derive(Debug)]
pub struct Campaigns;

impl Resource for Campaigns {
    type Extension = Marketing;
    type Id = Id<Campaign>;
    type Filter = Filter;
    type Row = Campaign;
    type New = NewCampaign;
    type Change = ChangeCampaign;

    const NAME: &'static str = "campaigns";
    const READ: &'static str = permissions::CAMPAIGNS_READ;
    const MANAGE: &'static str = permissions::CAMPAIGNS_MANAGE;

    async fn list(call: Call<Marketing>, filter: Filter, page: Page) -> Result<Paged<Campaign>> {
        let account = call.account()?;
        call.db().read(move |conn| campaigns::list(conn, account, &filter, page)).await
    }

    async fn show(call: Call<Marketing>, id: Id<Campaign>) -> Result<Campaign> {
        let account = call.account()?;
        call.db().read(move |conn| campaigns::find(conn, account, id)).await
    }

    async fn create(call: Call<Marketing>, new: NewCampaign) -> Result<Campaign> {
        let actor = Actor::of(&call)?;
        call.db().transaction(move |conn| campaigns::create(conn, actor, new)).await
    }

    async fn update(
        call: Call<Marketing>,
        id: Id<Campaign>,
        change: ChangeCampaign,
    ) -> Result<Campaign> {
        let actor = Actor::of(&call)?;
        call.db().transaction(move |conn| campaigns::change(conn, actor, id, change)).await
    }

    async fn delete(call: Call<Marketing>, id: Id<Campaign>) -> Result<()> {
        let account = call.account()?;
        call.db().transaction(move |conn| campaigns::delete(conn, account, id)).await
    }
}

/// Takes a step with a campaign.
pub async fn take(
    call: Call<Marketing>,
    id: Id<Campaign>,
    step: &'static Step<Status>,
) -> Result<Json<Campaign>> {
    let actor = Actor::of(&call)?;
    call.db().transaction(move |conn| campaigns::take(conn, actor, id, step)).await.map(Json)
}

/// `POST /campaigns/{id}/execute` and `/launch`: starts it, and what is approved goes out.
pub async fn execute(
    call: Call<Marketing>,
    Path(id): Path<Id<Campaign>>,
) -> Result<Json<Campaign>> {
    let (actor, has_mail) = (Actor::of(&call)?, call.extension().mail.is_some());
    let job = move |conn: &mut _| sendings::execute(conn, actor, id, has_mail);
    call.db().transaction(job).await.map(Json)
}

/// When a campaign starts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    pub scheduled_at: DateTime<Utc>,
}

/// `POST /campaigns/{id}/schedule`.
pub async fn schedule(
    call: Call<Marketing>,
    Path(id): Path<Id<Campaign>>,
    Body(Schedule { scheduled_at }): Body<Schedule>,
) -> Result<Json<Campaign>> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| campaigns::schedule(conn, actor, id, scheduled_at);
    call.db().transaction(job).await.map(Json)
}

/// `POST /campaigns/{id}/clone`.
pub async fn duplicate(
    call: Call<Marketing>,
    Path(id): Path<Id<Campaign>>,
) -> Result<Created<Campaign>> {
    let actor = Actor::of(&call)?;
    call.db().transaction(move |conn| campaigns::duplicate(conn, actor, id)).await.map(Created)
}

/// `GET /campaigns/statistics`.
pub async fn statistics(call: Call<Marketing>) -> Result<Json<Statistics>> {
    let account = call.account()?;
    call.db().read(move |conn| campaigns::statistics(conn, account)).await.map(Json)
}
