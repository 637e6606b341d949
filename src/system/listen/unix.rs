//! Listening Unix sockets: a path that appears with its permissions, replaces a stale one, and is removed at the end.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use log::warn;
use rustix::fs::{FlockOperation, Mode, flock};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};
use rustix::process::umask;

use super::{BACKLOG, ListenError, Owner};

/// The permissions of a Unix socket: who may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixSocketMode(u32);

/// By default everybody may connect, as to a TCP port of this machine. The permissions of the directory apply as well.
impl Default for UnixSocketMode {
    fn default() -> UnixSocketMode {
        UnixSocketMode(0o666)
    }
}

/// Parses the value of `--unix-mode`. The error is one line without the value.
impl FromStr for UnixSocketMode {
    type Err = String;

    fn from_str(value: &str) -> Result<UnixSocketMode, String> {
        let is_octal = (3..=4).contains(&value.len()) && value.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let mode = u32::from_str_radix(value, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
        mode.map(UnixSocketMode).ok_or("expected permissions in octal, as in 660".to_owned())
    }
}

/// Parses what follows `unix:`. The error is one line without the value.
pub(super) fn parse_path(path: &str) -> Result<PathBuf, String> {
    if path.is_empty() {
        return Err("expected a path after unix:".to_owned());
    }
    // The system limits the length of a socket's path, to 107 bytes on Linux.
    SocketAddrUnix::new(path).map_err(|_| "the path is too long for a socket")?;
    Ok(PathBuf::from(path))
}

/// A listening Unix socket. Dropping it removes its path, unless it was inherited or another socket has the path by
/// now.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    path: Option<CreatedPath>,
}

/// The path of a socket that this process created.
#[derive(Debug)]
pub(crate) struct CreatedPath {
    path: PathBuf,
    /// Identifies the socket, so that another server's is not removed.
    device_and_inode: Option<(u64, u64)>,
}

impl Drop for CreatedPath {
    fn drop(&mut self) {
        if self.device_and_inode.is_some() && device_and_inode(&self.path) == self.device_and_inode {
            // A path that stays is replaced by the next server.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn device_and_inode(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

impl UnixSocket {
    /// Listens at `path`. A socket that no process listens on is replaced.
    ///
    /// # Errors
    /// If a process listens there, something else has the path, or the system refuses.
    pub(super) fn bind(path: &Path, mode: UnixSocketMode) -> Result<UnixSocket, ListenError> {
        let at = format!("unix:{}", path.to_string_lossy().escape_debug());
        // Until the socket listens, so that another server that starts at this moment does not take it for stale.
        let _locked = lock_directory(path);
        remove_stale(path).map_err(|reason| ListenError::new(&at, reason))?;
        let listener = listen_on(path, mode).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ListenError::new(&at, "the directory does not exist"),
            io::ErrorKind::PermissionDenied => ListenError::new(&at, "no permission to create a socket there"),
            _ => ListenError::new(&at, error),
        })?;
        let path = CreatedPath { path: path.to_owned(), device_and_inode: device_and_inode(path) };
        Ok(UnixSocket { listener, path: Some(path) })
    }

    /// A socket that the process inherited. Its path belongs to whoever created it.
    pub(super) fn inherited(listener: UnixListener) -> UnixSocket {
        UnixSocket { listener, path: None }
    }

    pub(super) fn path(&self) -> io::Result<Option<PathBuf>> {
        match &self.path {
            Some(created) => Ok(Some(created.path.clone())),
            None => Ok(self.listener.local_addr()?.as_pathname().map(Path::to_owned)),
        }
    }

    pub(super) fn owner(&self) -> Owner {
        if self.path.is_some() { Owner::Process } else { Owner::ServiceManager }
    }

    /// The listener, and what removes its path when it is dropped.
    pub(crate) fn into_parts(self) -> (UnixListener, Option<CreatedPath>) {
        (self.listener, self.path)
    }
}

/// Locks the directory of `path` against other servers that start. Without permission to read the directory there is no
/// lock, and two servers that start at the same moment may replace each other's socket.
fn lock_directory(path: &Path) -> Option<File> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = File::open(directory).ok()?;
    flock(&directory, FlockOperation::LockExclusive).ok().map(|()| directory)
}

/// Removes a socket that no process listens on. Returns why the path cannot be used.
fn remove_stale(path: &Path) -> Result<(), String> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err("something other than a socket has this path".to_owned());
    }
    match try_connect(path) {
        Err(Errno::CONNREFUSED) => {}
        // Without blocking, since the backlog of the other program may be full.
        Ok(()) | Err(Errno::AGAIN) => {
            return Err("another program listens there; stop it, or choose another path".to_owned());
        }
        Err(error) => return Err(format!("a socket has this path, and cannot be connected to: {error}")),
    }
    warn!("unix:{}: replacing a socket that no program listens on", path.to_string_lossy().escape_debug());
    std::fs::remove_file(path).map_err(|error| format!("cannot replace the old socket: {error}"))
}

fn try_connect(path: &Path) -> rustix::io::Result<()> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)
}

fn listen_on(path: &Path, mode: UnixSocketMode) -> io::Result<UnixListener> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // The permissions apply from the moment in which the path appears. The process has one thread, so nothing else
    // creates a file meanwhile.
    let umask_before = umask(Mode::from_raw_mode(!mode.0 & 0o777));
    let bound = SocketAddrUnix::new(path).and_then(|address| bind(&socket, &address));
    umask(umask_before);
    match bound {
        // Created since it was found missing or stale.
        Err(Errno::ADDRINUSE) => return Err(io::Error::other("another program has just begun to listen there")),
        bound => bound?,
    }
    listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        let first = UnixSocket::bind(&path, UnixSocketMode::default()).unwrap();
        let error = UnixSocket::bind(&path, UnixSocketMode::default()).unwrap_err().to_string();
        assert!(error.contains("another program listens there"), "{error}");
        assert!(UnixStream::connect(&path).is_ok());
        drop(first);
        assert!(!path.exists(), "removed at the end");
    }

    #[test]
    fn a_socket_of_another_server_is_not_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("socket");
        let first = UnixSocket::bind(&path, UnixSocketMode::default()).unwrap();
        std::fs::rename(&path, scratch.path().join("other")).unwrap();
        let second = UnixSocket::bind(&path, UnixSocketMode::default()).unwrap();
        drop(first);
        assert!(UnixStream::connect(&path).is_ok());
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_is_never_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        std::fs::write(&path, "content").unwrap();
        let error = UnixSocket::bind(&path, UnixSocketMode::default()).unwrap_err().to_string();
        assert!(error.contains("something other than a socket"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"content");
    }

    #[test]
    fn a_socket_has_the_permissions_of_its_mode() {
        let scratch = tempfile::tempdir().unwrap();
        for mode in ["600", "0660", "777"] {
            let path = scratch.path().join(mode);
            let socket = UnixSocket::bind(&path, mode.parse().unwrap()).unwrap();
            let created = path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(created, u32::from_str_radix(mode, 8).unwrap());
            drop(socket);
        }
        for mode in ["", "6", "1777", "888", "+66", "rw-"] {
            assert!(mode.parse::<UnixSocketMode>().is_err(), "{mode}");
        }
    }
}
