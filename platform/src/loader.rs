//! Opens verified libraries, and takes what they contribute.
//!
//! An extension's code runs here for the first time: on a thread of its own, with
//! a deadline. One that hangs is abandoned with its thread, since nothing can end it.

use std::{
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use powernode_abi::{
    AbiError, HostObject, JobHandlerDef, MigrationDef, PluginObject, RawRoute, plugin::SeedDef,
    providers::ProviderDef,
};
use powernode_plugin_api::{
    Description, channels::ChannelDef, events::SubscriptionDef, jobs::ScheduleDef,
};

use crate::manifest::{Manifest, Refusal, Stage};

mod open;

pub use open::{OpenError, open};

/// A library that runs in this process, with its contributions.
pub struct Loaded {
    /// The extension; shared with its tasks.
    pub plugin: Arc<PluginObject>,
    /// Its routes, in the order in which it added them.
    pub routes: Vec<RawRoute>,
    /// Its migrations, in order.
    pub migrations: Vec<MigrationDef>,
    /// Its seeds.
    pub seeds: Vec<SeedDef>,
    /// What runs its jobs.
    pub handlers: Vec<JobHandlerDef>,
    /// Its schedules.
    pub schedules: Vec<ScheduleDef>,
    /// What it hears.
    pub subscriptions: Vec<SubscriptionDef>,
    /// What it does for others.
    pub providers: Vec<ProviderDef>,
    /// Its live channels.
    pub channels: Vec<ChannelDef>,
}

/// Opens the library at `path`, which was verified before, and makes its extension.
///
/// # Errors
///
/// [`Refusal`], with the stage that it came to; nothing of it will be called again.
pub fn load(
    path: &Path,
    manifest: &Manifest,
    host: HostObject,
    deadline: Duration,
) -> Result<Loaded, Refusal> {
    let slug = manifest.slug.to_string();
    let root = open(path).map_err(|error| error.refusal(&slug))?;
    let loaded = within(deadline, &slug, "init", move || {
        let plugin = root.create()(host).into_result()?;
        let description = plugin.describe().into_result()?;
        let routes = plugin.routes().into_result()?.into();
        let migrations = plugin.migrations().into_result()?.into();
        let seeds = plugin.seeds().into_result()?.into();
        let handlers = plugin.handlers().into_result()?.into();
        let schedules = serde_json::from_str(&plugin.schedules().into_result()?);
        let schedules =
            schedules.map_err(|error| AbiError::failed(format!("its schedules: {error}")))?;
        let subscriptions = serde_json::from_str(&plugin.subscriptions().into_result()?);
        let subscriptions = subscriptions
            .map_err(|error| AbiError::failed(format!("its subscriptions: {error}")))?;
        let providers = plugin.providers().into_result()?.into();
        let channels = serde_json::from_str(&plugin.channels().into_result()?);
        let channels =
            channels.map_err(|error| AbiError::failed(format!("its channels: {error}")))?;
        let plugin = Arc::new(plugin);
        Ok((
            description,
            Loaded {
                plugin,
                routes,
                migrations,
                seeds,
                handlers,
                schedules,
                subscriptions,
                providers,
                channels,
            },
        ))
    });
    let (description, loaded) = loaded.map_err(|error| error.refusal(Stage::Register, &slug))?;
    describe(&description, manifest).map(|()| loaded)
}

/// Starts an extension whose migrations ran.
///
/// # Errors
///
/// [`Refusal`] when it answers an error, panics, or takes longer than `deadline`.
pub fn start(plugin: &Arc<PluginObject>, slug: &str, deadline: Duration) -> Result<(), Refusal> {
    let plugin = plugin.clone();
    within(deadline, slug, "start", move || block_on(plugin.start().flat()))
        .map_err(|error| error.refusal(Stage::Start, slug))
}

/// Stops an extension before the process ends.
///
/// # Errors
///
/// [`Refusal`] when it answers an error, panics, or takes longer than `deadline`.
pub fn stop(plugin: &Arc<PluginObject>, slug: &str, deadline: Duration) -> Result<(), Refusal> {
    let plugin = plugin.clone();
    within(deadline, slug, "stop", move || block_on(plugin.stop().flat()))
        .map_err(|error| error.refusal(Stage::Start, slug))
}

/// What the library says of itself must be what the manifest says of it.
fn describe(text: &str, manifest: &Manifest) -> Result<(), Refusal> {
    let refuse = |code, message| Err(Refusal::new(Stage::Register, code, message));
    let description: Description = match serde_json::from_str(text) {
        Ok(description) => description,
        Err(error) => {
            let message =
                format!("the library of `{}` describes itself badly: {error}", manifest.slug);
            return refuse("bad_description", message);
        }
    };
    let (slug, version) = (manifest.slug.to_string(), manifest.version.to_string());
    if (&description.slug, &description.version) != (&slug, &version) {
        let Description { slug: its_slug, version: its_version, .. } = description;
        let message = format!(
            "the library says `{its_slug}` {its_version}, its manifest `{slug}` {version}: stage the two that belong together"
        );
        return refuse("description_mismatch", message);
    }
    Ok(())
}

/// Why an entry of an extension did not end well.
enum EntryError {
    Failed { entry: &'static str, error: AbiError },
    TimedOut { entry: &'static str, after: Duration },
    Died { entry: &'static str },
    NoThread(std::io::Error),
}

impl EntryError {
    fn refusal(self, stage: Stage, slug: &str) -> Refusal {
        let (code, message) = match self {
            Self::Failed { entry, error } if error.is_panic() => {
                ("panicked", format!("`{slug}` panicked in its {entry}: {error}"))
            }
            Self::Failed { entry, error } => {
                ("init_failed", format!("`{slug}` failed in its {entry}: {error}"))
            }
            Self::TimedOut { entry, after } => (
                "timed_out",
                format!(
                    "`{slug}` did not end its {entry} within {after:?}; it is quarantined until an operator releases it"
                ),
            ),
            Self::Died { entry } => {
                ("died", format!("the thread of `{slug}` ended inside its {entry}"))
            }
            Self::NoThread(error) => ("no_thread", format!("no thread for `{slug}`: {error}")),
        };
        Refusal::new(stage, code, message)
    }
}

/// Runs an entry on a thread of its own; past the deadline the thread is left to itself.
fn within<T: Send + 'static>(
    deadline: Duration,
    slug: &str,
    entry: &'static str,
    body: impl FnOnce() -> Result<T, AbiError> + Send + 'static,
) -> Result<T, EntryError> {
    let (answer, answered) = mpsc::sync_channel(1);
    let name = format!("{slug}:{entry}");
    // The receiver may be gone: then nobody wants the answer.
    let run = move || drop(answer.send(body()));
    thread::Builder::new().name(name).spawn(run).map_err(EntryError::NoThread)?;
    match answered.recv_timeout(deadline) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(EntryError::Failed { entry, error }),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            Err(EntryError::TimedOut { entry, after: deadline })
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(EntryError::Died { entry }),
    }
}

/// Runs a future on this thread, which waits for it.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    futures_util::pin_mut!(future);
    let thread = Arc::new(Unpark(thread::current()));
    let waker = std::task::Waker::from(thread);
    let mut context = std::task::Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("routes", &self.routes).finish_non_exhaustive()
    }
}
