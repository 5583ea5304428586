//! What an author implements.

use powernode_abi::{
    JobObject, MigrationDef,
    plugin::{SeedDef, tier},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Host,
    db::{HostConnection, detached},
    error::{Error, Result},
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

/// Collects the seeds of an extension: rows that may be written again without harm.
#[derive(Debug, Default)]
pub struct Seeds(Vec<SeedDef>);

impl Seeds {
    /// Adds a seed, run inside one transaction.
    pub fn add(
        &mut self,
        tier: Tier,
        name: &str,
        seed: impl FnOnce(&mut HostConnection) -> Result<(), Error> + Send + 'static,
    ) {
        let tier = match tier {
            Tier::Core => tier::CORE,
            Tier::Baseline => tier::BASELINE,
            Tier::Demo => tier::DEMO,
        };
        let job: JobObject = detached(seed);
        self.0.push(SeedDef { name: name.into(), tier, job });
    }

    pub(crate) fn into_raw(self) -> Vec<SeedDef> {
        self.0
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
