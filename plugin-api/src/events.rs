//! Events: what an extension says, and what it hears of others.

use std::fmt;

use powernode_abi::JobHandlerDef;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    error::Result,
    jobs::{Job, JobHandler, JobOptions, Outcome, Registered, says},
    request::Shared,
};

mod event;
mod publish;

pub use self::{
    event::{Delivered, Event},
    publish::{EventId, NewEvent, publish, publish_all},
};

/// Collects which events an extension hears.
///
/// Topics are `<slug>.<entity>.<verb>`. Each delivery is a job, which is retried, waits while the extension is off,
/// and is dead in the end if all else fails.
///
/// ```text
/// fn events(events: &mut Events<Self>) {
///     events.on("shop.order.paid", thank).attempts(5);
///     events.on("shop.order.*", index).ordered();
/// }
///
/// async fn thank(event: Event<Marketing>, order: Order) -> Result<()> { … }
/// async fn index(event: Event<Marketing>) -> Result<()> { … }
/// ```
pub struct Events<E> {
    subscriptions: Vec<Subscription<E>>,
}

/// One among [`Events`]; says how it wants to be called.
pub struct Subscription<E> {
    pattern: String,
    is_ordered: bool,
    registered: Registered<E>,
}

/// A subscription as it crosses the boundary, in a JSON array; how it wants to be called stands with its handler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionDef {
    /// The name of the handler that runs the deliveries.
    pub handler: String,
    /// A topic; a part of it may be `*`, which is any.
    pub pattern: String,
    /// Whether events with the same key come one after the other, in the order in which they were published.
    pub ordered: bool,
}

/// An `async fn` that takes an [`Event`], and its payload if it wants that; it answers as one that runs jobs.
pub trait EventHandler<E, Args>: Clone + Send + Sync + 'static {
    /// Reads the payload and runs it.
    fn run(&self, event: Event<E>) -> impl Future<Output = Result<Outcome>> + Send;
}

impl<E, F, Fut, Out> EventHandler<E, ()> for F
where
    E: Send + Sync + 'static,
    F: Fn(Event<E>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Out>> + Send,
    Out: Into<Outcome>,
{
    async fn run(&self, event: Event<E>) -> Result<Outcome> {
        self(event).await.map(Into::into)
    }
}

impl<E, F, Fut, Out, P> EventHandler<E, (P,)> for F
where
    E: Send + Sync + 'static,
    F: Fn(Event<E>, P) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Out>> + Send,
    Out: Into<Outcome>,
    P: DeserializeOwned + Send,
{
    async fn run(&self, event: Event<E>) -> Result<Outcome> {
        let payload = event.payload()?;
        self(event, payload).await.map(Into::into)
    }
}

/// An event handler as what runs jobs.
struct Hears<H, A> {
    handler: H,
    args: std::marker::PhantomData<fn(A)>,
}

impl<H: Clone, A> Clone for Hears<H, A> {
    fn clone(&self) -> Self {
        Self { handler: self.handler.clone(), args: self.args }
    }
}

/// Tells deliveries from jobs, for the compiler.
struct Delivery;

impl<E, H, A> JobHandler<E, Delivery> for Hears<H, A>
where
    E: Send + Sync + 'static,
    H: EventHandler<E, A>,
    A: 'static,
{
    async fn run(&self, job: Job<E>) -> Result<Outcome> {
        self.handler.run(Event::new(job)?).await
    }
}

impl<E: Send + Sync + 'static> Events<E> {
    pub(crate) fn new() -> Self {
        Self { subscriptions: Vec::new() }
    }

    /// Hears a topic of one's own or another's: `shop.order.paid`; a part may be `*`, which is any.
    ///
    /// The handler's name is `on:` and the pattern; what hears one pattern twice gives one of them another
    /// [name](Subscription::named).
    pub fn on<A: 'static>(
        &mut self,
        pattern: &str,
        handler: impl EventHandler<E, A>,
    ) -> &mut Subscription<E> {
        let handler = Hears { handler, args: std::marker::PhantomData };
        let registered = Registered::new(&format!("on:{pattern}"), handler);
        let pattern = pattern.to_owned();
        self.subscriptions.push(Subscription { pattern, is_ordered: false, registered });
        let last = self.subscriptions.len() - 1;
        &mut self.subscriptions[last]
    }

    pub(crate) fn defs(&self) -> Vec<SubscriptionDef> {
        self.subscriptions.iter().map(Subscription::def).collect()
    }

    pub(crate) fn into_raw(self, shared: &std::sync::Arc<Shared<E>>) -> Vec<JobHandlerDef> {
        self.subscriptions.into_iter().map(|it| it.registered.into_raw(shared.clone())).collect()
    }
}

says! { Subscription }

impl<E> Subscription<E> {
    /// Events with the same key come one after the other, in the order in which they were published; one that fails
    /// holds those after it up until it went well or is dead.
    pub fn ordered(&mut self) -> &mut Self {
        self.is_ordered = true;
        self
    }

    /// Under another name. What waits to be delivered waits under the name that the handler had.
    pub fn named(&mut self, name: &str) -> &mut Self {
        self.registered.named(name);
        self
    }

    fn options_mut(&mut self) -> &mut JobOptions {
        self.registered.options_mut()
    }

    fn def(&self) -> SubscriptionDef {
        SubscriptionDef {
            handler: self.registered.name().to_owned(),
            pattern: self.pattern.clone(),
            ordered: self.is_ordered,
        }
    }
}

impl<E> fmt::Debug for Events<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.subscriptions).finish()
    }
}

impl<E> fmt::Debug for Subscription<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.registered.fmt(f)
    }
}
