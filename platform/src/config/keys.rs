//! Every key there is, with its default: the one list that the layers, the errors and the explanation read.

/// A key that an operator may set.
pub(super) struct Key {
    /// Its name, with dots.
    pub(super) name: &'static str,
    /// What holds where no layer says anything; none: nothing, or computed.
    pub(super) default: Option<&'static str>,
}

/// Every key, by name.
pub(super) const KEYS: &[Key] = &[
    key("data", "data"),
    key("database.acquire_timeout", "5s"),
    key("database.confinement", "roles"),
    key("database.durability", "normal"),
    key("database.max_connections", "40"),
    unset("database.path"),
    key("database.pool_size", "10"),
    key("database.readers", "4"),
    unset("database.url"),
    key("extensions.concurrency", "256"),
    key("extensions.deadline", "30s"),
    key("extensions.dir", "extensions"),
    key("extensions.init_timeout", "10s"),
    key("extensions.probe_timeout", "10s"),
    key("extensions.quarantine_after", "5"),
    key("extensions.quarantine_window", "60s"),
    key("extensions.state_file", "config/extensions_state.json"),
    key("extensions.watchdog", "250ms"),
    unset("limits.burst"),
    key("limits.per_address", "6000"),
    key("limits.per_token", "6000"),
    key("log.filter", "info"),
    key("log.format", "text"),
    unset("secrets.key"),
    unset("secrets.key_file"),
    key("server.bind", "127.0.0.1"),
    key("server.body_limit", "1MiB"),
    key("server.body_timeout", "10s"),
    key("server.drain_timeout", "30s"),
    key("server.header_timeout", "5s"),
    key("server.port", "8080"),
    key("server.trusted_proxies", ""),
    key("server.workers", "0"),
    key("server.write_timeout", "30s"),
];

const fn key(name: &'static str, default: &'static str) -> Key {
    Key { name, default: Some(default) }
}

const fn unset(name: &'static str) -> Key {
    Key { name, default: None }
}

/// Returns the key that is spelt most like `name`.
pub(super) fn nearest(name: &str) -> &'static str {
    KEYS.iter().map(|key| key.name).min_by_key(|key| distance(name, key)).unwrap_or_default()
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
