//! What one extension does for all others under a key, by contracts that the platform knows.
//!
//! The contracts: [`Entitlements`], [`Metering`], [`Payments`], [`Mailer`], [`Notifications`], [`Secrets`]. Each says
//! what holds where nobody provides it, or where whoever does is switched off: the same at once.

use std::{fmt, sync::Arc};

use powernode_abi::{
    AbiError, Guarded, PFuture, Res,
    abi_stable::{
        sabi_trait::TD_Opaque,
        std_types::{RResult, RStr, RString},
    },
    guard,
    providers::{ProviderDef, RawProvider, RawProvider_TO},
};
use serde::{Deserialize, Serialize};

use crate::{Host, error::Result, request::Shared};

mod contract;
mod entitlements;
mod mailer;
mod metering;
mod notifications;
mod payments;
mod secrets;

pub(crate) use self::contract::Ask;
pub use self::{
    entitlements::{AskEntitlements, Demand, Entitlements, Feature, Verdict},
    mailer::{AskMailer, Mail, Mailbox, Mailed, Mailer},
    metering::{AskMetering, Metered, Metering, Usage},
    notifications::{AskNotifications, Notification, Notifications, Notified},
    payments::{AskPayments, Charge, Money, Payment, PaymentState, Payments, Refund},
    secrets::{AskSecrets, Secret, SecretName, SecretValue, Secrets},
};

/// Collects what an extension does for others.
///
/// ```text
/// fn providers(providers: &mut Providers<Self>) {
///     providers.entitlements().metering();
/// }
///
/// impl Entitlements for Business { … }
/// impl Metering for Business { … }
/// ```
///
/// The manifest names the keys as well; two extensions with one key are a load error.
pub struct Providers<E> {
    providers: Vec<Provided<E>>,
}

struct Provided<E> {
    key: String,
    contract: Contract,
    answer: Box<Answer<E>>,
}

/// Answers a method's JSON with JSON.
type Answer<E> = dyn Fn(Arc<Shared<E>>, String, String) -> PFuture<Res<RString>> + Send + Sync;

/// What a provider says of itself; crosses the boundary as JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// Which version of the key's contract it fills.
    pub version: u32,
    /// The methods that it has.
    pub methods: Vec<String>,
}

macro_rules! contracts {
    ($($name:ident: $trait:ident),* $(,)?) => {
        impl<E: Send + Sync + 'static> Providers<E> {
            $(
                #[doc = concat!("Provides `", stringify!($name), "`.")]
                pub fn $name(&mut self) -> &mut Self
                where
                    E: $trait,
                {
                    self.add(stringify!($name), $name::contract(), $name::answer)
                }
            )*
        }
    };
}

contracts! {
    entitlements: Entitlements,
    metering: Metering,
    payments: Payments,
    mailer: Mailer,
    notifications: Notifications,
    secrets: Secrets,
}

impl<E: Send + Sync + 'static> Providers<E> {
    pub(crate) fn new() -> Self {
        Self { providers: Vec::new() }
    }

    /// Provides a key that is no contract of the platform's: `answer` takes a method and JSON text.
    ///
    /// ```text
    /// providers.provide("shop.tax", &["rate"], |host, method, argument| async move { … });
    /// ```
    pub fn provide<F, Fut>(&mut self, key: &str, methods: &[&str], answer: F) -> &mut Self
    where
        F: Fn(Host, String, String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String>> + Send + 'static,
    {
        let methods: Vec<String> = methods.iter().map(|it| (*it).to_owned()).collect();
        let contract = Contract { version: 1, methods: methods.clone() };
        let answer = Arc::new(answer);
        self.add(key, contract, move |shared: Arc<Shared<E>>, method, argument| {
            let known = methods.contains(&method);
            let answer = answer.clone();
            async move {
                if !known {
                    return Err(AbiError::unsupported(&method));
                }
                Ok(answer(shared.host.clone(), method, argument).await?)
            }
        })
    }

    fn add<F, Fut>(&mut self, key: &str, contract: Contract, answer: F) -> &mut Self
    where
        F: Fn(Arc<Shared<E>>, String, String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, AbiError>> + Send + 'static,
    {
        let answer = Box::new(move |shared, method, argument| {
            let answer = answer(shared, method, argument);
            PFuture::new(async move {
                match answer.await {
                    Ok(text) => RResult::ROk(text.into()),
                    Err(error) => RResult::RErr(error),
                }
            })
        });
        self.providers.push(Provided { key: key.to_owned(), contract, answer });
        self
    }

    pub(crate) fn into_raw(self, shared: &Arc<Shared<E>>) -> Vec<ProviderDef> {
        self.providers.into_iter().map(|it| it.into_raw(shared.clone())).collect()
    }
}

impl<E: Send + Sync + 'static> Provided<E> {
    fn into_raw(self, shared: Arc<Shared<E>>) -> ProviderDef {
        let answer = self.answer;
        let respond: Box<Respond> =
            Box::new(move |method, argument| answer(shared.clone(), method, argument));
        ProviderDef {
            key: self.key.into(),
            contract: serde_json::to_string(&self.contract).unwrap_or_default().into(),
            provider: RawProvider_TO::from_value(Adapter(Guarded::new(respond)), TD_Opaque),
        }
    }
}

type Respond = dyn Fn(String, String) -> PFuture<Res<RString>> + Send + Sync;

struct Adapter(Guarded<Box<Respond>>);

impl RawProvider for Adapter {
    fn call(&self, method: RStr<'_>, argument: RStr<'_>) -> PFuture<Res<RString>> {
        match guard(|| Ok((self.0)(method.into(), argument.into()))) {
            RResult::ROk(future) => future,
            RResult::RErr(error) => PFuture::ready(RResult::RErr(error)),
        }
    }
}

impl<E> fmt::Debug for Providers<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.providers.iter().map(|it| &it.key)).finish()
    }
}
