//! The server's address, for the operator's role and for others.

use std::{sync::Arc, time::Duration};

/// How soon a server that went away without a word is noticed: by the system, in seconds and milliseconds.
const LOST: [(&str, &str); 4] = [
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
];

/// What `database.url` says: a URI, or `key=value` pairs. It may carry a password.
#[derive(Clone)]
pub(super) struct Address {
    text: Arc<str>,
    timeout: u64,
}

impl Address {
    /// The address `text`; connecting may take `timeout`, unless the text says otherwise.
    pub(super) fn new(text: &str, timeout: Duration) -> Self {
        // libpq takes a second for two.
        Self { text: text.into(), timeout: timeout.as_secs().max(2) }
    }

    /// As the operator wrote it.
    pub(super) fn operator(&self) -> String {
        self.with(&[("application_name", "powernode")])
    }

    /// The same server and database, for another role.
    pub(super) fn of_role(&self, role: &str, password: &str, slug: &str) -> String {
        let name = format!("powernode-{slug}");
        self.with(&[("user", role), ("password", password), ("application_name", &name)])
    }

    /// Of a key that stands twice, the last counts.
    fn with(&self, pairs: &[(&str, &str)]) -> String {
        let uri = self.text.starts_with("postgres://") || self.text.starts_with("postgresql://");
        let mut text = self.text.to_string();
        let timeout = self.timeout.to_string();
        let defaults = [("connect_timeout", &*timeout)].into_iter().chain(LOST);
        let defaults = defaults.filter(|(key, _)| !self.text.contains(key));
        for (key, value) in pairs.iter().copied().chain(defaults) {
            if uri {
                let mark = if text.contains('?') { '&' } else { '?' };
                text.push_str(&format!("{mark}{key}={value}"));
            } else {
                text.push_str(&format!(" {key}='{value}'"));
            }
        }
        text
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Address")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let address = Address::new(text, Duration::from_secs(5));
        assert_eq!(address.of_role("r", "p", "shop"), expected);
    }

    #[test]
    fn a_role_takes_the_operators_place() {
        check(
            "postgres://me:secret@db/x",
            "postgres://me:secret@db/x?user=r&password=p&application_name=powernode-shop&connect_timeout=5&keepalives_idle=5&keepalives_interval=2&keepalives_count=3&tcp_user_timeout=10000",
        );
        check(
            "postgresql://db/x?sslmode=verify-full&connect_timeout=9",
            "postgresql://db/x?sslmode=verify-full&connect_timeout=9&user=r&password=p&application_name=powernode-shop&keepalives_idle=5&keepalives_interval=2&keepalives_count=3&tcp_user_timeout=10000",
        );
        check(
            "host=db user=me",
            "host=db user=me user='r' password='p' application_name='powernode-shop' connect_timeout='5' keepalives_idle='5' keepalives_interval='2' keepalives_count='3' tcp_user_timeout='10000'",
        );
    }
}
