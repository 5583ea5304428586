//! Deliveries, as accounts and operators see them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::{
    Db,
    db::{HostConnection, RunError},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    WebhookError, Webhooks,
    endpoint::{self, subject},
    fan,
};
use crate::{
    audit::{self, By, Entry},
    db::schema::{core_deliveries, core_webhooks},
    queue::{Outcome, QueueError},
};

/// Most deliveries of one page.
const MOST: u32 = 100;
/// The topic of a test.
const TEST: &str = "core.webhook.test";

/// One event, and what became of sending it.
#[derive(Clone, Debug, Queryable, Selectable, Serialize, JsonSchema)]
#[diesel(table_name = core_deliveries)]
pub struct Delivery {
    /// Its id.
    pub id: Uuid,
    /// Where it is sent.
    pub webhook_id: Uuid,
    /// The event's name, which is the `webhook-id` of the delivery.
    pub event: String,
    /// The event's topic.
    pub topic: String,
    /// What is sent.
    pub body: String,
    /// How far it is.
    #[schemars(with = "DeliveryState")]
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// What was answered last: the status,
    pub status: Option<i64>,
    /// what was wrong,
    pub error: Option<String>,
    /// and how the answer began.
    pub response: Option<String>,
    /// How long that took, in milliseconds.
    pub took_ms: Option<i64>,
    /// When it was tried last.
    pub attempted_at: Option<DateTime<Utc>>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is tried, or tried again.
    Pending,
    /// The endpoint answered 2xx.
    Delivered,
    /// It is not tried any more.
    Failed,
}

/// Which deliveries; what is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct Deliveries {
    /// Of this account.
    pub account: Option<Uuid>,
    /// To this endpoint.
    pub webhook: Option<Uuid>,
    /// So far.
    pub state: Option<DeliveryState>,
    /// Older than this one: the last of the page before.
    pub before: Option<Uuid>,
}

/// What came of sending again.
#[derive(Clone, Debug)]
pub enum Redelivered {
    /// It is sent again.
    Again(Box<Delivery>),
    /// It is being sent.
    Pending,
    /// There is no such delivery.
    Unknown,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Failed];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// Up to `most` deliveries, and never more than 100, the newest first.
///
/// # Errors
///
/// The database's.
pub async fn deliveries(
    core: &Db,
    which: Deliveries,
    most: u32,
) -> Result<Vec<Delivery>, RunError> {
    core.read(move |conn| Ok(list(conn, &which, most)?)).await
}

/// Sends a delivery again that ended, of an account or of any: ring the worker's bell then.
///
/// # Errors
///
/// The database's.
pub async fn redeliver(
    core: &Db,
    account: Option<Uuid>,
    id: Uuid,
    by: By,
) -> Result<Redelivered, WebhookError> {
    core.transaction(move |conn| again(conn, account, id, &by)).await.map_err(failed)
}

impl Webhooks {
    /// Sends an event that says nothing to an endpoint of an account, whatever that wants to hear.
    ///
    /// # Errors
    ///
    /// [`WebhookError`].
    pub async fn test(&self, account: Uuid, id: Uuid, by: By) -> Result<Delivery, WebhookError> {
        let test = move |conn: &mut HostConnection| {
            let found = endpoint::find(conn, account, id);
            let Ok(endpoint) = found else { return Ok(None) };
            let event = format!("evt_{}", Uuid::now_v7().simple());
            let body = fan::test_body(&event, TEST, by.at);
            let written = fan::write(conn, endpoint.id, &event, TEST, &body, by.at)?;
            audit::append(conn, &by, Entry::new("webhook.test", subject(id)))?;
            let Some(written) = written else { return Ok(None) };
            let row = core_deliveries::table.find(written).select(Delivery::as_select());
            Ok::<_, QueueError>(Some(row.first(conn)?))
        };
        let made = self.core.transaction(test).await.map_err(failed)?;
        (self.written)();
        made.ok_or(WebhookError::Unknown)
    }

    /// Deletes deliveries that ended and are older than `keep`.
    pub(super) async fn prune(self, keep: Duration) -> Outcome {
        let until = chrono::TimeDelta::from_std(keep)
            .ok()
            .and_then(|keep| Utc::now().checked_sub_signed(keep));
        let Some(until) = until else { return Outcome::Done };
        let pruned = self.core.transaction(move |conn| {
            let old = core_deliveries::created_at.lt(until);
            let ended = old.and(core_deliveries::state.ne("pending"));
            let gone = diesel::delete(core_deliveries::table.filter(ended)).execute(conn);
            gone.map_err(RunError::from)
        });
        match pruned.await {
            Ok(_) => Outcome::Done,
            Err(error) => Outcome::Retry(error.to_string()),
        }
    }
}

fn list(conn: &mut HostConnection, which: &Deliveries, most: u32) -> QueryResult<Vec<Delivery>> {
    let mut query = core_deliveries::table
        .inner_join(core_webhooks::table)
        .order(core_deliveries::id.desc())
        .limit(i64::from(most.min(MOST)))
        .select(Delivery::as_select())
        .into_boxed();
    if let Some(account) = which.account {
        query = query.filter(core_webhooks::account_id.eq(account));
    }
    if let Some(webhook) = which.webhook {
        query = query.filter(core_deliveries::webhook_id.eq(webhook));
    }
    if let Some(state) = which.state {
        query = query.filter(core_deliveries::state.eq(state.word()));
    }
    if let Some(before) = which.before {
        query = query.filter(core_deliveries::id.lt(before));
    }
    query.load(conn)
}

fn again(
    conn: &mut HostConnection,
    account: Option<Uuid>,
    id: Uuid,
    by: &By,
) -> Result<Redelivered, QueueError> {
    let found: Option<(Delivery, Uuid)> = core_deliveries::table
        .inner_join(core_webhooks::table)
        .filter(core_deliveries::id.eq(id))
        .select((Delivery::as_select(), core_webhooks::account_id))
        .first(conn)
        .optional()?;
    let own = |it: &(Delivery, Uuid)| account.is_none_or(|account| account == it.1);
    let Some((delivery, _)) = found.filter(own) else { return Ok(Redelivered::Unknown) };
    if delivery.state == "pending" {
        return Ok(Redelivered::Pending);
    }
    let again: Delivery = diesel::update(core_deliveries::table.find(id))
        .set((core_deliveries::state.eq("pending"), core_deliveries::error.eq(None::<String>)))
        .returning(Delivery::as_returning())
        .get_result(conn)?;
    fan::enqueue(conn, id, by.at)?;
    audit::append(conn, by, Entry::new("webhook.redeliver", format!("delivery/{id}")))?;
    Ok(Redelivered::Again(Box::new(again)))
}

fn failed(error: QueueError) -> WebhookError {
    match error {
        QueueError::Database(error) => error.into(),
        QueueError::Run(error) => error.into(),
        QueueError::Job(error) => WebhookError::Field { field: "job", fault: error.to_string() },
    }
}
