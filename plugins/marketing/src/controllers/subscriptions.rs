//! `/subscriptions/{link}`: for the owner of an address, who has a signed link and no login.

use chrono::{DateTime, TimeDelta, Utc};
use powernode_plugin_api::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    Marketing,
    models::{
        Actor, Step, Subscriber,
        subscriber::{self, Status},
    },
    services::subscribers::{self, Subscription},
};

/// What a link is for: it opens the routes of its own purpose alone.
#[derive(Debug)]
pub struct Purpose {
    /// The last part of its path.
    pub name: &'static str,
    /// What its owner may do with it.
    pub step: &'static Step<Status>,
    /// How many days it is good for.
    days: Option<i64>,
}

/// Double opt-in: whoever does not confirm within a week has to be asked again.
pub const CONFIRM: Purpose = Purpose { name: "confirm", step: &subscriber::CONFIRM, days: Some(7) };
/// It stands in each e-mail, and must work whenever that is read.
pub const UNSUBSCRIBE: Purpose =
    Purpose { name: "unsubscribe", step: &subscriber::UNSUBSCRIBE, days: None };

/// A link, below the platform's address.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Link {
    pub path: String,
    /// Never, where there is none.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Purpose {
    /// The link of one subscriber.
    pub fn link(&self, host: &Host, actor: Actor, id: Id<Subscriber>) -> Result<Link> {
        let expires_at = self.days.map(|it| actor.now + TimeDelta::days(it));
        let signed = host.links().sign(self.name, actor.account, &id.to_string(), expires_at)?;
        let path = format!("/api/v1/{}/subscriptions/{signed}/{}", host.slug(), self.name);
        Ok(Link { path, expires_at })
    }
}

/// `GET /subscriptions/{link}/…`. It changes nothing: mail programs look at links beforehand.
pub async fn show(call: Call<Marketing>) -> Result<Json<Subscription>> {
    let (account, id) = (call.account()?, call.link()?);
    call.db().read(move |conn| subscribers::subscription(conn, account, id)).await.map(Json)
}

/// `POST /subscriptions/{link}/…`: takes the step that the link is for.
pub async fn take(
    call: Call<Marketing>,
    step: &'static Step<Status>,
) -> Result<Json<Subscription>> {
    let (actor, id) = (Actor::of(&call)?, call.link()?);
    let job = move |conn: &mut _| subscribers::take_by_link(conn, actor, id, step);
    call.db().transaction(job).await.map(Json)
}
