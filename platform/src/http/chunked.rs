//! A body in chunks that are none is answered 400.
//!
//! actix takes such a body for a client that went away: it polls the request once more, sends what that gives, and
//! closes. Whoever waits for something else just then, such as the database that knows the token, would never answer.
//! So the body is read ahead beside the handler, and the answer is given in that last poll.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::header::TRANSFER_ENCODING,
    middleware::Next,
};
use bytes::Bytes;
use futures_util::Stream;

/// Bytes of a body that are read ahead at most, and one chunk.
const AHEAD: usize = 64 * 1024;

/// The body is no sequence of chunks.
#[derive(Debug)]
pub(super) struct Malformed;

/// What was asked next, unless the body turned out to be malformed before it answered; it is dropped then.
///
/// # Errors
///
/// [`Malformed`], which has to be answered at once.
pub(super) async fn answered<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<Result<ServiceResponse<B>, Error>, Malformed> {
    let (head, payload) = request.parts();
    if !matches!(payload, Payload::H1 { .. }) || !head.headers().contains_key(TRANSFER_ENCODING) {
        return Ok(next.call(request).await);
    }
    let (_, payload) = request.parts_mut();
    let chunks = Rc::new(RefCell::new(Chunks::new(payload.take())));
    request.set_payload(Payload::Stream { payload: Box::pin(Body(chunks.clone())) });
    let mut answer = next.call(request);
    let answer = poll_fn(|context| {
        let answer = Pin::new(&mut answer).poll(context);
        let mut chunks = chunks.borrow_mut();
        if answer.is_pending() {
            chunks.read_ahead(context);
        }
        match answer {
            // Also where a handler has made an answer of its own of it.
            _ if chunks.malformed => Poll::Ready(Err(Malformed)),
            Poll::Ready(answer) => Poll::Ready(Ok(answer)),
            Poll::Pending => Poll::Pending,
        }
    });
    let answer = answer.await;
    // Nobody reads ahead any more: whoever reads on has to ask for itself.
    chunks.borrow_mut().wake();
    answer
}

/// A body, between its connection and whoever reads it.
struct Chunks {
    source: Payload,
    ahead: VecDeque<Result<Bytes, PayloadError>>,
    size: usize,
    ended: bool,
    malformed: bool,
    reader: Option<Waker>,
}

impl Chunks {
    fn new(source: Payload) -> Self {
        let ahead = VecDeque::new();
        Self { source, ahead, size: 0, ended: false, malformed: false, reader: None }
    }

    /// Takes what has arrived, as far as there is room.
    fn read_ahead(&mut self, context: &mut Context<'_>) {
        while self.size < AHEAD {
            let Poll::Ready(Some(next)) = self.poll_source(context) else { break };
            self.size += next.as_ref().map_or(0, Bytes::len);
            self.ahead.push_back(next);
            self.wake();
        }
    }

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, PayloadError>>> {
        if let Some(next) = self.ahead.pop_front() {
            self.size -= next.as_ref().map_or(0, Bytes::len);
            return Poll::Ready(Some(next));
        }
        let next = self.poll_source(context);
        if next.is_pending() {
            self.reader = Some(context.waker().clone());
        }
        next
    }

    fn poll_source(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, PayloadError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = Pin::new(&mut self.source).poll_next(context);
        match &next {
            Poll::Ready(None) => {
                self.ended = true;
                self.wake();
            }
            Poll::Ready(Some(Err(_))) => {
                self.ended = true;
                // A connection that ended ends the body too; after chunks that are none nothing follows.
                self.malformed = Pin::new(&mut self.source).poll_next(context).is_pending();
            }
            _ => {}
        }
        next
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// What the handler reads.
struct Body(Rc<RefCell<Chunks>>);

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll_next(context)
    }
}
