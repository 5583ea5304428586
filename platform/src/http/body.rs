//! A JSON body on a route of the core.

use std::time::Duration;

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::CONTENT_TYPE, web::Data};
use bytes::BytesMut;
use futures_util::{StreamExt as _, future::LocalBoxFuture};
use serde::de::DeserializeOwned;

use super::{error::ApiError, state::Platform};

/// The body as `T`, within the limits of size and time.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let missing = || ApiError::internal(anyhow::anyhow!("the handlers share nothing"));
            let limits = request.app_data::<Data<Platform>>().ok_or_else(missing)?.timeouts.body;
            let media = request.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
            let is_json = |it: &str| {
                let media = it.split(';').next().unwrap_or_default().trim();
                media.eq_ignore_ascii_case("application/json")
            };
            if !media.is_none_or(is_json) {
                return Err(ApiError::unsupported_media_type());
            }
            let body = read(payload, limits.size, limits.time).await?;
            parse(&body).map(Self)
        })
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
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ApiError::invalid("body", error.to_string()),
        _ => ApiError::invalid_json(format!("the body is not JSON: {error}")),
    })
}
