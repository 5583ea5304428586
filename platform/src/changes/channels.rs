//! Live channels of extensions: which there are, and who may follow them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};

use powernode_plugin_api::channels::ChannelDef;

use crate::{gate::Extension, manifest::Manifest};

/// Longest name of a channel, in bytes.
const LONGEST: usize = 64;

/// A channel of an extension that is loaded.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its extension at the gates.
    pub extension: Extension,
    /// What a follower must hold.
    pub permission: String,
}

/// A channel that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("channel `{name}` of `{slug}`: {fault}")]
pub struct BadChannel {
    slug: String,
    name: String,
    fault: String,
}

/// All channels by their names; known once all extensions are loaded, and shared.
#[derive(Clone, Debug, Default)]
pub struct Channels(Arc<OnceLock<BTreeMap<String, Channel>>>);

impl Channels {
    /// From now on there are these.
    pub fn set(&self, known: BTreeMap<String, Channel>) {
        // Extensions are loaded once.
        let _ = self.0.set(known);
    }

    /// The channel with that name, `<slug>.<name>`.
    pub fn find(&self, name: &str) -> Option<&Channel> {
        self.0.get()?.get(name)
    }
}

/// The channels that an extension names, by their whole names, each with its permission.
///
/// # Errors
///
/// [`BadChannel`]: a name that is none or there twice, and a permission that nobody defines.
pub fn channel_names(
    manifest: &Manifest,
    defs: Vec<ChannelDef>,
    permissions: &BTreeSet<String>,
) -> Result<BTreeMap<String, String>, BadChannel> {
    let slug = manifest.slug.as_str();
    let mut named = BTreeMap::new();
    for ChannelDef { name, permission } in defs {
        let bad = |fault: String| {
            let (slug, name) = (slug.to_owned(), name.chars().take(LONGEST).collect());
            BadChannel { slug, name, fault }
        };
        let plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b"_-".contains(&it);
        if !(1..=LONGEST).contains(&name.len()) || !name.bytes().all(plain) {
            let fault = "a name has 1 to 64 small letters, digits, `_` and `-`";
            return Err(bad(fault.to_owned()));
        }
        let own = manifest.permissions.iter().any(|it| it.name == permission);
        if !own && !permissions.contains(&permission) {
            return Err(bad(format!("nobody defines the permission `{permission}`")));
        }
        if named.insert(format!("{slug}.{name}"), permission).is_some() {
            return Err(bad("it is named twice".to_owned()));
        }
    }
    Ok(named)
}
