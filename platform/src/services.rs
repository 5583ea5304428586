//! What an extension gets of the platform: one object for each service, made for its slug.
//!
//! Each method is called from the extension's side, where a panic of ours could
//! not be caught: nothing here unwraps.

use powernode_abi::{
    AbiError, DbObject, HostObject, PFuture, Res,
    abi_stable::{
        sabi_trait::TD_Opaque,
        std_types::{RArc, RStr},
    },
    channels::{ChannelsObject, RawChannels_TO},
    client::{HttpObject, RawHttp_TO},
    data::share_db,
    error::UNAVAILABLE,
    host::{
        AccountsObject, FlagsObject, KvObject, LinksObject, MetricsObject, RawAccounts_TO,
        RawFlags_TO, RawHost, RawHost_TO, RawKv_TO, RawLinks_TO, RawMetrics_TO, RawRuntime_TO,
        RawSettings_TO, RawTrace_TO, RuntimeObject, SettingsObject, TraceObject,
    },
    jobs::{JobsObject, RawJobs_TO},
    providers::{ProvidersObject, RawProviders_TO},
};

mod accounts;
mod api_only;
mod channels;
mod flags;
mod http;
mod jobs;
mod kv;
mod links;
mod metrics;
mod providers;
mod runtime;
mod secrets;
mod trace;

pub use self::{
    accounts::Accounts,
    api_only::{ApiOnly, JobsWithout, within},
    channels::Channels,
    flags::{Ask, Flags},
    http::Http,
    jobs::Jobs,
    kv::Kv,
    links::{Link, LinkError, LinkKey},
    metrics::{Metrics, PluginMetrics},
    providers::{Provider, Providers},
    runtime::{Runtime, Tasks},
    secrets::{KeyError, MasterKey, Settings},
    trace::{Trace, level_of},
};

/// A future of ours in the form in which it crosses.
fn answer<T: Send + 'static>(
    future: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> PFuture<Res<T>> {
    PFuture::new(async move { future.await.map_err(|it| it.0).into() })
}

/// Why a service cannot answer.
struct Failure(AbiError);

impl From<AbiError> for Failure {
    fn from(error: AbiError) -> Self {
        Self(error)
    }
}

impl From<diesel::result::Error> for Failure {
    fn from(error: diesel::result::Error) -> Self {
        Self(AbiError::new(UNAVAILABLE, format!("the platform's database: {error}")))
    }
}

/// The services of one extension.
pub struct Services {
    /// Its slug.
    pub slug: String,
    /// Its tables.
    pub db: DbObject,
    /// Its log.
    pub trace: RArc<Trace>,
    /// Its configuration and secrets.
    pub settings: RArc<Settings>,
    /// Its clock and tasks.
    pub runtime: RArc<Runtime>,
    /// Its keys.
    pub kv: RArc<Kv>,
    /// Flags and predicates.
    pub flags: RArc<Flags>,
    /// Its metrics.
    pub metrics: RArc<Metrics>,
    /// Its links.
    pub links: RArc<LinkKey>,
    /// Accounts and users.
    pub accounts: RArc<Accounts>,
    /// Its jobs.
    pub jobs: RArc<Jobs>,
    /// What others do for it.
    pub providers: RArc<Providers>,
    /// Its requests to other servers.
    pub http: RArc<Http>,
    /// Its live channels.
    pub channels: RArc<Channels>,
}

impl Services {
    /// The object that the extension gets.
    pub fn into_object(self) -> HostObject {
        RawHost_TO::from_ptr(RArc::new(self), TD_Opaque)
    }
}

impl RawHost for Services {
    fn slug(&self) -> RStr<'_> {
        self.slug.as_str().into()
    }

    fn platform(&self) -> RStr<'_> {
        env!("CARGO_PKG_VERSION").into()
    }

    fn db(&self) -> DbObject {
        share_db(&self.db)
    }

    fn trace(&self) -> TraceObject {
        RawTrace_TO::from_ptr(self.trace.clone(), TD_Opaque)
    }

    fn settings(&self) -> SettingsObject {
        RawSettings_TO::from_ptr(self.settings.clone(), TD_Opaque)
    }

    fn runtime(&self) -> RuntimeObject {
        RawRuntime_TO::from_ptr(self.runtime.clone(), TD_Opaque)
    }

    fn kv(&self) -> KvObject {
        RawKv_TO::from_ptr(self.kv.clone(), TD_Opaque)
    }

    fn flags(&self) -> FlagsObject {
        RawFlags_TO::from_ptr(self.flags.clone(), TD_Opaque)
    }

    fn metrics(&self) -> MetricsObject {
        RawMetrics_TO::from_ptr(self.metrics.clone(), TD_Opaque)
    }

    fn links(&self) -> LinksObject {
        RawLinks_TO::from_ptr(self.links.clone(), TD_Opaque)
    }

    fn providers(&self) -> ProvidersObject {
        RawProviders_TO::from_ptr(self.providers.clone(), TD_Opaque)
    }

    fn accounts(&self) -> AccountsObject {
        RawAccounts_TO::from_ptr(self.accounts.clone(), TD_Opaque)
    }

    fn channels(&self) -> ChannelsObject {
        RawChannels_TO::from_ptr(self.channels.clone(), TD_Opaque)
    }

    fn http(&self) -> HttpObject {
        RawHttp_TO::from_ptr(self.http.clone(), TD_Opaque)
    }

    fn jobs(&self) -> JobsObject {
        RawJobs_TO::from_ptr(self.jobs.clone(), TD_Opaque)
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Services of `{}`", self.slug)
    }
}
