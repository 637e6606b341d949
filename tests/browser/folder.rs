//! A folder, and the server that shares it with the browser.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::{Response, Server, Start};

/// A temporary folder, and the server that shares it.
pub(crate) struct Shared {
    server: Server,
    options: Vec<String>,
    path: PathBuf,
    /// Dropping it removes the folder.
    #[expect(dead_code, reason = "kept for its drop")]
    directory: Option<TempDir>,
}

impl Shared {
    /// Shares a new folder, read-only.
    pub(crate) fn start() -> Shared {
        Shared::start_with(&[])
    }

    /// Shares a new folder with options.
    pub(crate) fn start_with(options: &[&str]) -> Shared {
        let directory = TempDir::new().expect("a temporary directory");
        let shared = Shared::start_at(directory.path(), options);
        Shared { directory: Some(directory), ..shared }
    }

    /// Shares an existing folder with options. It is not removed.
    pub(crate) fn start_at(path: &Path, options: &[&str]) -> Shared {
        let name = path.to_str().expect("a path in UTF-8");
        let server = Start::new().options(options.iter().copied().chain([name])).start();
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Shared { server, options, path: path.to_owned(), directory: None }
    }

    /// Kills the server without a graceful shutdown.
    pub(crate) fn kill(&mut self) {
        self.server.signal(Signal::KILL);
        self.server.wait();
    }

    pub(crate) fn restart(&mut self) {
        let path = self.path.to_str().expect("a path in UTF-8");
        let port = self.server.port().to_string();
        let options = self.options.iter().map(String::as_str).chain(["--port", &port, path]);
        self.server = Start::new().without_port().options(options).start();
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn origin(&self) -> String {
        self.origin_as("127.0.0.1")
    }

    /// The same with another host name.
    pub(crate) fn origin_as(&self, host: &str) -> String {
        format!("http://{host}:{}", self.server.port())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The response to a GET.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.get_with(target, "")
    }

    /// The response to a GET with further field lines.
    pub(crate) fn get_with(&self, target: &str, fields: &str) -> Response {
        let port = self.server.port();
        self.server.connect().exchange(&format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{fields}\r\n"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.server.signal(signal);
    }

    /// Writes a file, and creates the folders above it.
    pub(crate) fn put(&self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        let path = self.path().join(OsStr::from_bytes(name.as_ref()));
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    /// Sets the modification time of a file to `age` ago.
    pub(crate) fn age(&self, name: &str, age: Duration) {
        // Opened for reading, since a directory cannot be opened for writing.
        let file = File::open(self.path().join(name)).expect("a file");
        file.set_modified(SystemTime::now() - age).expect("its time");
    }

    /// The names in the folder.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("the folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Fills the folder with typical files.
    pub(crate) fn fill(&self) {
        const DAY: Duration = Duration::from_secs(86_400);
        let files: [(&str, u64, Duration); 8] = [
            ("Music/one.ogg", 5_000_000, DAY * 3),
            ("Photos 2026/Iceland/glacier.jpg", 2_400_000, DAY * 40),
            ("budget.ods", 48_211, DAY + DAY / 12),
            ("debian-netinst.iso", 661_651_456, DAY * 30),
            ("letter to the landlord, second draft.pdf", 1_403_113, DAY / 200),
            ("notes.md", 2_311, DAY / 1000),
            ("talk.mkv", 4_200_000_000, DAY * 200),
            ("todo.txt", 77, DAY * 500),
        ];
        for (name, bytes, age) in files {
            self.put(name, "");
            // Sparse, so that it takes no room on the disk.
            File::options().write(true).open(self.path().join(name)).expect("a file").set_len(bytes).expect("its size");
            self.age(name, age);
        }
        self.age("Music", DAY * 3);
        self.age("Photos 2026", DAY * 40);
    }
}
