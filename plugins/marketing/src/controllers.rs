//! Calls: each is read, handed to one service inside one database job, and answered.

pub mod audience;
pub mod campaigns;
pub mod contents;
pub mod email_lists;
pub mod subscribers;
pub mod subscriptions;
