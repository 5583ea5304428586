//! Which queues are open on this node now.

use std::collections::{BTreeMap, HashMap};

use super::{Queue, Want};
use crate::gate::Gate;

/// The names of the handlers that are registered here, by extension; the core's own stand under `core`.
pub type Handlers = BTreeMap<String, Vec<String>>;

/// What this node may claim: of each queue that is not paused, whose extension's gates are open, and of whose jobs
/// fewer run here than may.
///
/// Everything else waits as it is: nothing fails, and no attempt is burnt. Since no more is claimed than may run, what
/// waited does not come all at once either.
pub fn wants(
    gate: &Gate,
    queues: &[Queue],
    handlers: &Handlers,
    running: &HashMap<String, u32>,
) -> Vec<Want> {
    let is_open = |extension: &str| {
        extension == "core" || gate.find(extension).is_some_and(|it| gate.is_open(it, None))
    };
    let want = |queue: &Queue| {
        let handlers = handlers.get(&queue.extension)?;
        let running = running.get(&queue.name).copied().unwrap_or(0);
        let slots = queue.max_per_node.saturating_sub(running);
        let wanted = slots > 0
            && queue.paused_at.is_none()
            && !handlers.is_empty()
            && is_open(&queue.extension);
        wanted.then(|| Want { queue: queue.name.clone(), handlers: handlers.clone(), slots })
    };
    queues.iter().filter_map(want).collect()
}
