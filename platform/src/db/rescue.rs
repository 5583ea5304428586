//! A whole copy of SQLite's database, made while its name was gone and it was still open.

use std::{
    io,
    path::{Path, PathBuf},
};

/// A copy lies beside the database, and the database is not it.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "`{path}` was deleted or replaced while a platform had it open, and all that was acknowledged is in `{copy}`: \
     put it back ({}), or remove that copy",
    order(Path::new(path), Path::new(copy))
)]
pub struct Unreturned {
    path: String,
    copy: String,
}

impl Unreturned {
    /// Of the database at `path`.
    pub fn new(path: &Path, copy: PathBuf) -> Self {
        Self { path: path.display().to_string(), copy: copy.display().to_string() }
    }
}

/// The copy beside the database at `path`, if there is one.
pub fn copy(path: &Path) -> Option<PathBuf> {
    Some(beside(path, ".rescued")).filter(|it| it.exists())
}

/// What the operator runs to put `copy` back, when no platform runs.
pub fn order(path: &Path, copy: &Path) -> String {
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    format!(
        "rm -f {} {} && mv {} {}",
        quoted(&beside(path, "-wal")),
        quoted(&beside(path, "-shm")),
        quoted(copy),
        quoted(path)
    )
}

/// The file that is called as `path`, and `end`.
pub fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Removes a copy that is not needed any more.
pub(super) fn remove(copy: &Path) {
    if let Err(error) = std::fs::remove_file(copy) {
        tracing::warn!("Cannot remove the copy `{}`: {error}", copy.display());
    }
}

/// Lets `write` make the copy, whole or not at all.
pub(super) fn make<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<PathBuf, E> {
    let (new, done) = (beside(path, ".rescued.new"), beside(path, ".rescued"));
    // Of one that was not finished.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    write(&new)?;
    std::fs::File::open(&new)?.sync_all()?;
    std::fs::rename(&new, &done)?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let fails = make(&path, |to| {
            std::fs::write(to, "half")?;
            Err(io::Error::other("full"))
        });
        assert!(fails.is_err() && copy(&path).is_none());
        let made = make(&path, |to| std::fs::write(to, "whole")).unwrap();
        assert_eq!(std::fs::read_to_string(&made).unwrap(), "whole");
        assert_eq!(copy(&path), Some(made));
    }
}
