//! SQLite's errors in the interface's words.

use libsqlite3_sys as ffi;
use powernode_abi::{DbError, data::kind};

use super::{
    connection::Role,
    raw::{Failure, RawError},
};
use crate::db::health::Fault;

/// Says `failure` in the interface's words.
pub(super) fn db_error(failure: Failure) -> DbError {
    match failure {
        Failure::Denied(sentence) => DbError::new(kind::DENIED, sentence),
        Failure::Statement(sentence) => DbError::new(kind::OTHER, sentence),
        Failure::TooLarge(too_large) => DbError::new(kind::TOO_LARGE, too_large.to_string()),
        Failure::Sqlite(error) => raw_error(&error),
    }
}

/// What `failure` says of the database's health.
pub(super) fn fault_of(failure: &Failure, role: Role) -> Option<Fault> {
    let Failure::Sqlite(error) = failure else { return None };
    match error.code & 0xff {
        _ if is_full(error) => Some(Fault::Full),
        ffi::SQLITE_IOERR if READ_ONLY.contains(&error.errno) => Some(Fault::ReadOnly),
        // A virtual table says so of what is its own.
        ffi::SQLITE_CORRUPT if error.code == ffi::SQLITE_CORRUPT_VTAB => None,
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => Some(Fault::Damaged(error.message.clone())),
        ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN => Some(Fault::Io(error.message.clone())),
        // A reader's may not write in any case.
        ffi::SQLITE_READONLY if role == Role::Writer => Some(Fault::ReadOnly),
        ffi::SQLITE_BUSY if role == Role::Writer => Some(Fault::Locked),
        _ => None,
    }
}

/// EPERM, EACCES, EROFS: how systems refuse to write what was opened for it.
const READ_ONLY: [i32; 3] = [1, 13, 30];

fn is_full(error: &RawError) -> bool {
    const NO_SPACE: i32 = 28;
    const NO_QUOTA: i32 = 122;
    let primary = error.code & 0xff;
    let io_full = primary == ffi::SQLITE_IOERR && [NO_SPACE, NO_QUOTA].contains(&error.errno);
    primary == ffi::SQLITE_FULL || io_full
}

const SOONER: [&str; 2] = ["may not be modified", "cannot VACUUM from within a transaction"];

fn raw_error(error: &RawError) -> DbError {
    let primary = error.code & 0xff;
    if is_full(error) {
        return DbError::new(
            kind::FULL,
            "the disk that holds the database is full: nothing was written; free some space and try again",
        );
    }
    let kind = match (error.code, primary) {
        (
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID,
            _,
        ) => kind::UNIQUE,
        (ffi::SQLITE_CONSTRAINT_FOREIGNKEY, _) => kind::FOREIGN_KEY,
        (ffi::SQLITE_CONSTRAINT_NOTNULL, _) => kind::NOT_NULL,
        (ffi::SQLITE_CONSTRAINT_CHECK, _) => kind::CHECK,
        (_, ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED) => kind::SERIALIZATION,
        (_, ffi::SQLITE_READONLY) => kind::READ_ONLY,
        (_, ffi::SQLITE_INTERRUPT) => kind::CANCELLED,
        (_, ffi::SQLITE_AUTH) => kind::DENIED,
        // What SQLite refuses before it asks whether somebody may.
        (_, ffi::SQLITE_ERROR) if SOONER.iter().any(|it| error.message.contains(it)) => {
            kind::DENIED
        }
        (_, ffi::SQLITE_TOOBIG | ffi::SQLITE_NOMEM) => kind::TOO_LARGE,
        (ffi::SQLITE_CORRUPT_VTAB, _) => kind::OTHER,
        (
            _,
            ffi::SQLITE_NOTADB | ffi::SQLITE_CORRUPT | ffi::SQLITE_CANTOPEN | ffi::SQLITE_IOERR,
        ) => kind::CLOSED,
        _ => kind::OTHER,
    };
    let mut answer = DbError::new(kind, error.message.clone());
    name_subject(&mut answer);
    answer
}

/// Takes the table and the column, or the constraint, from `… constraint failed: shop_items.name`.
fn name_subject(error: &mut DbError) {
    let message = error.message.clone();
    let Some((_, subject)) = message.split_once(" constraint failed: ") else { return };
    match error.kind {
        kind::UNIQUE | kind::NOT_NULL => {
            let first = subject.split(", ").next().unwrap_or_default();
            if let Some((table, column)) = first.split_once('.') {
                error.table = Some(table.into()).into();
                error.column = Some(column.into()).into();
            }
        }
        kind::CHECK => error.constraint = Some(subject.into()).into(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: i32, errno: i32, message: &str, expected: u32) -> DbError {
        let error = RawError { code, errno, message: message.to_owned() };
        let answer = db_error(Failure::Sqlite(error));
        assert_eq!(answer.kind, expected, "{answer}");
        answer
    }

    #[test]
    fn constraints_are_told_apart() {
        let error = check(2067, 0, "UNIQUE constraint failed: shop_a.b, shop_a.c", kind::UNIQUE);
        assert_eq!(error.table.as_ref().map(|text| text.as_str()).into_option(), Some("shop_a"));
        assert_eq!(error.column.as_ref().map(|text| text.as_str()).into_option(), Some("b"));
        check(787, 0, "FOREIGN KEY constraint failed", kind::FOREIGN_KEY);
        let error = check(275, 0, "CHECK constraint failed: positive", kind::CHECK);
        assert_eq!(
            error.constraint.as_ref().map(|text| text.as_str()).into_option(),
            Some("positive")
        );
    }

    #[track_caller]
    fn check_fault(code: i32, errno: i32, expected: Option<Fault>) {
        let error = RawError { code, errno, message: "x".to_owned() };
        assert_eq!(fault_of(&Failure::Sqlite(error), Role::Writer), expected);
    }

    #[test]
    fn faults_of_the_database_are_told_from_the_statements_own() {
        check_fault(ffi::SQLITE_BUSY, 0, Some(Fault::Locked));
        check_fault(ffi::SQLITE_LOCKED, 0, None);
        check_fault(ffi::SQLITE_IOERR_WRITE, 30, Some(Fault::ReadOnly));
        check_fault(ffi::SQLITE_IOERR_READ, 5, Some(Fault::Io("x".to_owned())));
        check_fault(ffi::SQLITE_CORRUPT_INDEX, 0, Some(Fault::Damaged("x".to_owned())));
        check_fault(ffi::SQLITE_CORRUPT_VTAB, 0, None);
        check_fault(ffi::SQLITE_CONSTRAINT, 0, None);
    }

    #[test]
    fn a_full_disk_is_said_so_however_it_shows() {
        check(ffi::SQLITE_FULL, 0, "database or disk is full", kind::FULL);
        check(ffi::SQLITE_IOERR | (3 << 8), 28, "disk I/O error", kind::FULL);
        check(ffi::SQLITE_IOERR | (3 << 8), 5, "disk I/O error", kind::CLOSED);
    }
}
