//! A connection on which processes tell each other that something happened.

use powernode_abi::DbError;

use super::{Connection, Postgres, errors::unreachable};

/// What is listened to; nothing is said but that it happened.
const LISTEN: &str = "LISTEN core_jobs";
const NOTIFY: &str = "NOTIFY core_jobs";

/// One more connection of this process, beyond those that jobs of the database share.
#[derive(Debug)]
pub(crate) struct Channel(Connection);

impl Postgres {
    /// Begins to listen.
    pub(crate) fn channel(&self) -> Result<Channel, DbError> {
        let opened = Connection::open(&self.address.operator());
        let mut connection = opened.map_err(|error| unreachable(error.into(), None))?;
        connection.batch(LISTEN)?;
        Ok(Channel(connection))
    }
}

impl Channel {
    /// Tells the others; this waits for the server.
    pub(crate) fn tell(&mut self) -> Result<(), DbError> {
        self.0.batch(NOTIFY)
    }

    /// Whether another process told something since this was asked last; this waits for nothing.
    pub(crate) fn heard(&mut self) -> Result<bool, DbError> {
        self.0.notified()
    }
}
