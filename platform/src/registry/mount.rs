//! A route of an extension, ready to be called.

use std::{fmt, time::Duration};

use powernode_abi::http::HandlerObject;
use powernode_plugin_api::operation::Operation;

/// A route as its extension described it.
#[derive(Clone, Debug)]
pub struct Mount {
    /// `GET`, `POST`, …
    pub method: String,
    /// The whole pattern: `/api/v1/marketing/campaigns/{id}`.
    pub pattern: String,
    /// What it says of itself.
    pub operation: Operation,
}

/// A route with its handler.
pub struct Mounted {
    /// The extension's place in the registry, and its number at the gates.
    pub index: usize,
    /// The extension.
    pub slug: String,
    /// The route.
    pub mount: Mount,
    /// Names of the pattern's parameters, in order.
    pub parameters: Vec<String>,
    /// How long a request may take, if not as long as the platform's settings say.
    pub deadline: Option<Duration>,
    /// Who answers.
    pub handler: HandlerObject,
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of `{}`", self.mount.method, self.mount.pattern, self.slug)
    }
}
