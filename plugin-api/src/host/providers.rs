//! What other extensions do for this one.

use std::{fmt, sync::Arc};

use powernode_abi::providers::ProvidersObject;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::Result,
    providers::{
        Ask, AskEntitlements, AskMailer, AskMetering, AskNotifications, AskPayments, AskSecrets,
    },
};

/// What other extensions do for this one, by key; where nobody does, the key's contract says what holds.
pub struct HostProviders(Ask);

impl HostProviders {
    /// The providers behind the platform's service.
    pub fn new(object: ProvidersObject) -> Self {
        Self(Ask::new(Arc::new(object)))
    }

    /// Whether an enabled extension provides the key.
    pub fn present(&self, key: &str) -> bool {
        self.0.present(key)
    }

    /// What an account may have; everything, where nobody says.
    pub fn entitlements(&self) -> AskEntitlements {
        AskEntitlements(self.0.clone())
    }

    /// Counts what accounts use; not counted, where nobody does.
    pub fn metering(&self) -> AskMetering {
        AskMetering(self.0.clone())
    }

    /// Takes money; none is taken, where nobody does.
    pub fn payments(&self) -> AskPayments {
        AskPayments(self.0.clone())
    }

    /// Sends e-mail; not accepted, where nobody does.
    pub fn mailer(&self) -> AskMailer {
        AskMailer(self.0.clone())
    }

    /// Tells people something; not delivered, where nobody does.
    pub fn notifications(&self) -> AskNotifications {
        AskNotifications(self.0.clone())
    }

    /// The vault, for the platform: an extension asks [`Settings`](super::Settings).
    #[doc(hidden)]
    pub fn secrets(&self) -> AskSecrets {
        AskSecrets(self.0.clone())
    }

    /// Calls a method of any key's provider; none where nobody provides it, or has no such method.
    ///
    /// # Errors
    ///
    /// The provider's, and where its answer is no `T`.
    pub async fn call<T: DeserializeOwned>(
        &self,
        key: &str,
        method: &str,
        argument: &impl Serialize,
    ) -> Result<Option<T>> {
        self.0.ask(key, method, argument).await
    }
}

impl fmt::Debug for HostProviders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostProviders")
    }
}
