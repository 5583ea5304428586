//! What the operator may choose about the database.

use std::{path::PathBuf, time::Duration};

/// Where the database is, and how it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSettings {
    /// PostgreSQL's address, `postgres://…`; none: SQLite at `path`.
    pub url: Option<String>,
    /// The SQLite database's file.
    pub path: PathBuf,
    /// What an acknowledged commit survives, on SQLite.
    pub durability: Durability,
    /// SQLite's connections that read.
    pub readers: u32,
    /// How extensions are kept apart on PostgreSQL.
    pub confinement: Confinement,
    /// PostgreSQL's connections of one extension, and of the core.
    pub pool_size: u32,
    /// PostgreSQL's connections of all together.
    pub max_connections: u32,
    /// How long a job waits for a connection.
    pub acquire_timeout: Duration,
}

impl DatabaseSettings {
    /// SQLite at `path`, all else as by default.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self {
            url: None,
            path: path.into(),
            durability: Durability::Normal,
            readers: 4,
            confinement: Confinement::Roles,
            pool_size: 10,
            max_connections: 40,
            acquire_timeout: Duration::from_secs(5),
        }
    }

    /// PostgreSQL at `url`, all else as by default.
    pub fn postgres(url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), ..Self::sqlite("") }
    }
}

/// How extensions are kept apart on PostgreSQL; on SQLite each statement is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confinement {
    /// Each logs in as a role of its own.
    #[default]
    Roles,
    /// By where names are looked up, which stops accidents alone.
    SearchPath,
}

/// What an acknowledged commit survives, on SQLite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// A killed process.
    #[default]
    Normal,
    /// A power failure as well.
    Full,
}
