//! Gives each request an id, and each answer the same.

use std::sync::Arc;

use actix_web::{
    Error, HttpMessage as _, HttpResponse,
    body::{BoxBody, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    web::Data,
};
use uuid::Uuid;

use super::{context::Context, error::ApiError, state::Platform};

/// The header of both directions.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that a client may bring.
const LONGEST: usize = 128;

/// Keeps the client's id where it is sane, makes one where not; turns errors into the envelope.
///
/// # Errors
///
/// None of its own: handlers' errors are responses already.
pub async fn middleware<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let given = request.headers().get(HEADER).and_then(|it| it.to_str().ok());
    let id: Arc<str> = match given.filter(|it| is_sane(it)) {
        Some(id) => id.into(),
        None => (&*Uuid::now_v7().hyphenated().encode_lower(&mut Uuid::encode_buffer())).into(),
    };
    let platform = request.app_data::<Data<Platform>>();
    let address = platform.and_then(|it| it.address(request.request()));
    let context = Context::new(id.clone(), address);
    request.extensions_mut().insert(context);
    // No handle to the request may be kept here: actix asks that its router holds the only one.
    let response = next.call(request).await?;
    let mut response = match response.response().error().map(|it| envelope(it, &id)) {
        Some(mut envelope) => {
            let (http, replaced) = response.into_parts();
            // Limits and the like were written on what is replaced.
            for (name, value) in replaced.headers() {
                if !envelope.headers().contains_key(name) {
                    envelope.headers_mut().append(name.clone(), value.clone());
                }
            }
            ServiceResponse::new(http, envelope).map_into_right_body()
        }
        None => response.map_into_left_body(),
    };
    mark(response.headers_mut(), &id);
    Ok(response)
}

/// The response of a failure that no service answers, with its id.
pub(super) fn respond(error: &ApiError, id: &str) -> HttpResponse {
    let mut response = error.respond(id);
    mark(response.headers_mut(), id);
    response
}

fn mark(headers: &mut HeaderMap, id: &str) {
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(HEADER, value);
    }
}

/// The envelope of any error, actix's own among them.
fn envelope(error: &Error, id: &str) -> HttpResponse {
    match error.as_error::<ApiError>() {
        Some(error) => error.respond(id),
        None => {
            let status = error.as_response_error().status_code();
            ApiError::of_actix(status, error.to_string()).respond(id)
        }
    }
}

fn is_sane(id: &str) -> bool {
    (1..=LONGEST).contains(&id.len())
        && id.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-".contains(&it))
}
