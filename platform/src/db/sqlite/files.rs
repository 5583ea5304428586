//! The database's files, and whether those that are open still stand at their paths.
//!
//! SQLite writes on into files that were removed, and whoever closes them loses what it wrote.

use std::{io, os::unix::fs::MetadataExt as _, path::PathBuf, sync::OnceLock};

use crate::db::health::Fault;

/// Device and number of a file: what a path may stop to lead to.
type Identity = (u64, u64);

/// The database's file, its log, and the log's index.
#[derive(Debug)]
pub(super) struct Files {
    main: File,
    log: File,
    index: File,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    opened: OnceLock<Identity>,
    what: &'static str,
}

impl Files {
    /// Those of the database at `path`.
    pub(super) fn of(path: &str) -> Self {
        let file = |path: String, what| File { path: path.into(), opened: OnceLock::new(), what };
        Self {
            main: file(path.to_owned(), "the database's file"),
            log: file(format!("{path}-wal"), "the database's log (`-wal`)"),
            index: file(format!("{path}-shm"), "the index of the database's log (`-shm`)"),
        }
    }

    /// Looks whether the database's own file is the one that was there at the first look.
    ///
    /// # Errors
    ///
    /// [`Fault::Gone`], [`Fault::Io`].
    pub(super) fn look_before_opening(&self) -> Result<(), Fault> {
        self.main.look()
    }

    /// Looks whether all are those that were there at the first look, which comes when connections are open that
    /// stay so: the last one that is closed takes the log with it.
    ///
    /// # Errors
    ///
    /// [`Fault::Gone`], [`Fault::Io`].
    pub(super) fn look(&self) -> Result<(), Fault> {
        self.main.look()?;
        self.log.look()?;
        self.index.look()
    }
}

impl File {
    fn look(&self) -> Result<(), Fault> {
        let found = match std::fs::metadata(&self.path) {
            Ok(found) => Some((found.dev(), found.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Fault::Io(error.to_string())),
        };
        match (found, self.opened.get()) {
            (Some(found), Some(opened)) if found == *opened => Ok(()),
            (Some(found), None) => {
                // Two may look first: both saw the same file.
                let _ = self.opened.set(found);
                Ok(())
            }
            // SQLite makes the log when it needs it.
            (None, None) => Ok(()),
            _ => Err(Fault::Gone(self.what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_removed_or_replaced_is_missed_and_back_it_is_well() {
        let place = tempfile::tempdir().unwrap();
        let (path, aside) = (place.path().join("x.db"), place.path().join("aside"));
        std::fs::write(&path, "").unwrap();
        let files = Files::of(path.to_str().unwrap());
        let gone = Err(Fault::Gone("the database's file"));
        assert_eq!(files.look(), Ok(()));
        std::fs::rename(&path, &aside).unwrap();
        assert_eq!(files.look(), gone);
        std::fs::write(&path, "").unwrap();
        assert_eq!(files.look(), gone);
        std::fs::rename(&aside, &path).unwrap();
        assert_eq!(files.look(), Ok(()));
    }
}
