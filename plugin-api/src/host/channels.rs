//! Messages on the extension's live channels.

use std::fmt;

use powernode_abi::channels::ChannelsObject;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};

/// The live channels of this extension, which [`Extension::channels`](crate::Extension::channels) names.
///
/// A message is sent in a transaction of its own. It tells pages to look, and may get lost with the process between a
/// change and its sending: what must not is an [event](crate::events).
pub struct HostChannels(ChannelsObject);

/// A message as it crosses the boundary, in a JSON array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The channel's name, without the slug.
    pub channel: String,
    /// Whose followers see it; none: all.
    #[serde(default)]
    pub account_id: Option<Uuid>,
    /// What it says.
    pub data: serde_json::Value,
}

impl HostChannels {
    pub(crate) fn new(object: ChannelsObject) -> Self {
        Self(object)
    }

    /// Sends a message to the followers of a channel in one account, or in all where `account` is none.
    ///
    /// # Errors
    ///
    /// When the extension names no such channel, the message has more than 16 KiB, or the platform has no channels.
    pub async fn send(
        &self,
        channel: &str,
        account: Option<Uuid>,
        data: &impl Serialize,
    ) -> Result<()> {
        let data = serde_json::to_value(data).map_err(Error::internal)?;
        self.send_all(&[Message { channel: channel.to_owned(), account_id: account, data }]).await
    }

    /// Sends messages: all or none, in their order.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and where there are more than 100.
    pub async fn send_all(&self, messages: &[Message]) -> Result<()> {
        let text = serde_json::to_string(messages).map_err(Error::internal)?;
        Ok(self.0.send(text.as_str().into()).flat().await?)
    }
}

impl fmt::Debug for HostChannels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostChannels")
    }
}
