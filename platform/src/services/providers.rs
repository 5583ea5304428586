//! What extensions do for each other under a key: one owner each, behind its gates.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use powernode_abi::{
    AbiError, PFuture, Res,
    abi_stable::std_types::{ROption, RResult, RStr, RString},
    error::{DENIED, TIMED_OUT, UNSUPPORTED},
    providers::{ProviderObject, RawProviders},
};
use tokio::runtime::Handle;

use super::{Failure, answer};
use crate::gate::{Extension, Gate};

/// How long a provider may take for one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The keys that the platform alone asks.
const OWN: [&str; 1] = ["secrets"];

/// Who provides what; known once all extensions are loaded, and shared.
#[derive(Clone)]
pub struct Providers {
    gate: Arc<Gate>,
    handle: Handle,
    known: Arc<OnceLock<BTreeMap<String, Provider>>>,
}

/// One provider, and whose it is.
pub struct Provider {
    /// Its extension's slug.
    pub slug: String,
    /// Its extension at the gates.
    pub extension: Extension,
    /// Who answers.
    pub object: Arc<ProviderObject>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Provider").field(&self.slug).finish()
    }
}

impl Providers {
    /// Nobody yet; providers answer as long as their gates in `gate` are open.
    pub fn new(gate: Arc<Gate>, handle: Handle) -> Self {
        Self { gate, handle, known: Arc::default() }
    }

    /// From now on these provide their keys.
    pub fn set(&self, known: BTreeMap<String, Provider>) {
        // Extensions are loaded once.
        let _ = self.known.set(known);
    }

    /// The provider of `key`, while its extension is on.
    fn find(&self, key: &str) -> Option<&Provider> {
        let provider = self.known.get()?.get(key)?;
        self.gate.is_open(provider.extension, None).then_some(provider)
    }

    /// What the provider of `key` answers to a method; none where nobody provides it, its extension is off, or it has no
    /// such method: then the contract says what holds.
    ///
    /// # Errors
    ///
    /// The provider's; it panicked, or took longer than 5 s.
    pub fn ask(
        &self,
        key: &str,
        method: &str,
        argument: &str,
    ) -> impl Future<Output = Result<Option<String>, AbiError>> + Send + 'static {
        let found = self.find(key).map(|it| (it.slug.clone(), it.object.clone()));
        let (key, method, argument) = (key.to_owned(), method.to_owned(), argument.to_owned());
        let handle = self.handle.clone();
        async move {
            let Some((slug, object)) = found else { return Ok(None) };
            let call = object.call(method.as_str().into(), argument.as_str().into());
            let late = {
                let _entered = handle.enter();
                tokio::time::sleep(PATIENCE)
            };
            let failed = |text: String| {
                tracing::error!(extension = %slug, "Extension `{slug}`, which provides `{key}`: {text}");
                text
            };
            tokio::select! {
                answer = call => match answer {
                    Ok(RResult::ROk(text)) => Ok(Some(text.into_string())),
                    Ok(RResult::RErr(error)) if error.code == UNSUPPORTED => Ok(None),
                    Ok(RResult::RErr(error)) => {
                        failed(error.to_string());
                        Err(error)
                    }
                    Err(panic) => Err(AbiError::failed(failed(format!("`{method}` panicked: {}", panic.0)))),
                },
                () = late => {
                    let text = format!("`{method}` took longer than {} s", PATIENCE.as_secs());
                    Err(AbiError::new(TIMED_OUT, failed(text)))
                }
            }
        }
    }
}

impl RawProviders for Providers {
    fn present(&self, key: RStr<'_>) -> bool {
        !OWN.contains(&key.as_str()) && self.find(key.as_str()).is_some()
    }

    fn call(
        &self,
        key: RStr<'_>,
        method: RStr<'_>,
        argument: RStr<'_>,
    ) -> PFuture<Res<ROption<RString>>> {
        if OWN.contains(&key.as_str()) {
            let text = format!("`{key}` is asked by the platform alone");
            return answer(async move { Err(Failure::from(AbiError::new(DENIED, text))) });
        }
        let asked = self.ask(key.as_str(), method.as_str(), argument.as_str());
        answer(async move { Ok(asked.await?.map(RString::from).into()) })
    }
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owners = self.known.get().into_iter().flatten();
        f.debug_map().entries(owners.map(|(key, it)| (key, &it.slug))).finish()
    }
}
