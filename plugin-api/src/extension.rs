//! What an author implements.

use powernode_abi::{
    MigrationDef, PFuture,
    abi_stable::std_types::RResult,
    plugin::{SeedDef, tier},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Host, channels::Channels, error::Result, events::Events, jobs::Jobs, providers::Providers,
    routes::Routes,
};

/// An extension. [`export_extension!`](crate::export_extension) makes a library of it.
pub trait Extension: Sized + Send + Sync + 'static {
    /// Makes the extension when its library was loaded. No migration has run yet.
    ///
    /// # Errors
    ///
    /// The extension stays out, and the platform names the error.
    fn new(host: &Host) -> Result<Self>;

    /// Adds its routes.
    fn routes(_routes: &mut Routes<Self>) {}

    /// Its migrations, usually by [`migrations!`](crate::migrations).
    fn migrations() -> Vec<MigrationDef> {
        Vec::new()
    }

    /// Adds its seeds.
    fn seeds(_seeds: &mut Seeds) {}

    /// Adds what runs its jobs, and its schedules.
    fn jobs(_jobs: &mut Jobs<Self>) {}

    /// Adds which events it hears.
    fn events(_events: &mut Events<Self>) {}

    /// Adds what it does for others.
    fn providers(_providers: &mut Providers<Self>) {}

    /// Adds its live channels.
    fn channels(_channels: &mut Channels) {}

    /// Whether an account may use one of its capabilities; all may unless it says otherwise.
    fn available(&self, _capability: &str, _account: Option<Uuid>) -> bool {
        true
    }

    /// Called once, after its migrations ran.
    ///
    /// # Errors
    ///
    /// The extension is out as failed, and the platform names the error.
    fn start(&self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Called once, before the process ends.
    ///
    /// # Errors
    ///
    /// The platform logs it.
    fn stop(&self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// How much a seed matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Without it the extension does not work.
    Core,
    /// What a new installation begins with.
    Baseline,
    /// Something to look at.
    Demo,
}

/// Collects the seeds of an extension: rows that `powernode seed` writes where they are missing.
#[derive(Debug)]
pub struct Seeds {
    host: Host,
    seeds: Vec<SeedDef>,
}

impl Seeds {
    pub(crate) fn new(host: Host) -> Self {
        Self { host, seeds: Vec::new() }
    }

    /// Adds a seed: what it writes, and in how many transactions, is its own matter.
    ///
    /// It answers how many rows it wrote. A second run must find them, and write none.
    ///
    /// ```text
    /// seeds.add(Tier::Demo, "a note for each account", notes);
    ///
    /// async fn notes(host: Host) -> Result<usize> {
    ///     let accounts = host.accounts().all(None, 1_000).await?;
    ///     host.db().transaction(move |conn| …).await
    /// }
    /// ```
    pub fn add<S, F>(&mut self, tier: Tier, name: &str, seed: S)
    where
        S: FnOnce(Host) -> F + Send + 'static,
        F: Future<Output = Result<usize>> + Send + 'static,
    {
        let tier = match tier {
            Tier::Core => tier::CORE,
            Tier::Baseline => tier::BASELINE,
            Tier::Demo => tier::DEMO,
        };
        let host = self.host.clone();
        let work = PFuture::new(async move {
            match seed(host).await {
                Ok(rows) => RResult::ROk(rows as u64),
                Err(error) => RResult::RErr(error.into()),
            }
        });
        self.seeds.push(SeedDef { name: name.into(), tier, work });
    }

    pub(crate) fn into_raw(self) -> Vec<SeedDef> {
        self.seeds
    }
}

/// What a library says of itself; the platform compares it with the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The extension's slug.
    pub slug: String,
    /// The extension's version.
    pub version: String,
    /// The SDK's version.
    pub sdk: String,
}
