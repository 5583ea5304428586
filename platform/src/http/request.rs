//! A request of actix, lent to an extension: nothing of it is copied.

use std::{
    cell::OnceCell,
    fmt,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use actix_web::{HttpRequest, dev::Payload, error::PayloadError};
use bytes::{Bytes, BytesMut};
use futures_util::Stream as _;
use powernode_abi::{
    AbiError, PPoll, PWaker, RequestObject, Res,
    abi_stable::{
        sabi_trait::TD_Opaque,
        std_types::{ROption, RResult, RSlice, RStr, RVec},
    },
    error::{FAILED, TIMED_OUT, TOO_LARGE},
    host::Id,
    http::{Principal, RawRequest, RawRequest_TO},
};
use tokio::time::Sleep;

use crate::{access, registry::Mounted, services::Link};

/// What a body may cost.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Largest body, in bytes.
    pub size: usize,
    /// How long the whole of it may take to arrive.
    pub time: Duration,
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub enum Party {
    /// Nobody whom the platform knows.
    Nobody,
    /// The bearer of a token.
    Bearer(Arc<access::Principal>),
    /// Whoever followed a link.
    Holder(Link),
}

/// One request on its way to its handler.
pub struct Incoming {
    /// The request; a handle to it.
    pub request: HttpRequest,
    /// Its body.
    pub payload: Payload,
    /// The route.
    pub mounted: Arc<Mounted>,
    /// Values of the pattern's parameters, decoded, in order.
    pub values: Vec<String>,
    /// Who sent it.
    pub party: Party,
    /// Its id.
    pub id: Arc<str>,
    /// The sender's address.
    pub peer: Option<IpAddr>,
    /// When the platform gives it up.
    pub deadline: Instant,
    /// What its body may cost.
    pub limits: BodyLimits,
}

impl Incoming {
    /// The object that the handler gets.
    pub fn into_object(self) -> RequestObject {
        let lent = Lent {
            incoming: self,
            peer: OnceCell::new(),
            body: Bytes::new(),
            parts: Parts::default(),
        };
        RawRequest_TO::from_value(lent, TD_Opaque)
    }
}

struct Lent {
    incoming: Incoming,
    // Written only where somebody asks.
    peer: OnceCell<String>,
    body: Bytes,
    parts: Parts,
}

/// How far the body was read.
#[derive(Default)]
struct Parts {
    buffer: BytesMut,
    first: Option<Bytes>,
    size: usize,
    ended: bool,
    yielded: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Lent {
    /// The next chunk, within the limits of size and time.
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, AbiError>> {
        let BodyLimits { size, time } = self.incoming.limits;
        if self.parts.ended {
            return Poll::Ready(Ok(None));
        }
        let Poll::Ready(next) = Pin::new(&mut self.incoming.payload).poll_next(context) else {
            // actix decodes a body after it called the handler: once more, before there is a timer.
            if !self.parts.yielded {
                self.parts.yielded = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let timer = self.parts.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
            ready!(timer.as_mut().poll(context));
            let message = format!("the body did not arrive within {time:?}");
            return Poll::Ready(Err(AbiError::new(TIMED_OUT, message)));
        };
        Poll::Ready(match next {
            None => {
                self.parts.ended = true;
                Ok(None)
            }
            Some(Ok(chunk)) => {
                self.parts.size = self.parts.size.saturating_add(chunk.len());
                if self.parts.size > size {
                    let message = format!("the body is larger than {size} bytes");
                    return Poll::Ready(Err(AbiError::new(TOO_LARGE, message)));
                }
                Ok(Some(chunk))
            }
            Some(Err(PayloadError::Overflow)) => {
                Err(AbiError::new(TOO_LARGE, format!("the body is larger than {size} bytes")))
            }
            Some(Err(error)) => Err(AbiError::new(FAILED, format!("the body broke off: {error}"))),
        })
    }
}

impl RawRequest for Lent {
    fn method(&self) -> RStr<'_> {
        self.incoming.request.method().as_str().into()
    }

    fn path(&self) -> RStr<'_> {
        self.incoming.request.uri().path().into()
    }

    fn query(&self) -> RStr<'_> {
        self.incoming.request.query_string().into()
    }

    fn param(&self, name: RStr<'_>) -> ROption<RStr<'_>> {
        let at = self.incoming.mounted.parameters.iter().position(|it| *it == name.as_str());
        let value = at.and_then(|it| self.incoming.values.get(it));
        value.map(|it| RStr::from(it.as_str())).into()
    }

    fn header(&self, name: RStr<'_>) -> ROption<RSlice<'_, u8>> {
        let value = self.incoming.request.headers().get(name.as_str());
        value.map(|it| RSlice::from(it.as_bytes())).into()
    }

    fn header_name(&self, index: usize) -> ROption<RStr<'_>> {
        let header = self.incoming.request.headers().iter().nth(index);
        header.map(|(name, _)| RStr::from(name.as_str())).into()
    }

    fn header_value(&self, index: usize) -> ROption<RSlice<'_, u8>> {
        let header = self.incoming.request.headers().iter().nth(index);
        header.map(|(_, value)| RSlice::from(value.as_bytes())).into()
    }

    fn request_id(&self) -> RStr<'_> {
        (&*self.incoming.id).into()
    }

    fn peer(&self) -> RStr<'_> {
        let written = || self.incoming.peer.map(|it| it.to_string()).unwrap_or_default();
        self.peer.get_or_init(written).as_str().into()
    }

    fn principal(&self) -> ROption<Principal<'_>> {
        ROption::RSome(match &self.incoming.party {
            Party::Nobody => return ROption::RNone,
            Party::Bearer(it) => Principal {
                account: Id(it.account.into_bytes()),
                user: it.user.map(|it| Id(it.into_bytes())).into(),
                token: it.token_prefix.as_str().into(),
            },
            Party::Holder(it) => Principal {
                account: Id(it.account.into_bytes()),
                user: ROption::RNone,
                token: "".into(),
            },
        })
    }

    fn link(&self) -> ROption<RStr<'_>> {
        match &self.incoming.party {
            Party::Holder(it) => ROption::RSome(it.claim.as_str().into()),
            Party::Nobody | Party::Bearer(_) => ROption::RNone,
        }
    }

    fn permitted(&self, permission: RStr<'_>) -> bool {
        matches!(&self.incoming.party, Party::Bearer(it) if it.may(permission.as_str()))
    }

    fn identify(&self, account: ROption<Id>, tenant: RStr<'_>) {
        let account = account.map(|it| uuid::Uuid::from_bytes(it.0)).into_option();
        tracing::debug!(
            request_id = %self.incoming.id,
            extension = %self.incoming.mounted.slug,
            ?account,
            %tenant,
            "Identified by the extension"
        );
    }

    fn time_left(&self) -> u64 {
        let left = self.incoming.deadline.saturating_duration_since(Instant::now());
        u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
    }

    fn poll_body(&mut self, waker: &PWaker) -> PPoll<Res<()>> {
        PPoll::guarded(|| {
            waker.with(|waker| {
                let mut context = Context::from_waker(waker);
                loop {
                    match ready!(self.next(&mut context)) {
                        Err(error) => return Poll::Ready(RResult::RErr(error)),
                        Ok(Some(chunk)) => self.parts.push(chunk),
                        Ok(None) => {
                            self.body = self.parts.take();
                            return Poll::Ready(RResult::ROk(()));
                        }
                    }
                }
            })
        })
    }

    fn body(&self) -> RSlice<'_, u8> {
        (&*self.body).into()
    }

    fn poll_chunk(&mut self, waker: &PWaker) -> PPoll<Res<ROption<RVec<u8>>>> {
        PPoll::guarded(|| {
            waker.with(|waker| {
                let next = ready!(self.next(&mut Context::from_waker(waker)));
                Poll::Ready(match next {
                    Ok(chunk) => RResult::ROk(chunk.map(|it| RVec::from(&*it)).into()),
                    Err(error) => RResult::RErr(error),
                })
            })
        })
    }
}

impl Parts {
    /// Keeps a chunk; a body of one chunk is never copied.
    fn push(&mut self, chunk: Bytes) {
        match self.first.take() {
            None if self.buffer.is_empty() => self.first = Some(chunk),
            None => self.buffer.extend_from_slice(&chunk),
            Some(first) => {
                self.buffer.reserve(first.len() + chunk.len());
                self.buffer.extend_from_slice(&first);
                self.buffer.extend_from_slice(&chunk);
            }
        }
    }

    fn take(&mut self) -> Bytes {
        self.first.take().unwrap_or_else(|| self.buffer.split().freeze())
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.request.method(), self.request.uri().path())
    }
}
