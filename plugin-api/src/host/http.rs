//! The platform's HTTP client.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use powernode_abi::{
    AbiError,
    client::{HttpAnswer as RawAnswer, HttpObject},
    error as abi,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    jobs::milliseconds,
};

/// Requests to servers elsewhere, and to this platform.
///
/// Connections are pooled, and certificates verified. An address that is not public (loopback, private, link-local) is
/// refused, whatever name leads there, unless the operator allows it.
///
/// ```text
/// let answer = host.http().post("https://hooks.example.com/x").json(&order).send().await?;
/// ```
pub struct Http(Arc<HttpObject>);

/// A request that is to be sent.
pub struct HttpRequest {
    client: Arc<HttpObject>,
    head: HttpHead,
    body: Vec<u8>,
    /// Why the body cannot be written.
    fault: Option<String>,
}

/// A request without its body; crosses the boundary as JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpHead {
    /// `GET`, `POST`, …
    pub method: String,
    /// `https://…` or `http://…`; a path alone is this platform's, for which loopback is allowed.
    pub url: String,
    /// Headers, in their order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// How long it may take in all, in milliseconds.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Most bytes of the answer's body, decompressed.
    #[serde(default)]
    pub max_bytes: Option<u64>,
    /// How many redirects are followed; each target is checked like the first.
    #[serde(default)]
    pub redirects: u32,
}

/// What a server answered, whatever its status.
pub struct HttpAnswer(RawAnswer);

/// Why there is no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum HttpError {
    /// The target is refused: its address is not public.
    Refused(String),
    /// There was no answer in time.
    TimedOut(String),
    /// The answer is larger than it may be.
    TooLarge(String),
    /// The server could not be reached, or broke off.
    Unreachable(String),
    /// The request cannot be, or the platform has no HTTP client.
    Invalid(String),
}

/// Which token an extension wants of this platform; crosses the boundary as JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenAsked {
    /// The account that it acts in.
    pub account_id: Uuid,
    /// What it may, of what the extension's manifest names.
    pub permissions: Vec<String>,
    /// How long it is good for, in milliseconds; the platform may give less.
    pub lifetime_ms: u64,
}

/// A token of this platform's; crosses the boundary as JSON text.
#[derive(Clone, Deserialize, Serialize)]
pub struct TokenGiven {
    /// What stands behind `Bearer`.
    pub token: String,
    /// When it is void.
    pub expires_at: DateTime<Utc>,
}

/// This platform's API, as somebody of one account may use it.
///
/// The requests pass the same gates as all others.
pub struct Api {
    client: Arc<HttpObject>,
    given: TokenGiven,
}

impl Http {
    pub(crate) fn new(object: HttpObject) -> Self {
        Self(Arc::new(object))
    }

    /// A request with any method.
    pub fn request(&self, method: &str, url: &str) -> HttpRequest {
        HttpRequest::new(self.0.clone(), method, url)
    }

    /// A `GET`.
    pub fn get(&self, url: &str) -> HttpRequest {
        self.request("GET", url)
    }

    /// A `POST`.
    pub fn post(&self, url: &str) -> HttpRequest {
        self.request("POST", url)
    }

    /// This platform's API, with a token that is good for `lifetime` at most and for these permissions alone.
    ///
    /// # Errors
    ///
    /// When there is no such account, or the extension's manifest does not name a permission.
    pub async fn api(
        &self,
        account_id: Uuid,
        permissions: &[&str],
        lifetime: Duration,
    ) -> Result<Api> {
        let permissions = permissions.iter().map(|it| (*it).to_owned()).collect();
        let asked = TokenAsked { account_id, permissions, lifetime_ms: milliseconds(lifetime) };
        let asked = serde_json::to_string(&asked).map_err(Error::internal)?;
        let given = self.0.token(asked.as_str().into()).flat().await?;
        let given = serde_json::from_str(&given).map_err(Error::internal)?;
        Ok(Api { client: self.0.clone(), given })
    }
}

impl Api {
    /// A request to a path of this platform: `/api/v1/shop/orders`.
    ///
    /// # Errors
    ///
    /// When it is no path: the token goes nowhere else.
    pub fn request(&self, method: &str, path: &str) -> std::result::Result<HttpRequest, HttpError> {
        if !path.starts_with('/') || path.starts_with("//") {
            return Err(HttpError::Invalid(format!("`{path}` is no path of this platform")));
        }
        let token = format!("Bearer {}", self.given.token);
        Ok(HttpRequest::new(self.client.clone(), method, path).header("authorization", &token))
    }

    /// When the token is void.
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.given.expires_at
    }
}

impl HttpRequest {
    fn new(client: Arc<HttpObject>, method: &str, url: &str) -> Self {
        let head = HttpHead {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            timeout_ms: None,
            max_bytes: None,
            redirects: 0,
        };
        Self { client, head, body: Vec::new(), fault: None }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// With a body of JSON.
    #[must_use]
    pub fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => self.body("application/json", body),
            Err(error) => {
                self.fault = Some(error.to_string());
                self
            }
        }
    }

    /// It may take this long in all, to the millisecond; if nobody says, as long as the operator allows.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.head.timeout_ms = Some(milliseconds(timeout).max(1));
        self
    }

    /// The answer may have so many bytes; if nobody says, as many as the operator allows.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.head.max_bytes = Some(bytes);
        self
    }

    /// So many redirects are followed; if nobody says, none.
    #[must_use]
    pub fn redirects(mut self, redirects: u32) -> Self {
        self.head.redirects = redirects;
        self
    }

    /// Sends it; any status is an answer.
    ///
    /// # Errors
    ///
    /// [`HttpError`]; whether the server did what was asked is open, unless the target was refused.
    pub async fn send(self) -> std::result::Result<HttpAnswer, HttpError> {
        if let Some(fault) = self.fault {
            return Err(HttpError::Invalid(format!("the body cannot be written as JSON: {fault}")));
        }
        let head = serde_json::to_string(&self.head)
            .map_err(|error| HttpError::Invalid(error.to_string()))?;
        let sent = self.client.send(head.as_str().into(), self.body.as_slice().into());
        sent.flat().await.map(HttpAnswer).map_err(HttpError::from)
    }
}

impl HttpAnswer {
    /// The status.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// Whether the status is 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.0.status)
    }

    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.0.headers.iter().find(|it| it.name.eq_ignore_ascii_case(name));
        found.map(|it| it.value.as_str())
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// The body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.body())
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// When it is no `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(self.body()).map_err(Error::internal)
    }
}

impl From<AbiError> for HttpError {
    fn from(error: AbiError) -> Self {
        let message = error.message.into_string();
        match error.code {
            abi::DENIED => Self::Refused(message),
            abi::TIMED_OUT => Self::TimedOut(message),
            abi::TOO_LARGE => Self::TooLarge(message),
            abi::UNAVAILABLE | abi::CANCELLED => Self::Unreachable(message),
            _ => Self::Invalid(message),
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(text)
            | Self::TimedOut(text)
            | Self::TooLarge(text)
            | Self::Unreachable(text)
            | Self::Invalid(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for HttpError {}

/// 504 where there was no answer in time, 502 where there was none that could be used; 500 for what is ours.
impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        match &error {
            HttpError::TimedOut(_) => {
                Self::new(504, "UPSTREAM_TIMEOUT", "another server did not answer in time")
                    .because(error)
            }
            HttpError::Unreachable(_) | HttpError::TooLarge(_) => {
                Self::new(502, "UPSTREAM_FAILED", "another server could not be used").because(error)
            }
            HttpError::Refused(_) | HttpError::Invalid(_) => Self::internal(error),
        }
    }
}

impl fmt::Debug for TokenGiven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a token until {}", self.expires_at)
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Api with {:?}", self.given)
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers may hold secrets.
        write!(f, "{} {}", self.head.method, self.head.url)
    }
}

impl fmt::Debug for HttpAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} bytes", self.0.status, self.0.body.len())
    }
}
