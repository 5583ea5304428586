//! What the layers and a handler tell each other about one request.

use std::{cell::Cell, net::IpAddr, rc::Rc, sync::Arc};

use actix_web::{HttpMessage as _, HttpRequest};

use super::limits::Quota;

/// One request's facts; made once, by the outermost layer.
#[derive(Debug)]
pub struct Context {
    /// The id that logs and answers carry.
    pub id: Arc<str>,
    /// The sender's address, behind trusted proxies.
    pub address: Option<IpAddr>,
    /// The extension that answers, by its place in the registry; none for the core.
    pub owner: Cell<Option<usize>>,
    /// What the token has left: shown in place of what the address has.
    pub quota: Cell<Option<Quota>>,
}

impl Context {
    /// The facts that are known when a request arrives.
    pub fn new(id: Arc<str>, address: Option<IpAddr>) -> Rc<Self> {
        Rc::new(Self { id, address, owner: Cell::new(None), quota: Cell::new(None) })
    }

    /// The facts of a request; without an id before the outermost layer saw it.
    pub fn of(request: &HttpRequest) -> Rc<Self> {
        let known = request.extensions().get::<Rc<Self>>().cloned();
        known.unwrap_or_else(|| Self::new("".into(), None))
    }
}
