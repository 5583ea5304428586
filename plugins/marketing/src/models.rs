//! Rows: what they are, what makes them valid, and what may happen to them.

pub mod actor;
pub mod campaign;
mod change;
pub mod channel;
pub mod content;
pub mod email;
pub mod email_list;
pub mod step;
pub mod subscriber;

pub use self::{
    actor::Actor, campaign::Campaign, channel::Channel, content::Content, email_list::EmailList,
    step::Step, subscriber::Subscriber,
};
