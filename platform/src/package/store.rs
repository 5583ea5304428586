use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags},
    io::Errno,
};

use super::{PackageError, ProbeVerdict, Verified, dir::check_stat};
use crate::manifest::{Refusal, Sha256, Stage};

/// The libraries that may be opened, each under the name of its hash.
///
/// The loader knows libraries by their names, so each content has a name of its
/// own; the directory and its files can be changed by the platform's user alone.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    fd: OwnedFd,
    /// One that is looked into first, and never written.
    known: Option<Box<Store>>,
}

impl Store {
    /// Opens `<data>/store`, and creates it where it is missing.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], where the directory cannot be made the platform's own.
    pub fn open(data: &Path) -> Result<Self, Refusal> {
        let path = data.join("store");
        let refuse = |error: PackageError| error.refusal(Stage::Verify, &path);
        let fd = private_dir(data, "store").map_err(refuse)?;
        Ok(Self { path, fd, known: None })
    }

    /// Takes from `<data>/store` what lies there: for those who look, and leave nothing behind.
    #[must_use]
    pub fn with_known(mut self, data: &Path) -> Self {
        let path = data.join("store");
        // Where it is not the platform's own, or not there, everything is kept here.
        let fd = open_private(&path, "store").ok();
        self.known = fd.map(|fd| Box::new(Self { path, fd, known: None }));
        self
    }

    /// Keeps the verified bytes, and answers the one path that may be opened.
    ///
    /// An entry that is there already is compared byte by byte, and replaced if it is damaged.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], where the entry cannot be written.
    pub fn put(&self, verified: &Verified) -> Result<PathBuf, Refusal> {
        let name = format!("{}.so", verified.sha256);
        let path = self.path.join(&name);
        if let Some(known) = self.known.as_ref().filter(|it| it.holds(&name, &verified.bytes)) {
            return Ok(known.path.join(name));
        }
        if !self.holds(&name, &verified.bytes) {
            write_whole(&self.fd, &name, &verified.bytes, Mode::RUSR)
                .map_err(|error| error.refusal(Stage::Verify, &path))?;
        }
        Ok(path)
    }

    /// What the probe of this library said, as far as it is worth remembering.
    pub fn verdict(&self, sha256: Sha256) -> Option<ProbeVerdict> {
        if let Some(said) = self.known.as_ref().and_then(|it| it.verdict(sha256)) {
            return Some(said);
        }
        let mut text = String::new();
        let file = open_own(&self.fd, &verdict_name(sha256)).ok()?;
        file.take(64 * 1024).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Remembers what the probe of this library said; a probe that ran out of time is tried again.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], where it cannot be written.
    pub fn remember(&self, sha256: Sha256, verdict: &ProbeVerdict) -> Result<(), Refusal> {
        if matches!(verdict, ProbeVerdict::TimedOut { .. }) {
            return Ok(());
        }
        let name = verdict_name(sha256);
        let text = serde_json::to_vec(verdict).unwrap_or_default();
        write_whole(&self.fd, &name, &text, Mode::RUSR)
            .map_err(|error| error.refusal(Stage::Probe, &self.path.join(name)))
    }

    /// Forgets what the probe of this library said, so that the next start tries it again.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], where it cannot be removed.
    pub fn forget(&self, sha256: Sha256) -> Result<(), Refusal> {
        let name = verdict_name(sha256);
        remove(&self.fd, &name).map_err(|error| error.refusal(Stage::Probe, &self.path.join(&name)))
    }

    fn holds(&self, name: &str, bytes: &[u8]) -> bool {
        let Ok(mut file) = open_own(&self.fd, name) else { return false };
        let mut chunk = [0; 64 * 1024];
        let mut rest = bytes;
        loop {
            match file.read(&mut chunk) {
                Ok(0) => return rest.is_empty(),
                Ok(read) if rest.starts_with(&chunk[..read]) => rest = &rest[read..],
                _ => return false,
            }
        }
    }
}

fn verdict_name(sha256: Sha256) -> String {
    format!("{sha256}.probe")
}

/// Opens, and creates where it is missing, a directory that this user alone can enter.
pub(super) fn private_dir(parent: &Path, name: &str) -> Result<OwnedFd, PackageError> {
    std::fs::create_dir_all(parent)
        .map_err(|source| PackageError::Write { action: "create the data directory", source })?;
    let path = parent.join(name);
    match fs::mkdir(&path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(PackageError::write("create it")(errno)),
    }
    let fd = open_dir(&path, name)?;
    // Somebody may have opened it up, or an umask closed it further than needed.
    fs::fchmod(&fd, Mode::RWXU).map_err(PackageError::write("make it private"))?;
    is_own(fd, name)
}

/// Opens a directory that is the platform's own, as it is.
fn open_private(path: &Path, name: &str) -> Result<OwnedFd, PackageError> {
    is_own(open_dir(path, name)?, name)
}

fn open_dir(path: &Path, name: &str) -> Result<OwnedFd, PackageError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::LOOP | Errno::NOTDIR => {
            PackageError::Kind { name: name.to_owned(), expected: "directory" }
        }
        other => PackageError::Read(other.into()),
    })
}

fn is_own(fd: OwnedFd, name: &str) -> Result<OwnedFd, PackageError> {
    let own = rustix::process::geteuid().as_raw();
    let stat = fs::fstat(&fd).map_err(|errno| PackageError::Read(errno.into()))?;
    if stat.st_uid != own {
        return Err(PackageError::ForeignOwner { name: name.to_owned(), owner: stat.st_uid, own });
    }
    check_stat(&stat, name, FileType::Directory, own)?;
    Ok(fd)
}

/// Opens a file that the platform wrote itself.
pub(super) fn open_own(dir: &OwnedFd, name: &str) -> Result<File, PackageError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = fs::openat(dir, name, flags, Mode::empty())
        .map_err(|errno| PackageError::Read(errno.into()))?;
    let stat = fs::fstat(&fd).map_err(|errno| PackageError::Read(errno.into()))?;
    check_stat(&stat, name, FileType::RegularFile, rustix::process::geteuid().as_raw())?;
    if Mode::from_raw_mode(stat.st_mode).intersects(Mode::WGRP | Mode::WOTH) {
        return Err(PackageError::WorldWritable { name: name.to_owned(), mode: stat.st_mode });
    }
    Ok(File::from(fd))
}

/// Writes a file that is there whole or not at all, whenever the power fails.
pub(super) fn write_whole(
    dir: &OwnedFd,
    name: &str,
    bytes: &[u8],
    mode: Mode,
) -> Result<(), PackageError> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = format!(".{}-{count}-{name}", std::process::id());
    // What an earlier process of the same number left.
    remove(dir, &temporary)?;
    let written = write_new(dir, &temporary, bytes, mode).and_then(|()| {
        fs::renameat(dir, &temporary, dir, name)
            .map_err(PackageError::write("rename it into place"))?;
        fs::fsync(dir).map_err(PackageError::write("flush its directory"))
    });
    if written.is_err() {
        // The first error is the one to report.
        let _ = remove(dir, &temporary);
    }
    written
}

fn write_new(dir: &OwnedFd, name: &str, bytes: &[u8], mode: Mode) -> Result<(), PackageError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = fs::openat(dir, name, flags, mode).map_err(PackageError::write("create it"))?;
    let mut file = File::from(fd);
    let failed = |source: io::Error| PackageError::Write { action: "write it", source };
    file.write_all(bytes).map_err(failed)?;
    // The umask may have taken a right away.
    fs::fchmod(&file, mode).map_err(PackageError::write("set its mode"))?;
    file.sync_all().map_err(failed)
}

/// Removes the file, which need not be there.
pub(super) fn remove(dir: &OwnedFd, name: &str) -> Result<(), PackageError> {
    match fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(PackageError::write("remove it")(errno)),
    }
}
