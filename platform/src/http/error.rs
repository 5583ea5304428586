//! Every failure of a request: the only file that knows status codes.

use std::{fmt, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{ALLOW, CONNECTION, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use diesel::result::{
    DatabaseErrorKind,
    Error::{DatabaseError, SerializationError},
};
use powernode_plugin_api::db::{RunError, Unkept};
use serde::Serialize;

use super::dispatch::Missing;
use crate::{
    access::{AccessError, AccountError, TokenError},
    gate::{self, Code, FlagError, SwitchError},
    services::LinkError,
    webhooks::WebhookError,
};

/// A request that cannot be answered as it was meant.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    fields: Vec<Field>,
    header: Option<(HeaderName, String)>,
    cause: Option<anyhow::Error>,
}

/// What is wrong with one field.
#[derive(Debug, Serialize)]
struct Field {
    field: String,
    message: String,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            fields: Vec::new(),
            header: None,
            cause: None,
        }
    }

    fn with_header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.header = Some((name, value.into()));
        self
    }

    /// There is no such thing, or it is another account's.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("{what} not found"))
    }

    /// A feature of the core that asks an extension which is not there.
    pub fn unavailable_feature(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "FEATURE_UNAVAILABLE", message)
    }

    /// Nobody signed this link, or not for this.
    pub fn link_invalid() -> Self {
        Self::new(StatusCode::NOT_FOUND, "LINK_INVALID", "this link is not valid")
    }

    /// The link was good for a while.
    pub fn link_expired(error: &LinkError) -> Self {
        Self::new(StatusCode::GONE, "LINK_EXPIRED", format!("{error}; ask for another"))
    }

    /// The path has other methods.
    pub fn method_not_allowed(allow: &str) -> Self {
        let message = format!("the method must be one of {allow}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
            .with_header(ALLOW, allow)
    }

    /// Nobody was identified.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message)
            .with_header(WWW_AUTHENTICATE, "Bearer")
    }

    /// The account's plan allows no more; `reason` is for its people.
    pub fn not_entitled(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "NOT_ENTITLED", reason)
    }

    /// The caller lacks a permission.
    pub fn forbidden(permission: &str) -> Self {
        let message = format!("this needs the permission `{permission}`");
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", message)
    }

    /// One field of the input is wrong.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let field = Field { field: field.into(), message: message.into() };
        let error = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "VALIDATION_FAILED",
            "the input is not valid",
        );
        Self { fields: vec![field], ..error }
    }

    /// The body is no JSON.
    pub fn invalid_json(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_JSON", message)
    }

    /// The body is of another type.
    pub fn unsupported_media_type() -> Self {
        let message = "the body must be application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)
    }

    /// The body comes in chunks that are none.
    pub fn malformed_body() -> Self {
        let message = "the body is no sequence of chunks";
        Self::new(StatusCode::BAD_REQUEST, "BODY_MALFORMED", message)
            .with_header(CONNECTION, "close")
    }

    /// The body is too large.
    pub fn too_large(limit: usize) -> Self {
        let message = format!("the body is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message)
    }

    /// The body took too long.
    pub fn too_slow(limit: Duration) -> Self {
        let message = format!("the body did not arrive within {limit:?}");
        Self::new(StatusCode::REQUEST_TIMEOUT, "BODY_TOO_SLOW", message)
    }

    /// Too many requests; the next window begins in `seconds`.
    pub fn rate_limited(seconds: u64) -> Self {
        let message = format!("too many requests; try again in {seconds} s");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", message)
            .with_header(RETRY_AFTER, seconds.to_string())
    }

    /// The state of things does not allow it.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "CONFLICT", message)
    }

    /// The extension answers as many requests as it may.
    pub fn busy(slug: &str) -> Self {
        let message = format!("extension '{slug}' answers as many requests as it may; try again");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "EXTENSION_BUSY", message)
            .with_header(RETRY_AFTER, "1")
    }

    /// The extension took too long.
    pub fn deadline(slug: &str, deadline: Duration) -> Self {
        let message = format!("extension '{slug}' did not answer within {deadline:?}");
        Self::new(StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED", message)
    }

    /// The extension panicked; the text goes to the log alone.
    pub fn panicked(slug: &str, text: &str) -> Self {
        let message = format!("extension '{slug}' failed");
        let cause = anyhow::anyhow!("`{slug}` panicked: {text}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "EXTENSION_PANICKED", message).because(cause)
    }

    /// The extension gave no usable answer; the text goes to the log alone.
    pub fn extension_failed(slug: &str, text: &str) -> Self {
        let message = format!("extension '{slug}' failed");
        let cause = anyhow::anyhow!("`{slug}` {text}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "EXTENSION_FAILED", message).because(cause)
    }

    /// Something of the platform's own failed; the cause goes to the log alone.
    ///
    /// A database that is busy or cannot be used is no failure: it may be over soon. Nor is a value that no database
    /// keeps: whoever sent it is told.
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        let cause = cause.into();
        if let Some(unkept) = cause.chain().find_map(unkept) {
            let message = unkept.to_string();
            return Self::new(StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_FAILED", message);
        }
        let of_database = cause.chain().find_map(|it| it.downcast_ref().and_then(passing));
        if let Some(message) = of_database {
            return Self::unavailable(message).because(cause);
        }
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "something went wrong")
            .because(cause)
    }

    /// The platform waits for what it cannot start without.
    pub fn starting(reason: &str) -> Self {
        let message = format!("the platform starts: {reason}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "STARTING", message)
            .with_header(RETRY_AFTER, "1")
    }

    /// The platform cannot answer now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", message)
            .with_header(RETRY_AFTER, "1")
    }

    /// An error of actix's own, such as a path that cannot be decoded.
    pub fn of_actix(status: StatusCode, message: String) -> Self {
        if status.is_server_error() {
            return Self::internal(anyhow::anyhow!(message));
        }
        Self::new(status, "BAD_REQUEST", message)
    }

    fn because(mut self, cause: anyhow::Error) -> Self {
        self.cause = Some(cause);
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The code for programs.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The response, with the request's id; logs the cause.
    pub fn respond(&self, request_id: &str) -> HttpResponse {
        #[derive(Serialize)]
        struct Envelope<'a> {
            success: bool,
            error: &'a str,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'a [Field],
            code: &'a str,
            request_id: &'a str,
        }
        if let Some(cause) = &self.cause {
            tracing::error!(request_id, code = self.code, "{cause:#}");
        }
        let mut response = HttpResponse::build(self.status).json(Envelope {
            success: false,
            error: &self.message,
            errors: &self.fields,
            code: self.code,
            request_id,
        });
        if let Some((name, value)) = &self.header
            && let Ok(value) = HeaderValue::from_str(value)
        {
            response.headers_mut().insert(name.clone(), value);
        }
        response
    }
}

/// The value that cannot be kept; diesel's own sources leave it out.
fn unkept<'e>(cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e Unkept> {
    let of_diesel = match cause.downcast_ref() {
        Some(RunError::Database(error)) => Some(error),
        _ => cause.downcast_ref(),
    };
    match of_diesel? {
        SerializationError(cause) => cause.downcast_ref(),
        _ => None,
    }
}

/// What to say of an error of the database's that passes.
fn passing(error: &RunError) -> Option<&'static str> {
    use DatabaseErrorKind::{ClosedConnection, SerializationFailure, UnableToSendCommand};
    match error {
        RunError::Pool(_)
        | RunError::Database(DatabaseError(UnableToSendCommand | SerializationFailure, _)) => {
            Some("the database is busy; try again")
        }
        RunError::Full(_) | RunError::Database(DatabaseError(ClosedConnection, _)) => {
            Some("the database cannot be used now; try again")
        }
        _ => None,
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The envelope needs the request's id, so that the outermost layer makes the response (see `request_id`).
impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        // Replaced by `request_id::middleware`, which knows the id.
        HttpResponse::new(self.status)
    }
}

impl From<gate::Refusal> for ApiError {
    fn from(refusal: gate::Refusal) -> Self {
        let status = match refusal.code() {
            Code::Quarantined => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::NOT_FOUND,
        };
        Self::new(status, refusal.code().as_str(), refusal.to_string())
    }
}

impl From<Missing> for ApiError {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Path => Self::not_found("path"),
            Missing::Method { allow } => Self::method_not_allowed(&allow),
        }
    }
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Invalid | AccessError::Malformed => Self::unauthorized(error.to_string()),
            AccessError::Database(error) => {
                Self::unavailable("the tokens cannot be read now").because(error.into())
            }
        }
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Unknown(_) => Self::not_found("token"),
            TokenError::NoAccount(_) => Self::invalid("account_id", error.to_string()),
            TokenError::NoUser(_) => Self::invalid("user_id", error.to_string()),
            TokenError::Name => Self::invalid("name", error.to_string()),
            TokenError::Expiry => Self::invalid("expires_at", error.to_string()),
            TokenError::Ambiguous(_) => Self::conflict(error.to_string()),
            TokenError::NoRandomness | TokenError::Database(_) => Self::internal(error),
        }
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Unavailable => Self::unavailable_feature(error.to_string()),
            AccountError::Name => Self::invalid("name", error.to_string()),
            AccountError::Email => Self::invalid("email", error.to_string()),
            AccountError::Unknown => Self::not_found("account"),
            AccountError::Taken => Self::conflict(error.to_string()),
            AccountError::Database(_) => Self::internal(error),
        }
    }
}

impl From<WebhookError> for ApiError {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Unknown => Self::not_found("webhook"),
            WebhookError::Field { field, fault } => Self::invalid(field, fault),
            WebhookError::Topic(error) => Self::invalid("topics", error.to_string()),
            WebhookError::Many => Self::conflict(error.to_string()),
            WebhookError::NoRandomness | WebhookError::Database(_) => Self::internal(error),
        }
    }
}

impl From<SwitchError> for ApiError {
    fn from(error: SwitchError) -> Self {
        Self::internal(error)
    }
}

impl From<FlagError> for ApiError {
    fn from(error: FlagError) -> Self {
        match &error {
            FlagError::Unknown(_) => Self::not_found("flag"),
            FlagError::Exists(_) => Self::conflict(error.to_string()),
            FlagError::Name(_) => Self::invalid("name", error.to_string()),
            FlagError::Edit(_) => Self::invalid("gate", error.to_string()),
            FlagError::Database(_) => {
                Self::unavailable("the flags cannot be changed now").because(error.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn the_envelope_has_code_and_request_id_and_hides_the_cause() {
        let response = ApiError::panicked("shop", "secret text").respond("r-1");
        assert_eq!(response.status(), 500);
        let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
        assert_eq!(
            String::from_utf8_lossy(&body),
            r#"{"success":false,"error":"extension 'shop' failed","code":"EXTENSION_PANICKED","request_id":"r-1"}"#
        );
    }

    #[test]
    fn a_database_without_a_free_connection_is_over_soon() {
        let error = AccountError::Database(RunError::Pool("all in use".into()));
        let response = ApiError::from(error).respond("");
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers().get("retry-after").unwrap(), "1");
    }

    #[test]
    fn statuses_carry_their_headers() {
        let response = ApiError::rate_limited(7).respond("");
        assert_eq!(response.headers().get("retry-after").unwrap(), "7");
        let response = ApiError::method_not_allowed("GET, PUT").respond("");
        assert_eq!(response.headers().get("allow").unwrap(), "GET, PUT");
    }
}
