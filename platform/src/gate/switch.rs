//! The state file as an operator switches it: on record, and explained.

use powernode_plugin_api::db::{Db, RunError};
use serde_json::json;

use super::explain::Context;
use super::flags::Change;
use super::state::{State, StateError, StateFile};
use crate::audit::{self, By, Entry};

/// What a change to the state file is called in the audit log.
const STATE: &str = "extension.state";

/// The state file, with the audit log that tells who changed it.
#[derive(Clone, Debug)]
pub struct StateSwitch {
    db: Db,
    file: StateFile,
}

impl StateSwitch {
    /// The state file, and the core's database with the log.
    pub fn new(db: Db, file: StateFile) -> StateSwitch {
        StateSwitch { db, file }
    }

    /// What the file says now. This blocks on the file system.
    pub fn read(&self) -> State {
        self.file.read()
    }

    /// Disables an extension, or lets it in again, from the next start on; answers whether that changed anything.
    ///
    /// # Errors
    ///
    /// [`SwitchError`]; nothing was changed then, unless the database failed in the commit itself.
    pub async fn set(&self, slug: &str, disabled: bool, by: By) -> Result<bool, SwitchError> {
        let (file, slug) = (self.file.clone(), slug.to_owned());
        self.db
            .transaction(move |conn| {
                if file.read().disabled.contains(&slug) == disabled {
                    return Ok(false);
                }
                let entry = Entry::new(STATE, subject(&slug))
                    .with_before(json!({"disabled": !disabled}))
                    .with_after(json!({"disabled": disabled}));
                audit::append(conn, &by, entry).map_err(RunError::from)?;
                // Last: where this fails, the row is not written either.
                Ok(file.set(&slug, disabled)?)
            })
            .await
    }

    /// What an explanation of the extension tells of the file: what it says now, and who changed it.
    ///
    /// # Errors
    ///
    /// [`SwitchError::Database`].
    pub async fn context(&self, slug: &str) -> Result<Context, SwitchError> {
        let (file, slug) = (self.file.clone(), slug.to_owned());
        self.db
            .read(move |conn| {
                let last = audit::last(conn, STATE, &subject(&slug)).map_err(RunError::from)?;
                Ok(Context {
                    disabled_on_disk: Some(file.read().disabled.contains(&slug)),
                    state_changed: last.map(|row| Change { by: row.actor, at: row.at }),
                    quarantine_changed: None,
                })
            })
            .await
    }
}

fn subject(slug: &str) -> String {
    format!("extension/{slug}")
}

/// The state could not be switched or told.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The file failed.
    #[error(transparent)]
    File(#[from] StateError),
    /// The audit log failed.
    #[error("the audit log in the database could not be reached")]
    Database(#[from] RunError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::{CoreDb, by};

    #[tokio::test]
    async fn a_switch_is_on_record_and_explained() {
        let core = CoreDb::new();
        let directory = tempfile::tempdir().unwrap();
        let file = StateFile::new(directory.path().join("extensions_state.json"));
        let switch = StateSwitch::new(core.db.clone(), file);
        assert!(switch.context("marketing").await.unwrap().state_changed.is_none());

        assert!(switch.set("marketing", true, by("User;1")).await.unwrap());
        assert!(!switch.set("marketing", true, by("User;2")).await.unwrap());
        assert!(switch.read().disabled.contains("marketing"));
        let context = switch.context("marketing").await.unwrap();
        assert_eq!(context.disabled_on_disk, Some(true));
        assert_eq!(context.state_changed.unwrap().by, "User;1");

        assert!(switch.set("marketing", false, by("User;3")).await.unwrap());
        assert!(switch.read().disabled.is_empty());
        assert_eq!(switch.context("marketing").await.unwrap().state_changed.unwrap().by, "User;3");
    }

    #[tokio::test]
    async fn a_switch_that_fails_is_not_on_record() {
        let core = CoreDb::new();
        let directory = tempfile::tempdir().unwrap();
        // A directory where the file should be.
        let switch = StateSwitch::new(core.db.clone(), StateFile::new(directory.path()));
        let failed = switch.set("marketing", true, by("User;1")).await;
        assert!(matches!(failed, Err(SwitchError::File(_))));
        assert!(switch.context("marketing").await.unwrap().state_changed.is_none());
    }
}
