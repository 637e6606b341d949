//! The requests that the connections of a swarm send.

use std::fmt::Write as _;

/// The approximate size of a batch of requests.
const BATCH_BYTES: usize = 16 * 1024;

const RANGES: usize = 60;

/// About the longest that fits into a request line of 16 KiB.
const ECHO_BYTES: usize = 15_000;

pub(crate) enum Payload {
    /// An unlimited number of uploads of one byte, each with a new name.
    Uploads { count: u64 },
    /// The same bytes, repeated without limit.
    Repeated(Vec<u8>),
    /// These bytes, once on each connection.
    Once(&'static [u8]),
    /// The first bytes once on each connection, and then the others once a second.
    Trickle(&'static [u8], &'static [u8]),
    /// These bytes, once on each connection, which then reads nothing.
    Unread(&'static [u8]),
    /// An unlimited number of resumable uploads that are begun and not continued.
    Pending { count: u64 },
}

impl Payload {
    /// Fills an empty buffer with the next bytes of a connection. It stays empty if there is nothing more to send.
    pub(crate) fn fill(&mut self, is_first: bool, outgoing: &mut Vec<u8>) {
        match self {
            Payload::Uploads { count } => {
                let mut text = String::with_capacity(BATCH_BYTES + 128);
                while text.len() < BATCH_BYTES {
                    *count += 1;
                    let _ = write!(text, "PUT /files/upload-{count} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
                }
                outgoing.extend_from_slice(text.as_bytes());
            }
            Payload::Pending { count } => {
                let mut text = String::new();
                while text.len() < BATCH_BYTES {
                    *count += 1;
                    let _ = write!(
                        text,
                        "POST /files/pending-{count} HTTP/1.1\r\nHost: a\r\nUpload-Draft-Interop-Version: 8\r\n\
                         Upload-Complete: ?0\r\nContent-Length: 1\r\n\r\nx"
                    );
                }
                outgoing.extend_from_slice(text.as_bytes());
            }
            Payload::Repeated(batch) => outgoing.extend_from_slice(batch),
            Payload::Once(bytes) | Payload::Trickle(bytes, _) | Payload::Unread(bytes) if is_first => {
                outgoing.extend_from_slice(bytes);
            }
            Payload::Once(_) | Payload::Trickle(..) | Payload::Unread(_) => {}
        }
    }

    /// What each connection sends once a second.
    pub(crate) fn trickle(&self) -> Option<&'static [u8]> {
        match self {
            Payload::Trickle(_, bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Whether the connections read responses.
    pub(crate) fn reads(&self) -> bool {
        !matches!(self, Payload::Unread(_))
    }
}

/// The payload of an attack, by its name.
pub(crate) fn named(name: &str) -> Result<Payload, String> {
    Ok(match name {
        "uploads" => Payload::Uploads { count: 0 },
        "ranges" => Payload::Repeated(repeated(&ranges())),
        "gzip" => Payload::Repeated(repeated(&compressed_echo())),
        "idle" => Payload::Once(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        "silent" => Payload::Once(b""),
        "heads" => Payload::Trickle(b"GET / HTTP/1.1\r\nHost: a\r\n", b"A: b\r\n"),
        "content" => Payload::Trickle(
            b"PUT /files/trickle HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n",
            b"xxxxxxxxxxxxxxxx",
        ),
        "drains" => Payload::Trickle(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"x"),
        "readers" => Payload::Unread(b"GET /files/large HTTP/1.1\r\nHost: a\r\n\r\n"),
        "pending" => Payload::Pending { count: 0 },
        "half" => Payload::Once(b"GET / HTTP/1.1\r\nHost: a\r\nX-Half-A-He"),
        _ => return Err(format!("unknown payload: {name}")),
    })
}

fn repeated(request: &str) -> Vec<u8> {
    request.repeat(BATCH_BYTES.div_ceil(request.len())).into_bytes()
}

fn ranges() -> String {
    let ranges: Vec<String> =
        (0..RANGES).map(|range| format!("{}-{}", range * 10_000, range * 10_000 + range)).collect();
    format!("GET /files/ranged HTTP/1.1\r\nHost: a\r\nRange: bytes={}\r\n\r\n", ranges.join(","))
}

fn compressed_echo() -> String {
    format!("GET /echo/{} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n", text(ECHO_BYTES))
}

/// Pseudo-random letters, which take some work to compress.
pub(crate) fn text(bytes: usize) -> String {
    let mut state: u32 = 1;
    let letters = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        char::from(b'a' + u8::try_from(state >> 16 & 0xf).unwrap_or(0))
    });
    letters.take(bytes).collect()
}
