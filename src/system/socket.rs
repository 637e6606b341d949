//! A non-blocking TCP or Unix socket: receive, send and sendfile.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown, shutdown, sockopt};

use crate::server::{Io, SendFileError, Transport};
use crate::storage::FileRange;

/// How often an interrupted call is repeated.
const INTERRUPTIONS_MAX: u32 = 16;

/// A connection's socket.
pub struct Socket(Stream);

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Socket {
        Socket(Stream::Tcp(stream))
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Socket {
        Socket(Stream::Unix(stream))
    }
}

impl Socket {
    /// What is registered with the poll.
    pub(super) fn source(&mut self) -> &mut dyn Source {
        match &mut self.0 {
            Stream::Tcp(stream) => stream,
            Stream::Unix(stream) => stream,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Transport for Socket {
    type File = FileRange;

    fn receive(&mut self, space: &mut [u8]) -> io::Result<Io> {
        // Costs the system less than read(2), which is for files of every kind.
        uninterrupted(|| rustix::net::recv(&*self, &mut *space, RecvFlags::empty()).map(|(bytes, _)| bytes))
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<Io> {
        send(self, bytes, more)
    }

    fn send_file(&mut self, file: &FileRange, bytes_max: usize) -> Result<Io, SendFileError> {
        let bytes = usize::try_from(file.remaining()).unwrap_or(usize::MAX).min(bytes_max);
        match send_file_directly(self, file, bytes) {
            Err(error) if cannot_send_directly(&error) => send_file_by_copy(self, file, bytes),
            Err(error) if is_socket_error(&error) => Err(SendFileError::Connection(error)),
            Err(error) => Err(SendFileError::File(error)),
            Ok(Io::Done(0)) => Err(SendFileError::File(io::ErrorKind::UnexpectedEof.into())),
            Ok(Io::WouldBlock) if is_writable(self) => retry_send_file(self, file, bytes),
            Ok(io) => Ok(io),
        }
    }

    fn shut_down_sending(&mut self) -> io::Result<()> {
        Ok(shutdown(&*self, Shutdown::Write)?)
    }

    fn reset_on_close(&mut self) {
        // A Unix socket has no reset: its client notices only a response of known length, or a chunked one. Otherwise
        // this fails only if the connection is lost already.
        let _ = sockopt::set_socket_linger(&*self, Some(Duration::ZERO));
    }

    fn send_buffer_bytes(&self) -> u64 {
        sockopt::socket_send_buffer_size(self).unwrap_or(0) as u64
    }
}

/// Repeats an interrupted call. After [`INTERRUPTIONS_MAX`] repetitions the interruption is returned as an error.
fn uninterrupted(mut call: impl FnMut() -> Result<usize, Errno>) -> io::Result<Io> {
    let mut result = call();
    for _ in 0..INTERRUPTIONS_MAX {
        match result {
            Err(Errno::INTR) => result = call(),
            _ => break,
        }
    }
    match result {
        Ok(bytes) => Ok(Io::Done(bytes)),
        Err(Errno::AGAIN) => Ok(Io::WouldBlock),
        Err(error) => Err(error.into()),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn send(socket: &Socket, bytes: &[u8], more: bool) -> io::Result<Io> {
    use rustix::net::SendFlags;
    let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
    uninterrupted(|| rustix::net::send(socket, bytes, flags))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn send(socket: &Socket, bytes: &[u8], _more: bool) -> io::Result<Io> {
    use rustix::net::SendFlags;
    uninterrupted(|| rustix::net::send(socket, bytes, SendFlags::empty()))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn send_file_directly(socket: &Socket, range: &FileRange, bytes: usize) -> io::Result<Io> {
    let mut offset = range.offset();
    uninterrupted(|| rustix::fs::sendfile(socket, range, Some(&mut offset), bytes))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn send_file_directly(_socket: &Socket, _range: &FileRange, _bytes: usize) -> io::Result<Io> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether the file's file system does not support sendfile(2).
fn cannot_send_directly(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
}

/// Whether an error of sendfile(2) is one that only sockets have.
fn is_socket_error(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::PIPE
                | Errno::CONNRESET
                | Errno::CONNABORTED
                | Errno::NOTCONN
                | Errno::TIMEDOUT
                | Errno::HOSTUNREACH
                | Errno::HOSTDOWN
                | Errno::NETUNREACH
                | Errno::NETDOWN
                | Errno::NOBUFS
        )
    )
}

/// Called when sendfile(2) would block although the socket is writable. Either the socket became writable in the
/// meantime, or the file cannot be read without blocking. The second is an error, since no event would report a change.
#[cold]
fn retry_send_file(socket: &Socket, range: &FileRange, bytes: usize) -> Result<Io, SendFileError> {
    match send_file_directly(socket, range, bytes) {
        Ok(Io::WouldBlock) if is_writable(socket) => Err(SendFileError::File(io::ErrorKind::WouldBlock.into())),
        Ok(Io::Done(0)) => Err(SendFileError::File(io::ErrorKind::UnexpectedEof.into())),
        Ok(io) => Ok(io),
        Err(error) if is_socket_error(&error) => Err(SendFileError::Connection(error)),
        Err(error) => Err(SendFileError::File(error)),
    }
}

fn is_writable(socket: &Socket) -> bool {
    let mut sockets = [PollFd::new(socket, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut sockets, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

/// How many bytes are copied at a time where sendfile(2) is not available.
const COPY_BYTES: usize = 16 * 1024;

/// Not inlined: its buffer would make the stack frame of every caller, and so of every drive, four pages larger, each of
/// which is touched when the function is entered.
#[cold]
#[inline(never)]
fn send_file_by_copy(socket: &Socket, range: &FileRange, bytes: usize) -> Result<Io, SendFileError> {
    let mut space = [0; COPY_BYTES];
    let space = &mut space[..bytes.min(COPY_BYTES)];
    let read = range.read_at(space).map_err(SendFileError::File)?;
    // No byte is lost: the range advances only by what was sent, and the rest is read again.
    send(socket, &space[..read], false).map_err(SendFileError::Connection)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;
    use crate::storage::{Directory, RelativePath};

    /// The path for systems without sendfile(2), and for file systems that do not support it.
    #[test]
    fn a_file_sent_by_copy_arrives_complete_and_in_order() {
        let root = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
        std::fs::write(root.path().join("name"), &content).unwrap();
        let path = RelativePath::from_segments(["name"]).unwrap();
        let opened = Directory::open(root.path(), 1).unwrap().open_file(&path).unwrap();
        let whole = FileRange::whole(opened);
        let mut range = whole.part(1, 299_998).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        server.set_nonblocking(true).unwrap();
        let server = Socket::from(TcpStream::from_std(server));
        let mut received = Vec::new();
        // Ends: each iteration sends something, or empties the client's side.
        while !range.is_empty() {
            let bytes = usize::try_from(range.remaining()).unwrap();
            match send_file_by_copy(&server, &range, bytes) {
                Ok(Io::Done(sent)) => range.advance(sent as u64),
                Ok(Io::WouldBlock) => {
                    let mut space = [0; 65_536];
                    let read = client.read(&mut space).unwrap();
                    received.extend_from_slice(&space[..read]);
                }
                Err(_) => panic!("neither the file nor the socket fails"),
            }
        }
        drop(server);
        client.read_to_end(&mut received).unwrap();
        assert!(received == content[1..299_999]);
    }
}
