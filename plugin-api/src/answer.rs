//! What a handler answers: rows in the envelope, or a response of its own.

use std::{borrow::Cow, pin::Pin};

use futures_util::Stream;
use powernode_abi::{
    AbiError, Guarded, Header, PPoll, PWaker, RawBody, RawResponse, Res,
    abi_stable::{
        sabi_trait::TD_Opaque,
        std_types::{RCowStr, ROption, RResult, RVec},
    },
    http::{RawStream, RawStream_TO},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    error::{Error, Result},
    extract::Page,
    operation::{Operation, schema_of},
};

/// Something that becomes a response.
pub trait Answer {
    /// Makes the response.
    ///
    /// # Errors
    ///
    /// When a value cannot be written as JSON.
    fn answer(self) -> Result<Response>;

    /// Adds what it answers to the route's operation.
    fn describe(operation: &mut Operation);
}

/// 200 with `{"success": true, "data": …}`.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

/// 201 with `{"success": true, "data": …}`.
#[derive(Clone, Debug)]
pub struct Created<T>(pub T);

/// 204 without a body.
#[derive(Clone, Copy, Debug)]
pub struct NoContent;

/// 200 with one page of rows, and its place in the whole.
#[derive(Clone, Debug)]
pub struct Paged<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Which page it is.
    pub page: Page,
    /// Rows of all pages.
    pub total: i64,
}

/// A response of any kind.
#[derive(Debug)]
pub struct Response(RawResponse);

impl Response {
    /// A response without a body and without a media type.
    pub fn new(status: u16) -> Self {
        Self(RawResponse {
            status,
            content_type: RCowStr::from(""),
            headers: RVec::new(),
            body: RawBody::Bytes(RVec::new()),
        })
    }

    /// The media type and the whole body.
    #[must_use]
    pub fn with_body(
        mut self,
        media_type: impl Into<Cow<'static, str>>,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        self.0.content_type = media_type.into().into();
        self.0.body = RawBody::Bytes(body.into().into());
        self
    }

    /// The media type and a body that is made while it is sent; an error ends the connection.
    #[must_use]
    pub fn with_stream(
        mut self,
        media_type: impl Into<Cow<'static, str>>,
        stream: impl Stream<Item = Result<Vec<u8>>> + 'static,
    ) -> Self {
        self.0.content_type = media_type.into().into();
        let stream = Parts(Guarded::new(Box::pin(stream)));
        self.0.body = RawBody::Stream(RawStream_TO::from_value(stream, TD_Opaque));
        self
    }

    /// One header more.
    #[must_use]
    pub fn with_header(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.0.headers.push(Header { name: name.into().into(), value: value.into().into() });
        self
    }

    pub(crate) fn into_raw(self) -> RawResponse {
        self.0
    }
}

/// A stream in the form in which it crosses.
struct Parts(Guarded<Pin<Box<DynStream>>>);

type DynStream = dyn Stream<Item = Result<Vec<u8>>>;

impl RawStream for Parts {
    fn poll_next(&mut self, waker: &PWaker) -> PPoll<Res<ROption<RVec<u8>>>> {
        PPoll::guarded(|| {
            let poll = waker.with(|waker| {
                self.0.as_mut().poll_next(&mut std::task::Context::from_waker(waker))
            });
            poll.map(|next| match next.transpose() {
                Ok(part) => RResult::ROk(part.map(RVec::from).into()),
                Err(error) => RResult::RErr(AbiError::from(error)),
            })
        })
    }
}

/// Writes `{"success":true,"data":…}`, with `meta` where there is some.
pub(crate) fn envelope<T: Serialize>(
    status: u16,
    data: &T,
    meta: Option<&Value>,
) -> Result<Response> {
    let mut body = Vec::with_capacity(128);
    body.extend_from_slice(br#"{"success":true,"data":"#);
    serde_json::to_writer(&mut body, data).map_err(Error::internal)?;
    if let Some(meta) = meta {
        body.extend_from_slice(br#","meta":"#);
        serde_json::to_writer(&mut body, meta).map_err(Error::internal)?;
    }
    body.push(b'}');
    Ok(Response::new(status).with_body("application/json", body))
}

impl<T: Serialize + JsonSchema> Answer for Json<T> {
    fn answer(self) -> Result<Response> {
        envelope(200, &self.0, None)
    }

    fn describe(operation: &mut Operation) {
        operation.answer::<T>(200);
    }
}

impl<T: Serialize + JsonSchema> Answer for Created<T> {
    fn answer(self) -> Result<Response> {
        envelope(201, &self.0, None)
    }

    fn describe(operation: &mut Operation) {
        operation.answer::<T>(201);
    }
}

impl Answer for NoContent {
    fn answer(self) -> Result<Response> {
        Ok(Response::new(204))
    }

    fn describe(operation: &mut Operation) {
        operation.answers.insert(204, Value::Null);
    }
}

impl<T: Serialize + JsonSchema> Answer for Paged<T> {
    fn answer(self) -> Result<Response> {
        let Page { page, per_page } = self.page;
        let total_pages = u64::try_from(self.total).unwrap_or(0).div_ceil(u64::from(per_page));
        let meta = json!({ "pagination": {
            "current_page": page,
            "per_page": per_page,
            "total_pages": total_pages,
            "total_count": self.total,
        } });
        envelope(200, &self.rows, Some(&meta))
    }

    fn describe(operation: &mut Operation) {
        operation.answers.insert(200, schema_of::<Vec<T>>());
    }
}

impl Answer for Response {
    fn answer(self) -> Result<Response> {
        Ok(self)
    }

    fn describe(_: &mut Operation) {}
}
