//! Requests to servers elsewhere, of extensions and of the core: one pooled client, which connects to public addresses
//! alone unless the operator allows others.
//!
//! What is asked is decided where it connects: a name is resolved once, and what it leads to is what is judged and
//! used. Certificates are those that the system trusts.

mod client;
mod target;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
pub use reqwest::Url;
use tokio::runtime::Handle;

use self::client::Clients;
pub use self::target::{Refused, Targets};

/// What a request may cost, and where it may go.
#[derive(Clone, Debug)]
pub struct EgressSettings {
    /// Where it may go.
    pub targets: Targets,
    /// How long it may take in all, at most.
    pub timeout: Duration,
    /// How large an answer's body may be at most, in bytes.
    pub max_answer: u64,
}

/// A request.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// `GET`, `POST`, …
    pub method: String,
    /// `https://…` or `http://…`; a path alone is this platform's, for which loopback is allowed.
    pub url: String,
    /// Headers, in their order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long it may take; the operator's bound where that is less, or nobody says.
    pub timeout: Option<Duration>,
    /// How large the answer's body may be; the operator's bound where that is less, or nobody says.
    pub max_answer: Option<u64>,
    /// How many redirects are followed; each target is judged like the first. Those of this platform are not.
    pub redirects: u32,
}

/// What a server answered, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Its headers, in their order; values that are no text are left out.
    pub headers: Vec<(String, String)>,
    /// The whole body, decompressed.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// The target is not allowed.
    #[error("{0}")]
    Refused(String),
    /// There was no answer in time.
    #[error("{target} did not answer within {time:?}")]
    TimedOut {
        /// Scheme, name and port.
        target: String,
        /// How long was waited.
        time: Duration,
    },
    /// The answer is larger than it may be.
    #[error("the answer of {target} has more than {bytes} bytes")]
    TooLarge {
        /// Scheme, name and port.
        target: String,
        /// What it may have.
        bytes: u64,
    },
    /// The server could not be reached, or broke off.
    #[error("{target} cannot be reached: {reason}")]
    Unreachable {
        /// Scheme, name and port.
        target: String,
        /// Why.
        reason: String,
    },
    /// The request cannot be.
    #[error("{0}")]
    Invalid(String),
}

/// The way out, shared.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    settings: EgressSettings,
    clients: Clients,
    handle: Handle,
    own: ArcSwapOption<Url>,
}

impl Egress {
    /// The way out under these settings; requests run on `handle`.
    pub fn new(settings: EgressSettings, handle: Handle) -> Self {
        let clients = Clients::new(settings.targets.clone());
        Self(Arc::new(Inner { settings, clients, handle, own: ArcSwapOption::empty() }))
    }

    /// Where this platform itself is reached, for requests of a path alone.
    pub fn reached_at(&self, own: Url) {
        self.0.own.store(Some(Arc::new(own)));
    }

    /// Where requests may go.
    pub fn targets(&self) -> &Targets {
        &self.0.settings.targets
    }

    /// Whether an address is one that the operator allowed although it is not public, or a name that may lead there.
    pub fn is_private(&self, url: &Url) -> bool {
        self.0.settings.targets.is_private(url)
    }

    /// Sends a request; dropping the future gives it up.
    ///
    /// # Errors
    ///
    /// [`EgressError`]; whether the server did what was asked is open, unless the target was refused.
    pub fn send(
        &self,
        request: Outgoing,
    ) -> impl Future<Output = Result<Answer, EgressError>> + Send + 'static {
        let inner = self.0.clone();
        // Whoever waits may do so on threads that know no sockets.
        let running = self.0.handle.spawn(async move { inner.send(request).await });
        let mut running = AbortOnDrop(running);
        async move {
            (&mut running.0).await.unwrap_or_else(|error| {
                Err(EgressError::Invalid(format!("the request was given up: {error}")))
            })
        }
    }
}

impl Inner {
    async fn send(&self, request: Outgoing) -> Result<Answer, EgressError> {
        let time = request.timeout.unwrap_or(self.settings.timeout).min(self.settings.timeout);
        let bytes = self.settings.max_answer.min(request.max_answer.unwrap_or(u64::MAX));
        let is_own = request.url.starts_with('/');
        let url = if is_own { self.own(&request.url)? } else { parsed(&request.url)? };
        let target = client::origin(&url);
        let sent = async {
            match is_own {
                true => self.clients.own()?.once(&request, url, bytes).await,
                false => self.clients.elsewhere()?.follow(&request, url, bytes).await,
            }
        };
        match tokio::time::timeout(time, sent).await {
            Ok(answer) => answer,
            Err(_) => Err(EgressError::TimedOut { target, time }),
        }
    }

    /// A path of this platform as an address.
    fn own(&self, path: &str) -> Result<Url, EgressError> {
        let invalid = |text: String| EgressError::Invalid(text);
        let own = self.own.load_full().ok_or_else(|| {
            invalid(
                "this process does not know where the platform is reached: set `server.url`"
                    .to_owned(),
            )
        })?;
        // What begins with two slashes names another server.
        let url = own.join(path).ok().filter(|it| it.origin() == own.origin());
        url.ok_or_else(|| invalid(format!("`{path}` is no path of this platform")))
    }
}

/// An address elsewhere.
fn parsed(text: &str) -> Result<Url, EgressError> {
    let invalid = |why: &str| EgressError::Invalid(format!("`{text}` cannot be asked: {why}"));
    let url = Url::parse(text).map_err(|error| invalid(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(invalid("it is neither `https` nor `http`")),
    }
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers and body may hold secrets.
        write!(f, "{} {}", self.method, self.url)
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Egress").field(&self.0.settings).finish()
    }
}

#[cfg(test)]
mod tests;
