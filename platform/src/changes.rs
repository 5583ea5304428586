//! What pages and tools follow as it happens: one list of all nodes, kept for an hour, from which everybody goes on
//! where they were.
//!
//! Data flows write → follow → stream. A change is written in the transaction that makes it; each process that somebody
//! follows reads the list's end and hands it round. Gates are no part of it: each node knows them itself.

mod channels;
mod follow;
mod list;

pub use self::{
    channels::{BadChannel, Channel, Channels, channel_names},
    follow::{Changes, Heard},
    list::{Change, JOBS, LARGEST, QUEUES, current, oldest, since, write},
};
