//! What a command's exit code says: one table, for the help, the reference and the tests.

use std::process::ExitCode;

use super::client::ClientError;
use crate::{
    access::{AccountError, TokenError},
    boot::{lock::LockError, nodes::NotAlone},
    config::ConfigError,
    gate::FlagError,
    migrator::MigrationError,
};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// It did what was asked.
    Done,
    /// It failed.
    Failed,
    /// What was asked makes no sense here.
    Usage,
    /// It did what was asked, and the answer is no.
    No,
    /// What was named is not there.
    NotFound,
    /// Something that is there stands in the way.
    Conflict,
}

/// Every exit code, with its meaning.
pub(super) const TABLE: &[(Exit, &str)] = &[
    (Exit::Done, "done"),
    (Exit::Failed, "it failed; the line that begins with `error:` says why"),
    (Exit::Usage, "the command line or a setting is wrong; nothing was done"),
    (
        Exit::No,
        "done, and the answer is no: `ext why` (it may not be called), `audit verify` and `backup verify` (tampered with), \
         `config check` (something is wrong), `doctor` (something is wrong), \
         `key show` (the database was written with another key)",
    ),
    (Exit::NotFound, "there is no such extension, flag, token, account or setting"),
    (
        Exit::Conflict,
        "something stands in the way: a taken port, another platform on the data directory, nodes on the database, what exists already",
    ),
];

impl Exit {
    /// Its number.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::No => 3,
            Self::NotFound => 4,
            Self::Conflict => 5,
        }
    }

    /// What an error ends a command with.
    pub(super) fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(Self::of_cause).unwrap_or(Self::Failed)
    }

    fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Self> {
        if let Some(Said(exit, _)) = cause.downcast_ref() {
            return Some(*exit);
        }
        let fewer = matches!(cause.downcast_ref(), Some(MigrationError::Fewer { .. }));
        if fewer || cause.is::<ConfigError>() {
            return Some(Self::Usage);
        }
        if let Some(NotAlone::Nodes(_) | NotAlone::Data(LockError::Taken { .. })) =
            cause.downcast_ref()
        {
            return Some(Self::Conflict);
        }
        if let Some(LockError::Taken { .. }) = cause.downcast_ref() {
            return Some(Self::Conflict);
        }
        if let Some(ClientError::Refused { status, code, .. }) = cause.downcast_ref() {
            return Some(match status {
                404 if code == "FEATURE_UNAVAILABLE" => Self::Conflict,
                404 => Self::NotFound,
                409 => Self::Conflict,
                400 | 422 => Self::Usage,
                _ => Self::Failed,
            });
        }
        if let Some(error) = cause.downcast_ref::<FlagError>() {
            return Some(match error {
                FlagError::Unknown(_) => Self::NotFound,
                FlagError::Exists(_) => Self::Conflict,
                FlagError::Name(_) | FlagError::Edit(_) => Self::Usage,
                FlagError::Database(_) => Self::Failed,
            });
        }
        if let Some(error) = cause.downcast_ref::<TokenError>() {
            return Some(match error {
                TokenError::Unknown(_) | TokenError::NoAccount(_) | TokenError::NoUser(_) => {
                    Self::NotFound
                }
                TokenError::Database(_) => Self::Failed,
                _ => Self::Usage,
            });
        }
        match cause.downcast_ref::<AccountError>()? {
            AccountError::Unavailable | AccountError::Taken => Some(Self::Conflict),
            AccountError::Name | AccountError::Email => Some(Self::Usage),
            AccountError::Unknown => Some(Self::NotFound),
            AccountError::Database(_) => None,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// An error of the command line's own, with what it ends with.
#[derive(Debug, thiserror::Error)]
#[error("{1}")]
pub(super) struct Said(Exit, String);

/// What was named is not there.
pub(super) fn not_found(text: impl Into<String>) -> anyhow::Error {
    Said(Exit::NotFound, text.into()).into()
}

/// What was asked makes no sense here.
pub(super) fn usage(text: impl Into<String>) -> anyhow::Error {
    Said(Exit::Usage, text.into()).into()
}

/// Something stands in the way.
pub(super) fn conflict(text: impl Into<String>) -> anyhow::Error {
    Said(Exit::Conflict, text.into()).into()
}

/// The table as the help shows it.
pub(super) fn help() -> String {
    let lines = TABLE.iter().map(|(exit, text)| format!("  {}  {text}", exit.code()));
    format!("Exit codes:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_code_once_and_in_order() {
        let codes: Vec<_> = TABLE.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn an_error_with_a_context_keeps_its_code() {
        use anyhow::Context as _;
        let error =
            Err::<(), _>(FlagError::Unknown("x_mode".to_owned())).context("while switching");
        assert_eq!(Exit::of(&error.unwrap_err()), Exit::NotFound);
        assert_eq!(Exit::of(&anyhow::anyhow!("no disk")), Exit::Failed);
    }
}
