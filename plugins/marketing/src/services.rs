//! What happens inside one database job.
//!
//! Each function takes the connection first, and the account or the actor next: a row of
//! another account is not found.

pub mod analytics;
pub mod audience;
pub mod calendar;
pub mod campaigns;
pub mod confirmations;
pub mod contents;
mod counts;
pub mod deliveries;
pub mod email_lists;
mod events;
pub mod import;
pub mod list_statistics;
pub mod notices;
pub mod posts;
pub mod publications;
mod range;
mod search;
pub mod sendings;
mod slug;
pub mod social_accounts;
pub mod subscribers;
pub mod tracking;
