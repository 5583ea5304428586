use std::{fs::File, os::fd::OwnedFd, path::Path};

use rustix::{
    fs::{self, FileType, Mode, OFlags, Stat},
    io::Errno,
};

use super::PackageError;

/// A directory that only its owner and root can change, held open.
///
/// Everything below it is opened one name at a time, relative to the handle and
/// without following links: neither a link nor a later rename leads elsewhere.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
}

/// Opens without blocking: a pipe somebody put there would otherwise hang the boot.
const COMMON: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

impl Dir {
    /// Opens the operator's own `path`, which may contain links.
    pub(super) fn open(path: &Path) -> Result<Self, PackageError> {
        let name = path.display().to_string();
        let fd = fs::open(path, COMMON | OFlags::DIRECTORY, Mode::empty())
            .map_err(|errno| describe(errno, &name, "directory"))?;
        check(&fd, &name, FileType::Directory)?;
        Ok(Self { fd })
    }

    /// Opens the directory called `name` in this one.
    pub(super) fn dir(&self, name: &str) -> Result<Self, PackageError> {
        let fd = self.open_at(name, OFlags::DIRECTORY, "directory")?;
        check(&fd, name, FileType::Directory)?;
        Ok(Self { fd })
    }

    /// Opens the file at `path`, which is relative and has no `..`.
    pub(super) fn file(&self, path: &str) -> Result<File, PackageError> {
        match path.split_once('/') {
            Some((first, rest)) => self.dir(first)?.file(rest),
            None => {
                let fd = self.open_at(path, OFlags::empty(), "file")?;
                check(&fd, path, FileType::RegularFile)?;
                Ok(File::from(fd))
            }
        }
    }

    /// The names in the directory, in order; `.` and `..` are left out.
    pub(super) fn names(&self) -> Result<Vec<String>, PackageError> {
        let mut names = Vec::new();
        let entries =
            fs::Dir::read_from(&self.fd).map_err(|errno| PackageError::Read(errno.into()))?;
        for entry in entries {
            let entry = entry.map_err(|errno| PackageError::Read(errno.into()))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.retain(|name| name != "." && name != "..");
        names.sort();
        Ok(names)
    }

    fn open_at(
        &self,
        name: &str,
        flags: OFlags,
        expected: &'static str,
    ) -> Result<OwnedFd, PackageError> {
        if matches!(name, "" | "." | "..") {
            return Err(PackageError::Kind { name: name.to_owned(), expected });
        }
        fs::openat(&self.fd, name, COMMON | OFlags::NOFOLLOW | flags, Mode::empty()).map_err(
            |errno| {
                // A link opened as a directory answers NOTDIR.
                let link = fs::statat(&self.fd, name, fs::AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::Symlink);
                if link {
                    PackageError::Symlink { name: name.to_owned() }
                } else {
                    describe(errno, name, expected)
                }
            },
        )
    }
}

fn describe(errno: Errno, name: &str, expected: &'static str) -> PackageError {
    let name = name.to_owned();
    match errno {
        Errno::NOENT => PackageError::Missing { name },
        Errno::LOOP => PackageError::Symlink { name },
        Errno::NOTDIR | Errno::NXIO => PackageError::Kind { name, expected },
        other => PackageError::Read(other.into()),
    }
}

fn check(fd: &OwnedFd, name: &str, kind: FileType) -> Result<(), PackageError> {
    let stat = fs::fstat(fd).map_err(|errno| PackageError::Read(errno.into()))?;
    check_stat(&stat, name, kind, rustix::process::geteuid().as_raw())
}

/// Whether nobody but `own` and root can change what `stat` describes.
pub(super) fn check_stat(
    stat: &Stat,
    name: &str,
    kind: FileType,
    own: u32,
) -> Result<(), PackageError> {
    let name = name.to_owned();
    if FileType::from_raw_mode(stat.st_mode) != kind {
        let expected = if kind == FileType::Directory { "directory" } else { "file" };
        return Err(PackageError::Kind { name, expected });
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    if mode.contains(Mode::WOTH) {
        return Err(PackageError::WorldWritable { name, mode: mode.bits() });
    }
    if stat.st_uid != own && stat.st_uid != 0 {
        return Err(PackageError::ForeignOwner { name, owner: stat.st_uid, own });
    }
    Ok(())
}
