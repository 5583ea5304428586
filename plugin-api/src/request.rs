//! A request, as a handler sees it.

use std::{
    future::poll_fn,
    ops::{Deref, DerefMut},
    sync::Arc,
    task::Poll,
};

use powernode_abi::{
    Id, PPoll, PWaker, RequestObject, Res,
    abi_stable::std_types::ROption,
    error::{AbiError, PANICKED},
};
use uuid::Uuid;

use crate::{
    Db, Host,
    error::{Error, Result},
};

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The account it acts in.
    pub account: Uuid,
    /// The user behind the token, where there is one.
    pub user: Option<Uuid>,
}

/// One request to one extension: the first argument of each handler.
#[derive(Debug)]
pub struct Call<E> {
    request: Request,
    shared: Arc<Shared<E>>,
}

/// What all calls of an extension share.
#[derive(Debug)]
pub(crate) struct Shared<E> {
    pub(crate) host: Host,
    pub(crate) extension: E,
}

impl<E> Call<E> {
    pub(crate) fn new(request: Request, shared: Arc<Shared<E>>) -> Self {
        Self { request, shared }
    }

    pub(crate) fn request_mut(&mut self) -> &mut Request {
        &mut self.request
    }

    /// The extension's own state.
    pub fn extension(&self) -> &E {
        &self.shared.extension
    }

    /// The platform's services.
    pub fn host(&self) -> &Host {
        &self.shared.host
    }

    /// The extension's tables.
    pub fn db(&self) -> &Db {
        self.shared.host.db()
    }
}

impl<E> Deref for Call<E> {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.request
    }
}

/// For the body, which is read from the client while the handler waits.
impl<E> DerefMut for Call<E> {
    fn deref_mut(&mut self) -> &mut Request {
        &mut self.request
    }
}

/// The request itself: nothing of it is read before it is asked for.
pub struct Request {
    object: RequestObject,
    parameters: Arc<[String]>,
}

impl Request {
    pub(crate) fn new(object: RequestObject, parameters: Arc<[String]>) -> Self {
        Self { object, parameters }
    }

    /// `GET`, `POST`, …
    pub fn method(&self) -> &str {
        self.object.method().as_str()
    }

    /// The path, percent-encoded as it arrived.
    pub fn path(&self) -> &str {
        self.object.path().as_str()
    }

    /// What follows `?`, undecoded; empty if there is none.
    pub fn query(&self) -> &str {
        self.object.query().as_str()
    }

    /// A parameter of the route's pattern, decoded.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.object.param(name.into()).into_option().map(|it| it.as_str())
    }

    /// Names of the parameters in the route's pattern, in order.
    pub(crate) fn parameter_names(&self) -> Arc<[String]> {
        self.parameters.clone()
    }

    /// The first header of that name, whatever its case, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = self.object.header(name.into()).into_option()?;
        std::str::from_utf8(value.as_slice()).ok()
    }

    /// All headers, in the order in which the platform keeps them; values that are no text are left out.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..)
            .map_while(|at| {
                let name = self.object.header_name(at).into_option()?;
                let value = self.object.header_value(at).into_option()?;
                Some((name.as_str(), value.as_slice()))
            })
            .filter_map(|(name, value)| Some((name, std::str::from_utf8(value).ok()?)))
    }

    /// The id that logs and answers carry.
    pub fn id(&self) -> &str {
        self.object.request_id().as_str()
    }

    /// The sender's address, behind trusted proxies.
    pub fn peer(&self) -> &str {
        self.object.peer().as_str()
    }

    /// Milliseconds until the platform gives the request up.
    pub fn time_left_ms(&self) -> u64 {
        self.object.time_left()
    }

    /// Who sent it, if the platform knows.
    pub fn principal(&self) -> Option<Principal> {
        let principal = self.object.principal().into_option()?;
        Some(Principal {
            account: Uuid::from_bytes(principal.account.0),
            user: principal.user.map(|it| Uuid::from_bytes(it.0)).into_option(),
        })
    }

    /// The account that the sender acts in.
    ///
    /// # Errors
    ///
    /// 401 where nobody was identified: never on a route with a permission.
    pub fn account(&self) -> Result<Uuid> {
        self.principal().map(|it| it.account).ok_or_else(Error::unauthorized)
    }

    /// What the link says that was followed.
    ///
    /// # Errors
    ///
    /// 404 where no link was followed, and where its text is no `T`: never on a route that is
    /// [`signed`](crate::routes::Route::signed), if all links of the purpose say a `T`.
    pub fn link<T: std::str::FromStr>(&self) -> Result<T> {
        let claim = self.object.link().into_option();
        let claim = claim.and_then(|it| it.as_str().parse().ok());
        claim.ok_or_else(|| Error::not_found("link"))
    }

    /// Whether the sender holds a permission.
    pub fn permitted(&self, permission: &str) -> bool {
        self.object.permitted(permission.into())
    }

    /// On a route whose extension identifies: who it is, for logs and audit.
    pub fn identify(&self, account: Option<Uuid>, tenant: &str) {
        let account = account.map(|it| Id(it.into_bytes()));
        self.object.identify(ROption::from(account), tenant.into());
    }

    /// The whole body, up to the platform's limit.
    ///
    /// # Errors
    ///
    /// 413 when it is too large, 408 when it is too slow, 400 when it broke off.
    pub async fn body(&mut self) -> Result<&[u8]> {
        let object = &mut self.object;
        poll_fn(|context| flatten(object.poll_body(&PWaker::borrowing(context.waker())))).await?;
        Ok(self.object.body().as_slice())
    }

    /// The next part of the body; none after the last. Not to be mixed with [`Request::body`].
    ///
    /// # Errors
    ///
    /// As [`Request::body`].
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let object = &mut self.object;
        let chunk =
            poll_fn(|context| flatten(object.poll_chunk(&PWaker::borrowing(context.waker()))))
                .await?;
        Ok(chunk.map(Vec::from).into_option())
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method(), self.path())
    }
}

fn flatten<T>(poll: PPoll<Res<T>>) -> Poll<std::result::Result<T, AbiError>> {
    match poll {
        PPoll::Pending => Poll::Pending,
        PPoll::Ready(answer) => Poll::Ready(answer.into_result()),
        PPoll::Panicked(text) => Poll::Ready(Err(AbiError::new(PANICKED, text))),
    }
}
