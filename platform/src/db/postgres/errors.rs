//! PostgreSQL's errors in the interface's words.

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error};
use powernode_abi::{DbError, data::kind};

use super::Unopened;
use crate::db::{Principal, health::Fault, owners::Owners};

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

/// What `error` says of the server's health.
pub(super) fn fault_of(error: &DbError) -> Option<Fault> {
    let text = || error.message.to_string();
    match error.kind {
        kind::FULL => Some(Fault::Full),
        kind::READ_ONLY => Some(Fault::ReadOnly),
        kind::CLOSED => Some(Fault::Unreachable(text())),
        kind::POOL => Some(Fault::NoConnection(text())),
        _ => None,
    }
}

/// How the server refuses what somebody may not do.
const DENIALS: [&str; 10] = [
    "permission denied",
    "must be owner of",
    "must be superuser",
    "must be member of",
    "must be a member of",
    "must be a superuser",
    "Only roles with",
    "invalid transaction termination",
    "must be able to SET ROLE",
    "cannot insert multiple commands",
];

/// What a confined principal's error means: it names what is another's, and the log says whose.
pub(super) fn confined(
    mut error: DbError,
    principal: &Principal,
    sql: &str,
    owners: &Owners,
) -> DbError {
    // Another's table is no table on the way that names are looked up.
    let hidden = error.kind == kind::OTHER
        && (error.message.contains("does not exist") || error.message.contains("not found"));
    if hidden && let Some((name, owner)) = owners.foreign(principal, &error.message) {
        error.kind = kind::DENIED;
        error.message =
            format!("{} may not touch `{name}`, which belongs to {owner}", principal.described())
                .into();
    }
    owners.refused(principal, sql, &error);
    error
}

/// Whether the server lets this one role not in, and others may be.
pub(super) fn is_of_role(error: &Unopened) -> bool {
    const REFUSALS: [&str; 4] = [
        "authentication failed",
        "no pg_hba.conf entry",
        "is not permitted to log in",
        "too many connections for role",
    ];
    let Unopened::Server(error) = error else { return false };
    let text = error.to_string();
    let is_gone = text.contains("role \"") && text.contains("does not exist");
    is_gone || REFUSALS.iter().any(|it| text.contains(it))
}

/// Says why no connection was opened, as the operator or as an extension's role that is not let in.
pub(super) fn unreachable(error: Unopened, role: Option<&Principal>) -> DbError {
    let text = match error {
        Unopened::Server(error) => error.to_string(),
        Unopened::Before(error) => return error,
    };
    let says = |texts: &[&str]| texts.iter().any(|it| text.contains(it));
    if says(&["too many clients", "remaining connection slots", "too many connections"]) {
        let text = format!("the database server has no connection left: {}", text.trim_end());
        return DbError::new(kind::POOL, text);
    }
    let text = text.trim_end();
    match role {
        Some(principal) => DbError::new(
            kind::CLOSED,
            format!(
                "the database does not let the login role of {} in: {text}; where it was dropped, the next start makes \
                 it anew; else let such roles in in pg_hba.conf, as the role of `database.url` is, or set \
                 `database.confinement` to `search_path`, which is weaker",
                principal.described()
            ),
        ),
        None => DbError::new(kind::CLOSED, format!("the database cannot be reached: {text}")),
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
        _ if says(&DENIALS) => kind::DENIED,
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
