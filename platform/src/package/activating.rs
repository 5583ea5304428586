use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::fs::{self, Mode, OFlags};

use super::{
    PackageError,
    store::{open_own, private_dir, remove},
};
use crate::manifest::{Refusal, Sha256, Slug, Stage};

/// The markers of what is being opened, `<data>/activating/<slug>`.
///
/// A marker that is still there at the start names an extension that ended the
/// process while it was opened.
#[derive(Debug)]
pub struct Activating {
    path: PathBuf,
    fd: OwnedFd,
}

impl Activating {
    /// Opens `<data>/activating`, and creates it where it is missing.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], where the directory cannot be made the platform's own.
    pub fn open(data: &Path) -> Result<Self, Refusal> {
        let path = data.join("activating");
        let fd =
            private_dir(data, "activating").map_err(|error| error.refusal(Stage::Open, &path))?;
        Ok(Self { path, fd })
    }

    /// Marks `slug` as being opened.
    ///
    /// The mark outlives the process, and need not outlive the machine: so nothing is flushed, which each start would pay for.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], where it cannot be written: then the library should stay closed.
    pub fn set(&self, slug: &Slug, sha256: Sha256) -> Result<(), Refusal> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(&self.fd, slug.as_str(), flags, Mode::RUSR | Mode::WUSR)
            .map_err(io::Error::from)
            .and_then(|fd| File::from(fd).write_all(sha256.to_string().as_bytes()))
            .map_err(|source| {
                self.refuse(slug, &PackageError::Write { action: "write it", source })
            })
    }

    /// Takes the mark away: the extension is open, or was refused in an orderly way.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], where it cannot be removed.
    pub fn clear(&self, slug: &Slug) -> Result<(), Refusal> {
        remove(&self.fd, slug.as_str()).map_err(|error| self.refuse(slug, &error))
    }

    /// The marks that an earlier process left, in the order of slugs; a mark cut short has no hash.
    pub fn leftovers(&self) -> Vec<(Slug, Option<Sha256>)> {
        let mut left: Vec<_> = fs::Dir::read_from(&self.fd)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str().ok()?.parse::<Slug>().ok())
            .map(|slug| (slug.clone(), self.read(&slug)))
            .collect();
        left.sort();
        left
    }

    fn read(&self, slug: &Slug) -> Option<Sha256> {
        let mut text = String::new();
        open_own(&self.fd, slug.as_str()).ok()?.take(100).read_to_string(&mut text).ok()?;
        Sha256::parse(text.trim())
    }

    fn refuse(&self, slug: &Slug, error: &PackageError) -> Refusal {
        error.refusal(Stage::Open, &self.path.join(slug.as_str()))
    }
}
