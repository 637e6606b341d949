//! The command `spindle link`: makes keys, and links that they sign.

use std::io;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::config::{FolderUrl, LinkCommand, LinkRequest};
use crate::semantics::link::{KeySource, Link, PREFIX, SECRET_BYTES, key_line};
use crate::system::key_file::{self, KeyFile};

/// The bytes that are percent-encoded in a path: all but the slash and the unreserved characters (RFC 3986 §2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Performs the command. Returns the line for standard output; `None` if the command prints nothing.
///
/// `random` returns unpredictable bytes, or `None` if the system has none.
///
/// # Errors
/// One line, if a file cannot be read or written.
pub fn run(
    command: &LinkCommand,
    now_unix_s: u64,
    random: impl FnOnce() -> Option<[u8; SECRET_BYTES]>,
) -> Result<Option<String>, String> {
    let random = || random().ok_or("the system has no random numbers".to_owned());
    match command {
        LinkCommand::Help => Ok(None),
        LinkCommand::NewKey(path) => {
            key_file::create(path, key_line(&random()?).as_bytes()).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => format!("the key file {path:?} exists already, and is never replaced"),
                _ => format!("cannot write the key file {path:?}: {error}"),
            })?;
            Ok(None)
        }
        LinkCommand::Sign(request) => {
            let id = random()?.first_chunk().copied().unwrap_or_default();
            sign(request, now_unix_s, u64::from_be_bytes(id)).map(Some)
        }
    }
}

fn sign(request: &LinkRequest, now_unix_s: u64, id: u64) -> Result<String, String> {
    let LinkRequest { key, right, lifetime_s, url: FolderUrl { origin, path } } = request;
    let keys = KeyFile::new(key).read()?;
    let segments = path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()).count();
    let link = Link { right: *right, segments, expires_unix_s: now_unix_s.saturating_add(*lifetime_s), id };
    let signed = keys.sign(link, path);
    let (prefix, path) = (String::from_utf8_lossy(PREFIX), percent_encode(path, ENCODED));
    Ok(format!("{origin}{prefix}{signed}{path}\n"))
}
