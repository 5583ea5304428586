//! What can go wrong.

use std::fmt;

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error};
use powernode_abi::{DbError, PollPanicked, data::kind};

/// Why [`Db::read`](super::Db::read), [`Db::write`](super::Db::write) or
/// [`Db::transaction`](super::Db::transaction) failed, apart from what the closure itself answered.
///
/// An author's error type says `impl From<RunError>`; diesel's own error has it, and so has
/// `Box<dyn std::error::Error + Send + Sync>`.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The database refused, for instance at the commit.
    Database(Error),
    /// No connection became free in time: try again later.
    Pool(String),
    /// The caller gave up.
    Cancelled(String),
    /// The closure panicked; the text is the panic's. Its transaction was rolled back.
    Panicked(String),
    /// The closure left a transaction open; it was rolled back.
    Leaked(String),
    /// A write in [`Db::read`](super::Db::read).
    ReadOnly(String),
    /// The extension may not touch this.
    Denied(String),
    /// The answer is larger than the platform allows.
    TooLarge(String),
    /// The disk is full.
    Full(String),
    /// The platform's side failed in a way this version of the SDK does not know.
    Other(String),
}

impl RunError {
    pub(super) fn from_abi(error: DbError) -> Self {
        let text = |error: DbError| error.message.into_string();
        match error.kind {
            kind::POOL => Self::Pool(text(error)),
            kind::CANCELLED => Self::Cancelled(text(error)),
            kind::PANICKED => Self::Panicked(text(error)),
            kind::LEAKED => Self::Leaked(text(error)),
            kind::READ_ONLY => Self::ReadOnly(text(error)),
            kind::DENIED => Self::Denied(text(error)),
            kind::TOO_LARGE => Self::TooLarge(text(error)),
            kind::FULL => Self::Full(text(error)),
            kind::ROLLED_BACK => Self::Other(text(error)),
            _ => Self::Database(statement_error(error)),
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => error.fmt(f),
            Self::Panicked(text) => write!(f, "the database job panicked: {text}"),
            Self::Pool(text)
            | Self::Cancelled(text)
            | Self::Leaked(text)
            | Self::ReadOnly(text)
            | Self::Denied(text)
            | Self::TooLarge(text)
            | Self::Full(text)
            | Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Its text stands for this error already: what comes next is its own source.
            Self::Database(error) => error.source(),
            _ => None,
        }
    }
}

impl From<Error> for RunError {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

impl From<PollPanicked> for RunError {
    fn from(panic: PollPanicked) -> Self {
        Self::Other(format!("the platform's database service panicked: {}", panic.0))
    }
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        let kind = match &error {
            RunError::Database(_) => DatabaseErrorKind::Unknown,
            RunError::Pool(_) | RunError::Cancelled(_) => DatabaseErrorKind::UnableToSendCommand,
            RunError::ReadOnly(_) => DatabaseErrorKind::ReadOnlyTransaction,
            _ => DatabaseErrorKind::Unknown,
        };
        match error {
            RunError::Database(error) => error,
            other => Self::DatabaseError(kind, Box::new(other.to_string())),
        }
    }
}

/// Diesel's error for a statement that failed.
pub(super) fn statement_error(error: DbError) -> Error {
    let kind = match error.kind {
        kind::UNIQUE => DatabaseErrorKind::UniqueViolation,
        kind::FOREIGN_KEY => DatabaseErrorKind::ForeignKeyViolation,
        kind::NOT_NULL => DatabaseErrorKind::NotNullViolation,
        kind::CHECK => DatabaseErrorKind::CheckViolation,
        kind::SERIALIZATION => DatabaseErrorKind::SerializationFailure,
        kind::READ_ONLY => DatabaseErrorKind::ReadOnlyTransaction,
        // diesel has no word for a full disk; nothing can be written through the connection either.
        kind::CLOSED | kind::FULL => DatabaseErrorKind::ClosedConnection,
        // It was not to blame: others waited, or it took too long.
        kind::POOL | kind::CANCELLED => DatabaseErrorKind::UnableToSendCommand,
        _ => DatabaseErrorKind::Unknown,
    };
    Error::DatabaseError(kind, Box::new(Information(error)))
}

struct Information(DbError);

impl DatabaseErrorInformation for Information {
    fn message(&self) -> &str {
        &self.0.message
    }

    fn details(&self) -> Option<&str> {
        self.0.details.as_ref().map(|text| text.as_str()).into_option()
    }

    fn hint(&self) -> Option<&str> {
        self.0.hint.as_ref().map(|text| text.as_str()).into_option()
    }

    fn table_name(&self) -> Option<&str> {
        self.0.table.as_ref().map(|text| text.as_str()).into_option()
    }

    fn column_name(&self) -> Option<&str> {
        self.0.column.as_ref().map(|text| text.as_str()).into_option()
    }

    fn constraint_name(&self) -> Option<&str> {
        self.0.constraint.as_ref().map(|text| text.as_str()).into_option()
    }

    fn statement_position(&self) -> Option<i32> {
        None
    }
}
