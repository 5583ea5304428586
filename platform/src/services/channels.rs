//! Messages of one extension on its live channels.

use std::fmt;

use chrono::Utc;
use powernode_abi::{AbiError, PFuture, Res, abi_stable::std_types::RStr, channels::RawChannels};
use powernode_plugin_api::{Db, db::RunError, host::Message};

use super::{Failure, answer};
use crate::changes::{self, Changes, LARGEST};

/// Most messages of one call.
const MOST: usize = 100;

/// The live channels of one extension.
pub struct Channels {
    slug: String,
    core: Db,
    changes: Changes,
    known: changes::Channels,
}

impl Channels {
    /// Those of the extension with that slug, among all that are `known`.
    pub fn new(slug: &str, core: Db, changes: Changes, known: changes::Channels) -> Self {
        Self { slug: slug.to_owned(), core, changes, known }
    }

    /// The messages under their topics.
    fn read(&self, messages: &str) -> Result<Vec<(String, Message)>, String> {
        let messages: Vec<Message> = serde_json::from_str(messages)
            .map_err(|error| format!("messages that cannot be read: {error}"))?;
        if messages.len() > MOST {
            return Err(format!("one call sends {MOST} messages at most"));
        }
        let slug = &self.slug;
        let topic = |message: Message| {
            let topic = format!("{slug}.{}", message.channel);
            if self.known.find(&topic).is_none() {
                return Err(format!("`{slug}` names no channel `{}`", message.channel));
            }
            let bytes = message.data.to_string().len();
            if bytes > LARGEST {
                return Err(format!("a message has {LARGEST} bytes at most; this has {bytes}"));
            }
            Ok((topic, message))
        };
        messages.into_iter().map(topic).collect()
    }
}

impl RawChannels for Channels {
    fn send(&self, messages: RStr<'_>) -> PFuture<Res<()>> {
        let messages = self.read(messages.as_str());
        let (core, changes) = (self.core.clone(), self.changes.clone());
        answer(async move {
            let messages = messages.map_err(|text| Failure::from(AbiError::failed(text)))?;
            let written = core.transaction(move |conn| {
                for (topic, Message { account_id, data, .. }) in &messages {
                    changes::write(conn, topic, *account_id, data, Utc::now())?;
                }
                Ok::<_, RunError>(())
            });
            written.await.map_err(diesel::result::Error::from)?;
            changes.written();
            Ok(())
        })
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channels of `{}`", self.slug)
    }
}
