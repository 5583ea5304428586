//! What happens inside one database job.

pub mod campaigns;
mod search;
mod slug;
