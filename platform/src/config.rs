//! What an operator may choose, and where each choice came from.
//!
//! Four layers, each over the one before: the defaults, a TOML file, the environment
//! (`POWERNODE_SERVER__PORT` for `server.port`), the command line. No other room reads the environment.

mod error;
mod keys;
mod layers;
mod network;
mod origin;
mod reference;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use error::ConfigError;
pub(crate) use keys::nearest_of;
pub use layers::{DEFAULT_FILE, Sources};
pub use network::Network;
pub use origin::{Explained, Origin};
pub use reference::reference;

use layers::Layers;
use reqwest::Url;

/// Everything an operator chose.
#[derive(Clone)]
pub struct Settings {
    /// Where the platform listens, and how long it waits for whom.
    pub server: ServerSettings,
    /// Where the rows are.
    pub database: DatabaseSettings,
    /// The directory of everything that the platform writes for itself.
    pub data: PathBuf,
    /// Requests to servers elsewhere.
    pub egress: EgressSettings,
    /// Where extensions are, and what each may take.
    pub extensions: ExtensionsSettings,
    /// How many requests are admitted.
    pub limits: LimitSettings,
    /// How jobs run.
    pub worker: WorkerSettings,
    /// The master key's place.
    pub secrets: SecretSettings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// What the sections `[extension.<slug>]` say, by slug.
    pub extension: BTreeMap<String, serde_json::Value>,
    rows: Vec<Explained>,
}

/// Where the platform listens, and how long it waits for whom.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The address to listen on.
    pub bind: IpAddr,
    /// The port to listen on; 0 lets the system choose one.
    pub port: u16,
    /// The number of threads that serve; 0 is one for each core.
    pub workers: usize,
    /// The largest body of a request, in bytes.
    pub body_limit: usize,
    /// How long a client may take to send a request's head.
    pub header_timeout: Duration,
    /// How long a client may take to send a request's body.
    pub body_timeout: Duration,
    /// How long a client may leave what was sent to it unread.
    pub write_timeout: Duration,
    /// How long requests in flight may take to end when the platform stops.
    pub drain_timeout: Duration,
    /// The networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Where this platform itself is reached; none: where it listens.
    pub url: Option<Url>,
}

/// Requests to servers elsewhere.
#[derive(Clone, Debug)]
pub struct EgressSettings {
    /// Networks that may be asked although they are not public.
    pub allow: Vec<Network>,
    /// The largest body of an answer, in bytes.
    pub max_answer: usize,
    /// How long a request may take.
    pub timeout: Duration,
}

/// Where the rows are.
#[derive(Clone)]
pub struct DatabaseSettings {
    /// PostgreSQL's address, `postgres://…`; none: SQLite at `path`.
    pub url: Option<String>,
    /// The SQLite database's file; `<data>/powernode.db` where nothing else is said.
    pub path: PathBuf,
    /// What an acknowledged commit survives, on SQLite.
    pub durability: Durability,
    /// SQLite's connections that read.
    pub readers: u32,
    /// How extensions are kept apart on PostgreSQL.
    pub confinement: Confinement,
    /// PostgreSQL's connections of one extension, and of the core.
    pub pool_size: u32,
    /// PostgreSQL's connections of this node, all together.
    pub max_connections: u32,
    /// How long a query waits for a connection.
    pub acquire_timeout: Duration,
    /// Whether a start runs the migrations that wait.
    pub migrate_at_start: bool,
}

/// What an acknowledged commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A killed process.
    Normal,
    /// A power failure as well.
    Full,
}

/// How extensions are kept apart on PostgreSQL; on SQLite each statement is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// Each logs in as a role of its own.
    Roles,
    /// By where names are looked up, which stops accidents alone.
    SearchPath,
}

/// Where extensions are, and what each may take.
#[derive(Clone, Debug)]
pub struct ExtensionsSettings {
    /// The directory of installed extensions.
    pub dir: PathBuf,
    /// The file that says which of them are disabled.
    pub state_file: PathBuf,
    /// How long a probe of an unknown library may take.
    pub probe_timeout: Duration,
    /// How long an extension may take to start.
    pub init_timeout: Duration,
    /// How long an extension may take to answer a request.
    pub deadline: Duration,
    /// How many requests of one extension may be in flight.
    pub concurrency: usize,
    /// How long one poll of an extension's future may take before it is named as blocking.
    pub watchdog: Duration,
    /// How many panics within the window put an extension into quarantine.
    pub quarantine_after: u32,
    /// The window of those panics.
    pub quarantine_window: Duration,
}

/// How many requests are admitted in a minute.
#[derive(Clone, Debug)]
pub struct LimitSettings {
    /// For each token.
    pub per_token: u32,
    /// For each address, of requests without a token.
    pub per_address: u32,
    /// How many of them at once, where that is not all of them.
    pub burst: Option<u32>,
}

/// How jobs run.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// How many run at once in this process, whatever their queues.
    pub concurrency: u32,
    /// How long one attempt may take, where neither the job nor its handler says.
    pub timeout: Duration,
    /// How long those that run may take to end when the platform stops.
    pub grace: Duration,
    /// How long events are kept.
    pub keep_events: Duration,
    /// How long after a process died, on PostgreSQL, its jobs run elsewhere at the latest.
    pub rescue_after: Duration,
}

/// The master key's place.
#[derive(Clone)]
pub struct SecretSettings {
    /// The file that holds the key.
    pub key_file: Option<PathBuf>,
    /// The key itself; only the environment may hold it.
    pub key: Option<String>,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Which spans and lines, in the words of `tracing`'s filter: `info,powernode::gate=debug`.
    pub filter: String,
    /// Their shape.
    pub format: LogFormat,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// One JSON object a line.
    Json,
}

/// Whether colours are welcome on a terminal: `NO_COLOR` is not set to anything.
pub fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty())
}

impl Settings {
    /// Lays the layers over each other, and reads each value as what it must be.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: a file that was named and is missing, one that is no TOML, an unknown key,
    /// a value that cannot be what its key says.
    pub fn load(sources: Sources) -> Result<Settings, ConfigError> {
        let mut layers = Layers::collect(sources);
        match layers.problems().into_iter().next() {
            Some(problem) => Err(problem),
            None => Settings::of(&mut layers),
        }
    }

    /// As [`Settings::load`], and goes on: what cannot be used has its default, and is told beside.
    pub fn salvage(sources: Sources) -> (Option<Settings>, Vec<ConfigError>) {
        let mut layers = Layers::collect(sources);
        let mut problems = layers.problems();
        // Each round sets one key back, so that there are no more of them than keys.
        for _ in 0..=keys::KEYS.len() {
            match Settings::of(&mut layers) {
                Ok(settings) => return (Some(settings), problems),
                Err(problem) => {
                    if let Some(key) = problem.key() {
                        layers.reset(key);
                    }
                    problems.push(problem);
                }
            }
        }
        (None, problems)
    }

    fn of(layers: &mut Layers) -> Result<Settings, ConfigError> {
        let data: PathBuf = layers.get("data")?;
        layers.default("database.path", &data.join("powernode.db"));
        Ok(Settings {
            server: ServerSettings {
                bind: layers.get("server.bind")?,
                port: layers.get("server.port")?,
                workers: layers.get("server.workers")?,
                body_limit: layers.bytes("server.body_limit")?,
                header_timeout: layers.get("server.header_timeout")?,
                body_timeout: layers.get("server.body_timeout")?,
                write_timeout: layers.get("server.write_timeout")?,
                drain_timeout: layers.get("server.drain_timeout")?,
                trusted_proxies: layers.get("server.trusted_proxies")?,
                url: layers.get("server.url")?,
            },
            egress: EgressSettings {
                allow: layers.get("egress.allow")?,
                max_answer: layers.bytes("egress.max_answer")?,
                timeout: layers.get("egress.timeout")?,
            },
            database: DatabaseSettings {
                url: layers.get("database.url")?,
                path: layers.get("database.path")?,
                durability: layers.get("database.durability")?,
                readers: layers.get("database.readers")?,
                confinement: layers.get("database.confinement")?,
                pool_size: layers.get("database.pool_size")?,
                max_connections: layers.get("database.max_connections")?,
                acquire_timeout: layers.get("database.acquire_timeout")?,
                migrate_at_start: layers.get("database.migrate_at_start")?,
            },
            data,
            extensions: ExtensionsSettings {
                dir: layers.get("extensions.dir")?,
                state_file: layers.get("extensions.state_file")?,
                probe_timeout: layers.get("extensions.probe_timeout")?,
                init_timeout: layers.get("extensions.init_timeout")?,
                deadline: layers.get("extensions.deadline")?,
                concurrency: layers.get::<u32>("extensions.concurrency")? as usize,
                watchdog: layers.get("extensions.watchdog")?,
                quarantine_after: layers.get("extensions.quarantine_after")?,
                quarantine_window: layers.get("extensions.quarantine_window")?,
            },
            limits: LimitSettings {
                per_token: layers.get("limits.per_token")?,
                per_address: layers.get("limits.per_address")?,
                burst: layers.get("limits.burst")?,
            },
            worker: WorkerSettings {
                concurrency: layers.get("worker.concurrency")?,
                timeout: layers.get("worker.timeout")?,
                grace: layers.get("worker.grace")?,
                keep_events: layers.get("worker.keep_events")?,
                rescue_after: layers.get("worker.rescue_after")?,
            },
            secrets: SecretSettings {
                key_file: layers.get("secrets.key_file")?,
                key: layers.get("secrets.key")?,
            },
            log: LogSettings {
                filter: layers.get("log.filter")?,
                format: layers.get("log.format")?,
            },
            extension: layers.extensions(),
            rows: layers.explain(),
        })
    }

    /// Returns every setting with its value and where that came from, by key; secrets are masked.
    pub fn explain(&self) -> &[Explained] {
        &self.rows
    }

    /// Returns where the value of `key` came from; none for an unknown key.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.rows.iter().find(|row| row.key == key).map(|row| &row.origin)
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The explanation is masked; a free section is not.
        f.debug_list().entries(&self.rows).finish()
    }
}

impl std::fmt::Debug for DatabaseSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseSettings")
            .field("url", &self.url.as_deref().map(origin::mask_url))
            .field("path", &self.path)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SecretSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretSettings").field("key_file", &self.key_file).finish_non_exhaustive()
    }
}
