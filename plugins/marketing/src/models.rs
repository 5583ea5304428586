//! Rows: what they are, what makes them valid, and what may happen to them.

pub mod actor;
pub mod calendar_entry;
pub mod campaign;
mod change;
pub mod channel;
pub mod content;
pub mod email;
pub mod email_list;
pub mod metric;
mod recurrence;
pub mod sending;
pub mod social_account;
pub mod step;
pub mod subscriber;
pub mod tokens;

pub use self::{
    actor::Actor,
    calendar_entry::Entry,
    campaign::Campaign,
    channel::Channel,
    content::Content,
    email_list::EmailList,
    sending::{Letter, Post, Sending},
    social_account::SocialAccount,
    step::Step,
    subscriber::Subscriber,
    tokens::Tokens,
};
