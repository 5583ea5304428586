//! `/subscriptions/{link}`: for the owner of an address, who has a signed link and no login.
//!
//! A browser gets a page, a program JSON. `POST` needs no body and reads none, so that it is also what RFC 8058 asks
//! of a `List-Unsubscribe` header: one request of the mail program, and no question.

use chrono::{DateTime, TimeDelta, Utc};
use powernode_plugin_api::{operation::Operation, prelude::*};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::{
    Marketing,
    models::{
        Actor, Step, Subscriber,
        subscriber::{self, Status},
    },
    services::subscribers::{self, Subscription},
};

mod page;

/// What a link is for: it opens the routes of its own purpose alone.
#[derive(Debug)]
pub struct Purpose {
    /// The last part of its path.
    pub name: &'static str,
    /// What its owner may do with it.
    pub step: &'static Step<Status>,
    /// How many days it is good for.
    days: Option<i64>,
    /// What its owner is asked, with the address behind it.
    question: &'static str,
    /// What its owner answers by.
    button: &'static str,
}

/// Double opt-in: whoever does not confirm within a week has to be asked again.
pub const CONFIRM: Purpose = Purpose {
    name: "confirm",
    step: &subscriber::CONFIRM,
    days: Some(7),
    question: "Send the e-mails of this list to",
    button: "Confirm",
};
/// It stands in each e-mail, and must work whenever that is read.
pub const UNSUBSCRIBE: Purpose = Purpose {
    name: "unsubscribe",
    step: &subscriber::UNSUBSCRIBE,
    days: None,
    question: "Send no more e-mails of this list to",
    button: "Unsubscribe",
};

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

/// A subscription as its owner sees it.
#[derive(Debug)]
pub struct Shown {
    subscription: Subscription,
    /// What the link is for, where a page is wanted.
    page: Option<&'static Purpose>,
}

impl Shown {
    fn new(call: &Call<Marketing>, purpose: &'static Purpose, subscription: Subscription) -> Self {
        let page = call.header("accept").is_some_and(page::is_wanted);
        Self { subscription, page: page.then_some(purpose) }
    }
}

impl Answer for Shown {
    fn answer(self) -> Result<Response> {
        let response = match self.page {
            Some(purpose) => page::response(purpose, &self.subscription),
            None => Json(self.subscription).answer()?,
        };
        Ok(response.with_header("vary", "Accept"))
    }

    fn describe(operation: &mut Operation) {
        operation.answer::<Subscription>(200);
        operation.other_answers.insert("text/html".to_owned(), json!({ "type": "string" }));
    }
}

/// `GET /subscriptions/{link}/…`. It changes nothing: mail programs look at links beforehand.
pub async fn show(call: Call<Marketing>, purpose: &'static Purpose) -> Result<Shown> {
    let (account, id) = (call.account()?, call.link()?);
    let job = move |conn: &mut _| subscribers::subscription(conn, account, id);
    let subscription = call.db().read(job).await?;
    Ok(Shown::new(&call, purpose, subscription))
}

/// `POST /subscriptions/{link}/…`: takes the step that the link is for.
pub async fn take(call: Call<Marketing>, purpose: &'static Purpose) -> Result<Shown> {
    let (actor, id) = (Actor::of(&call)?, call.link()?);
    let job = move |conn: &mut _| subscribers::follow(conn, actor, id, purpose.step);
    let subscription = call.db().transaction(job).await?;
    Ok(Shown::new(&call, purpose, subscription))
}
