//! The handlers that are registered in this process.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{Handler, Options};
use crate::queue::Handlers;

/// All handlers, by extension and name; the core's own stand under `core`.
#[derive(Default)]
pub struct Crew {
    known: BTreeMap<String, BTreeMap<String, Known>>,
}

/// A handler that is registered.
#[derive(Clone)]
pub struct Known {
    /// How it wants to be called.
    pub options: Options,
    /// What runs the job.
    pub handler: Arc<dyn Handler>,
}

impl Crew {
    /// Registers a handler of `extension`. Answers whether the name was free; what had it stays.
    #[must_use]
    pub fn register(
        &mut self,
        extension: &str,
        name: &str,
        options: Options,
        handler: impl Handler,
    ) -> bool {
        let own = self.known.entry(extension.to_owned()).or_default();
        let free = !own.contains_key(name);
        own.entry(name.to_owned()).or_insert_with(|| Known { options, handler: Arc::new(handler) });
        free
    }

    /// A handler of `extension`.
    pub fn find(&self, extension: &str, name: &str) -> Option<&Known> {
        self.known.get(extension)?.get(name)
    }

    /// Their names, as the queue asks for them.
    pub fn names(&self) -> Handlers {
        let names = |own: &BTreeMap<String, Known>| own.keys().cloned().collect();
        self.known.iter().map(|(extension, own)| (extension.clone(), names(own))).collect()
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Crew").field(&self.names()).finish()
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("options", &self.options).finish_non_exhaustive()
    }
}
