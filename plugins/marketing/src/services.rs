//! What happens inside one database job.
//!
//! Each function takes the connection first, and the account or the actor next: a row of
//! another account is not found.

pub mod analytics;
pub mod audience;
pub mod calendar;
pub mod campaigns;
pub mod contents;
pub mod email_lists;
pub mod import;
pub mod list_statistics;
mod range;
mod search;
mod slug;
pub mod social_accounts;
pub mod subscribers;
