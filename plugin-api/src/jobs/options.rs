//! How a handler wants to be called.

use serde::{Deserialize, Serialize};

/// How a handler wants to be called; crosses the boundary as JSON text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobOptions {
    /// The second part of the queue's name, `mail` of `shop:mail`; none: the extension's own queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// How long one attempt may take, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How often a job is tried, the first time included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// From 0, which runs first, to 9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// How many jobs of its queue run at once in one process, until an operator says otherwise. Of several handlers
    /// in one queue the lowest number holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// The same in all processes together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency_of_all: Option<u32>,
}

/// What a handler may say of itself, as methods of a type with `options_mut`.
macro_rules! says {
    ($type:ident) => {
        impl<E> $type<E> {
            /// In the queue `<slug>:<name>`; the name has letters, digits, `_` and `-`.
            pub fn queue(&mut self, name: &str) -> &mut Self {
                self.options_mut().queue = Some(name.to_owned());
                self
            }

            /// One attempt may take this long, to the millisecond; then its future is dropped where it waits.
            pub fn timeout(&mut self, timeout: std::time::Duration) -> &mut Self {
                self.options_mut().timeout_ms = Some($crate::jobs::milliseconds(timeout));
                self
            }

            /// A job is tried so often, the first time included; 26 times if nobody says.
            pub fn attempts(&mut self, attempts: u32) -> &mut Self {
                self.options_mut().max_attempts = Some(attempts);
                self
            }

            /// From 0, which runs first, to 9; 5 if nobody says.
            pub fn priority(&mut self, priority: u8) -> &mut Self {
                self.options_mut().priority = Some(priority);
                self
            }

            /// So many jobs of its queue run at once in one process, until an operator says otherwise.
            pub fn concurrency(&mut self, runs: u32) -> &mut Self {
                self.options_mut().concurrency = Some(runs);
                self
            }

            /// So many jobs of its queue run at once in all processes together, until an operator says otherwise.
            pub fn concurrency_of_all(&mut self, runs: u32) -> &mut Self {
                self.options_mut().concurrency_of_all = Some(runs);
                self
            }
        }
    };
}

pub(crate) use says;
