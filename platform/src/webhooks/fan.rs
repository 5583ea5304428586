//! From an event to a delivery for each endpoint that wants it.

use chrono::{DateTime, Utc};
use diesel::{dsl::insert_into, prelude::*};
use powernode_plugin_api::db::HostConnection;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{CORE, DELIVER, Endpoint, QUEUE, Webhooks};
use crate::{
    db::schema::{core_deliveries, core_webhooks},
    events::{Pattern, Topic},
    queue::{self, NewJob, Outcome, QueueError},
    worker::Task,
};

/// How often a delivery is tried.
pub(super) const ATTEMPTS: u32 = 10;

/// An event, as a subscription's job has it.
#[derive(Deserialize)]
struct Event {
    uid: String,
    topic: String,
    account_id: Option<Uuid>,
    payload: Value,
    published_at: DateTime<Utc>,
}

/// What is sent.
#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    r#type: &'a str,
    created_at: DateTime<Utc>,
    data: &'a Value,
}

impl Webhooks {
    /// Writes the deliveries of one event, each once, however often the event comes.
    pub(super) async fn fan(self, task: Task) -> Outcome {
        let event: Event = match serde_json::from_str(&task.job.args) {
            Ok(event) => event,
            Err(error) => return Outcome::Dead(format!("the event cannot be read: {error}")),
        };
        // What belongs to no account is for no account's endpoint.
        let Some(account) = event.account_id else { return Outcome::Done };
        let Ok(topic) = Topic::parse(&event.topic) else {
            return Outcome::Dead(format!("`{}` is no topic", event.topic));
        };
        let (now, body) = (Utc::now(), event.body());
        let spread = self.core.transaction(move |conn| {
            let own = core_webhooks::table
                .filter(core_webhooks::account_id.eq(account).and(core_webhooks::enabled.eq(true)))
                .select(Endpoint::as_select());
            let endpoints: Vec<Endpoint> = own.load(conn)?;
            for endpoint in endpoints.iter().filter(|it| wants(it, &topic)) {
                write(conn, endpoint.id, &event.uid, &event.topic, &body, now)?;
            }
            Ok::<_, QueueError>(())
        });
        match spread.await {
            Ok(()) => {
                (self.written)();
                Outcome::Done
            }
            Err(error) => Outcome::Retry(format!("{:#}", anyhow::Error::from(error))),
        }
    }
}

impl Event {
    fn body(&self) -> String {
        let Self { uid, topic, payload, published_at, .. } = self;
        let body = Body { id: uid, r#type: topic, created_at: *published_at, data: payload };
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// The body of a test delivery.
pub(super) fn test_body(id: &str, topic: &str, now: DateTime<Utc>) -> String {
    let data = serde_json::json!({ "message": "This is a test: nothing happened." });
    serde_json::to_string(&Body { id, r#type: topic, created_at: now, data: &data })
        .unwrap_or_default()
}

fn wants(endpoint: &Endpoint, topic: &Topic) -> bool {
    let patterns = endpoint.topics.as_array().into_iter().flatten().filter_map(Value::as_str);
    let fits = |part: &str, word: &str| part == "*" || part == word;
    patterns.filter_map(|it| Pattern::parse(it).ok()).any(|pattern| {
        let Topic { extension, entity, verb } = pattern.parts();
        fits(extension, &topic.extension) && fits(entity, &topic.entity) && fits(verb, &topic.verb)
    })
}

/// Writes a delivery and its job, unless the endpoint has one of this event; answers its id.
pub(super) fn write(
    conn: &mut HostConnection,
    endpoint: Uuid,
    event: &str,
    topic: &str,
    body: &str,
    now: DateTime<Utc>,
) -> Result<Option<Uuid>, QueueError> {
    let id = Uuid::now_v7();
    let written = insert_into(core_deliveries::table)
        .values((
            core_deliveries::id.eq(id),
            core_deliveries::webhook_id.eq(endpoint),
            core_deliveries::event.eq(event),
            core_deliveries::topic.eq(topic),
            core_deliveries::body.eq(body),
            core_deliveries::state.eq("pending"),
            core_deliveries::created_at.eq(now),
        ))
        .on_conflict((core_deliveries::webhook_id, core_deliveries::event))
        .do_nothing()
        .execute(conn)?;
    if written == 0 {
        return Ok(None);
    }
    enqueue(conn, id, now)?;
    Ok(Some(id))
}

/// Writes the job of a delivery.
pub(super) fn enqueue(
    conn: &mut HostConnection,
    delivery: Uuid,
    now: DateTime<Utc>,
) -> Result<(), QueueError> {
    let job = NewJob {
        queue: Some(QUEUE.to_owned()),
        max_attempts: ATTEMPTS,
        ..NewJob::new(DELIVER, serde_json::json!({ "delivery": delivery }).to_string())
    };
    queue::enqueue(conn, CORE, &[job], now).map(drop)
}
