//! The core's routes as data: one table mounts them, asks for their permissions, and describes them.

use std::{fmt, sync::LazyLock};

use actix_web::{
    FromRequest, Handler, HttpMessage as _, HttpRequest, HttpResponse, Responder, Route, guard,
    http::Method, web,
};

use matchit::Router;

use super::{
    admin, changes, core, dispatch::Missing, error::ApiError, openapi, openapi::describe::Describe,
    webhooks,
};
use crate::gate::Gate;

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

/// What must hold before a route of the core asks who calls, as the gates of extensions do.
#[derive(Debug)]
pub(super) struct Predicate {
    /// Its name among the gates' predicates.
    pub(super) name: &'static str,
    /// Whether it holds.
    pub(super) holds: fn(&Gate) -> bool,
    /// What callers are told while it does not.
    pub(super) refusal: &'static str,
}

impl Predicate {
    /// Asks it.
    ///
    /// # Errors
    ///
    /// 404 while it does not hold.
    pub(super) fn check(&self, gate: &Gate) -> Result<(), ApiError> {
        if (self.holds)(gate) { Ok(()) } else { Err(ApiError::unavailable_feature(self.refusal)) }
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
    /// What must hold first.
    pub(super) predicate: Option<&'static Predicate>,
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
        let route = web::to(handler);
        Self { method, path, asks, predicate: None, summary: "", describe: |it| it, route }
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

    /// Shows what its handler asks before anything else.
    pub(super) fn behind(self, predicate: &'static Predicate) -> Self {
        Self { predicate: Some(predicate), ..self }
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
    core::table()
        .into_iter()
        .chain(webhooks::table())
        .chain(changes::table())
        .chain(openapi::table())
        .chain(admin::table())
        .collect()
}

/// What is known of a route without calling it.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) asks: Asks,
    pub(super) predicate: Option<&'static Predicate>,
}

/// Finds the route of the core that would answer; `HEAD` is answered by `GET`.
///
/// # Errors
///
/// [`Missing`].
pub(super) fn find(method: &Method, path: &str) -> Result<&'static Facts, Missing> {
    static KNOWN: LazyLock<Router<Vec<Facts>>> = LazyLock::new(|| {
        let mut known = Router::<Vec<Facts>>::new();
        for CoreRoute { method, path, asks, predicate, .. } in all() {
            let facts = Facts { method, path, asks, predicate };
            match known.at_mut(path) {
                Ok(there) if there.value.iter().any(|it| it.path == path) => {
                    there.value.push(facts);
                }
                // A test looks for each of them.
                _ => drop(known.insert(path, vec![facts])),
            }
        }
        known
    });
    let routes = KNOWN.at(path).map_err(|_| Missing::Path)?.value;
    let wanted = if *method == Method::HEAD { &Method::GET } else { method };
    routes
        .iter()
        .find(|it| it.method == *wanted)
        .ok_or_else(|| Missing::Method { allow: allowed(routes.iter().map(|it| &it.method)) })
}

/// For the `Allow` header.
fn allowed<'a>(methods: impl Iterator<Item = &'a Method>) -> String {
    let names = methods.map(|it| if it == Method::GET { "GET, HEAD" } else { it.as_str() });
    names.collect::<Vec<_>>().join(", ")
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
        let allow = allowed(routes.iter().map(|it| &it.method));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_found_by_its_path_and_method() {
        for route in all() {
            let found = find(&route.method, route.path).unwrap();
            assert_eq!((found.path, &found.method), (route.path, &route.method));
        }
        let rescan = find(&Method::GET, "/api/v1/admin/extensions/rescan");
        assert_eq!(rescan.unwrap_err(), Missing::Method { allow: "POST".to_owned() });
        assert_eq!(find(&Method::GET, "/api/v1/nowhere").unwrap_err(), Missing::Path);
    }
}
