//! Tells followers what became of jobs: sums, twice a second at most.

use std::{collections::BTreeMap, time::Duration};

use chrono::Utc;
use powernode_plugin_api::{Db, db::RunError};
use serde_json::{Value, json};

use super::JobMeters;
use crate::changes::{self, JOBS};

/// How often it is told.
const PACE: Duration = Duration::from_millis(500);

/// How often jobs of each handler ended so, by extension, handler and word.
type Ended = BTreeMap<(String, String, &'static str), u64>;

/// Tells what ended in this process, until it is dropped.
pub async fn report(core: Db, meters: JobMeters) {
    let mut before = Ended::new();
    loop {
        tokio::time::sleep(PACE).await;
        let now = meters.ended();
        let data = since(&before, &now);
        before = now;
        let Some(data) = data else { continue };
        let written = core.transaction(move |conn| {
            changes::write(conn, JOBS, None, &data, Utc::now()).map_err(RunError::from)
        });
        if let Err(error) = written.await {
            tracing::debug!("Cannot tell what became of jobs: {error}");
        }
    }
}

/// What ended since then, as followers see it; none where nothing did.
fn since(before: &Ended, now: &Ended) -> Option<Value> {
    let more = now.iter().filter_map(|(key, count)| {
        let more = count - before.get(key).copied().unwrap_or(0);
        let (extension, handler, outcome) = key;
        let said =
            json!({ "extension": extension, "handler": handler, "outcome": outcome, "jobs": more });
        (more > 0).then_some(said)
    });
    let ended: Vec<Value> = more.collect();
    (!ended.is_empty()).then(|| json!({ "ended": ended }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_tell_what_is_new_alone() {
        let key = |word| ("shop".to_owned(), "send".to_owned(), word);
        let before = Ended::from([(key("done"), 3), (key("dead"), 1)]);
        let now = Ended::from([(key("done"), 5), (key("dead"), 1), (key("retried"), 2)]);
        assert_eq!(since(&before, &before), None);
        assert_eq!(
            since(&before, &now).unwrap(),
            json!({ "ended": [
                { "extension": "shop", "handler": "send", "outcome": "done", "jobs": 2 },
                { "extension": "shop", "handler": "send", "outcome": "retried", "jobs": 2 },
            ] })
        );
    }
}
