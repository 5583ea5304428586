//! Passes a request to the extension that owns its path.
//!
//! One table holds the routes of all extensions, and is swapped as a whole. The
//! gate's pass is what a handler is called with, so that no path can forget it.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use actix_web::{HttpRequest, HttpResponse, dev::Payload, web};
use chrono::Utc;
use powernode_abi::{RawResponse, error::PANICKED};
use powernode_plugin_api::operation::Identity;

use super::{
    context::Context,
    error::ApiError,
    limits::Sender,
    request::{Incoming, Party},
    response::{OnPanic, respond},
    state::{Platform, actor},
};
use crate::{
    gate::{Actor, ActorId, Pass},
    registry::{LINK, Mounted},
    services::LinkError,
};

mod left_out;
mod table;
pub mod watchdog;

pub use self::{
    left_out::left_out,
    table::{Conflict, Found, Missing, Table},
};

/// Answers every request that no route of the core answers.
///
/// # Errors
///
/// [`ApiError`], in the order: no route, closed gate, no token, no permission, too many requests, then the handler's.
pub async fn dispatch(
    request: HttpRequest,
    payload: web::Payload,
    platform: web::Data<Platform>,
) -> Result<HttpResponse, ApiError> {
    let begun = Instant::now();
    let context = Context::of(&request);
    let path = request.match_info().as_str();
    let found = platform.table.load().find(request.method(), path);
    let Found { mounted, values } = found.map_err(|it| missing(it, path, &platform, &context))?;
    context.owner.set(Some(mounted.index));
    admitted(&request, payload.into_inner(), &platform, &mounted, values, &context, begun).await
}

/// What a path without a route is answered: of an extension that stays out, what its gates say.
fn missing(missing: Missing, path: &str, platform: &Platform, context: &Context) -> ApiError {
    let owner = match missing {
        Missing::Path => left_out(&platform.registry, path),
        Missing::Method { .. } => None,
    };
    let Some(extension) = owner.and_then(|it| platform.extension(it)) else {
        return missing.into();
    };
    context.owner.set(owner);
    match platform.gate.admit(extension, None) {
        Ok(_) => missing.into(),
        Err(refusal) => refusal.into(),
    }
}

/// Everything between the route and the answer: identity, gate, permission, limits, and the call.
async fn admitted(
    request: &HttpRequest,
    payload: Payload,
    platform: &web::Data<Platform>,
    mounted: &Arc<Mounted>,
    values: Vec<String>,
    context: &Context,
    begun: Instant,
) -> Result<HttpResponse, ApiError> {
    let Mounted { mount, deadline, .. } = &**mounted;
    // The gate comes before 401: whoever has no valid token is nobody to it.
    let (actor, party) = match &mount.operation.identity {
        Identity::Permission(_) => bearer(request, platform).await,
        Identity::Signed(purpose) => holder(purpose, mounted, &values, platform),
        _ => (None, Ok(Party::Nobody)),
    };
    let extension = platform.extension(mounted.index).ok_or_else(|| ApiError::not_found("path"))?;
    let pass = platform.gate.admit(extension, actor.as_ref())?;
    let party = party?;
    permit(&mount.operation.identity, &party, platform, context)?;
    let in_flight =
        platform.load.enter(mounted.index).ok_or_else(|| ApiError::busy(&mounted.slug))?;
    let deadline = deadline.unwrap_or(platform.timeouts.request);
    let incoming = Incoming {
        request: request.clone(),
        payload,
        mounted: mounted.clone(),
        values,
        party,
        id: context.id.clone(),
        peer: context.address,
        deadline: begun + deadline,
        limits: platform.timeouts.body,
    };
    let raw = call(pass, incoming, deadline).await.map_err(|error| match error {
        CallError::Panicked(text) => {
            platform.fault(mounted, &text);
            ApiError::panicked(&mounted.slug, &text)
        }
        CallError::Failed(text) => ApiError::extension_failed(&mounted.slug, &text),
        CallError::TimedOut => ApiError::deadline(&mounted.slug, deadline),
    })?;
    let on_panic = || -> OnPanic {
        let (platform, mounted) = (platform.clone(), mounted.clone());
        Box::new(move |text| platform.fault(&mounted, text))
    };
    respond(raw, in_flight, on_panic)
        .map_err(|error| ApiError::extension_failed(&mounted.slug, &error.to_string()))
}

/// What follows the gate: 401, 403, then the token's limit.
fn permit(
    identity: &Identity,
    party: &Party,
    platform: &Platform,
    context: &Context,
) -> Result<(), ApiError> {
    let Identity::Permission(permission) = identity else { return Ok(()) };
    let Party::Bearer(principal) = party else {
        return Err(ApiError::unauthorized("this needs a token"));
    };
    if !principal.may(permission) {
        return Err(ApiError::forbidden(permission));
    }
    let now = platform.access.clock().at(Instant::now());
    let quota = platform.limits.count(Sender::Token(principal.token), now);
    context.quota.set(quota);
    match quota {
        Some(quota) if quota.exceeded => Err(ApiError::rate_limited(quota.reset_in)),
        _ => Ok(()),
    }
}

/// Who is at the gate, and who then is let in: of nobody, and of a link that expired, no party.
pub(super) type Asking = (Option<Actor>, Result<Party, ApiError>);

/// The bearer of the request's token.
async fn bearer(request: &HttpRequest, platform: &Platform) -> Asking {
    match platform.bearer(request).await {
        Ok(Some(principal)) => (Some(actor(&principal)), Ok(Party::Bearer(principal))),
        Ok(None) => (None, Ok(Party::Nobody)),
        Err(error) => (None, Err(error.into())),
    }
}

/// Whoever follows a link; its account stands at the gate, also of one that expired.
pub(super) fn holder(
    purpose: &str,
    mounted: &Mounted,
    values: &[String],
    platform: &Platform,
) -> Asking {
    let place = mounted.parameters.iter().position(|it| it == LINK);
    let link = place.and_then(|it| values.get(it));
    let opened = match (platform.links.get(mounted.index), link) {
        (Some(key), Some(link)) => key.open(purpose, link, Utc::now()),
        _ => Err(LinkError::Invalid),
    };
    let of = |account| Some(Actor::of_account(ActorId::account(account)));
    match opened {
        Ok(link) => (of(link.account), Ok(Party::Holder(link))),
        Err(LinkError::Invalid) => (None, Err(ApiError::link_invalid())),
        Err(error @ LinkError::Expired { account, .. }) => {
            (of(account), Err(ApiError::link_expired(&error)))
        }
    }
}

/// Why a handler gave no answer.
enum CallError {
    Panicked(String),
    Failed(String),
    TimedOut,
}

/// Calls the handler; the pass is spent.
async fn call(
    pass: Pass,
    incoming: Incoming,
    deadline: Duration,
) -> Result<RawResponse, CallError> {
    let index = pass.extension().index();
    let mounted = incoming.mounted.clone();
    let mut future = watchdog::watched(index, || mounted.handler.call(incoming.into_object()));
    let mut poll = |context: &mut std::task::Context<'_>| {
        watchdog::watched(index, || Pin::new(&mut future).poll(context))
    };
    // What answers at once, or as soon as its body was decoded, needs no timer.
    let mut yielded = false;
    let early = poll_fn(|context| match poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending if yielded => Poll::Ready(None),
        Poll::Pending => {
            yielded = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    });
    let answer = match early.await {
        Some(answer) => answer,
        None => {
            tokio::time::timeout(deadline, poll_fn(poll)).await.map_err(|_| CallError::TimedOut)?
        }
    };
    match answer {
        Err(panicked) => Err(CallError::Panicked(panicked.0)),
        Ok(answer) => answer.into_result().map_err(|error| match error.code {
            PANICKED => CallError::Panicked(error.message.into()),
            _ => CallError::Failed(error.message.into()),
        }),
    }
}

/// How many requests each extension answers now, and how many it may.
#[derive(Debug)]
pub struct Load {
    running: Arc<[AtomicUsize]>,
    most: usize,
}

impl Load {
    /// For that many extensions, each with at most `most` requests at once.
    pub fn new(extensions: usize, most: usize) -> Self {
        Self { running: (0..extensions).map(|_| AtomicUsize::new(0)).collect(), most }
    }

    /// Takes one request in, unless there are too many.
    pub fn enter(&self, index: usize) -> Option<InFlight> {
        let running = self.running.get(index)?;
        let in_flight = InFlight { running: self.running.clone(), index };
        // Counted first: leaving is the guard's business from here on.
        (running.fetch_add(1, Ordering::Relaxed) < self.most).then_some(in_flight)
    }

    /// Requests that an extension answers now.
    pub fn running(&self, index: usize) -> usize {
        self.running.get(index).map_or(0, |it| it.load(Ordering::Relaxed))
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub struct InFlight {
    running: Arc<[AtomicUsize]>,
    index: usize,
}

impl InFlight {
    /// The extension's place in the registry.
    pub fn index(&self) -> usize {
        self.index
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(running) = self.running.get(self.index) {
            running.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
