//! The process of the browser, and the pipe over which it is controlled.
//!
//! The messages of the DevTools protocol are JSON, each terminated by a NUL byte. With `--remote-debugging-pipe` they are sent
//! over two file descriptors instead of a WebSocket, and the browser exits when these are closed, even if this process crashes.
//! No library is used: `headless_chrome` compiles the whole protocol and needs 2.5 GiB of memory to build, and the WebDriver
//! clients depend on an asynchronous runtime and an HTTP stack.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{WAIT_MAX, wait_until};

/// Most of them keep the browser from sending requests that do not come from the pages under test.
const OPTIONS: [&str; 16] = [
    "--headless",
    // As root in a container, Chromium cannot create its sandbox. All pages come from the test.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,OptimizationHints,MediaRouter,Translate",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
];

/// A running browser, which exits when this is dropped.
pub(crate) struct Chromium {
    child: Child,
    commands: Option<ChildStdin>,
    messages: Receiver<Value>,
    last_id: u64,
    /// All events so far, in order.
    pub(crate) events: Vec<Value>,
    /// For its profile and its downloads.
    directory: TempDir,
}

impl Chromium {
    /// Starts the browser. Returns `None`, after printing the reason, if it is not installed.
    ///
    /// # Panics
    /// If it is not installed and `CI=true`.
    pub(crate) fn start(options: &[&str]) -> Option<Chromium> {
        let Some(program) = ["chromium", "chromium-browser"].into_iter().find(|name| is_installed(name)) else {
            assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "chromium is missing");
            println!("skipped: chromium is missing (on Debian: apt-get install chromium)");
            return None;
        };
        let directory = TempDir::new().expect("a temporary directory");
        let mut child = Command::new("sh")
            // The browser reads commands from descriptor 3 and writes to 4.
            .args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#, "sh", program])
            .args(OPTIONS)
            .arg(format!("--user-data-dir={}", directory.path().join("profile").display()))
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium as a process");
        let commands = child.stdin.take();
        let messages = read_messages(child.stdout.take().expect("standard output"));
        Some(Chromium { child, commands, messages, last_id: 0, events: Vec::new(), directory })
    }

    /// The directory of its downloads.
    pub(crate) fn downloads(&self) -> &Path {
        self.directory.path()
    }

    /// Sends a command and waits for its result.
    ///
    /// # Errors
    /// The browser's error message.
    pub(crate) fn try_call(&mut self, session: Option<&str>, method: &str, params: Value) -> Result<Value, String> {
        self.last_id += 1;
        let mut command = json!({ "id": self.last_id, "method": method, "params": params });
        if let Some(session) = session {
            command["sessionId"] = json!(session);
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.commands.as_mut().expect("a pipe").write_all(&bytes).expect("a browser that reads");
        loop {
            let mut message = self.receive(method);
            if message["id"] != self.last_id {
                self.events.push(message);
                continue;
            }
            return match message["error"]["message"].as_str() {
                Some(error) => Err(error.to_owned()),
                None => Ok(message["result"].take()),
            };
        }
    }

    /// Waits for an event after the first `seen` ones, and returns its parameters.
    pub(crate) fn wait_for_event(&mut self, seen: usize, method: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let mut at = seen;
        loop {
            while at == self.events.len() {
                let event = self.receive(method);
                self.events.push(event);
            }
            let event = &self.events[at];
            if event["method"] == method && is_wanted(&event["params"]) {
                return event["params"].clone();
            }
            at += 1;
        }
    }

    fn receive(&mut self, awaited: &str) -> Value {
        self.messages.recv_timeout(3 * WAIT_MAX).unwrap_or_else(|_| panic!("timed out waiting for {awaited}"))
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Closing the pipe makes the browser exit. Its profile can only be removed after that.
        self.commands = None;
        if !thread::panicking() {
            wait_until("the exit of the browser", || self.child.try_wait().is_ok_and(|status| status.is_some()));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Reads the messages in a thread, so that waiting for one can time out. The thread ends with the browser.
fn read_messages(stdout: ChildStdout) -> Receiver<Value> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for message in BufReader::new(stdout).split(0) {
            let Ok(message) = message else { return };
            let message = serde_json::from_slice(&message).expect("a message of the protocol");
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    receiver
}
