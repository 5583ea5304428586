//! Processes that serve one database, and commands that must be alone with it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use powernode_abi::{DbError, data::POSTGRES};

use super::{
    BootError, database,
    lock::{DataLock, LockError},
};
use crate::{
    config::Settings,
    db::{DbOpenError, Engine, Presence},
};

/// How often it is looked whether the server still knows of this process, and whether a command has ended.
const PACE: Duration = Duration::from_millis(500);
/// How often somebody who waits says so.
const SAY: Duration = Duration::from_secs(30);

/// This process serves its database, as far as others can see, until this is dropped.
#[derive(Debug)]
pub struct Serving {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The data directory and its database are this command's, until this is dropped.
#[derive(Debug)]
pub struct Alone {
    _data: DataLock,
    _database: Option<Presence>,
}

/// A command that must be alone is not.
#[derive(Debug, thiserror::Error)]
pub enum NotAlone {
    /// The data directory is another process's.
    #[error(transparent)]
    Data(#[from] LockError),
    /// Nodes serve the database.
    #[error(
        "{} serve the database: stop them all (`powernode nodes` shows those that run jobs), and say this again",
        .0.join(", ")
    )]
    Nodes(Vec<String>),
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] DbOpenError),
    /// The database does not say who serves it.
    #[error("the database does not say who serves it: {0}")]
    Database(DbError),
}

impl Serving {
    /// Begins, once no command has the database for itself. Answers whether there was one, so that what is known of
    /// the database may be old.
    ///
    /// # Errors
    ///
    /// The database's, and the system's where it starts no thread.
    pub fn begin(engine: &Engine) -> Result<(Self, bool), BootError> {
        let ended = Arc::<AtomicBool>::default();
        if engine.dialect() != POSTGRES {
            return Ok((Self { ended, thread: None }, false));
        }
        let (mut waited, mut said) = (false, None::<Instant>);
        let presence = loop {
            if let Some(presence) = engine.attend(&name()).map_err(BootError::Nodes)? {
                break presence;
            }
            waited = true;
            if said.is_none_or(|it| it.elapsed() > SAY) {
                tracing::info!("Waiting for a command that has the database for itself");
                said = Some(Instant::now());
            }
            thread::sleep(PACE);
        };
        let (engine, until) = (engine.clone(), ended.clone());
        let keep = move || keep(&engine, presence, &until);
        let thread = thread::Builder::new().name("powernode-here".into()).spawn(keep);
        Ok((Self { ended, thread: Some(thread.map_err(BootError::Thread)?) }, waited))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // It looks often.
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// Takes the lock again where the server lost it.
fn keep(engine: &Engine, presence: Presence, ended: &AtomicBool) {
    let (mut held, mut warned) = (Some(presence), false);
    while !ended.load(Ordering::Acquire) {
        thread::park_timeout(PACE);
        if !held.as_mut().is_some_and(Presence::lasts) {
            let attended = engine.attend(&name());
            // Where the server is away, nobody else is there either.
            let other = matches!(attended, Ok(None));
            if other && !warned {
                tracing::error!(
                    "The connection that shows this node to others was lost, and a command has taken the database for \
                     itself meanwhile: what this node answers may be wrong until that has ended; restart it then"
                );
            }
            warned = other;
            held = attended.ok().flatten();
        }
    }
}

/// How operators find it.
fn name() -> String {
    format!("powernode on {}, process {}", host(), std::process::id())
}

/// The machine's name, for people.
pub(super) fn host() -> String {
    let named = ["/proc/sys/kernel/hostname", "/etc/hostname"].iter().find_map(|it| {
        let text = std::fs::read_to_string(it).ok()?;
        Some(text.trim().to_owned()).filter(|it| !it.is_empty())
    });
    named.unwrap_or_else(|| "localhost".to_owned())
}

impl Alone {
    /// Keeps platforms from starting on this data directory and this database.
    ///
    /// # Errors
    ///
    /// [`NotAlone`].
    pub fn take(settings: &Settings) -> Result<Self, NotAlone> {
        let data = DataLock::take(&settings.data)?;
        if settings.database.url.is_none() {
            return Ok(Self { _data: data, _database: None });
        }
        let engine = Engine::open(&database(settings))?;
        let alone = engine.alone().map_err(NotAlone::Database)?.map_err(NotAlone::Nodes)?;
        Ok(Self { _data: data, _database: alone })
    }
}
