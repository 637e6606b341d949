//! Reading, writing, and sending files, without ever waiting.

use std::io::{self, Read};

use mio::net::TcpStream;

use crate::storage::FileRange;

/// What became of a call on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// So many octets went through; of a read, 0 is the peer's end.
    Octets(usize),
    /// None can at the moment.
    WouldBlock,
}

fn moved(result: io::Result<usize>) -> io::Result<Moved> {
    match result {
        Ok(octets) => Ok(Moved::Octets(octets)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Moved::WouldBlock),
        Err(error) => Err(error),
    }
}

fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Moved> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return moved(result),
        }
    }
}

/// Reads what there is, into `space`.
pub(super) fn read(stream: &TcpStream, space: &mut [u8]) -> io::Result<Moved> {
    let mut stream = stream;
    uninterrupted(|| stream.read(space))
}

/// How many octets the socket's send buffer holds at most.
pub(super) fn send_buffer_octets(stream: &TcpStream) -> u64 {
    rustix::net::sockopt::socket_send_buffer_size(stream).unwrap_or(0) as u64
}

/// Writes `octets`, as many as fit. With `more`, content follows at once and may share a packet with them.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn write(stream: &TcpStream, octets: &[u8], more: bool) -> io::Result<Moved> {
    use rustix::net::SendFlags;
    let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
    uninterrupted(|| Ok(rustix::net::send(stream, octets, flags)?))
}

/// Writes `octets`, as many as fit.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn write(stream: &TcpStream, octets: &[u8], _more: bool) -> io::Result<Moved> {
    use std::io::Write;
    let mut stream = stream;
    uninterrupted(|| stream.write(octets))
}

/// Sends the start of `range`, at most `octets_max` octets, by way of `scratch` where the system cannot do without.
///
/// # Errors
/// The socket's, the file's, and [`io::ErrorKind::UnexpectedEof`] where the file has become shorter than the range.
pub(super) fn send_file(
    stream: &TcpStream,
    range: &FileRange,
    octets_max: usize,
    scratch: &mut Vec<u8>,
) -> io::Result<Moved> {
    let octets = usize::try_from(range.remaining()).unwrap_or(usize::MAX).min(octets_max);
    match send_file_directly(stream, range, octets) {
        Err(error) if cannot_send_directly(&error) => send_file_by_copy(stream, range, octets, scratch),
        Ok(Moved::Octets(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
        result => result,
    }
}

#[cfg(all(any(target_os = "linux", target_os = "android"), not(spindle_portable)))]
fn send_file_directly(stream: &TcpStream, range: &FileRange, octets: usize) -> io::Result<Moved> {
    let mut offset = range.offset();
    uninterrupted(|| Ok(rustix::fs::sendfile(stream, range, Some(&mut offset), octets)?))
}

#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(spindle_portable))))]
fn send_file_directly(_stream: &TcpStream, _range: &FileRange, _octets: usize) -> io::Result<Moved> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Some file systems cannot be sent from.
fn cannot_send_directly(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
}

/// Octets that are copied at a time where files are sent by copy.
const COPY_OCTETS: usize = 64 * 1024;

fn send_file_by_copy(stream: &TcpStream, range: &FileRange, octets: usize, scratch: &mut Vec<u8>) -> io::Result<Moved> {
    scratch.resize(COPY_OCTETS, 0);
    let space = &mut scratch[..octets.min(COPY_OCTETS)];
    let read = range.read_at(space)?;
    // What is not written now is read again: the range moves by what was sent, and no octet is lost.
    write(stream, &space[..read], false)
}
