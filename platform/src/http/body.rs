//! A JSON body on a route of the core, read once the caller is known.

use std::{
    fmt,
    future::{Ready, ready},
    time::Duration,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::CONTENT_TYPE, web::Data};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{error::ApiError, request::BodyLimits, state::Platform};

/// A body that was not read yet: whoever may not send it is told so first.
pub struct Body {
    payload: Payload,
    is_json: bool,
    limits: BodyLimits,
}

impl Body {
    /// The body as `T`, within the limits of size and time.
    ///
    /// # Errors
    ///
    /// 400, 408, 413, 415 and 422.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        if !self.is_json {
            return Err(ApiError::unsupported_media_type());
        }
        parse(&read(self.payload, self.limits.size, self.limits.time).await?)
    }
}

impl FromRequest for Body {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let media = request.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let is_json = media.is_none_or(|it| {
            let media = it.split(';').next().unwrap_or_default().trim();
            media.eq_ignore_ascii_case("application/json")
        });
        let missing = || ApiError::internal(anyhow::anyhow!("the handlers share nothing"));
        let platform = request.app_data::<Data<Platform>>().ok_or_else(missing);
        let limits = platform.map(|it| it.timeouts.body);
        ready(limits.map(|limits| Self { payload: payload.take(), is_json, limits }))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}

async fn read(mut payload: Payload, size: usize, time: Duration) -> Result<BytesMut, ApiError> {
    let whole = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let broken = |error| ApiError::invalid_json(format!("the body broke off: {error}"));
            let chunk = chunk.map_err(broken)?;
            if body.len().saturating_add(chunk.len()) > size {
                return Err(ApiError::too_large(size));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    };
    tokio::time::timeout(time, whole).await.unwrap_or_else(|_| Err(ApiError::too_slow(time)))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let parsed = serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ApiError::invalid("body", error.to_string()),
        _ => ApiError::invalid_json(format!("the body is not JSON: {error}")),
    })?;
    // A list of the fields' values, which nobody means.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(ApiError::invalid("body", "must be an object"));
    }
    // JSON writes NUL in one way alone; most bodies have nothing like it.
    if memchr::memmem::find(body, br"\u0000").is_some()
        && serde_json::from_slice(body).is_ok_and(|it: Value| holds_nul(&it))
    {
        return Err(ApiError::invalid("body", "must hold no NUL: no database keeps it"));
    }
    Ok(parsed)
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(fields) => fields.iter().any(|(key, it)| key.contains('\0') || holds_nul(it)),
        _ => false,
    }
}
