//! Live channels: what pages follow as it happens.

use serde::{Deserialize, Serialize};

/// Collects the channels of an extension.
///
/// ```text
/// fn channels(channels: &mut Channels) {
///     channels.add("orders", "orders.read");
/// }
///
/// call.host().channels().send("orders", Some(account), &order).await?;
/// ```
///
/// Whoever holds the permission follows `<slug>.orders` at `/api/v1/changes`, and sees what is of their own account.
/// While the extension is off nobody does. What was missed comes later, for an hour: a follower that returns says what
/// it saw last.
#[derive(Debug)]
pub struct Channels {
    defs: Vec<ChannelDef>,
}

/// A channel as it crosses the boundary, in a JSON array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelDef {
    /// The second part of its name, `orders` of `shop.orders`.
    pub name: String,
    /// What a follower must hold; of the permissions that the manifest defines.
    pub permission: String,
}

impl Channels {
    pub(crate) fn new() -> Self {
        Self { defs: Vec::new() }
    }

    /// Adds the channel `<slug>.<name>`; a name has small letters, digits, `_` and `-`.
    pub fn add(&mut self, name: &str, permission: &str) -> &mut Self {
        self.defs.push(ChannelDef { name: name.to_owned(), permission: permission.to_owned() });
        self
    }

    pub(crate) fn into_defs(self) -> Vec<ChannelDef> {
        self.defs
    }
}
