//! The platform's services, as an author uses them.

use std::{fmt, sync::Arc};

use powernode_abi::{
    AbiError, HostObject, Id,
    abi_stable::std_types::{ROption, RString, RVec},
    host::{AccountsObject, FlagsObject, KvObject, SettingsObject},
};
use serde::{Deserialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    db::Db,
    error::{Error, Result},
};

pub mod channels;
pub mod jobs;
pub mod links;
pub mod metrics;
pub mod providers;
pub mod runtime;
pub mod http;

pub use self::{
    channels::{HostChannels, Message},
    http::{Api, Http, HttpAnswer, HttpError, HttpHead, HttpRequest, TokenAsked, TokenGiven},
    jobs::{HostJobs, JobInfo, JobState},
    links::Links,
    metrics::Metrics,
    providers::HostProviders,
    runtime::{Runtime, Task},
};

/// The platform, as this extension sees it; clones share.
#[derive(Clone)]
pub struct Host(Arc<Services>);

struct Services {
    slug: String,
    platform: String,
    db: Db,
    settings: Settings,
    runtime: Runtime,
    kv: Kv,
    flags: Flags,
    metrics: Metrics,
    links: Links,
    accounts: Accounts,
    jobs: HostJobs,
    providers: HostProviders,
    http: Http,
    channels: HostChannels,
}

impl Host {
    pub(crate) fn new(host: &HostObject) -> Self {
        Self(Arc::new(Services {
            slug: host.slug().into(),
            platform: host.platform().into(),
            db: Db::new(host.db()),
            settings: Settings(host.settings()),
            runtime: Runtime::new(host.runtime()),
            kv: Kv(host.kv()),
            flags: Flags(host.flags()),
            metrics: Metrics::new(host.metrics()),
            links: Links::new(host.links()),
            accounts: Accounts(host.accounts()),
            jobs: HostJobs::new(host.jobs()),
            providers: HostProviders::new(host.providers()),
            http: Http::new(host.http()),
            channels: HostChannels::new(host.channels()),
        }))
    }

    /// The extension's slug.
    pub fn slug(&self) -> &str {
        &self.0.slug
    }

    /// The platform's version.
    pub fn platform(&self) -> &str {
        &self.0.platform
    }

    /// The extension's tables.
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// Configuration and secrets.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Clock, timers, tasks and the blocking pool.
    pub fn runtime(&self) -> &Runtime {
        &self.0.runtime
    }

    /// Values by key.
    pub fn kv(&self) -> &Kv {
        &self.0.kv
    }

    /// Flags and the predicates of the gates.
    pub fn flags(&self) -> &Flags {
        &self.0.flags
    }

    /// Metrics at `/metrics`.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Links that somebody without a login may follow.
    pub fn links(&self) -> &Links {
        &self.0.links
    }

    /// Live channels, which pages follow.
    pub fn channels(&self) -> &HostChannels {
        &self.0.channels
    }

    /// Accounts and users of the core.
    pub fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// Jobs of this extension, outside its transactions.
    pub fn jobs(&self) -> &HostJobs {
        &self.0.jobs
    }

    /// What other extensions do for this one.
    pub fn providers(&self) -> &HostProviders {
        &self.0.providers
    }

    /// The HTTP client.
    pub fn http(&self) -> &Http {
        &self.0.http
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host of `{}`", self.0.slug)
    }
}

macro_rules! opaque {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}
opaque! { Settings Kv Flags Accounts }

/// The extension's section of the configuration, and its secrets.
pub struct Settings(SettingsObject);

impl Settings {
    /// The section, as the type that the author gave it.
    ///
    /// # Errors
    ///
    /// When the section does not fit the type; names the key.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.0.config()).map_err(Error::internal)
    }

    /// A secret's value.
    ///
    /// # Errors
    ///
    /// When it cannot be read or decrypted.
    pub async fn secret(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.secret(name.into()).flat().await?.map(Vec::from).into_option())
    }

    /// Stores a secret, encrypted with the platform's master key.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or the platform has no master key.
    pub async fn set_secret(&self, name: &str, value: &[u8]) -> Result<()> {
        Ok(self.0.set_secret(name.into(), value.into()).flat().await?)
    }

    /// Forgets a secret; answers whether there was one.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub async fn remove_secret(&self, name: &str) -> Result<bool> {
        Ok(self.0.remove_secret(name.into()).flat().await?)
    }
}

/// Values by key in the platform's database; each extension has keys of its own.
pub struct Kv(KvObject);

impl Kv {
    /// The value, unless it expired.
    ///
    /// # Errors
    ///
    /// When the database does not answer; so for each method.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(key.into()).flat().await?.map(Vec::from).into_option())
    }

    /// Stores a value until it is removed.
    ///
    /// # Errors
    ///
    /// As [`Kv::get`].
    pub async fn put(&self, key: &str, value: &[u8]) -> Result<()> {
        Ok(self.0.put(key.into(), value.into(), 0).flat().await?)
    }

    /// Stores a value for that many milliseconds, at least 1.
    ///
    /// # Errors
    ///
    /// As [`Kv::get`].
    pub async fn put_for(&self, key: &str, value: &[u8], milliseconds: u64) -> Result<()> {
        Ok(self.0.put(key.into(), value.into(), milliseconds.max(1)).flat().await?)
    }

    /// Forgets a key; answers whether it was there.
    ///
    /// # Errors
    ///
    /// As [`Kv::get`].
    pub async fn remove(&self, key: &str) -> Result<bool> {
        Ok(self.0.remove(key.into()).flat().await?)
    }

    /// Keys with that beginning, in order, at most `limit`.
    ///
    /// # Errors
    ///
    /// As [`Kv::get`].
    pub async fn keys(&self, prefix: &str, limit: u32) -> Result<Vec<String>> {
        let keys: RVec<RString> = self.0.keys(prefix.into(), limit).flat().await?;
        Ok(keys.into_iter().map(String::from).collect())
    }
}

/// Flags and the predicates of the gates; each answers from memory.
pub struct Flags(FlagsObject);

impl Flags {
    /// Whether a flag is on for an account; unknown flags are off.
    pub fn enabled_for(&self, flag: &str, account: Uuid) -> bool {
        self.0.enabled(flag.into(), format!("Account;{account}").as_str().into())
    }

    /// Whether a flag is on for everybody.
    pub fn enabled(&self, flag: &str) -> bool {
        self.0.enabled(flag.into(), "".into())
    }

    /// Whether the extension is loaded in this process.
    pub fn extension_loaded(&self, slug: &str) -> bool {
        self.0.extension_loaded(slug.into())
    }

    /// Loaded, not disabled, its flag on, and all it depends on as well.
    pub fn extension_enabled(&self, slug: &str) -> bool {
        self.0.extension_enabled(slug.into())
    }

    /// Whether an enabled extension provides the capability to that account.
    pub fn available(&self, capability: &str, account: Option<Uuid>) -> bool {
        self.0.available(capability.into(), account.map(id).into())
    }

    /// Whether an enabled extension declares the capability.
    pub fn capability_present(&self, capability: &str) -> bool {
        self.0.capability_present(capability.into())
    }

    /// Whether the `business` extension is loaded.
    pub fn business_loaded(&self) -> bool {
        self.0.business_loaded()
    }

    /// Whether somebody bills.
    pub fn billing_enabled(&self) -> bool {
        self.0.billing_enabled()
    }

    /// Whether no extension is loaded.
    pub fn core_mode(&self) -> bool {
        self.0.core_mode()
    }
}

/// Accounts and users of the core, to be read.
pub struct Accounts(AccountsObject);

/// An account of the core.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
}

/// A user of the core.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Its id.
    pub id: Uuid,
    /// The account that it belongs to.
    pub account_id: Uuid,
    /// Its e-mail address.
    pub email: String,
    /// Its name.
    pub name: String,
}

impl Accounts {
    /// One account.
    ///
    /// # Errors
    ///
    /// When the database does not answer; so for each method.
    pub async fn account(&self, account: Uuid) -> Result<Option<Account>> {
        Ok(self.accounts(&[account]).await?.pop())
    }

    /// Accounts by id; those that do not exist are left out.
    ///
    /// # Errors
    ///
    /// As [`Accounts::account`].
    pub async fn accounts(&self, ids: &[Uuid]) -> Result<Vec<Account>> {
        let ids: Vec<_> = ids.iter().copied().map(id).collect();
        parse(self.0.accounts(ids.as_slice().into()).flat().await)
    }

    /// One user of that account; none where it is another's.
    ///
    /// # Errors
    ///
    /// As [`Accounts::account`].
    pub async fn user(&self, account: Uuid, user: Uuid) -> Result<Option<User>> {
        Ok(self.users(account, &[user]).await?.pop())
    }

    /// Users of that account by id; those of others are left out.
    ///
    /// # Errors
    ///
    /// As [`Accounts::account`].
    pub async fn users(&self, account: Uuid, ids: &[Uuid]) -> Result<Vec<User>> {
        let ids: Vec<_> = ids.iter().copied().map(id).collect();
        parse(self.0.users(id(account), ids.as_slice().into()).flat().await)
    }

    /// Users of that account in the order of their ids, after `after`, at most `limit`.
    ///
    /// # Errors
    ///
    /// As [`Accounts::account`].
    pub async fn users_of(
        &self,
        account: Uuid,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<User>> {
        parse(self.0.users_of(id(account), ROption::from(after.map(id)), limit).flat().await)
    }

    /// Accounts in the order of their ids, after `after`, at most `limit`; for seeds and the like.
    ///
    /// # Errors
    ///
    /// As [`Accounts::account`].
    pub async fn all(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<Account>> {
        parse(self.0.all(ROption::from(after.map(id)), limit).flat().await)
    }
}

fn parse<T: DeserializeOwned>(answer: Result<RString, AbiError>) -> Result<T> {
    serde_json::from_str(&answer?).map_err(Error::internal)
}

fn id(id: Uuid) -> Id {
    Id(id.into_bytes())
}
