//! One attempt to deliver.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::db::{HostConnection, RunError};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Delivery, Endpoint, Secret, Webhooks,
    breaker::Health,
    secret::{self, Which},
    signed,
};
use crate::{
    db::schema::{core_deliveries, core_webhooks},
    egress::{Answer, EgressError, Outgoing},
    queue::Outcome,
    worker::{Options, Task},
};

/// How long an endpoint may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much of an answer is read, in bytes, and how much is kept, in characters.
const READ: u64 = 64 << 10;
const KEPT: usize = 1_000;
/// After how many seconds it is tried again: the first time, the second, and so on.
const AGAIN: [u64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// How long an endpoint may ask to be left alone.
const LONGEST_WAIT: u64 = 86_400;

#[derive(Deserialize)]
struct Args {
    delivery: Uuid,
}

/// What an attempt needs.
struct Ready {
    delivery: Delivery,
    endpoint: Endpoint,
    secrets: Vec<Secret>,
}

/// What became of an attempt.
struct Made {
    status: Option<u16>,
    error: Option<String>,
    response: Option<String>,
    took: Duration,
    /// The endpoint asks to be left alone for so long.
    retry_after: Option<Duration>,
}

pub(super) fn options() -> Options {
    Options { timeout: Some(PATIENCE * 3) }
}

impl Webhooks {
    /// Sends a delivery, and writes down what became of that.
    pub(super) async fn attempt(self, task: Task) -> Outcome {
        let Ok(Args { delivery }) = serde_json::from_str(&task.job.args) else {
            return Outcome::Dead("the job names no delivery".to_owned());
        };
        let (key, now) = (self.key.clone(), Utc::now());
        let found = self.core.read(move |conn| {
            let Some((delivery, endpoint)) = find(conn, delivery)? else { return Ok(None) };
            let mut secrets =
                Vec::from_iter(secret::find(conn, &key, endpoint.id, Which::Current)?);
            if endpoint.previous_until.is_some_and(|it| it > now) {
                secrets.extend(secret::find(conn, &key, endpoint.id, Which::Previous)?);
            }
            Ok::<_, RunError>(Some(Ready { delivery, endpoint, secrets }))
        });
        let ready = match found.await {
            Ok(Some(ready)) => ready,
            Ok(None) => return Outcome::Discard("the webhook was removed".to_owned()),
            Err(error) => return Outcome::Retry(error.to_string()),
        };
        if !ready.endpoint.enabled {
            let why = "the webhook is switched off".to_owned();
            return self.give_up(ready.delivery.id, why, now).await;
        }
        if let Some(wait) = ready.endpoint.paused_until.and_then(|it| (it - now).to_std().ok()) {
            return Outcome::Snooze(wait);
        }
        let made = self.send(&ready, now).await;
        let is_last = task.job.fence.attempt >= task.job.max_attempts;
        let outcome = outcome(&made, task.job.fence.attempt);
        let written = self.core.transaction(move |conn| {
            book(conn, &ready, &made, is_last, Utc::now()).map_err(RunError::from)
        });
        match written.await {
            Ok(()) => outcome,
            // It may come twice: the endpoint knows it by its id.
            Err(error) => Outcome::Retry(error.to_string()),
        }
    }

    async fn send(&self, ready: &Ready, now: DateTime<Utc>) -> Made {
        let Ready { delivery, endpoint, secrets } = ready;
        if secrets.is_empty() {
            return Made::failed("the webhook's secret does not open: rotate it");
        }
        let mut headers =
            signed(&delivery.event, now.timestamp(), delivery.body.as_bytes(), secrets);
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
        let begun = Instant::now();
        let answer = self.egress.send(Outgoing {
            method: "POST".to_owned(),
            url: endpoint.url.clone(),
            headers,
            body: delivery.body.clone().into_bytes(),
            timeout: Some(PATIENCE),
            max_answer: Some(READ),
            redirects: 0,
        });
        Made::of(answer.await, begun.elapsed())
    }

    async fn give_up(&self, delivery: Uuid, why: String, now: DateTime<Utc>) -> Outcome {
        let reason = why.clone();
        let written = self.core.transaction(move |conn| {
            diesel::update(core_deliveries::table.find(delivery))
                .set((
                    core_deliveries::state.eq("failed"),
                    core_deliveries::error.eq(Some(reason)),
                    core_deliveries::attempted_at.eq(Some(now)),
                ))
                .execute(conn)
                .map_err(RunError::from)
        });
        match written.await {
            Ok(_) => Outcome::Discard(why),
            Err(error) => Outcome::Retry(error.to_string()),
        }
    }
}

impl Made {
    fn failed(error: impl Into<String>) -> Self {
        let error = Some(error.into());
        Self { status: None, error, response: None, took: Duration::ZERO, retry_after: None }
    }

    fn of(answer: Result<Answer, EgressError>, took: Duration) -> Self {
        let Answer { status, headers, body } = match answer {
            Ok(answer) => answer,
            Err(error) => return Self { took, ..Self::failed(error.to_string()) },
        };
        let text = String::from_utf8_lossy(&body).replace('\0', "\u{fffd}");
        let response = Some(text.chars().take(KEPT).collect());
        let error = (!(200..300).contains(&status)).then(|| match status {
            300..400 => format!("it answered {status}: redirects are not followed"),
            _ => format!("it answered {status}"),
        });
        let asks = matches!(status, 429 | 502 | 503 | 504);
        let after = headers.iter().find(|(name, _)| asks && name == "retry-after");
        let retry_after = after
            .and_then(|(_, value)| value.parse::<u64>().ok())
            .map(|seconds| Duration::from_secs(seconds.min(LONGEST_WAIT)));
        Self { status: Some(status), error, response, took, retry_after }
    }

    fn is_well(&self) -> bool {
        self.error.is_none()
    }

    /// It wants nothing more, for good.
    fn is_gone(&self) -> bool {
        self.status == Some(410)
    }
}

/// What the queue does after this attempt, which is so many of its kind.
fn outcome(made: &Made, attempt: u32) -> Outcome {
    let Some(error) = &made.error else { return Outcome::Done };
    if made.is_gone() {
        return Outcome::Discard(error.clone());
    }
    let which = (attempt.max(1) as usize - 1).min(AGAIN.len() - 1);
    let wait = Duration::from_secs(AGAIN.get(which).copied().unwrap_or(LONGEST_WAIT));
    Outcome::RetryIn(wait.max(made.retry_after.unwrap_or_default()), error.clone())
}

fn find(conn: &mut HostConnection, delivery: Uuid) -> QueryResult<Option<(Delivery, Endpoint)>> {
    core_deliveries::table
        .inner_join(core_webhooks::table)
        .filter(core_deliveries::id.eq(delivery))
        .select((Delivery::as_select(), Endpoint::as_select()))
        .first(conn)
        .optional()
}

/// Writes down what became of an attempt, of its delivery and of its endpoint.
fn book(
    conn: &mut HostConnection,
    ready: &Ready,
    made: &Made,
    is_last: bool,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let state = match made.is_well() {
        true => "delivered",
        false if is_last || made.is_gone() => "failed",
        false => "pending",
    };
    diesel::update(core_deliveries::table.find(ready.delivery.id))
        .set((
            core_deliveries::state.eq(state),
            core_deliveries::attempts.eq(core_deliveries::attempts + 1),
            core_deliveries::status.eq(made.status.map(i64::from)),
            core_deliveries::error.eq(made.error.clone()),
            core_deliveries::response.eq(made.response.clone()),
            core_deliveries::took_ms.eq(i64::try_from(made.took.as_millis()).ok()),
            core_deliveries::attempted_at.eq(Some(now)),
        ))
        .execute(conn)?;
    // As it is now: others were sent there meanwhile.
    let endpoint = core_webhooks::table.find(ready.endpoint.id);
    let counted = endpoint.select((core_webhooks::failures, core_webhooks::trips));
    let Some((failures, trips)) = counted.first::<(i64, i64)>(conn).optional()? else {
        return Ok(());
    };
    let before = Health { failures, trips };
    let (health, pause) = if made.is_well() { (Health::well(), None) } else { before.failed() };
    let gone = made.is_gone().then(|| "it answered 410: it wants nothing more".to_owned());
    if health != before {
        diesel::update(core_webhooks::table.find(ready.endpoint.id))
            .set((
                core_webhooks::failures.eq(health.failures),
                core_webhooks::trips.eq(health.trips),
                core_webhooks::paused_until.eq(pause.map(|it| now + it)),
            ))
            .execute(conn)?;
    }
    if gone.is_some() {
        diesel::update(core_webhooks::table.find(ready.endpoint.id))
            .set((core_webhooks::enabled.eq(false), core_webhooks::disabled_reason.eq(gone)))
            .execute(conn)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, headers: &[(&str, &str)]) -> Made {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let answer = Answer { status, headers: headers.collect(), body: b"said".to_vec() };
        Made::of(Ok(answer), Duration::ZERO)
    }

    fn waits(made: &Made, attempt: u32) -> Option<u64> {
        match outcome(made, attempt) {
            Outcome::RetryIn(wait, _) => Some(wait.as_secs()),
            _ => None,
        }
    }

    #[test]
    fn what_answers_2xx_is_delivered_and_nothing_else_is() {
        assert_eq!(outcome(&answered(204, &[]), 1), Outcome::Done);
        for status in [199, 301, 400, 401, 404, 500, 503] {
            assert_eq!(waits(&answered(status, &[]), 1), Some(5), "{status}");
        }
        assert!(matches!(outcome(&answered(410, &[]), 1), Outcome::Discard(_)));
    }

    #[test]
    fn it_is_tried_again_ever_later() {
        let waited: Vec<_> = (1..=11).map(|it| waits(&Made::failed("no"), it).unwrap()).collect();
        assert_eq!(waited, [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400, 86400, 86400]);
    }

    #[test]
    fn an_endpoint_that_asks_for_time_has_it() {
        let asks = |status, after| waits(&answered(status, &[("retry-after", after)]), 1);
        assert_eq!(asks(429, "60"), Some(60));
        assert_eq!(asks(503, "1"), Some(5));
        assert_eq!(asks(429, "99999999"), Some(86_400));
        assert_eq!(asks(429, "soon"), Some(5));
        assert_eq!(asks(400, "60"), Some(5));
    }
}
