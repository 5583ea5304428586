//! The operator's socket, `<data>/admin.sock`: the same API, for whoever owns this process.
//!
//! Its mode lets nobody else in, and each connection's user is asked of the system besides: that user is who the
//! audit log names.

use std::{
    any::Any,
    fs, io,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::{Path, PathBuf},
};

use actix_web::dev::Extensions;
use tokio::net::UnixStream;

/// Its name in the data directory.
pub const FILE_NAME: &str = "admin.sock";
/// What it is called until nobody else may connect.
const NEW_NAME: &str = "admin.new";
/// Bytes that the system takes for a socket's path; the last one ends it.
const LONGEST_PATH: usize = if cfg!(target_os = "linux") { 108 } else { 104 };

/// Where the socket of the data directory `data` is.
pub fn path(data: &Path) -> PathBuf {
    data.join(FILE_NAME)
}

/// The socket cannot be there.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The path is too long for a socket.
    #[error(
        "the operator's socket `{}` would have a path of {} bytes, and the system takes {}: choose a shorter data directory, with `--data DIR`",
        path.display(), path.as_os_str().len(), LONGEST_PATH - 1
    )]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// The file system's.
    #[error("cannot listen on the operator's socket `{}`", path.display())]
    Listen {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Whether a path is short enough for a socket.
///
/// # Errors
///
/// [`SocketError::TooLong`].
pub fn fits(path: &Path) -> Result<(), SocketError> {
    if path.as_os_str().len() < LONGEST_PATH {
        return Ok(());
    }
    Err(SocketError::TooLong { path: path.to_owned() })
}

/// A socket that listens; its file goes when this is dropped.
#[derive(Debug)]
pub struct AdminSocket {
    path: PathBuf,
}

impl AdminSocket {
    /// Listens in the data directory `data`, whose lock this process holds: what an earlier process left is replaced.
    ///
    /// # Errors
    ///
    /// [`SocketError`].
    pub fn open(data: &Path) -> Result<(Self, UnixListener), SocketError> {
        let path = path(data);
        fits(&path)?;
        let new = data.join(NEW_NAME);
        let listen = || {
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&new)?;
            // It gets its name once nobody else may connect.
            fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
            fs::rename(&new, &path)?;
            Ok(listener)
        };
        let listener =
            listen().map_err(|source| SocketError::Listen { path: path.clone(), source })?;
        Ok((Self { path }, listener))
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Where it stays, it is a stale one, which the next start replaces.
        let _ = fs::remove_file(&self.path);
    }
}

/// Who is at the other end of a connection over the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The user of this process, or root.
    Operator(u32),
    /// Somebody else, or nobody that the system names.
    Stranger,
}

/// Notes who connects, for the requests of that connection.
pub(super) fn note(io: &dyn Any, data: &mut Extensions) {
    let Some(stream) = io.downcast_ref::<UnixStream>() else { return };
    let uid = stream.peer_cred().ok().map(|it| it.uid());
    data.insert(Peer::of(uid, rustix::process::geteuid().as_raw()));
}

impl Peer {
    fn of(uid: Option<u32>, own: u32) -> Self {
        match uid {
            Some(uid) if uid == own || uid == 0 => Self::Operator(uid),
            _ => Self::Stranger,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_and_root_are_operators() {
        assert_eq!(Peer::of(Some(1000), 1000), Peer::Operator(1000));
        assert_eq!(Peer::of(Some(0), 1000), Peer::Operator(0));
        assert_eq!(Peer::of(Some(1001), 1000), Peer::Stranger);
        assert_eq!(Peer::of(None, 1000), Peer::Stranger);
    }

    #[test]
    fn a_path_that_is_too_long_is_named() {
        let error = fits(&Path::new("/").join("x".repeat(107))).unwrap_err().to_string();
        assert!(error.contains("108 bytes") && error.contains("--data"), "{error}");
        assert!(fits(&Path::new("/").join("x".repeat(100))).is_ok());
    }

    #[test]
    fn what_an_earlier_process_left_is_replaced_and_nobody_else_gets_in() {
        let directory = tempfile::tempdir().unwrap();
        drop(UnixListener::bind(path(directory.path())).unwrap());
        let (socket, _listener) = AdminSocket::open(directory.path()).unwrap();
        let mode = fs::metadata(path(directory.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(socket);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
