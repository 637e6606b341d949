//! Where the access log is written: a file, a pipe, a terminal, or standard output, whatever that is.
//!
//! No write waits for a reader. Where possible the output is opened anew for that, because making an inherited
//! descriptor non-blocking would make it so for every process that shares it.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::pipe::PIPE_BUF;

use crate::telemetry::access_log::{LogOutput, Reopened};

/// The permissions of a new file: others may not read who requested what.
const MODE: Mode = Mode::from_raw_mode(0o640);

/// An output that was opened by its path. Opening it anew finds the file that then has this path.
pub struct LogFile {
    path: PathBuf,
    descriptor: Descriptor,
}

impl LogFile {
    /// Opens a file to append to, and creates it if it does not exist. A named pipe may have no reader yet.
    ///
    /// # Errors
    /// Those of opening the file.
    pub fn open(path: &Path) -> io::Result<LogFile> {
        Ok(LogFile { path: path.to_owned(), descriptor: open(path)? })
    }
}

impl LogOutput for LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.descriptor.write(lines)
    }

    fn reopen(&mut self) -> io::Result<Reopened> {
        let mut opened = open(&self.path)?;
        let continues = opened.continues(&self.descriptor);
        if continues {
            opened.must_end_line = self.descriptor.must_end_line;
        }
        self.descriptor = opened;
        Ok(if continues { Reopened::SameOutput } else { Reopened::OtherOutput })
    }
}

/// The process's standard output.
pub struct StandardOutput {
    descriptor: Descriptor,
}

impl StandardOutput {
    /// Uses the process's standard output, beside other uses of it.
    ///
    /// # Errors
    /// If it is closed, or there are no descriptors left.
    pub fn open() -> io::Result<StandardOutput> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let kind = file.metadata()?.file_type();
        // A regular file is not opened anew: that would have its own position in the file, and what other processes
        // write at theirs would overwrite the log.
        let descriptor = if kind.is_file() {
            Descriptor { file, mode: WriteMode::Whole, must_end_line: false }
        } else if kind.is_socket() {
            Descriptor { file, mode: WriteMode::Socket, must_end_line: false }
        } else {
            // Where this path does not exist, or may not be opened, the inherited descriptor is used.
            match open_with(Path::new("/proc/self/fd/1"), OFlags::WRONLY) {
                Ok(file) => Descriptor { file: File::from(file), mode: WriteMode::Pieces, must_end_line: false },
                Err(_) => Descriptor { file, mode: WriteMode::PolledPieces, must_end_line: false },
            }
        };
        Ok(StandardOutput { descriptor })
    }
}

impl LogOutput for StandardOutput {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.descriptor.write(lines)
    }

    /// Does nothing: nobody can move it.
    fn reopen(&mut self) -> io::Result<Reopened> {
        Ok(Reopened::SameOutput)
    }
}

/// An open output.
struct Descriptor {
    file: File,
    mode: WriteMode,
    /// Whether the file ends within a line, so that the next one would be appended to that. A file ends so if its disk
    /// was full when the server stopped.
    must_end_line: bool,
}

/// How to write without waiting for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriteMode {
    /// Everything at once, to a file. This waits at most for the disk.
    Whole,
    /// To a non-blocking pipe or terminal, in pieces that a pipe takes whole or not at all, so that what other processes
    /// write to it comes between two lines.
    Pieces,
    /// The same to a descriptor that may block: only when it is ready to take a piece.
    PolledPieces,
    /// To a socket, with a flag that makes a single call non-blocking.
    Socket,
}

impl Descriptor {
    /// Whether a line that `earlier` has begun ends in what is written to this one: they are the same pipe, or the same
    /// file, which has not been emptied meanwhile.
    fn continues(&self, earlier: &Descriptor) -> bool {
        let identity = |file: &File| file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
        let is_same = identity(&self.file).is_some_and(|this| identity(&earlier.file) == Some(this));
        is_same && (self.mode != WriteMode::Whole || self.must_end_line)
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if self.must_end_line {
            self.file.write_all(b"\n")?;
            self.must_end_line = false;
        }
        match self.mode {
            WriteMode::Whole => self.file.write(lines),
            WriteMode::Pieces => self.file.write(piece(lines)),
            WriteMode::PolledPieces if is_writable(&self.file) => self.file.write(piece(lines)),
            WriteMode::PolledPieces => Err(ErrorKind::WouldBlock.into()),
            WriteMode::Socket => Ok(rustix::net::send(&self.file, lines, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?),
        }
    }
}

/// As many whole lines as a pipe takes at once; a longer line by itself.
fn piece(lines: &[u8]) -> &[u8] {
    if lines.len() <= PIPE_BUF {
        return lines;
    }
    let within = memchr::memrchr(b'\n', &lines[..PIPE_BUF]);
    match within.or_else(|| memchr::memchr(b'\n', lines)) {
        Some(line_end) => &lines[..=line_end],
        None => lines,
    }
}

fn is_writable(file: &File) -> bool {
    let mut files = [PollFd::new(file, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut files, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

fn open(path: &Path) -> io::Result<Descriptor> {
    // With permission to read, a named pipe can be opened before it has a reader, and stays usable when that ends.
    let file = match open_with(path, OFlags::RDWR) {
        Err(Errno::ACCESS) => open_with(path, OFlags::WRONLY)?,
        opened => opened?,
    };
    let file = File::from(file);
    let metadata = file.metadata()?;
    let is_file = metadata.file_type().is_file();
    Ok(Descriptor {
        must_end_line: is_file && ends_within_line(&file, metadata.len()),
        mode: if is_file { WriteMode::Whole } else { WriteMode::Pieces },
        file,
    })
}

fn open_with(path: &Path, access: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, access | flags, MODE)
}

/// Whether the last byte is not a line end. If it cannot be read, the file is taken for complete.
fn ends_within_line(file: &File, bytes: u64) -> bool {
    let mut last = [b'\n'];
    let Some(at) = bytes.checked_sub(1) else { return false };
    file.read_exact_at(&mut last, at).is_ok() && last != [b'\n']
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_the_whole_lines_that_a_pipe_takes_at_once() {
        assert_eq!(piece(b"a\nb\n"), b"a\nb\n");
        let line = [&[b'x'; 99][..], b"\n"].concat();
        let lines = line.repeat(PIPE_BUF);
        assert_eq!(piece(&lines).len(), PIPE_BUF - PIPE_BUF % 100);
        let long = [&[b'x'; PIPE_BUF][..], b"\n", &line].concat();
        assert_eq!(piece(&long).len(), PIPE_BUF + 1);
        assert_eq!(piece(&long[..PIPE_BUF + 1]).len(), PIPE_BUF + 1);
    }

    #[test]
    fn a_file_that_ends_within_a_line_gets_a_line_end_first() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        std::fs::write(&path, "whole\nhal").unwrap();
        let mut file = LogFile::open(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole\nhal", "opening alone changes nothing");
        for line in [&b"one\n"[..], b"two\n"] {
            assert_eq!(file.write(line).unwrap(), line.len());
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"whole\nhal\none\ntwo\n");
    }

    #[test]
    fn a_file_that_is_opened_anew_continues_its_line_unless_it_was_moved_or_emptied() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        let mut file = LogFile::open(&path).unwrap();
        file.write(b"one\ntw").unwrap();
        assert_eq!(file.reopen().unwrap(), Reopened::SameOutput);
        file.write(b"o\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
        file.write(b"thr").unwrap();
        std::fs::write(&path, b"").unwrap();
        assert_eq!(file.reopen().unwrap(), Reopened::OtherOutput, "the file was emptied");
        file.write(b"fo").unwrap();
        std::fs::rename(&path, scratch.path().join("log.1")).unwrap();
        assert_eq!(file.reopen().unwrap(), Reopened::OtherOutput, "the file was moved");
        file.write(b"five\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"five\n");
    }

    /// An earlier run has left a part of a line.
    #[test]
    fn a_file_that_is_opened_anew_before_its_first_line_still_gets_a_line_end() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        std::fs::write(&path, "hal").unwrap();
        let mut file = LogFile::open(&path).unwrap();
        file.reopen().unwrap();
        file.write(b"one\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"hal\none\n");
    }

    /// The descriptor that another process shares stays blocking.
    #[test]
    fn a_full_pipe_never_blocks_and_gets_whole_lines() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut polled = Descriptor { file: File::from(writer), mode: WriteMode::PolledPieces, must_end_line: false };
        let line = [&[b'x'; 149][..], b"\n"].concat();
        let lines = line.repeat(100);
        let mut written = 0;
        let error = loop {
            match polled.write(&lines) {
                Ok(bytes) => written += bytes,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(written > PIPE_BUF && written.is_multiple_of(line.len()), "{written}");
        drop(polled);
        let mut received = Vec::new();
        io::Read::read_to_end(&mut File::from(reader), &mut received).unwrap();
        assert!(received == line.repeat(written / line.len()));
    }
}
