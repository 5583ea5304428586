//! The answer of an extension, as actix sends it: bodies are not copied.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    HttpResponse,
    body::{BodySize, MessageBody},
    http::{
        StatusCode,
        header::{CONTENT_TYPE, HeaderName, HeaderValue},
    },
};
use bytes::Bytes;
use powernode_abi::{
    PPoll, PWaker, RawBody, RawResponse, StreamObject,
    abi_stable::std_types::{ROption, RResult, RVec},
};

use super::dispatch::{InFlight, watchdog::watched};

/// An answer that cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadResponse {
    /// No status of a response.
    #[error("answered the status {0}")]
    Status(u16),
    /// A header that HTTP does not allow.
    #[error("answered the header `{0}` with a name or a value that HTTP does not allow")]
    Header(String),
}

/// Makes actix's response; `in_flight` ends when the last byte was handed over.
///
/// # Errors
///
/// [`BadResponse`] when HTTP does not allow it.
pub(super) fn respond(
    raw: RawResponse,
    in_flight: InFlight,
    on_panic: impl FnOnce() -> OnPanic,
) -> Result<HttpResponse, BadResponse> {
    let status = match raw.status {
        200..=599 => {
            StatusCode::from_u16(raw.status).map_err(|_| BadResponse::Status(raw.status))?
        }
        other => return Err(BadResponse::Status(other)),
    };
    let mut response = match raw.body {
        RawBody::Bytes(bytes) => HttpResponse::new(status)
            .set_body(Bytes::from_owner(Owned(bytes)))
            .map_into_boxed_body(),
        RawBody::Stream(stream) => HttpResponse::new(status)
            .set_body(Streaming { stream: Box::new(stream), in_flight, on_panic: on_panic() })
            .map_into_boxed_body(),
    };
    let headers = response.headers_mut();
    match raw.content_type.as_str() {
        "" => {}
        "application/json" => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        other => {
            let value = HeaderValue::from_str(other);
            headers.insert(
                CONTENT_TYPE,
                value.map_err(|_| BadResponse::Header("Content-Type".into()))?,
            );
        }
    }
    for header in raw.headers {
        let name = header.name.as_str();
        let bad = || BadResponse::Header(name.chars().take(60).collect());
        let value = HeaderValue::from_str(header.value.as_str()).map_err(|_| bad())?;
        headers.append(HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?, value);
    }
    Ok(response)
}

/// Bytes of the extension's allocator, freed by it.
struct Owned(RVec<u8>);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A body that the extension makes while it is sent.
struct Streaming {
    // Boxed, since the object itself may not be moved while it is polled.
    stream: Box<StreamObject>,
    in_flight: InFlight,
    on_panic: OnPanic,
}

/// What is told of a panic while a body is made.
pub(super) type OnPanic = Box<dyn Fn(&str)>;

/// The extension ended the body with an error.
#[derive(Debug, thiserror::Error)]
#[error("the extension's stream failed: {0}")]
struct StreamFailed(String);

impl MessageBody for Streaming {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let index = this.in_flight.index();
        let waker = PWaker::borrowing(context.waker());
        let failed = |text: String| Poll::Ready(Some(Err(StreamFailed(text).into())));
        match watched(index, || this.stream.poll_next(&waker)) {
            PPoll::Pending => Poll::Pending,
            PPoll::Ready(RResult::ROk(ROption::RNone)) => Poll::Ready(None),
            PPoll::Ready(RResult::ROk(ROption::RSome(part))) => {
                Poll::Ready(Some(Ok(Bytes::from_owner(Owned(part)))))
            }
            PPoll::Ready(RResult::RErr(error)) => failed(error.to_string()),
            PPoll::Panicked(text) => {
                (this.on_panic)(&text);
                failed(format!("panicked: {text}"))
            }
        }
    }
}
