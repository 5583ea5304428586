//! What a handler answers when it cannot answer.

use std::{borrow::Cow, error::Error as StdError, fmt};

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use powernode_abi::{AbiError, Header, RawBody, RawResponse, error};
use serde::Serialize;

use crate::db::{RunError, Unkept};

/// The result of a handler.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure with the status that the client gets.
///
/// `?` turns a database error into one: no row is 404, a unique constraint 409, a database
/// that is busy or cannot be used (out of reach, full, damaged) 503 with Retry-After, a value that no database keeps
/// ([`Unkept`]) 422, anything else 500 (whose cause goes to the log and not to the client).
#[derive(Debug)]
pub struct Error {
    status: u16,
    code: Cow<'static, str>,
    message: String,
    fields: Vec<FieldError>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

/// What is wrong with one field of the input.
#[derive(Clone, Debug, Serialize)]
pub struct FieldError {
    /// The field's path: `subscriber.email`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl Error {
    /// A failure with a status from 400 to 599, a code for programs and a sentence for people.
    pub fn new(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        let status = if (400..600).contains(&status) { status } else { 500 };
        Self { status, code: code.into(), message: message.into(), fields: Vec::new(), cause: None }
    }

    /// 404: there is no such thing, or it is another account's.
    pub fn not_found(what: &str) -> Self {
        Self::new(404, "NOT_FOUND", format!("{what} not found"))
    }

    /// 422: one field of the input is wrong.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(422, "VALIDATION_FAILED", "the input is not valid").and_invalid(field, message)
    }

    /// One more field that is wrong.
    #[must_use]
    pub fn and_invalid(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.fields.push(FieldError { field: field.into(), message: message.into() });
        self
    }

    /// 422 for all of `fields`; fine when there is none.
    ///
    /// # Errors
    ///
    /// When `fields` is not empty.
    pub fn unless_valid(fields: Vec<FieldError>) -> Result<()> {
        if fields.is_empty() {
            return Ok(());
        }
        Err(Self { fields, ..Self::new(422, "VALIDATION_FAILED", "the input is not valid") })
    }

    /// For `map_err`: a value that must be unique and is there already is 422 for `field`.
    ///
    /// Other errors of the database become what `?` makes of them.
    pub fn taken(field: &str) -> impl FnOnce(DieselError) -> Self {
        move |error| match error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
                Self::invalid(field, "is already taken")
            }
            error => error.into(),
        }
    }

    /// 409: the state of things does not allow it.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, "CONFLICT", message)
    }

    /// 401: nobody was identified.
    pub fn unauthorized() -> Self {
        Self::new(401, "UNAUTHORIZED", "this needs a token")
    }

    /// 403: the caller may not.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "FORBIDDEN", message)
    }

    /// 500: `cause` goes to the log; the client learns the request's id.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..Self::new(500, "INTERNAL_ERROR", "something went wrong")
        }
    }

    /// 500: what came is not what the code takes.
    pub(crate) fn unfit(message: String) -> Self {
        Self::new(500, "UNFIT", message)
    }

    /// With a cause for the log.
    pub(crate) fn because(self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    /// 503: no connection of the database became free in time, or somebody else has what this needs.
    fn busy() -> Self {
        Self::new(503, "DATABASE_BUSY", "the database is busy; try again")
    }

    /// 503: the database is not there, or takes no writes; nothing was written.
    fn unusable() -> Self {
        Self::new(503, "DATABASE_UNAVAILABLE", "the database cannot be used now; try again")
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What is wrong with which fields.
    pub fn fields(&self) -> &[FieldError] {
        &self.fields
    }

    /// The code for programs.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Writes the envelope of a failure, and logs the cause if there is one.
    pub(crate) fn respond(self, request_id: &str) -> RawResponse {
        #[derive(Serialize)]
        struct Envelope<'a> {
            success: bool,
            error: &'a str,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'a [FieldError],
            code: &'a str,
            request_id: &'a str,
        }
        if let Some(cause) = &self.cause {
            tracing::error!(request_id, "{}", chain(cause.as_ref()));
        }
        let body = serde_json::to_vec(&Envelope {
            success: false,
            error: &self.message,
            errors: &self.fields,
            code: &self.code,
            request_id,
        })
        .unwrap_or_default();
        // What is over soon says when to come again.
        let again = Header { name: "retry-after".into(), value: "1".into() };
        let headers = if self.status == 503 { vec![again] } else { Vec::new() };
        RawResponse {
            status: self.status,
            content_type: "application/json".into(),
            headers: headers.into(),
            body: RawBody::Bytes(body.into()),
        }
    }
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for field in &self.fields {
            write!(f, "; {field}")?;
        }
        self.cause.as_ref().map_or(Ok(()), |cause| write!(f, ": {}", chain(cause.as_ref())))
    }
}

impl StdError for Error {}

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        match &error {
            DieselError::NotFound => Self::new(404, "NOT_FOUND", "not found"),
            DieselError::SerializationError(cause) if cause.is::<Unkept>() => {
                Self::new(422, "VALIDATION_FAILED", cause.to_string())
            }
            // Which field, the database cannot say: an index may begin with the account's column.
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
                Self::conflict("the same is there already")
            }
            DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => {
                Self::conflict("something that this refers to does not exist, or is still in use")
            }
            DieselError::DatabaseError(
                DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::SerializationFailure,
                _,
            ) => Self { cause: Some(error.into()), ..Self::busy() },
            DieselError::DatabaseError(DatabaseErrorKind::ClosedConnection, _) => {
                Self { cause: Some(error.into()), ..Self::unusable() }
            }
            _ => Self::internal(error),
        }
    }
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Pool(text) | RunError::Cancelled(text) => {
                Self { cause: Some(text.into()), ..Self::busy() }
            }
            RunError::Full(text) => Self { cause: Some(text.into()), ..Self::unusable() },
            RunError::Database(error) => error.into(),
            error => Self::internal(error),
        }
    }
}

impl From<AbiError> for Error {
    fn from(error: AbiError) -> Self {
        match error.code {
            error::TOO_LARGE => Self::new(413, "BODY_TOO_LARGE", error.message),
            error::TIMED_OUT => Self::new(408, "BODY_TOO_SLOW", error.message),
            error::UNSUPPORTED => Self::new(501, "UNSUPPORTED", error.message),
            error::UNAVAILABLE => Self::new(503, "UNAVAILABLE", error.message),
            _ => Self::internal(error),
        }
    }
}

impl From<Error> for AbiError {
    fn from(error: Error) -> Self {
        Self::failed(error.to_string())
    }
}
