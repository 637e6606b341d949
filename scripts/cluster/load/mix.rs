//! A mixed load over persistent connections: small files, ranges, whole files, uploads, and uploads that are resumed.

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::connection::{Connection, Response};
use crate::content;
use crate::tally::Tally;

/// How often an upload is continued before it is given up, and how long the client waits each time. Together longer than
/// a server takes to notice that a client, or another server, has gone.
const CONTINUATIONS_MAX: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

const UPLOAD_BYTES_MAX: u64 = 16 << 10;
const RESUMED_BYTES_MAX: u64 = 128 << 10;

struct Worker<'a> {
    connection: Connection,
    tally: &'a mut Tally,
    journal: &'a Mutex<File>,
}

/// Sends at least `requests` requests in all, and goes on until standard input ends. An upload that is resumed counts as
/// one, however many it takes.
pub(crate) fn run(address: SocketAddr, workers: u64, requests: u64, journal: &Path, run: &str) -> io::Result<Tally> {
    let journal = Mutex::new(File::options().append(true).create(true).open(journal)?);
    let sent = AtomicU64::new(0);
    let is_last = Arc::new(AtomicBool::new(false));
    let input_ended = Arc::clone(&is_last);
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        input_ended.store(true, Ordering::Relaxed);
    });
    let (large_name, large) = content::large();
    let (middle_name, middle) = content::middle();
    Ok(crate::run_workers(workers, |_, tally| {
        let mut worker = Worker { connection: Connection::new(address), tally, journal: &journal };
        loop {
            let number = sent.fetch_add(1, Ordering::Relaxed);
            if number >= requests && is_last.load(Ordering::Relaxed) {
                return;
            }
            let name = format!("upload-{run}-{number}");
            // Mixes the kinds without a pattern that workers could fall into.
            match number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & 127 {
                0..=3 => worker.upload(&name, number),
                4 => worker.resume(&name, number),
                5..=7 => worker.download("file", &middle_name, &middle),
                8..=11 => worker.range(&large_name, &large, number),
                12 => worker.download("large file", &large_name, &large),
                _ => {
                    let (name, content) = content::small(number);
                    worker.download("small", &name, &content);
                }
            }
        }
    }))
}

impl Worker<'_> {
    fn exchange(&mut self, method: &str, name: &str, fields: &[&str], content: &[u8]) -> Option<Response> {
        self.connection.exchange(self.tally, method, name, fields, content)
    }

    fn download(&mut self, kind: &'static str, name: &str, content: &[u8]) {
        if let Some(response) = self.exchange("GET", name, &[], b"") {
            self.tally.check(kind, response.status == 200 && response.content == content, &response);
        }
    }

    fn range(&mut self, name: &str, content: &[u8], number: u64) {
        let first = (number.wrapping_mul(7919) % (content::LARGE_BYTES as u64 - 5000)) as usize;
        let field = format!("Range: bytes={first}-{}", first + 4095);
        if let Some(response) = self.exchange("GET", name, &[&field], b"") {
            let is_expected = response.status == 206 && response.content == content[first..first + 4096];
            self.tally.check("range", is_expected, &response);
        }
    }

    fn upload(&mut self, name: &str, seed: u64) {
        let content = content::bytes(seed, (seed.wrapping_mul(31) % UPLOAD_BYTES_MAX) as usize);
        if let Some(response) = self.exchange("PUT", name, &[], &content)
            && self.tally.check("upload", response.status == 201, &response)
        {
            self.acknowledged(name, seed, content.len());
        }
    }

    /// Creates an upload with a part of its content, breaks off in the middle of the next part, and continues with what
    /// the server has.
    fn resume(&mut self, name: &str, seed: u64) {
        let content = content::bytes(seed, (2 + seed.wrapping_mul(31) % RESUMED_BYTES_MAX) as usize);
        let third = content.len() / 3;
        let Some(created) = self.exchange("POST", name, &["Upload-Complete: ?0"], &content[..third]) else { return };
        if !self.tally.check("resumable upload begun", created.status == 201, &created) {
            return;
        }
        let Some(location) = created.location else { return self.tally.fail("POST: no Location".to_owned()) };
        let mut servers: Vec<String> = created.served_by.into_iter().collect();
        let fields = append_fields(third);
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let (part, rest) = (&content[third..2 * third], content.len() - third);
        // The server may have closed the connection, which is no failure of a request that is meant to fail.
        if self.connection.send(self.tally, "PATCH", &location, &fields, part, rest).is_ok() {
            self.tally.note("uploads broken off by the client");
        }
        self.connection.close();
        self.continue_upload(name, seed, &content, &location, &mut servers);
        servers.dedup();
        if servers.len() > 1 {
            self.tally.note("uploads continued on another server");
        }
    }

    fn continue_upload(&mut self, name: &str, seed: u64, content: &[u8], location: &str, servers: &mut Vec<String>) {
        for _ in 0..CONTINUATIONS_MAX {
            let Some(state) = self.exchange("HEAD", location, &[], b"") else { continue };
            servers.extend(state.served_by);
            let offset = match (state.status, state.upload_offset) {
                (204, Some(offset)) if offset <= content.len() => offset,
                // Another server is still receiving the request that the client broke off.
                (503, _) => {
                    self.tally.note("offset retrieved too early");
                    thread::sleep(PAUSE);
                    continue;
                }
                (status, offset) => return self.tally.fail(format!("HEAD: status {status}, offset {offset:?}")),
            };
            let fields = append_fields(offset);
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            let Some(response) = self.exchange("PATCH", location, &fields, &content[offset..]) else { continue };
            servers.extend(response.served_by.clone());
            match response.status {
                201 => {
                    self.tally.check("resumable upload completed", true, &response);
                    return self.acknowledged(name, seed, content.len());
                }
                // The request that the client broke off arrived after the offset was retrieved.
                409 | 503 => {
                    self.tally.note("continued too early");
                    thread::sleep(PAUSE);
                }
                _ => {
                    self.tally.check("PATCH", false, &response);
                    return;
                }
            }
        }
        self.tally.fail("a resumable upload was given up".to_owned());
    }

    fn acknowledged(&mut self, name: &str, seed: u64, length: usize) {
        let line = format!("{name} {seed} {length}\n");
        let written =
            self.journal.lock().map_err(|_| ()).and_then(|mut file| file.write_all(line.as_bytes()).map_err(|_| ()));
        if written.is_err() {
            self.tally.fail("the journal cannot be written".to_owned());
        }
    }
}

fn append_fields(offset: usize) -> [String; 3] {
    [
        "Content-Type: application/partial-upload".to_owned(),
        "Upload-Complete: ?1".to_owned(),
        format!("Upload-Offset: {offset}"),
    ]
}
