//! Rows: what they are, what makes them valid, and what may happen to them.

pub mod actor;
pub mod campaign;
mod change;
pub mod channel;
pub mod step;

pub use self::{actor::Actor, campaign::Campaign, channel::Channel, step::Step};
