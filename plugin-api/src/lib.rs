//! What the author of a powernode extension depends on.
