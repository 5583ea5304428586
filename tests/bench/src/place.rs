//! A platform in this process: booted from a directory of extensions, with one worker.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use actix_web::{rt::System, web};
use anyhow::{Context as _, Result};
use chrono::Utc;
use powernode::{
    audit::By,
    boot::{self, Booted},
    config::{Settings, Sources},
    http::{self, Listening},
};
use powernode_tests::library::{Build, Library, Package};
use tempfile::TempDir;

/// The slug of one of many extensions.
pub(crate) fn slug(number: usize) -> String {
    format!("fixture-{number:03}")
}

/// Writes so many extensions, each a library of its own.
pub(crate) fn install(extensions: &Path, count: usize) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    let library = Library::built("bench", Build::Optimized)?;
    for number in 0..count {
        let slug = slug(number);
        Package::new(&slug, library.stamped(&slug)?).write(&extensions.join(&slug))?;
    }
    Ok(())
}

/// A platform in this process; it serves until the process ends.
pub(crate) struct Place {
    pub(crate) booted: Booted,
    pub(crate) port: u16,
    pub(crate) token: String,
    worker: Arc<Mutex<Option<String>>>,
    // The extensions stand in it.
    _directory: TempDir,
}

impl Place {
    /// Boots a platform with so many extensions; its program also has the routes of `further`.
    pub(crate) fn serve(extensions: usize, further: fn(&mut web::ServiceConfig)) -> Result<Self> {
        Self::with(|directory| install(&directory, extensions), &[], further)
    }

    /// Boots a platform with what `install` puts into its extensions, and with these settings.
    pub(crate) fn with(
        install: impl FnOnce(PathBuf) -> Result<()>,
        more: &[(&str, &str)],
        further: fn(&mut web::ServiceConfig),
    ) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("powernode-bench-").tempdir()?;
        let installed = directory.path().join("extensions");
        fs::create_dir_all(&installed)?;
        install(installed)?;
        let settings = settings(directory.path(), more)?;

        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let handle = runtime.handle().clone();
        let core = boot::core(&settings, &handle)?;
        let booted = boot::extensions(core, &settings, &handle)?;
        let refused = booted.registry.entries.iter().find_map(|it| it.refusal.clone());
        anyhow::ensure!(refused.is_none(), "an extension stays out: {refused:?}");
        let platform = Arc::new(boot::serve::platform(&booted, &settings, &handle)?);
        let token = runtime.block_on(platform.access.bootstrap(By::new("bench", Utc::now())))?;
        let token = token.context("no token")?.text;
        // It runs what extensions and the database need, as long as the process.
        std::mem::forget(runtime);

        let listener = powernode::http::listen(([127, 0, 0, 1], 0).into())?;
        let port = listener.local_addr()?.port();
        let how = Listening {
            workers: 1,
            header_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(1),
        };
        let worker = Arc::new(Mutex::new(None));
        let named = worker.clone();
        thread::spawn(move || {
            System::new().block_on(async move {
                // Called by the worker itself: so its thread is known.
                let further = move |config: &mut web::ServiceConfig| {
                    let thread = fs::read_link("/proc/thread-self").unwrap_or_default();
                    let path = format!("/proc/{}/schedstat", thread.display());
                    *named.lock().unwrap_or_else(PoisonError::into_inner) = Some(path);
                    further(config);
                };
                http::server_with(platform, listener, how, further)?.await
            })
        });
        Ok(Self { booted, port, token, worker, _directory: directory })
    }

    /// How long the worker has been on a processor, in nanoseconds.
    pub(crate) fn worker_time(&self) -> Result<f64> {
        let path = self.worker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = fs::read_to_string(path.context("the worker did not start")?)?;
        let time = text.split(' ').next().context("no time")?;
        Ok(time.parse()?)
    }
}

/// The settings of a platform in that directory.
fn settings(directory: &Path, more: &[(&str, &str)]) -> Result<Settings> {
    let at = |name: &str| directory.join(name).display().to_string();
    let flags = [
        ("data", at("data")),
        ("extensions.dir", at("extensions")),
        ("extensions.state_file", at("state.json")),
        ("limits.per_token", "1000000000".to_owned()),
        ("limits.per_address", "1000000000".to_owned()),
    ];
    let more = more.iter().map(|(key, value)| (*key, (*value).to_owned()));
    let flags = flags.into_iter().chain(more).map(|(key, value)| (key.to_owned(), value)).collect();
    Ok(Settings::load(Sources { file: None, environment: Vec::new(), flags })?)
}
