//! One platform for each data directory.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// The lock's file in the data directory; it stays, and the system forgets the lock with the process.
pub const FILE_NAME: &str = "serve.lock";

/// The data directory is this process's, until this is dropped.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

/// The data directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "{} serves the data directory `{}` already: stop it, or choose another with `--data DIR`",
        whose(.process), data.display()
    )]
    Taken {
        /// The directory.
        data: PathBuf,
        /// The id of the process that has it, where the file tells.
        process: Option<u32>,
    },
    /// The file system's.
    #[error("cannot lock the data directory `{}`: it must be there, and this user's", data.display())]
    Io {
        /// The directory.
        data: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DataLock {
    /// Takes the data directory, which is made where it is missing.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    pub fn take(data: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { data: data.to_owned(), source };
        make(data).map_err(failed)?;
        let path = data.join(FILE_NAME);
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).read(true).write(true).open(path);
        let mut file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Taken {
                    data: data.to_owned(),
                    process: process(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Makes the data directory, where it is not there: this user's, and nobody else's.
pub(super) fn make(data: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(data)
}

fn process(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn whose(process: &Option<u32>) -> String {
    match process {
        Some(id) => format!("process {id}"),
        None => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_ends() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let first = DataLock::take(&data).unwrap();
        let said = DataLock::take(&data).unwrap_err().to_string();
        assert!(said.starts_with(&format!("process {} serves", std::process::id())), "{said}");
        drop(first);
        assert!(DataLock::take(&data).is_ok());
    }
}
