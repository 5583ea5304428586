//! Webhooks: events sent to addresses of an account's choice, signed, retried, and logged.
//!
//! Data flows event → fan-out → delivery → attempt. Endpoints are one subscription among others: a job of the core's
//! hears every event, writes a delivery for each endpoint of the event's account that wants it, and a job for each
//! delivery, in one transaction. What an endpoint answers is kept beside the delivery.

mod attempt;
mod breaker;
mod delivery;
mod endpoint;
mod fan;
mod secret;
mod sign;

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use powernode_plugin_api::{
    Db,
    db::{HostConnection, RunError},
};

pub use self::{
    delivery::{Deliveries, Delivery, DeliveryState, Redelivered, deliveries, redeliver},
    endpoint::{Endpoint, NewEndpoint, WebhookError},
    secret::Secret,
    sign::{HEADER, signed},
};
use crate::{
    egress::Egress,
    events::{self, NewSubscription, Pattern},
    queue::{Missed, NewJob},
    services::MasterKey,
    worker::{Contribution, Crew, NewQueue, NewSchedule, Options, Task},
};

/// Whose the jobs are: the core's own.
const CORE: &str = "core";
/// The second part of their queue's name.
const QUEUE: &str = "webhooks";
/// Hears every event, and writes the deliveries.
const FAN: &str = "webhooks";
/// Sends one delivery.
const DELIVER: &str = "webhook_deliver";
/// Deletes deliveries that are old.
const PRUNE: &str = "webhook_prune";

/// The endpoints of all accounts.
#[derive(Clone)]
pub struct Webhooks {
    core: Db,
    egress: Egress,
    key: Arc<MasterKey>,
    /// Rung when deliveries were written.
    written: Arc<dyn Fn() + Send + Sync>,
}

impl Webhooks {
    /// Endpoints in the core's tables, with secrets under `key`; `written` is called when jobs were written.
    pub fn new(
        core: Db,
        egress: Egress,
        key: Arc<MasterKey>,
        written: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self { core, egress, key, written }
    }

    /// Registers the handlers of their jobs; deliveries are kept as long as `keep` says.
    pub fn join(&self, crew: &mut Crew, keep: std::time::Duration) {
        let (fan, send, prune) = (self.clone(), self.clone(), self.clone());
        let named = [
            crew.register(CORE, FAN, Options::default(), move |task: Task| fan.clone().fan(task)),
            crew.register(CORE, DELIVER, attempt::options(), move |task: Task| {
                send.clone().attempt(task)
            }),
            crew.register(CORE, PRUNE, Options::default(), move |_: Task| {
                prune.clone().prune(keep)
            }),
        ];
        debug_assert!(named.into_iter().all(|it| it), "the core's handlers have other names");
    }

    /// What the core contributes to the queue for them.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn contribution(&self) -> Result<Contribution, RunError> {
        let any = self.core.read(|conn| endpoint::any(conn).map_err(RunError::from)).await?;
        Ok(Contribution {
            slug: CORE.to_owned(),
            queues: vec![NewQueue { name: Some(QUEUE.to_owned()), ..NewQueue::default() }],
            schedules: vec![NewSchedule {
                name: PRUNE.to_owned(),
                expression: "every 1h".to_owned(),
                zone: "UTC".to_owned(),
                job: NewJob { queue: Some(QUEUE.to_owned()), ..NewJob::new(PRUNE, "{}") },
                missed: Missed::Skip,
            }],
            subscriptions: heard(any),
        })
    }
}

/// Who hears events for endpoints: nobody, while there are none, so that events cost no job.
fn heard(any: bool) -> Vec<NewSubscription> {
    let all = Pattern::parse("*.*.*").ok().filter(|_| any);
    let heard = all.map(|pattern| NewSubscription {
        handler: FAN.to_owned(),
        pattern,
        ordered: false,
        queue: format!("{CORE}:{QUEUE}"),
        priority: crate::queue::DEFAULT_PRIORITY,
        max_attempts: crate::queue::DEFAULT_ATTEMPTS,
        timeout_ms: None,
    });
    heard.into_iter().collect()
}

/// Hears events as long as there is an endpoint. Call it in the transaction that makes or removes one.
fn hear(conn: &mut HostConnection, now: DateTime<Utc>) -> diesel::QueryResult<()> {
    let any = endpoint::any(conn)?;
    events::sync(conn, CORE, &heard(any), now).map(drop)
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Webhooks")
    }
}
