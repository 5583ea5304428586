//! Calls: each is read, handed to one service inside one database job, and answered.

pub mod analytics;
pub mod audience;
pub mod calendar;
pub mod campaigns;
pub mod contents;
pub mod email_lists;
mod rows;
pub mod sendings;
pub mod social_accounts;
pub mod subscribers;
pub mod subscriptions;
pub mod tracking;
