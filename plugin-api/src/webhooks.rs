//! Webhooks that other services send: verified, kept, answered, and processed later, once for each of their ids.
//!
//! ```text
//! async fn paid(mut call: Call<Shop>) -> Result<Received> {
//!     let secret = call.host().settings().secret("payments").await?.unwrap_or_default();
//!     Receiver::standard("payments", &secret)?.receive(&mut call, "paid").await
//! }
//! ```
//!
//! The route is public: the signature is what lets the sender in. What came is the job of a handler, which takes
//! [`Inbound`]; a handler that fails is tried again, and the sender hears nothing of that.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;

use crate::{
    answer::{Answer, Response, envelope},
    error::{Error, Result},
    jobs::{NewJob, Once, enqueue},
    operation::Operation,
    request::{Call, Request},
};

/// How far the sender's clock and this one may be apart, in seconds: what is older may be somebody's repetition.
const TOLERANCE: i64 = 5 * 60;
/// Most bytes of a body: it is the arguments of a job.
const LARGEST: usize = 200 << 10;
/// Longest id, in bytes.
const LONGEST_ID: usize = 200;

/// What another service sent: the arguments of the handler that processes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbound {
    /// Which sender, as the receiver was named.
    pub source: String,
    /// The sender's name of it, which comes once.
    pub id: String,
    /// The body, to the byte that was signed.
    pub body: String,
}

/// Verifies what one sender sends.
pub struct Receiver {
    source: String,
    scheme: Scheme,
    keys: Vec<Vec<u8>>,
}

/// What was answered: 202 the first time, and 200 again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Received {
    /// Whether it was there before, and nothing was done.
    pub duplicate: bool,
}

enum Scheme {
    /// standardwebhooks.com, 1.0.
    Standard,
    /// `sha256=` and the hexadecimal HMAC-SHA-256 of the body, in this header; the id stands in the body.
    Body { header: &'static str, id: &'static str },
}

impl Inbound {
    /// The body, as JSON.
    ///
    /// # Errors
    ///
    /// When it is no `T`.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.body).map_err(Error::internal)
    }
}

impl Receiver {
    /// A sender that signs as standardwebhooks.com says; `secret` is `whsec_…`, and `source` a name for the sender.
    ///
    /// # Errors
    ///
    /// 500 where the secret is none: it is this extension's setting.
    pub fn standard(source: &str, secret: &[u8]) -> Result<Self> {
        let text = str::from_utf8(secret).map(str::trim).unwrap_or_default();
        let key = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text));
        let key = key.ok().filter(|it| !it.is_empty()).ok_or_else(|| no_secret(source))?;
        Ok(Self { source: source.to_owned(), scheme: Scheme::Standard, keys: vec![key] })
    }

    /// A sender that signs the body alone: `sha256=…` in `header`, as GitHub does and this platform beside the standard.
    /// `id` is where in the JSON body its name stands, `/id`, as RFC 6901 writes it.
    ///
    /// # Errors
    ///
    /// 500 where the secret is empty.
    pub fn sha256(
        source: &str,
        secret: &[u8],
        header: &'static str,
        id: &'static str,
    ) -> Result<Self> {
        if secret.is_empty() {
            return Err(no_secret(source));
        }
        let scheme = Scheme::Body { header, id };
        Ok(Self { source: source.to_owned(), scheme, keys: vec![secret.to_vec()] })
    }

    /// And what is signed with that receiver's secret, while a secret is rotated.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.keys.extend(other.keys);
        self
    }

    /// Verifies a request, and keeps it as a job of `handler`, once for each id.
    ///
    /// # Errors
    ///
    /// 401 where the signature is not the sender's, or too old; 413 where the body is too large, 422 where it has no id.
    pub async fn receive<E>(&self, call: &mut Call<E>, handler: &str) -> Result<Received> {
        let now = call.host().runtime().now().timestamp();
        let inbound = self.verified(call, now).await?;
        let once = Once::new(format!("webhook/{}/{}", inbound.source, inbound.id));
        let job = NewJob::new(handler, &inbound);
        call.db()
            .transaction(move |conn| {
                let duplicate = !once.is_first(conn)?;
                if !duplicate {
                    enqueue(conn, job)?;
                }
                Ok::<_, Error>(Received { duplicate })
            })
            .await
    }

    async fn verified(&self, request: &mut Request, now: i64) -> Result<Inbound> {
        let header = |request: &Request, name: &str| request.header(name).map(str::to_owned);
        let (id, stamp, signature) = match &self.scheme {
            Scheme::Standard => (
                header(request, "webhook-id"),
                header(request, "webhook-timestamp"),
                header(request, "webhook-signature"),
            ),
            Scheme::Body { header: name, .. } => (None, None, header(request, name)),
        };
        let body = request.body().await?;
        if body.len() > LARGEST {
            let message = format!("a webhook has {LARGEST} bytes at most");
            return Err(Error::new(413, "PAYLOAD_TOO_LARGE", message));
        }
        let signature = signature.ok_or_else(unsigned)?;
        let id = match &self.scheme {
            Scheme::Standard => {
                let (id, stamp) = (id.ok_or_else(unsigned)?, stamp.ok_or_else(unsigned)?);
                let sent: i64 = stamp.parse().map_err(|_| unsigned())?;
                if now.abs_diff(sent) > TOLERANCE.unsigned_abs() {
                    return Err(unsigned());
                }
                let text = [format!("{id}.{stamp}.").as_bytes(), body].concat();
                let marks = signature.split(' ').filter_map(|it| it.strip_prefix("v1,"));
                let marks = marks.filter_map(|it| STANDARD.decode(it).ok());
                self.is_signed(&text, marks)?;
                id
            }
            Scheme::Body { id, .. } => {
                let mark = signature.strip_prefix("sha256=").and_then(|it| hex::decode(it).ok());
                self.is_signed(body, mark.into_iter())?;
                let value: Value = serde_json::from_slice(body).unwrap_or_default();
                match value.pointer(id) {
                    Some(Value::String(text)) => text.clone(),
                    Some(Value::Number(number)) => number.to_string(),
                    _ => return Err(Error::invalid(*id, "must name the event")),
                }
            }
        };
        if id.is_empty() || id.len() > LONGEST_ID || id.contains('\0') {
            return Err(Error::invalid("id", "must have 1 to 200 bytes, and no NUL"));
        }
        let text = str::from_utf8(body).map_err(|_| Error::invalid("body", "must be UTF-8"))?;
        Ok(Inbound { source: self.source.clone(), id, body: text.to_owned() })
    }

    /// Whether one of the marks is of one of the secrets; takes as long for any that is not.
    fn is_signed(&self, text: &[u8], marks: impl Iterator<Item = Vec<u8>>) -> Result<()> {
        let fits = |mark: &[u8], key: &[u8]| {
            let mac = Hmac::<Sha256>::new_from_slice(key);
            mac.is_ok_and(|it| it.chain_update(text).verify_slice(mark).is_ok())
        };
        let mut marks = marks.take(8);
        if marks.any(|mark| self.keys.iter().any(|key| fits(&mark, key))) {
            return Ok(());
        }
        Err(unsigned())
    }
}

impl Answer for Received {
    fn answer(self) -> Result<Response> {
        envelope(if self.duplicate { 200 } else { 202 }, &self, None)
    }

    fn describe(operation: &mut Operation) {
        operation.answer::<Self>(202);
        operation.answer::<Self>(200);
    }
}

fn unsigned() -> Error {
    Error::new(401, "UNAUTHORIZED", "the signature is not the sender's, or too old")
}

fn no_secret(source: &str) -> Error {
    Error::internal(std::io::Error::other(format!("there is no secret for `{source}`")))
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver of `{}`", self.source)
    }
}
