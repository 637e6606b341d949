//! A server process: started with options, stopped by a signal, its output captured.

use std::fs::{self, File};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;

use super::{Client, Response, WAIT_MAX, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_spindle");

/// A part of the warning that the server runs as root.
pub(crate) const ROOT_WARNING: &str = "running as root";

/// Builds the command that starts a server.
pub(crate) struct Start {
    options: Vec<String>,
    port: Option<String>,
    serves_directory: bool,
    /// Whether the directory is shared at `/`.
    is_folder: bool,
    /// The directory to serve; `None` creates one.
    existing_directory: Option<PathBuf>,
    /// A program with its arguments, which runs the command that follows.
    wrapper: Vec<String>,
    /// The arguments of `ulimit` in a shell that then executes the server.
    limit: Option<String>,
    stderr: Option<&'static str>,
    stdin: Option<OwnedFd>,
    /// Open until the server has started.
    inherited: Option<OwnedFd>,
}

impl Start {
    /// A server on a free port, without a directory.
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
            stdin: None,
            inherited: None,
        }
    }

    /// Adds options.
    pub(crate) fn options<'a>(mut self, options: impl IntoIterator<Item = &'a str>) -> Start {
        self.options.extend(options.into_iter().map(str::to_owned));
        self
    }

    /// Adds no `--port`, so that the options decide.
    pub(crate) fn without_port(mut self) -> Start {
        self.port = None;
        self
    }

    /// Serves a new directory at `/files/`.
    pub(crate) fn directory(mut self) -> Start {
        self.serves_directory = true;
        self
    }

    /// Shares a new directory at `/`.
    pub(crate) fn folder(mut self) -> Start {
        self.serves_directory = true;
        self.is_folder = true;
        self
    }

    /// Serves an existing directory, which the harness does not remove.
    pub(crate) fn directory_at(mut self, path: &Path) -> Start {
        self.serves_directory = true;
        self.existing_directory = Some(path.to_owned());
        self
    }

    /// Starts the server by a program that executes it in its own process.
    pub(crate) fn wrapped_by<'a>(mut self, wrapper: impl IntoIterator<Item = &'a str>) -> Start {
        self.wrapper.extend(wrapper.into_iter().map(str::to_owned));
        self
    }

    /// Sets the hard limit on descriptors, which the server cannot raise.
    pub(crate) fn descriptors_max(mut self, descriptors: u32) -> Start {
        self.limit = Some(format!("-n {descriptors}"));
        self
    }

    /// Sets the soft limit on descriptors, which the server can raise.
    pub(crate) fn descriptors_soft_max(mut self, descriptors: u32) -> Start {
        self.limit = Some(format!("-S -n {descriptors}"));
        self
    }

    /// Redirects standard error to this file.
    pub(crate) fn stderr_to(mut self, path: &'static str) -> Start {
        self.stderr = Some(path);
        self
    }

    /// Passes a listening socket to the server as descriptor 3, as a service manager does. `LISTEN_FDNAMES` is `name`.
    pub(crate) fn inheriting(mut self, listener: impl Into<OwnedFd>, name: &str) -> Start {
        self.stdin = Some(listener.into());
        let script = r#"exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES="$0"; exec "$@""#;
        self.wrapped_by(["sh", "-c", script, name])
    }

    /// Passes two listening sockets, as descriptors 3 and 4. `names` are separated by a colon.
    pub(crate) fn inheriting_two(mut self, first: impl Into<OwnedFd>, second: OwnedFd, names: &str) -> Start {
        // Inherited under its own number, which only bash can duplicate if it has two digits.
        rustix::io::fcntl_setfd(&second, rustix::io::FdFlags::empty()).expect("a descriptor");
        self.stdin = Some(first.into());
        let script =
            r#"exec 3<&0 4<&"$1" </dev/null; export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES="$0"; shift; exec "$@""#;
        let number = second.as_raw_fd().to_string();
        self.inherited = Some(second);
        self.wrapped_by(["bash", "-c", script, names, &number])
    }

    /// Runs the server in a session of its own, whose terminal this is.
    pub(crate) fn in_terminal(mut self, terminal: impl Into<OwnedFd>) -> Start {
        self.stdin = Some(terminal.into());
        self.wrapped_by(["setsid", "--ctty"])
    }

    fn spawn(mut self) -> Running {
        let scratch = TempDir::new().expect("a temporary directory");
        let served = self.existing_directory.clone().unwrap_or_else(|| {
            let served = scratch.path().join("served");
            fs::create_dir(&served).expect("a directory to serve");
            served
        });
        let stderr_path = scratch.path().join("stderr");
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
        command.args(&self.options).stdout(Stdio::piped());
        command.stdin(self.stdin.take().map_or_else(Stdio::null, Stdio::from));
        let file = File::create(&stderr_path).expect("a file for standard error");
        let other = self.stderr.map(|path| File::options().write(true).open(path).expect("a file that exists"));
        command.stderr(other.unwrap_or(file));
        let child = command.spawn().expect("the server as a process");
        Running { child, stderr_path, served, scratch }
    }

    /// The command that runs the server, with its wrapper and its limits.
    fn command(&self) -> Command {
        let mut arguments = self.wrapper.clone();
        if let Some(limit) = &self.limit {
            arguments.extend(["sh", "-c", r#"ulimit $0 && exec "$@""#, limit].map(str::to_owned));
        }
        arguments.push(BINARY.to_owned());
        let mut command = Command::new(&arguments[0]);
        command.args(&arguments[1..]);
        command
    }

    /// Starts the server and waits until it listens.
    pub(crate) fn start(self) -> Server {
        super::raise_descriptor_limit();
        let mut running = self.spawn();
        let stdout = running.child.stdout.take().expect("standard output");
        let banner = first_output(stdout);
        let addresses: Vec<SocketAddr> = banner
            .lines()
            .filter_map(|line| line.strip_prefix("Listening on http://"))
            // In a URL the percent sign before an interface is encoded (RFC 6874).
            .map(|address| address.replacen("%25", "%", 1))
            // The banner of a shared folder also contains the host name, which is left out here.
            .filter_map(|address| address.trim_end_matches('/').parse().ok())
            .collect();
        assert!(banner.contains("Listening on "), "no banner, but {banner:?}; {}", running.stderr());
        let confinement = banner.find("Confined by").or_else(|| banner.find("Not confined")).unwrap_or(banner.len());
        let (banner, confinement) = banner.split_at(confinement);
        Server { running, banner: banner.to_owned(), confinement: confinement.to_owned(), addresses }
    }

    /// Starts a server that is expected to exit by itself.
    pub(crate) fn run_to_exit(self) -> Exited {
        let mut running = self.spawn();
        let mut stdout = running.child.stdout.take().expect("standard output");
        let status = running.wait();
        let mut output = String::new();
        stdout.read_to_string(&mut output).expect("text on standard output");
        Exited { code: status.code(), stdout: output, stderr: running.stderr() }
    }
}

/// The output of the first read, which is the whole banner because the server writes it at once. Empty if the server exits
/// instead.
fn first_output(mut stdout: ChildStdout) -> String {
    let (sender, receiver) = mpsc::channel();
    // The thread ends when the process does.
    thread::spawn(move || {
        let mut space = [0; 4096];
        let bytes = stdout.read(&mut space).unwrap_or(0);
        // Standard output stays open until the server exits, as a terminal would.
        let _ = sender.send(String::from_utf8_lossy(&space[..bytes]).into_owned());
        let _ = stdout.read_to_end(&mut Vec::new());
    });
    receiver.recv_timeout(WAIT_MAX).expect("a banner in time")
}

/// A server that has exited.
#[derive(Debug)]
pub(crate) struct Exited {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A process and its files. Dropping it kills the process.
struct Running {
    child: Child,
    stderr_path: PathBuf,
    served: PathBuf,
    /// Dropping it removes the files.
    #[expect(dead_code, reason = "kept for its drop")]
    scratch: TempDir,
}

impl Running {
    fn raw_stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr_path).expect("standard error")).into_owned()
    }

    /// Without the warning of a server that runs as root, since the tests may.
    fn stderr(&self) -> String {
        self.raw_stderr().split_inclusive('\n').filter(|line| !line.contains(ROOT_WARNING)).collect()
    }

    fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the exit of the server", || {
            status = self.child.try_wait().expect("a child to wait for");
            status.is_some()
        });
        status.expect("a status, since it has exited")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that listens.
pub(crate) struct Server {
    running: Running,
    pub(crate) banner: String,
    /// The last line of the banner, which says how the process is confined.
    pub(crate) confinement: String,
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Server {
    /// A server without a directory.
    pub(crate) fn plain() -> Server {
        Start::new().start()
    }

    /// A server of a new directory.
    pub(crate) fn with_directory() -> Server {
        Start::new().directory().start()
    }

    pub(crate) fn port(&self) -> u16 {
        self.addresses[0].port()
    }

    /// The directory that is served, if any.
    pub(crate) fn directory(&self) -> &Path {
        &self.running.served
    }

    /// Writes a file into the directory.
    pub(crate) fn write_file(&self, name: &str, content: &[u8]) {
        fs::write(self.directory().join(name), content).expect("a file");
    }

    /// The content of a file in the directory; `None` if it cannot be read.
    pub(crate) fn content_of(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.directory().join(name)).ok()
    }

    /// The sorted names of all entries of the directory.
    pub(crate) fn file_names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory()).expect("the directory");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Connects over IPv4.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port()))
    }

    /// Sends a GET request on a new connection, and reads the response.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.connect().get(target)
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.running.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a process to signal");
    }

    /// Stops the process, and waits until it has stopped. Until SIGCONT it does nothing.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        let (_, status) = waitpid(Some(self.pid()), WaitOptions::UNTRACED).expect("a child").expect("its status");
        assert!(status.stopped(), "{status:?}");
    }

    /// Waits until the server has exited. Returns its exit code, or `None` if a signal killed it.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.running.wait().code()
    }

    /// Whether the server is still running.
    pub(crate) fn is_running(&mut self) -> bool {
        self.running.child.try_wait().expect("a child process").is_none()
    }

    /// Everything that the server has written to standard error, with the warning that it runs as root.
    pub(crate) fn raw_stderr(&self) -> String {
        self.running.raw_stderr()
    }

    /// Everything that the server has written to standard error, without that warning.
    pub(crate) fn stderr(&self) -> String {
        self.running.stderr()
    }
}
