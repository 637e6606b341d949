//! A client without a socket, for the routes with any file system.

#![allow(dead_code, reason = "several test programs include this, and none uses all of it")]

use spindle::http1::{Connection, Settings, Shared, Step, Transmit};
use spindle::routes::{FileRoutes, FolderKind, FolderRoutes, FolderSettings, Routes, UploadSettings};
use spindle::semantics::Now;
use spindle::semantics::allowed_hosts::AllowedHosts;
use spindle::semantics::client;
use spindle::semantics::rights::UploadPolicy;
use spindle::semantics::service::Service;
use spindle::storage::{Directory, FileSystem};

/// The routes of a shared folder in which everybody may do everything, with at most `open_files_max` files kept open.
pub(crate) fn shared_folder<F: FileSystem>(directory: Directory<F>, open_files_max: usize) -> Routes<F> {
    folder(directory, open_files_max, false)
}

/// The same, where each change is flushed to the disk before its response.
pub(crate) fn durable_folder<F: FileSystem>(directory: Directory<F>) -> Routes<F> {
    folder(directory, 0, true)
}

fn folder<F: FileSystem>(directory: Directory<F>, open_files_max: usize, durable: bool) -> Routes<F> {
    let uploads = UploadSettings {
        policy: UploadPolicy::Manage,
        bytes_max: None,
        durable,
        age_s_max: 86_400,
        pending_max: usize::MAX,
    };
    let mut random = fastrand::Rng::with_seed(1);
    let files = FileRoutes::new(directory, uploads, open_files_max, 1, Box::new(move || Some(random.u128(..))));
    let settings = FolderSettings {
        name: b"folder".to_vec(),
        shows_hidden: false,
        kind: FolderKind::Listed,
        hosts: AllowedHosts::new(&[], None),
    };
    Routes::shared_folder(FolderRoutes::new(files, settings))
}

/// A client without a socket.
pub(crate) struct Client<F: FileSystem> {
    connection: Connection<Routes<F>>,
    shared: Shared,
    routes: Routes<F>,
    pub(crate) now: Now,
    /// How often the connection has processed or sent something since the client was made. The loop serves other
    /// connections between any two of these steps.
    pub(crate) steps: usize,
    /// How many uploads were left to be committed together with others.
    pub(crate) deferred: usize,
}

impl<F: FileSystem> Client<F> {
    pub(crate) fn new(routes: Routes<F>) -> Client<F> {
        // The year 2100, so that no file was changed recently.
        let now = Now { monotonic_ns: 0, unix_ns: 4_102_444_800_000_000_000 };
        let shared = Shared::new(Settings::default());
        Client { connection: Client::connect(&shared, &now), shared, routes, now, steps: 0, deferred: 0 }
    }

    fn connect(shared: &Shared, now: &Now) -> Connection<Routes<F>> {
        Connection::new(client::Client::Unix, 0, shared, now)
    }

    /// Returns the response to a request that fits into the input buffer.
    pub(crate) fn request(&mut self, request: &str) -> String {
        let response = self.exchange(request.as_bytes()).expect("the connection stays open");
        String::from_utf8_lossy(&response).into_owned()
    }

    /// As [`request`](Client::request). `None` if the server has closed the connection, because the response could not be
    /// completed. The next request then gets a new connection.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        self.connection.input_space(&mut self.shared, &self.now)[..request.len()].copy_from_slice(request);
        self.connection.received(request.len(), &self.now);
        let mut response = Vec::new();
        for _ in 0..1_000_000 {
            self.steps += 1;
            let step = self.connection.process(&mut self.routes, &mut self.shared, &self.now);
            let is_idle = step.is_idle();
            if let Step::Deferred(commit) = step {
                self.deferred += 1;
                for ((), response) in self.routes.commit(vec![((), *commit)], &self.now) {
                    self.connection.committed(response, &mut self.shared, &self.now);
                }
            }
            let taken = match self.connection.transmit(&self.now) {
                None => {
                    if is_idle && self.connection.flush_content(&mut self.shared, &self.now) == Step::Idle {
                        self.connection.release_idle_memory(&mut self.shared);
                        return Some(response);
                    }
                    continue;
                }
                Some(Transmit::Bytes { bytes, .. }) => {
                    response.extend_from_slice(bytes);
                    bytes.len()
                }
                Some(Transmit::File { file, .. }) => {
                    let mut space = [0; 1000];
                    let bytes = file.read_at(&mut space).expect("the file can be read");
                    response.extend_from_slice(&space[..bytes]);
                    bytes
                }
                Some(Transmit::Pending) => 0,
                Some(Transmit::NotInMemory) => panic!("what a test has just written is in memory"),
                Some(Transmit::End | Transmit::Abort) => {
                    self.connection = Client::connect(&self.shared, &self.now);
                    return None;
                }
            };
            self.connection.transmitted(taken as u64, &mut self.shared, &self.now);
        }
        panic!("the response does not end");
    }

    /// Sends a request of any length, and reads nothing of its response. Returns how many bytes of buffers the connection
    /// has then.
    pub(crate) fn leave_unread(&mut self, request: &[u8]) -> usize {
        let mut unsent = request;
        while !unsent.is_empty() {
            let space = self.connection.input_space(&mut self.shared, &self.now);
            let bytes = space.len().min(unsent.len());
            space[..bytes].copy_from_slice(&unsent[..bytes]);
            unsent = &unsent[bytes..];
            self.connection.received(bytes, &self.now);
            while !self.connection.process(&mut self.routes, &mut self.shared, &self.now).is_idle() {}
            while self.connection.flush_content(&mut self.shared, &self.now) != Step::Idle {}
        }
        assert!(self.connection.transmit(&self.now).is_some(), "there is a response");
        self.connection.memory_bytes()
    }

    pub(crate) fn get(&mut self, target: &str) -> String {
        self.request(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    pub(crate) fn put(&mut self, target: &str, fields: &str, content: &str) -> String {
        let length = content.len();
        self.request(&format!(
            "PUT {target} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\n\r\n{content}"
        ))
    }
}

pub(crate) fn status(response: &str) -> u16 {
    response.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a response")
}

pub(crate) fn content(response: &str) -> &str {
    response.split_once("\r\n\r\n").expect("a head").1
}
