//! Clients that send malformed requests: mutated, truncated, too long, or with contradictory framing. They read
//! everything, and no reset may destroy the response.

use fastrand::Rng;

use crate::simulation::clients::responses::{Parsed, parse};
use crate::simulation::clients::{Client, ClientSocket};
use crate::simulation::network::MILLISECOND;

/// Sends bytes at once, possibly half-closes, and reads until the server ends the connection.
pub(crate) struct OneShotClient {
    bytes: Vec<u8>,
    ends: bool,
    /// The last response must have one of these statuses; any if there are none.
    statuses: &'static [u16],
    may_be_ended: bool,
    has_begun: bool,
    read: Vec<u8>,
    is_done: bool,
    violation: Option<String>,
}

impl OneShotClient {
    pub(crate) fn new(bytes: Vec<u8>, ends: bool, statuses: &'static [u16], may_be_ended: bool) -> OneShotClient {
        OneShotClient {
            bytes,
            ends,
            statuses,
            may_be_ended,
            has_begun: false,
            read: Vec::new(),
            is_done: false,
            violation: None,
        }
    }

    /// What was wrong with the responses.
    fn check(&self, saw_the_end: bool) -> Result<(), String> {
        if !saw_the_end {
            return Err("a reset came before the end".to_owned());
        }
        let (mut rest, mut last) = (&self.read[..], None);
        // Each iteration takes a response.
        while !rest.is_empty() {
            match parse(rest, false, true) {
                Parsed::Response(response) => {
                    rest = &rest[response.bytes..];
                    last = Some(response.status);
                }
                Parsed::Partial => return Err("a response was cut short".to_owned()),
                Parsed::Malformed(reason) => return Err(reason),
            }
        }
        match last {
            _ if self.statuses.is_empty() => Ok(()),
            Some(status) if self.statuses.contains(&status) => Ok(()),
            other => Err(format!("it received {other:?}, and not one of {:?}", self.statuses)),
        }
    }
}

impl Client for OneShotClient {
    fn act(&mut self, socket: &mut ClientSocket<'_>) {
        if self.is_done {
            return;
        }
        if !self.has_begun {
            self.has_begun = true;
            socket.send(&self.bytes);
            if self.ends {
                socket.end();
            }
        }
        let read = socket.read(usize::MAX);
        self.read.extend(read);
        let saw_the_end = socket.has_ended();
        if !saw_the_end && !socket.is_lost() {
            return;
        }
        self.is_done = true;
        socket.close();
        if self.may_be_ended || socket.may_have_other_causes() {
            return;
        }
        socket.count("malformed request");
        if let Err(about) = self.check(saw_the_end) {
            let now_ms = socket.now_ns() / MILLISECOND;
            let sent = String::from_utf8_lossy(&self.bytes[..self.bytes.len().min(300)]);
            self.violation = Some(format!("at {now_ms} ms, it sent {sent:?}: {about}"));
        }
    }

    fn violation(&self) -> Option<String> {
        self.violation.clone()
    }

    fn name(&self) -> &'static str {
        "malformed"
    }
}

/// Mutates a request at some places.
pub(crate) fn mutate(mut request: Vec<u8>, random: &mut Rng) -> Vec<u8> {
    for _ in 0..random.usize(1..=4) {
        if request.is_empty() {
            break;
        }
        let at = random.usize(..request.len());
        match random.u8(..7) {
            0 => request[at] ^= 1 << random.u8(..8),
            1 => request.truncate(at),
            2 => drop(request.remove(at)),
            3 => request.insert(at, [b' ', b'\t', b'\r', b'\n', b':', 0, b'x', 0xff][random.usize(..8)]),
            4 => {
                let end = random.usize(at..request.len());
                let again = request[at..end].to_vec();
                request.splice(at..at, again);
            }
            5 => swap_lines(&mut request, random),
            _ => {
                // Obsolete line folding.
                if let Some(line) = memchr::memmem::find(&request[at..], b"\r\n").map(|line| at + line + 2) {
                    request.insert(line, b' ');
                }
            }
        }
    }
    request
}

fn swap_lines(request: &mut Vec<u8>, random: &mut Rng) {
    let mut lines: Vec<Vec<u8>> = request.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (one, other) = (random.usize(..lines.len()), random.usize(..lines.len()));
    lines.swap(one, other);
    *request = lines.concat();
}

/// A request that must be refused, and the allowed statuses.
pub(crate) fn refused(get: &str, put: &str, random: &mut Rng) -> (Vec<u8>, &'static [u16]) {
    let with = |fields: &str| get.replacen("\r\n\r\n", &format!("\r\n{fields}\r\n\r\n"), 1).into_bytes();
    let many_fields = (0..101).map(|number| format!("f{number}: x\r\n")).collect::<String>();
    match random.u8(..9) {
        0 => (get.replacen(" HTTP", &format!("?{} HTTP", "q".repeat(17_000)), 1).into_bytes(), &[414]),
        1 => (with(&format!("Cookie: {}", "c".repeat(33_000))), &[431]),
        2 => (with(many_fields.trim_end()), &[431]),
        3 => (with("Transfer-Encoding: chunked\r\nContent-Length: 3"), &[400]),
        4 => (with("X: y\r\n z"), &[400]),
        5 => (with("Content-Length: 1\r\nContent-Length: 1"), &[400]),
        6 => (put.replacen("Content-Length", "Transfer-Encoding: chunked\r\nX", 1).into_bytes(), &[400, 408]),
        7 => (with("Expect: a-miracle"), &[417]),
        _ => ([get.as_bytes(), b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"].concat(), &[400]),
    }
}
