//! The routes of an extension.

use std::{fmt, marker::PhantomData, rc::Rc, sync::Arc};

use powernode_abi::{
    AbiError, Guarded, LocalPFuture, RawResponse, RawRoute, RequestObject, Res,
    abi_stable::{sabi_trait::TD_Opaque, std_types::RResult},
    http::{RawHandler, RawHandler_TO},
};

use crate::{
    answer::Answer,
    error::Result,
    handler::Handler,
    operation::{Identity, Operation, Parameter, schema_of},
    request::{Call, Request, Shared},
};

/// Collects the routes of an extension.
///
/// Patterns stand under `/api/v1/<slug>/`: `campaigns/{id}`.
pub struct Routes<E> {
    routes: Vec<Route<E>>,
}

/// One route; says who may call it, and what people read about it.
pub struct Route<E> {
    method: &'static str,
    pattern: String,
    operation: Operation,
    mount: Box<Mount<E>>,
}

/// Binds a handler to its extension, once that is there.
type Mount<E> = dyn FnOnce(Arc<Shared<E>>, Arc<[String]>) -> Box<dyn Respond> + Send + Sync;

impl<E: Send + Sync + 'static> Routes<E> {
    pub(crate) fn new() -> Self {
        Self { routes: Vec::new() }
    }

    /// Answers `GET`.
    pub fn get<A: 'static>(&mut self, pattern: &str, handler: impl Handler<E, A>) -> &mut Route<E> {
        self.add("GET", pattern, handler)
    }

    /// Answers `POST`.
    pub fn post<A: 'static>(
        &mut self,
        pattern: &str,
        handler: impl Handler<E, A>,
    ) -> &mut Route<E> {
        self.add("POST", pattern, handler)
    }

    /// Answers `PUT`.
    pub fn put<A: 'static>(&mut self, pattern: &str, handler: impl Handler<E, A>) -> &mut Route<E> {
        self.add("PUT", pattern, handler)
    }

    /// Answers `PATCH`.
    pub fn patch<A: 'static>(
        &mut self,
        pattern: &str,
        handler: impl Handler<E, A>,
    ) -> &mut Route<E> {
        self.add("PATCH", pattern, handler)
    }

    /// Answers `DELETE`.
    pub fn delete<A: 'static>(
        &mut self,
        pattern: &str,
        handler: impl Handler<E, A>,
    ) -> &mut Route<E> {
        self.add("DELETE", pattern, handler)
    }

    fn add<H, A>(&mut self, method: &'static str, pattern: &str, handler: H) -> &mut Route<E>
    where
        H: Handler<E, A>,
        A: 'static,
    {
        let mut operation = Operation::default();
        for name in parameters_of(pattern) {
            operation.parameters.push(Parameter {
                name,
                place: "path".to_owned(),
                required: true,
                schema: schema_of::<String>(),
            });
        }
        H::describe(&mut operation);
        self.routes.push(Route {
            method,
            pattern: pattern.to_owned(),
            operation,
            mount: Box::new(move |shared, parameters| {
                Box::new(Mounted { handler, shared, parameters, args: PhantomData })
            }),
        });
        let last = self.routes.len() - 1;
        &mut self.routes[last]
    }

    pub(crate) fn into_raw(self, shared: &Arc<Shared<E>>) -> Vec<RawRoute> {
        self.routes.into_iter().map(|it| it.into_raw(shared.clone())).collect()
    }
}

impl<E> Route<E> {
    /// Asks for a core token that holds this permission; the manifest must define it.
    pub fn permission(&mut self, permission: &str) -> &mut Self {
        self.operation.identity = Identity::Permission(permission.to_owned());
        self
    }

    /// Lets anybody call it.
    pub fn public(&mut self) -> &mut Self {
        self.operation.identity = Identity::Public;
        self
    }

    /// Lets whoever follows a link call it that [`Links::sign`](crate::host::Links::sign) made for this
    /// purpose; the pattern names the signed part `{link}`.
    ///
    /// A link that is not ours is 404 and one that expired 410; neither reaches the handler.
    /// [`Call::account`](crate::request::Request::account) is the link's account.
    pub fn signed(&mut self, purpose: &str) -> &mut Self {
        self.operation.identity = Identity::Signed(purpose.to_owned());
        self
    }

    /// Leaves identity to the handler: `Authorization` and the like go through untouched.
    pub fn own_identity(&mut self) -> &mut Self {
        self.operation.identity = Identity::Extension;
        self
    }

    /// One line for people.
    pub fn summary(&mut self, summary: &str) -> &mut Self {
        summary.clone_into(&mut self.operation.summary);
        self
    }

    /// Milliseconds that a request may take, if not the platform's own.
    pub fn deadline_ms(&mut self, deadline: u64) -> &mut Self {
        self.operation.deadline_ms = Some(deadline);
        self
    }

    fn into_raw(self, shared: Arc<Shared<E>>) -> RawRoute {
        let parameters: Arc<[String]> = parameters_of(&self.pattern).collect();
        let handler = Adapter(Guarded::new((self.mount)(shared, parameters)));
        RawRoute {
            method: self.method.into(),
            pattern: self.pattern.into(),
            operation: serde_json::to_string(&self.operation).unwrap_or_default().into(),
            handler: RawHandler_TO::from_value(handler, TD_Opaque),
        }
    }
}

/// Names in braces, in order; `{*rest}` is `rest`.
fn parameters_of(pattern: &str) -> impl Iterator<Item = String> {
    let braces = pattern.split('{').skip(1).filter_map(|it| it.split_once('}'));
    braces.map(|(name, _)| name.trim_start_matches('*').to_owned())
}

/// A handler with its types forgotten.
trait Respond: Send + Sync {
    fn respond(&self, request: RequestObject) -> LocalPFuture<Res<RawResponse>>;
}

struct Mounted<E, H, A> {
    handler: H,
    shared: Arc<Shared<E>>,
    parameters: Arc<[String]>,
    args: PhantomData<fn(A)>,
}

impl<E, H, A> Respond for Mounted<E, H, A>
where
    E: Send + Sync + 'static,
    H: Handler<E, A>,
    A: 'static,
{
    fn respond(&self, request: RequestObject) -> LocalPFuture<Res<RawResponse>> {
        let call = Call::new(Request::new(request, self.parameters.clone()), self.shared.clone());
        let handler = self.handler.clone();
        LocalPFuture::new(async move {
            // The id outlives the call, which the handler may keep or drop.
            let id: Rc<str> = call.id().into();
            let answer: Result<_> = async { handler.call(call).await?.answer() }.await;
            RResult::ROk(match answer {
                Ok(response) => response.into_raw(),
                Err(error) => error.respond(&id),
            })
        })
    }
}

struct Adapter(Guarded<Box<dyn Respond>>);

impl RawHandler for Adapter {
    fn call(&self, request: RequestObject) -> LocalPFuture<Res<RawResponse>> {
        match powernode_abi::guard(|| Ok(self.0.respond(request))) {
            RResult::ROk(future) => future,
            RResult::RErr(error) => failed(error),
        }
    }
}

fn failed(error: AbiError) -> LocalPFuture<Res<RawResponse>> {
    LocalPFuture::new(std::future::ready(RResult::RErr(error)))
}

impl<E> fmt::Debug for Routes<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.routes).finish()
    }
}

impl<E> fmt::Debug for Route<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.pattern)
    }
}
