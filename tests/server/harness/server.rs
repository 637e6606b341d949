//! One server process: started with options, stopped by a signal, its words kept.

use std::fs::{self, File};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Client, Response, WAIT_MAX, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_spindle");

/// How a server is to be started.
pub(crate) struct Start {
    options: Vec<String>,
    port: Option<String>,
    serves_directory: bool,
    /// Whether the directory is shared at `/`.
    is_folder: bool,
    /// The directory to serve, where it is not a new one.
    existing_directory: Option<PathBuf>,
    /// A program and its arguments, which runs what follows them.
    wrapper: Vec<String>,
    /// What the shell is to limit before it becomes the server.
    limit: Option<String>,
    stderr: Option<&'static str>,
}

impl Start {
    /// On a free port, and without a directory.
    pub(crate) fn new() -> Start {
        Start {
            options: Vec::new(),
            port: Some("0".to_owned()),
            serves_directory: false,
            is_folder: false,
            existing_directory: None,
            wrapper: Vec::new(),
            limit: None,
            stderr: None,
        }
    }

    /// With further options.
    pub(crate) fn options<'a>(mut self, options: impl IntoIterator<Item = &'a str>) -> Start {
        self.options.extend(options.into_iter().map(str::to_owned));
        self
    }

    /// On the port that the options say, if they do.
    pub(crate) fn without_port(mut self) -> Start {
        self.port = None;
        self
    }

    /// Serving a new directory.
    pub(crate) fn directory(mut self) -> Start {
        self.serves_directory = true;
        self
    }

    /// Sharing a new directory at `/`.
    pub(crate) fn folder(mut self) -> Start {
        self.serves_directory = true;
        self.is_folder = true;
        self
    }

    /// Serving a directory that exists, and that outlives the server.
    pub(crate) fn directory_at(mut self, path: &Path) -> Start {
        self.serves_directory = true;
        self.existing_directory = Some(path.to_owned());
        self
    }

    /// By way of a program that puts itself in the server's place.
    pub(crate) fn through<'a>(mut self, wrapper: impl IntoIterator<Item = &'a str>) -> Start {
        self.wrapper.extend(wrapper.into_iter().map(str::to_owned));
        self
    }

    /// With so many descriptors at most, which the server cannot raise.
    pub(crate) fn descriptors_max(mut self, descriptors: u32) -> Start {
        self.limit = Some(format!("-n {descriptors}"));
        self
    }

    /// With so many descriptors at most, until the server raises the limit.
    pub(crate) fn descriptors_soft_max(mut self, descriptors: u32) -> Start {
        self.limit = Some(format!("-S -n {descriptors}"));
        self
    }

    /// With its words going to this file instead.
    pub(crate) fn stderr_to(mut self, path: &'static str) -> Start {
        self.stderr = Some(path);
        self
    }

    fn spawn(self) -> Running {
        let scratch = TempDir::new().expect("a temporary directory");
        let served = self.existing_directory.clone().unwrap_or_else(|| {
            let served = scratch.path().join("served");
            fs::create_dir(&served).expect("a directory to serve");
            served
        });
        let words = scratch.path().join("stderr");
        let mut command = self.command();
        if let Some(port) = &self.port {
            command.args(["--port", port]);
        }
        if self.serves_directory && !self.is_folder {
            command.arg("--directory");
        }
        if self.serves_directory {
            command.arg(&served);
        }
        command.args(&self.options).stdin(Stdio::null()).stdout(Stdio::piped());
        let file = File::create(&words).expect("a file for the words");
        let other = self.stderr.map(|path| File::options().write(true).open(path).expect("a file that exists"));
        command.stderr(other.unwrap_or(file));
        let child = command.spawn().expect("the server as a process");
        Running { child, words, served, scratch }
    }

    /// The program that is run: the server itself, or what runs it with other rights or limits.
    fn command(&self) -> Command {
        let mut words = self.wrapper.clone();
        if let Some(limit) = &self.limit {
            words.extend(["sh", "-c", r#"ulimit $0 && exec "$@""#, limit].map(str::to_owned));
        }
        words.push(BINARY.to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }

    /// Starts the server and waits until it listens.
    pub(crate) fn start(self) -> Server {
        super::raise_descriptor_limit();
        let mut running = self.spawn();
        let stdout = running.child.stdout.take().expect("standard output");
        let banner = first_words(stdout);
        let addresses: Vec<SocketAddr> = banner
            .lines()
            .filter_map(|line| line.strip_prefix("Listening on http://"))
            // In a URL the percent sign before an interface is encoded (RFC 6874).
            .map(|address| address.replacen("%25", "%", 1))
            // A shared folder is also greeted with the machine's name.
            .filter_map(|address| address.trim_end_matches('/').parse().ok())
            .collect();
        assert!(!addresses.is_empty(), "no banner but {banner:?}; {}", running.words());
        Server { running, banner, addresses }
    }

    /// Starts the server where it is expected to end by itself.
    pub(crate) fn run_to_exit(self) -> Exited {
        let mut running = self.spawn();
        let mut stdout = running.child.stdout.take().expect("standard output");
        let status = running.wait();
        let mut said = String::new();
        stdout.read_to_string(&mut said).expect("text on standard output");
        Exited { code: status.code(), stdout: said, stderr: running.words() }
    }
}

/// What comes out first, up to the first pause: the banner is one write. Empty where the server ends instead.
fn first_words(mut stdout: ChildStdout) -> String {
    let (sender, receiver) = mpsc::channel();
    // The thread ends with the process at the latest.
    thread::spawn(move || {
        let mut space = [0; 4096];
        let bytes = stdout.read(&mut space).unwrap_or(0);
        // Kept open until the server ends, as a terminal is.
        let _ = sender.send(String::from_utf8_lossy(&space[..bytes]).into_owned());
        let _ = stdout.read_to_end(&mut Vec::new());
    });
    receiver.recv_timeout(WAIT_MAX).expect("a banner in time")
}

/// A server that ended by itself.
#[derive(Debug)]
pub(crate) struct Exited {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A process, and the files that belong to it. Killed when it is dropped.
struct Running {
    child: Child,
    words: PathBuf,
    served: PathBuf,
    /// Removed with all that is in it when the server is dropped.
    #[expect(dead_code, reason = "kept for what its removal does")]
    scratch: TempDir,
}

impl Running {
    fn words(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.words).expect("the words")).into_owned()
    }

    fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the end of the server", || {
            status = self.child.try_wait().expect("a child to wait for");
            status.is_some()
        });
        status.expect("a status, since it has ended")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that listens.
pub(crate) struct Server {
    running: Running,
    pub(crate) banner: String,
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Server {
    /// With nothing but a free port.
    pub(crate) fn plain() -> Server {
        Start::new().start()
    }

    /// With a new directory.
    pub(crate) fn with_directory() -> Server {
        Start::new().directory().start()
    }

    pub(crate) fn port(&self) -> u16 {
        self.addresses[0].port()
    }

    /// The directory that is served, where one is.
    pub(crate) fn directory(&self) -> &Path {
        &self.running.served
    }

    /// Puts a file into the directory.
    pub(crate) fn write_file(&self, name: &str, content: &[u8]) {
        fs::write(self.directory().join(name), content).expect("a file");
    }

    /// What the directory holds under the name.
    pub(crate) fn content_of(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.directory().join(name)).ok()
    }

    /// The names of all that is in the directory.
    pub(crate) fn file_names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory()).expect("the directory");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port()))
    }

    /// The answer to a GET on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.connect().get(target)
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.running.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a process to signal");
    }

    /// Waits until the server has ended. Its exit code, if it was not killed.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.running.wait().code()
    }

    /// Whether the server still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.running.child.try_wait().expect("a child to ask").is_none()
    }

    /// All that was written to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.running.words()
    }
}
