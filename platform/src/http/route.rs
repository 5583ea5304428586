//! The core's routes as data: one table mounts them, asks for their permissions, and describes them.

use std::fmt;

use actix_web::{
    FromRequest, Handler, HttpMessage as _, HttpRequest, HttpResponse, Responder, Route, guard,
    http::Method, web,
};

use super::{admin, core, error::ApiError, openapi, openapi::describe::Describe};

/// What a route of the core asks of whoever calls it; [`super::caller::Caller`] sees to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// Nothing.
    Nothing,
    /// A token, whatever its scopes.
    Token,
    /// A token that holds this permission.
    Permission(&'static str),
}

impl Asks {
    /// What the route of a request asks; a token where it stands in no table.
    pub(super) fn of(request: &HttpRequest) -> Self {
        request.extensions().get().copied().unwrap_or(Self::Token)
    }
}

/// A route of the core.
pub(super) struct CoreRoute {
    /// `GET`, which answers `HEAD` too, `POST`, …
    pub(super) method: Method,
    /// The whole path, with its parameters in braces.
    pub(super) path: &'static str,
    /// Who may.
    pub(super) asks: Asks,
    /// What it does, in a line.
    pub(super) summary: &'static str,
    /// What it takes and answers.
    pub(super) describe: fn(Describe<'_>) -> Describe<'_>,
    route: Route,
}

/// Reads.
pub(super) fn get<F, Args>(path: &'static str, handler: F) -> CoreRoute
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    CoreRoute::new(Method::GET, path, handler)
}

/// Makes, or does.
pub(super) fn post<F, Args>(path: &'static str, handler: F) -> CoreRoute
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    CoreRoute::new(Method::POST, path, handler)
}

/// Sets.
pub(super) fn put<F, Args>(path: &'static str, handler: F) -> CoreRoute
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    CoreRoute::new(Method::PUT, path, handler)
}

/// Takes away.
pub(super) fn delete<F, Args>(path: &'static str, handler: F) -> CoreRoute
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    CoreRoute::new(Method::DELETE, path, handler)
}

impl CoreRoute {
    fn new<F, Args>(method: Method, path: &'static str, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        // Whoever forgets to say who may has a route that no token opens.
        let asks = Asks::Permission("");
        Self { method, path, asks, summary: "", describe: |it| it, route: web::to(handler) }
    }

    pub(super) fn public(self) -> Self {
        Self { asks: Asks::Nothing, ..self }
    }

    pub(super) fn token(self) -> Self {
        Self { asks: Asks::Token, ..self }
    }

    pub(super) fn permission(self, permission: &'static str) -> Self {
        Self { asks: Asks::Permission(permission), ..self }
    }

    pub(super) fn says(
        self,
        summary: &'static str,
        describe: fn(Describe<'_>) -> Describe<'_>,
    ) -> Self {
        Self { summary, describe, ..self }
    }

    fn into_route(self) -> Route {
        let Self { method, asks, route, .. } = self;
        let route = match method {
            Method::GET => route.guard(guard::Any(guard::Get()).or(guard::Head())),
            method => route.guard(guard::Method(method)),
        };
        // Asked last, for the route that was chosen: what it asks goes with the request.
        route.guard(guard::fn_guard(move |context| {
            context.req_data_mut().insert(asks);
            true
        }))
    }
}

impl fmt::Debug for CoreRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// All of them.
pub(super) fn all() -> Vec<CoreRoute> {
    core::table().into_iter().chain(openapi::table()).chain(admin::table()).collect()
}

/// Mounts routes, in a scope at `base`; a path that has other methods answers 405.
pub(super) fn mount(config: &mut web::ServiceConfig, base: &str, routes: Vec<CoreRoute>) {
    let mut paths: Vec<(&str, Vec<CoreRoute>)> = Vec::new();
    for route in routes {
        match paths.iter_mut().find(|(path, _)| *path == route.path) {
            Some((_, same)) => same.push(route),
            None => paths.push((route.path, vec![route])),
        }
    }
    for (path, routes) in paths {
        let names = |it: &CoreRoute| match it.method {
            Method::GET => "GET, HEAD".to_owned(),
            _ => it.method.to_string(),
        };
        let allow = routes.iter().map(names).collect::<Vec<_>>().join(", ");
        let refuse = move || {
            let refusal = ApiError::method_not_allowed(&allow);
            async move { Err::<HttpResponse, _>(refusal) }
        };
        let resource = web::resource(path.strip_prefix(base).unwrap_or(path));
        let resource = resource.default_service(web::to(refuse));
        let mounted = routes.into_iter().map(CoreRoute::into_route);
        config.service(mounted.fold(resource, |resource, route| resource.route(route)));
    }
}
