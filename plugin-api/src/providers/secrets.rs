//! `secrets`: where the platform keeps the secrets of extensions.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Ask, contract::contract};
use crate::error::Result;

/// Whose secret, and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretName {
    /// The extension's slug.
    pub extension: String,
    /// The secret's name.
    pub name: String,
}

/// A secret's value; never shown in a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretValue(pub Vec<u8>);

/// A secret that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Whose, and which.
    #[serde(flatten)]
    pub name: SecretName,
    /// The value.
    pub value: SecretValue,
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

contract! {
    /// Where the platform keeps the secrets of extensions: a vault.
    ///
    /// Where nobody provides it, the platform keeps them, encrypted with its master key. Where the provider fails, so
    /// does the call: there is no second place that might know another value.
    ///
    /// The platform alone asks, for [`Settings::secret`](crate::host::Settings::secret) and its like; an extension is
    /// refused.
    trait Secrets {
        /// A secret's value; none where it was never kept.
        async fn get(name: SecretName) -> Option<SecretValue>;
        /// Keeps a secret.
        async fn set(secret: Secret) -> ();
        /// Forgets a secret; answers whether there was one.
        async fn remove(name: SecretName) -> bool;
    }
}

/// Asks the vault; for the platform.
#[derive(Debug)]
pub struct AskSecrets(pub(crate) Ask);

impl AskSecrets {
    /// A secret's value, if it was kept; outside, none where nobody provides secrets.
    ///
    /// # Errors
    ///
    /// The provider's; so for each method.
    pub async fn get(&self, name: &SecretName) -> Result<Option<Option<SecretValue>>> {
        self.0.ask("secrets", "get", name).await
    }

    /// Keeps a secret; none where nobody provides secrets.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn set(&self, secret: &Secret) -> Result<Option<()>> {
        self.0.ask("secrets", "set", secret).await
    }

    /// Forgets a secret, and answers whether there was one; none where nobody provides secrets.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn remove(&self, name: &SecretName) -> Result<Option<bool>> {
        self.0.ask("secrets", "remove", name).await
    }
}
