//! A contract: a trait for whoever fills it, and the words that cross.

use std::sync::Arc;

use powernode_abi::{AbiError, error::UNSUPPORTED, providers::ProvidersObject};
use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};

/// Asks whoever provides one key.
#[derive(Clone)]
pub(crate) struct Ask {
    providers: Arc<ProvidersObject>,
}

impl Ask {
    pub(crate) fn new(providers: Arc<ProvidersObject>) -> Self {
        Self { providers }
    }

    /// What the provider answers; none where there is none, or where it has no such method.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        key: &str,
        method: &str,
        argument: &impl Serialize,
    ) -> Result<Option<T>> {
        let argument = serde_json::to_string(argument).map_err(Error::internal)?;
        let call = self.providers.call(key.into(), method.into(), argument.as_str().into());
        let answer = match call.flat().await {
            Err(AbiError { code: UNSUPPORTED, .. }) => return Ok(None),
            answer => answer?.into_option(),
        };
        answer.map(|it| serde_json::from_str(&it)).transpose().map_err(|error| {
            Error::internal(format!(
                "what provides `{key}` answers `{method}` with no such thing: {error}"
            ))
        })
    }

    pub(crate) fn present(&self, key: &str) -> bool {
        self.providers.present(key.into())
    }
}

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ask")
    }
}

/// Declares the trait of a contract, and how its methods are called by name.
macro_rules! contract {
    (
        $(#[$doc:meta])*
        trait $trait:ident {
            $($(#[$method_doc:meta])* async fn $method:ident($ask:ident: $Ask:ty) -> $Answer:ty;)*
        }
    ) => {
        $(#[$doc])*
        pub trait $trait: Send + Sync + 'static {
            $(
                $(#[$method_doc])*
                fn $method(
                    &self,
                    host: &$crate::Host,
                    $ask: $Ask,
                ) -> impl Future<Output = $crate::error::Result<$Answer>> + Send;
            )*
        }

        /// What a provider says of itself.
        pub(super) fn contract() -> super::Contract {
            super::Contract { version: 1, methods: vec![$(stringify!($method).to_owned()),*] }
        }

        /// Answers a method's JSON with JSON.
        pub(super) async fn answer<E: $trait>(
            shared: std::sync::Arc<$crate::request::Shared<E>>,
            method: String,
            argument: String,
        ) -> Result<String, powernode_abi::AbiError> {
            match method.as_str() {
                $(stringify!($method) => {
                    let ask = super::contract::read(&method, &argument)?;
                    let answer = shared.extension.$method(&shared.host, ask).await?;
                    super::contract::write(&answer)
                })*
                _ => Err(powernode_abi::AbiError::unsupported(&method)),
            }
        }
    };
}

pub(super) use contract;

pub(super) fn read<T: DeserializeOwned>(method: &str, argument: &str) -> Result<T, AbiError> {
    serde_json::from_str(argument).map_err(|error| {
        AbiError::failed(format!("`{method}` was asked with no such thing: {error}"))
    })
}

pub(super) fn write(answer: &impl Serialize) -> Result<String, AbiError> {
    serde_json::to_string(answer).map_err(|error| AbiError::failed(error.to_string()))
}
