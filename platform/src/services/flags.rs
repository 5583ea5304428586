//! Flags and predicates, as extensions ask them.

use std::{fmt, sync::Arc};

use powernode_abi::{
    abi_stable::std_types::{ROption, RStr},
    host::{Id, RawFlags},
};
use uuid::Uuid;

use crate::gate::{Actor, ActorId, Extension, Gate};

/// Asks an extension whether an account may use one of its capabilities.
pub type Ask = dyn Fn(Extension, &str, Option<Uuid>) -> bool + Send + Sync;

/// The flag service; the same for all extensions, clones share.
#[derive(Clone)]
pub struct Flags {
    gate: Arc<Gate>,
    ask: Arc<Ask>,
}

impl Flags {
    /// Answers from `gate`; `ask` reaches the declarer of a capability.
    pub fn new(gate: Arc<Gate>, ask: Arc<Ask>) -> Self {
        Self { gate, ask }
    }
}

impl RawFlags for Flags {
    fn enabled(&self, flag: RStr<'_>, actor: RStr<'_>) -> bool {
        if actor.is_empty() {
            return self.gate.flag_is_on(flag.as_str(), None);
        }
        let actor = ActorId::new(actor.as_str()).map(Actor::of_account);
        actor.is_ok_and(|it| self.gate.flag_is_on(flag.as_str(), Some(&it)))
    }

    fn extension_loaded(&self, slug: RStr<'_>) -> bool {
        self.gate.extension_loaded(slug.as_str())
    }

    fn extension_enabled(&self, slug: RStr<'_>) -> bool {
        self.gate.extension_enabled(slug.as_str(), None)
    }

    fn available(&self, capability: RStr<'_>, account: ROption<Id>) -> bool {
        let account = account.map(|it| Uuid::from_bytes(it.0)).into_option();
        let actor = account.map(|it| Actor::of_account(ActorId::account(it)));
        self.gate.available(capability.as_str(), actor.as_ref(), |declarer, capability, _| {
            (self.ask)(declarer, capability, account)
        })
    }

    fn capability_present(&self, capability: RStr<'_>) -> bool {
        self.gate.capability_present(capability.as_str())
    }

    fn business_loaded(&self) -> bool {
        self.gate.business_loaded()
    }

    fn billing_enabled(&self) -> bool {
        self.gate.billing_enabled()
    }

    fn core_mode(&self) -> bool {
        self.gate.core_mode()
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flags")
    }
}
