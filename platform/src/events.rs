//! Events: what extensions say in the transaction of what they tell, and who hears it.
//!
//! Data flows publish → one row → a job for each subscription. A delivery is a job like any other: it is retried, waits
//! while its extension is off, is dead in the end, and of those that are ordered by a key one comes after the other.
//! What happened once is remembered under a key, in the transaction of the effect.

mod list;
mod once;
mod publish;
mod replay;
mod subscriptions;
mod topic;

pub use self::{
    list::{Event, Filter, list, prune},
    publish::{BadEvent, NewEvent, PublishError, publish, serve},
    replay::{Replayed, Since, replay, replay_all},
    subscriptions::{NewSubscription, Subscription, subscriptions, sync},
    topic::{BadTopic, Pattern, Topic},
};
