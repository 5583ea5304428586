//! Steps from one state to another.

use std::fmt::Display;

use powernode_plugin_api::prelude::*;

/// A change of state: from where, to where, and its word for people.
#[derive(Debug)]
pub struct Step<S: 'static> {
    /// The states in which it may be taken.
    pub from: &'static [S],
    /// The state that it leads to.
    pub to: S,
    /// What was then done: `paused`.
    pub done: &'static str,
}

impl<S: Copy + PartialEq + Display> Step<S> {
    /// The state after this step; 422 where `what` is in a state that does not allow it.
    pub fn take(&self, what: &str, state: S) -> Result<S> {
        if self.from.contains(&state) {
            return Ok(self.to);
        }
        Err(refusal(what, state, self.done))
    }
}

/// `an active campaign cannot be deleted`, as 422.
pub fn refusal(what: &str, state: impl Display, done: &str) -> Error {
    let state = state.to_string();
    let article = if state.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    Error::new(422, "ILLEGAL_TRANSITION", format!("{article} {state} {what} cannot be {done}"))
}
