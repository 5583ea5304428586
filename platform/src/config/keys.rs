//! Every key there is, with its default: the one list that the layers, the errors, the explanation and the reference read.

/// A key that an operator may set.
pub(super) struct Key {
    /// Its name, with dots.
    pub(super) name: &'static str,
    /// What holds where no layer says anything; none: nothing, or computed.
    pub(super) default: Option<&'static str>,
    /// What it does, for the reference.
    pub(super) about: &'static str,
}

/// Every key, by name.
pub(super) const KEYS: &[Key] = &[
    key(
        "data",
        "data",
        "The directory of everything that the platform writes for itself: the database, the master key, the store of libraries, the operator's socket.",
    ),
    key(
        "database.acquire_timeout",
        "5s",
        "How long a query waits for a connection before it fails as unavailable.",
    ),
    key(
        "database.confinement",
        "roles",
        "How PostgreSQL keeps extensions apart: a login role for each, or `search_path`, which stops accidents and not intent, for where roles cannot be made.",
    ),
    key(
        "database.durability",
        "normal",
        "What an acknowledged commit survives on SQLite: `normal` a killed process, `full` a power failure as well.",
    ),
    key(
        "database.max_connections",
        "40",
        "PostgreSQL's connections of this process in all, those of the core and of all extensions; one more hears of other nodes.",
    ),
    key(
        "database.migrate_at_start",
        "true",
        "Whether a start runs the migrations that wait; `false` leaves that to `powernode migrate`, and an extension whose library is newer than the database stays out until then.",
    ),
    unset(
        "database.path",
        "The SQLite database's file; `powernode.db` in the data directory where nothing is said.",
    ),
    key("database.pool_size", "10", "PostgreSQL's connections of one extension, and of the core."),
    key("database.readers", "4", "SQLite's connections that read."),
    unset(
        "database.url",
        "PostgreSQL's address, `postgres://user:password@host/name`; SQLite where nothing is said.",
    ),
    key(
        "egress.allow",
        "",
        "Networks that extensions and webhooks may send requests to although they are not public, `127.0.0.0/8` for development: a list, with commas between them in the environment.",
    ),
    key(
        "egress.max_answer",
        "10MiB",
        "The largest body of an answer to a request of an extension's.",
    ),
    key(
        "egress.timeout",
        "30s",
        "How long a request of an extension's to another server may take.",
    ),
    key(
        "extensions.concurrency",
        "256",
        "How many requests of one extension may be in flight; more are answered 503.",
    ),
    key(
        "extensions.deadline",
        "30s",
        "How long an extension may take to answer a request; then 504.",
    ),
    key(
        "extensions.dir",
        "extensions",
        "The directory of installed extensions; one that is named here must be there, and without the default one no extension is loaded.",
    ),
    key("extensions.init_timeout", "10s", "How long an extension may take to begin and to stop."),
    key(
        "extensions.probe_timeout",
        "10s",
        "How long a library that was never seen may take to open in a process of its own.",
    ),
    key(
        "extensions.quarantine_after",
        "5",
        "How many panics within the window put an extension into quarantine.",
    ),
    key("extensions.quarantine_window", "60s", "The window of those panics."),
    key(
        "extensions.state_file",
        "config/extensions_state.json",
        "The file that says which extensions the next start leaves out.",
    ),
    key(
        "extensions.watchdog",
        "250ms",
        "How long one poll of an extension's future may take before the log names it as blocking.",
    ),
    unset(
        "limits.burst",
        "How many requests of a sender may come at once; all of a minute's where nothing is said.",
    ),
    key("limits.per_address", "6000", "Requests a minute from one address."),
    key("limits.per_token", "6000", "Requests a minute with one token."),
    key(
        "log.filter",
        "info",
        "Which lines are logged, in the words of `tracing`: `info,powernode::gate=debug`.",
    ),
    key("log.format", "text", "The shape of a log line: `text` for people, `json` for programs."),
    unset(
        "secrets.key",
        "The master key, 64 hexadecimal digits; only the environment may hold it.",
    ),
    unset(
        "secrets.key_file",
        "The file that holds the master key; `master.key` in the data directory, which the first start makes, where nothing is said. A database remembers the key's id: `powernode key`.",
    ),
    key("server.bind", "127.0.0.1", "The address to listen on."),
    key("server.body_limit", "1MiB", "The largest body of a request."),
    key("server.body_timeout", "10s", "How long a client may take to send a request's body."),
    key(
        "server.drain_timeout",
        "30s",
        "How long requests in flight may take to end when the platform stops.",
    ),
    key("server.header_timeout", "5s", "How long a client may take to send a request's head."),
    key("server.port", "8080", "The port to listen on; 0 lets the system choose one."),
    key(
        "server.trusted_proxies",
        "",
        "The networks whose `X-Forwarded-For` is believed: a list, with commas between them in the environment.",
    ),
    unset(
        "server.url",
        "Where this platform itself is reached, `http://10.0.0.5:8080`, for extensions that ask its API; the address that it listens on where nothing is said.",
    ),
    key("server.workers", "0", "The number of threads that serve; 0 is one for each processor."),
    key("server.write_timeout", "30s", "How long a client may leave what was sent to it unread."),
    key(
        "worker.concurrency",
        "64",
        "How many jobs run at once in this process, whatever their queues; each queue has a bound of its own as well.",
    ),
    key(
        "worker.grace",
        "25s",
        "How long jobs may take to end when the platform stops; what does not end is given back, and runs again without a lost attempt.",
    ),
    key(
        "worker.keep_events",
        "30d",
        "How long events are kept, so that they can be replayed; what happened once is remembered three times as long.",
    ),
    key(
        "worker.rescue_after",
        "20s",
        "On PostgreSQL, how long after a process died its jobs run elsewhere at the latest. SQLite's run again at the next start.",
    ),
    key(
        "worker.timeout",
        "30m",
        "How long one attempt of a job may take, where neither the job nor its handler says.",
    ),
];

const fn key(name: &'static str, default: &'static str, about: &'static str) -> Key {
    Key { name, default: Some(default), about }
}

const fn unset(name: &'static str, about: &'static str) -> Key {
    Key { name, default: None, about }
}

/// Returns the key that is spelt most like `name`.
pub(super) fn nearest(name: &str) -> &'static str {
    nearest_of(name, KEYS.iter().map(|key| key.name)).unwrap_or_default()
}

/// Returns which of `names` is spelt most like `name`.
pub(crate) fn nearest_of<'a>(
    name: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    names.into_iter().min_by_key(|it| distance(name, it))
}

/// Counts the letters to insert, delete or replace to get from one text to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut above_left = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (above_left + usize::from(a != *b)).min(above + 1).min(row[j] + 1);
            above_left = above;
        }
    }
    row[to.len()]
}
