//! PostgreSQL's errors in the interface's words.

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error};
use powernode_abi::{DbError, data::kind};

/// Says `error` in the interface's words.
pub(super) fn db_error(error: Error) -> DbError {
    match error {
        Error::DatabaseError(kind, info) => {
            let mut answer =
                DbError::new(kind_of(&kind, info.message()), info.message().to_owned());
            if answer.kind == kind::FULL {
                answer.message = "the database server's disk is full: nothing was written; \
                                  free some space there and try again"
                    .into();
            }
            fill(&mut answer, &*info);
            answer
        }
        other => DbError::new(kind::OTHER, other.to_string()),
    }
}

fn kind_of(kind: &DatabaseErrorKind, message: &str) -> u32 {
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    match kind {
        DatabaseErrorKind::UniqueViolation => kind::UNIQUE,
        DatabaseErrorKind::ForeignKeyViolation => kind::FOREIGN_KEY,
        DatabaseErrorKind::NotNullViolation => kind::NOT_NULL,
        DatabaseErrorKind::CheckViolation => kind::CHECK,
        DatabaseErrorKind::SerializationFailure => kind::SERIALIZATION,
        DatabaseErrorKind::ReadOnlyTransaction => kind::READ_ONLY,
        DatabaseErrorKind::ClosedConnection => kind::CLOSED,
        _ if says(&["No space left on device", "disk full"]) => kind::FULL,
        _ if says(&["canceling statement due to"]) => kind::CANCELLED,
        _ if says(&["deadlock detected"]) => kind::SERIALIZATION,
        _ if says(&["permission denied"]) => kind::DENIED,
        _ if says(&[
            "terminating connection",
            "server closed the connection",
            "no connection to the server",
            "connection not open",
            "could not receive data",
            "could not send data",
            "SSL connection has been closed",
            "the database system is",
        ]) =>
        {
            kind::CLOSED
        }
        _ => kind::OTHER,
    }
}

fn fill(answer: &mut DbError, info: &(dyn DatabaseErrorInformation + Send + Sync)) {
    answer.details = info.details().map(Into::into).into();
    answer.hint = info.hint().map(Into::into).into();
    answer.table = info.table_name().map(Into::into).into();
    answer.column = info.column_name().map(Into::into).into();
    answer.constraint = info.constraint_name().map(Into::into).into();
}
