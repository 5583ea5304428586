//! Nodes tell each other that there is something to do.

use super::Workshop;

/// As long as this is held, other nodes are heard and told.
pub(super) struct Listening;

pub(super) fn start(_shop: &Workshop) -> Listening {
    Listening
}
