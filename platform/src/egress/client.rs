//! The clients that send, made when they are first needed: reading the system's certificates takes time.

use std::{error::Error as _, sync::OnceLock, time::Duration};

use futures_util::StreamExt as _;
use reqwest::{
    Client, Method, Response, StatusCode, Url,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap,
        HeaderName, HeaderValue, LOCATION, PROXY_AUTHORIZATION, TRANSFER_ENCODING,
    },
    redirect::Policy,
};

use super::{Answer, EgressError, Outgoing, Refused, Targets};

/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(60);
/// How long it may take to connect to one address.
const CONNECT: Duration = Duration::from_secs(10);
/// Connections to one server that are kept.
const KEPT: usize = 16;
/// Most redirects, whatever is asked.
const MOST_REDIRECTS: u32 = 10;
/// What belongs to the connection, and is not the sender's.
const NOT_THEIRS: [HeaderName; 4] = [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// The client for servers elsewhere, and the one for this platform.
pub(super) struct Clients {
    targets: Targets,
    elsewhere: OnceLock<Result<Sender, String>>,
    own: OnceLock<Result<Sender, String>>,
}

/// A client, and where it may go; one without targets may go anywhere.
pub(super) struct Sender {
    client: Client,
    targets: Option<Targets>,
}

impl Clients {
    pub(super) fn new(targets: Targets) -> Self {
        Self { targets, elsewhere: OnceLock::new(), own: OnceLock::new() }
    }

    /// For servers elsewhere.
    pub(super) fn elsewhere(&self) -> Result<&Sender, EgressError> {
        made(self.elsewhere.get_or_init(|| Sender::new(Some(self.targets.clone()))))
    }

    /// For this platform.
    pub(super) fn own(&self) -> Result<&Sender, EgressError> {
        made(self.own.get_or_init(|| Sender::new(None)))
    }
}

fn made(sender: &Result<Sender, String>) -> Result<&Sender, EgressError> {
    sender.as_ref().map_err(|text| EgressError::Invalid(format!("there is no HTTP client: {text}")))
}

impl Sender {
    fn new(targets: Option<Targets>) -> Result<Self, String> {
        // Another part of the process may have chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let begun = || {
            let client = Client::builder()
                .no_proxy()
                .redirect(Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(CONNECT)
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(KEPT)
                .user_agent(concat!("powernode/", env!("CARGO_PKG_VERSION")));
            match &targets {
                Some(targets) => client.dns_resolver(targets.clone()),
                // This platform speaks no TLS.
                None => client.tls_certs_only([]),
            }
        };
        let client = begun().build().or_else(|error| {
            tracing::warn!(
                "No server's certificate can be verified: {}; `ca-certificates` is the package that is missing",
                reason(&error)
            );
            begun().tls_certs_only([]).build()
        });
        Ok(Self { client: client.map_err(|error| reason(&error))?, targets })
    }

    /// Sends a request, and what its redirects ask for.
    pub(super) async fn follow(
        &self,
        request: &Outgoing,
        url: Url,
        bytes: u64,
    ) -> Result<Answer, EgressError> {
        let mut asked = Asked::of(request, url)?;
        let mut left = request.redirects.min(MOST_REDIRECTS);
        loop {
            let response = self.ask(&asked).await?;
            match asked.redirected(&response).filter(|_| left > 0) {
                Some(next) => asked = next,
                None => return read(response, bytes).await,
            }
            left -= 1;
        }
    }

    /// Sends a request alone.
    pub(super) async fn once(
        &self,
        request: &Outgoing,
        url: Url,
        bytes: u64,
    ) -> Result<Answer, EgressError> {
        read(self.ask(&Asked::of(request, url)?).await?, bytes).await
    }

    async fn ask(&self, asked: &Asked) -> Result<Response, EgressError> {
        if let Some(targets) = &self.targets {
            targets.check(&asked.url).map_err(|it| EgressError::Refused(it.to_string()))?;
        }
        let request = self
            .client
            .request(asked.method.clone(), asked.url.clone())
            .headers(asked.headers.clone())
            .body(asked.body.clone());
        request.send().await.map_err(|error| failed(&asked.url, &error))
    }
}

/// One request of those that a redirect may lead to.
struct Asked {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: bytes::Bytes,
}

impl Asked {
    fn of(request: &Outgoing, url: Url) -> Result<Self, EgressError> {
        let invalid = |what: &str, it: &str| EgressError::Invalid(format!("`{it}` is no {what}"));
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| invalid("method", &request.method))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let key = HeaderName::from_bytes(name.as_bytes());
            let key = key.map_err(|_| invalid("header's name", name))?;
            if NOT_THEIRS.contains(&key) {
                return Err(EgressError::Invalid(format!(
                    "the header `{name}` is the client's own"
                )));
            }
            let value = HeaderValue::from_str(value).map_err(|_| {
                // The value may be a secret.
                EgressError::Invalid(format!("the value of the header `{name}` is no header's"))
            })?;
            headers.append(key, value);
        }
        Ok(Self { method, url, headers, body: request.body.clone().into() })
    }

    /// What a redirect asks for, by RFC 9110, section 15.4: secrets do not go to another server.
    fn redirected(&self, response: &Response) -> Option<Self> {
        let status = response.status();
        let keeps =
            matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        let moved = matches!(
            status,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER
        );
        if !keeps && !moved {
            return None;
        }
        let to = response.headers().get(LOCATION)?.to_str().ok()?;
        let url = self.url.join(to).ok().filter(|it| matches!(it.scheme(), "http" | "https"))?;
        let mut next = Self {
            method: self.method.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
            url,
        };
        if next.url.origin() != self.url.origin() {
            for secret in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
                next.headers.remove(secret);
            }
        }
        let to_get = status == StatusCode::SEE_OTHER && self.method != Method::HEAD
            || moved && self.method == Method::POST;
        if to_get {
            next.method = Method::GET;
            next.body = bytes::Bytes::new();
            next.headers.remove(CONTENT_TYPE);
        }
        Some(next)
    }
}

/// The whole answer, as far as it may go.
async fn read(response: Response, bytes: u64) -> Result<Answer, EgressError> {
    let url = response.url().clone();
    let too_large = || EgressError::TooLarge { target: origin(&url), bytes };
    if response.content_length().is_some_and(|it| it > bytes) {
        return Err(too_large());
    }
    let status = response.status().as_u16();
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let headers = response.headers().iter().filter_map(text).collect();
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| failed(&url, &error))?;
        body.extend_from_slice(&chunk);
        if body.len() as u64 > bytes {
            return Err(too_large());
        }
    }
    Ok(Answer { status, headers, body })
}

/// Scheme, name and port: what may be logged of an address.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn failed(url: &Url, error: &reqwest::Error) -> EgressError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(it) = cause {
        if let Some(refused) = it.downcast_ref::<Refused>() {
            return EgressError::Refused(refused.to_string());
        }
        cause = it.source();
    }
    EgressError::Unreachable { target: origin(url), reason: reason(error) }
}

/// The innermost cause: what is around it repeats the address, which may hold secrets.
fn reason(error: &reqwest::Error) -> String {
    let mut innermost: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(next) = innermost.and_then(std::error::Error::source) {
        innermost = Some(next);
    }
    innermost.map_or_else(|| "the request failed".to_owned(), ToString::to_string)
}
