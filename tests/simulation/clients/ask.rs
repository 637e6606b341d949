//! What an honest client asks, and what it must get.

use std::fmt;
use std::rc::Rc;

use crate::simulation::clients::responses::Response;
use crate::simulation::ledger::{Ledger, VersionId, content};

/// A question.
#[derive(Clone)]
pub(crate) enum Ask {
    /// `GET` or `HEAD` of a target whose content is this.
    Get { target: String, is_head: bool, expected: Rc<[u8]> },
    /// A file that may be replaced meanwhile, by its path beneath the root.
    File { target: String, name: String },
    /// An upload, and how its content is sent.
    Upload { target: String, name: String, number: u64, bytes: usize, is_chunked: bool, expects_continue: bool },
    /// A target that is not there.
    Nothing { target: String },
}

/// A question on its way.
pub(crate) struct Asked {
    pub ask: Ask,
    pub version: Option<VersionId>,
    /// What is sent once the server says that it goes on.
    pub held_back: Vec<u8>,
    /// When it was asked.
    pub at_ns: u64,
    /// How long the server had been at work then, and how many flights there had been.
    pub busy_ns: u64,
    pub flights: u64,
}

/// For the trace: without the content.
impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ask::Get { target, is_head, .. } => write!(f, "{} {target}", if *is_head { "HEAD" } else { "GET" }),
            Ask::File { target, .. } => write!(f, "GET {target}, which may change"),
            Ask::Upload { target, bytes, is_chunked, expects_continue, .. } => {
                write!(f, "PUT {target} of {bytes} bytes (chunked: {is_chunked}, expects 100: {expects_continue})")
            }
            Ask::Nothing { target } => write!(f, "GET {target}, which is not there"),
        }
    }
}

impl Ask {
    pub(crate) fn is_head(&self) -> bool {
        matches!(self, Ask::Get { is_head: true, .. })
    }

    /// Whether it may be asked along with others, before those are answered.
    pub(crate) fn may_be_pipelined(&self) -> bool {
        !matches!(self, Ask::Upload { expects_continue: true, .. })
    }

    /// The request's bytes, those that are to be held back until the server goes on, and what is noted of it.
    pub(crate) fn request(&self, ledger: &mut Ledger, now_ns: u64) -> (Vec<u8>, Vec<u8>, Option<VersionId>) {
        match self {
            Ask::Get { target, is_head, .. } => {
                let method = if *is_head { "HEAD" } else { "GET" };
                (format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(), Vec::new(), None)
            }
            Ask::File { target, .. } | Ask::Nothing { target } => {
                (format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(), Vec::new(), None)
            }
            Ask::Upload { target, name, number, bytes, is_chunked, expects_continue } => {
                let content = content(*number, *bytes);
                let framing = match is_chunked {
                    true => "Transfer-Encoding: chunked".to_owned(),
                    false => format!("Content-Length: {bytes}"),
                };
                let expect = if *expects_continue { "Expect: 100-continue\r\n" } else { "" };
                let mut head = format!("PUT {target} HTTP/1.1\r\nHost: a\r\n{framing}\r\n{expect}\r\n").into_bytes();
                let framed = if *is_chunked { chunked(&content, *number) } else { content.to_vec() };
                let version = ledger.sends(name, content, now_ns);
                if *expects_continue {
                    return (head, framed, Some(version));
                }
                head.extend(framed);
                (head, Vec::new(), Some(version))
            }
        }
    }

    /// What is wrong with the response.
    pub(crate) fn check(
        &self,
        asked: &Asked,
        response: &Response,
        ledger: &mut Ledger,
        now_ns: u64,
    ) -> Result<(), String> {
        match self {
            Ask::Get { is_head, expected, .. } => {
                if response.status != 200 {
                    return Err(format!("a status of {}", response.status));
                }
                if !is_head && *response.content != **expected {
                    return Err(format!("{} bytes instead of {}", response.content.len(), expected.len()));
                }
                Ok(())
            }
            Ask::File { name, .. } => {
                let found = match response.status {
                    200 => Some(&response.content[..]),
                    404 => None,
                    status => return Err(format!("a status of {status}")),
                };
                ledger.may_read(name, found, asked.at_ns, now_ns)?;
                match (found, response.field("etag")) {
                    (Some(content), Some(tag)) if tag.starts_with('"') => ledger.tagged(name, tag, content),
                    _ => Ok(()),
                }
            }
            Ask::Upload { .. } => {
                let Some(version) = &asked.version else { return Ok(()) };
                match response.status {
                    200 | 201 | 204 => ledger.acknowledged(version, now_ns),
                    status => {
                        // Where the disk fails behind the name, the file is there, and nobody knows for how long.
                        if status < 500 {
                            ledger.refused(version);
                        }
                        return Err(format!("a status of {status}"));
                    }
                }
                Ok(())
            }
            Ask::Nothing { .. } if response.status == 404 => Ok(()),
            Ask::Nothing { .. } => Err(format!("a status of {}", response.status)),
        }
    }
}

/// Content in the chunked coding, in chunks of random lengths.
pub(crate) fn chunked(content: &[u8], seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut framed, mut rest) = (Vec::new(), content);
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(random.usize(1..=rest.len()));
        framed.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
        rest = behind;
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    framed
}
