//! Helpers: requests, files and directories, and the tracer of system calls.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

use tempfile::{NamedTempFile, TempDir};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT};

use crate::harness::{Client, Response, Server, bytes_free, wait_until};

/// Sunday, 06 Nov 1994 08:49:37 GMT: the example of RFC 9110 §5.6.7.
pub(crate) const NOV_1994: i64 = 784_111_777;

/// The head of a request with Host and these field lines, which are given without CRLF.
pub(crate) fn head(method: &str, target: &str, fields: &[&str]) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n");
    for field in fields {
        let _ = write!(head, "{field}\r\n");
    }
    head + "\r\n"
}

impl Client {
    /// Sends a request without content and reads the response: only its head if the method is HEAD.
    pub(crate) fn ask(&mut self, method: &str, target: &str, fields: &[&str]) -> Response {
        self.send(head(method, target, fields));
        if method == "HEAD" { self.head() } else { self.response() }
    }

    /// Sends a request with content and reads the response.
    pub(crate) fn store(&mut self, method: &str, target: &str, fields: &[&str], content: &[u8]) -> Response {
        let length = format!("Content-Length: {}", content.len());
        self.send(head(method, target, &[fields, &[&length]].concat()));
        self.send(content);
        self.response()
    }

    /// Whether the connection is still open: another request gets its response.
    pub(crate) fn is_kept(&mut self) -> bool {
        self.try_send(head("GET", "/echo/kept", &[])).is_ok()
            && self.try_response().is_ok_and(|response| response.text() == "kept")
    }
}

impl Server {
    /// Sends a request without content on a new connection.
    pub(crate) fn ask(&self, method: &str, target: &str, fields: &[&str]) -> Response {
        self.connect().ask(method, target, fields)
    }

    /// Sends a request with content on a new connection.
    pub(crate) fn store(&self, method: &str, target: &str, fields: &[&str], content: &[u8]) -> Response {
        self.connect().store(method, target, fields, content)
    }

    /// Stores a file by PUT. Returns its entity tag, which is strong.
    pub(crate) fn put(&self, name: &str, content: &[u8]) -> String {
        let response = self.store("PUT", &format!("/files/{name}"), &[], content);
        assert!(matches!(response.status, 201 | 204), "{}", response.head);
        let tag = response.field("ETag").expect("an entity tag").to_owned();
        assert!(tag.starts_with('"'), "{tag}");
        tag
    }

    /// Waits until the tag of a file is strong, about two seconds after another process has changed it. Returns the
    /// tag.
    pub(crate) fn strong_tag(&self, name: &str) -> String {
        let mut tag = String::new();
        wait_until("a strong tag", || {
            let response = self.ask("HEAD", &format!("/files/{name}"), &[]);
            tag = response.field("ETag").expect("an entity tag").to_owned();
            tag.starts_with('"')
        });
        tag
    }

    /// Waits until the server has exactly this many descriptors.
    pub(crate) fn wait_for_descriptors(&self, descriptors: usize) {
        wait_until(&format!("{descriptors} descriptors"), || self.descriptors() == descriptors);
    }
}

/// One chunk.
pub(crate) fn chunk(content: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", content.len()).as_bytes(), content, b"\r\n"].concat()
}

/// `content` in the chunked coding, with chunks of `chunk_bytes` bytes.
pub(crate) fn chunked(content: &[u8], chunk_bytes: usize) -> Vec<u8> {
    let mut coded: Vec<u8> = content.chunks(chunk_bytes).flat_map(chunk).collect();
    coded.extend_from_slice(b"0\r\n\r\n");
    coded
}

/// Percent-encodes every byte.
pub(crate) fn percent_encoded(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut encoded, byte| {
        let _ = write!(encoded, "%{byte:02X}");
        encoded
    })
}

/// Sets the modification time of a file, in seconds since 1970.
pub(crate) fn set_modified(path: &Path, unix_s: i64) {
    let last_modification = Timespec { tv_sec: unix_s, tv_nsec: 0 };
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times = Timestamps { last_access, last_modification };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::empty()).expect("a time to set");
}

/// Makes a file of zeros that takes no space on the disk.
pub(crate) fn make_sparse(path: &Path, bytes: u64) {
    File::create(path).expect("a file").set_len(bytes).expect("a length");
}

/// A temporary directory with room for this many bytes, in memory if possible.
pub(crate) fn roomy_directory(bytes: u64) -> Option<TempDir> {
    let memory = Path::new("/dev/shm");
    for place in [memory.to_owned(), std::env::temp_dir()] {
        if place.is_dir() && bytes_free(&place) > bytes {
            return TempDir::new_in(place).ok();
        }
    }
    skipped(&format!("no directory has room for {bytes} bytes"));
    None
}

/// Records the system calls of a server with strace.
pub(crate) struct Tracer {
    calls: String,
    log: NamedTempFile,
}

impl Tracer {
    /// Records these calls. `None` if strace is missing or not allowed. In continuous integration on Linux that is a
    /// failure, because no other test shows what is on the disk before a response is sent.
    pub(crate) fn of(calls: &str) -> Option<Tracer> {
        let works = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
        if !works.is_ok_and(|status| status.success()) {
            let must_work = cfg!(target_os = "linux") && std::env::var_os("CI").is_some_and(|value| value == "true");
            assert!(!must_work, "strace is missing or not allowed");
            skipped("strace is missing or not allowed: system calls are not checked");
            return None;
        }
        Some(Tracer { calls: format!("trace={calls}"), log: NamedTempFile::new().expect("a file for the trace") })
    }

    /// The command that starts the server. With `-D` the tracer is a child, so the process that is started is the
    /// server.
    pub(crate) fn command(&self) -> [&str; 8] {
        let log = self.log.path().to_str().expect("a name that is text");
        ["strace", "-D", "-s", "300", "-e", &self.calls, "-o", log]
    }

    /// Waits until the server has been killed. Returns its calls, one per line.
    pub(crate) fn whole_trace(&self) -> Vec<String> {
        let mut trace = String::new();
        wait_until("the end of the trace", || {
            trace = fs::read_to_string(self.log.path()).expect("a trace");
            trace.contains("+++ killed by")
        });
        trace.lines().map(str::to_owned).collect()
    }
}

/// Prints why something is not tested. The test runner would capture the output of `eprintln`.
pub(crate) fn skipped(reason: &str) {
    let _ = writeln!(io::stderr(), "skipped: {reason}");
}

/// Makes a FIFO. Not every system has the system call.
pub(crate) fn make_fifo(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status().expect("mkfifo");
    assert!(status.success());
}

/// The sorted names in a directory, with the content of its files. Links are not followed.
pub(crate) fn tree(directory: &Path) -> Vec<(String, Option<Vec<u8>>)> {
    let mut tree = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().expect("a type");
        tree.push((name, kind.is_file().then(|| fs::read(entry.path()).expect("a file"))));
    }
    tree.sort();
    tree
}
