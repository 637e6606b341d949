//! Signed links. An input cannot contain one, because no mutation makes a signature: a byte `FC` and a letter stand for a
//! link of this list, without the path that follows it.

use spindle::semantics::link::{KeySource, Link, LinkKeys, LinkRight, SECRET_BYTES, key_line};
use spindle::semantics::rights::{Rights, UploadPolicy};

use super::super::driver::UNIX_NS;

/// Begins a link, in the input.
const LINK: u8 = 0xfc;

/// No upload under such a link is longer, in bytes.
const BYTES_MAX: u64 = 50;

const READ: LinkRight = LinkRight::Read;
const CREATE: LinkRight = LinkRight::Create { bytes_max: None };
const CREATE_SHORT: LinkRight = LinkRight::Create { bytes_max: Some(BYTES_MAX) };

/// The signed path of the first upload of a run, if it is `res` in the root.
const FIRST_UPLOAD: &str = "/.spindle/uploads/00000000000000010000000000000100/res";

/// The links `a`, `b` and so on: what each allows, the decoded path that is signed, and whether it has expired.
const LINKS: [(LinkRight, &str, bool); 10] = [
    (READ, "/", false),
    (READ, "/dir/", false),
    (READ, "/a.txt", false),
    (CREATE, "/", false),
    (CREATE_SHORT, "/dir/", false),
    (CREATE, "/keep/new/", false),
    (READ, "/", true),
    (CREATE, "/", true),
    // The server issues it if the upload begins under the link `d`.
    (LinkRight::Continue { bytes_max: None }, FIRST_UPLOAD, false),
    (LinkRight::Continue { bytes_max: None }, FIRST_UPLOAD, true),
];

/// What a link that was sent allows, and where.
pub(super) struct Granted {
    pub(super) rights: Rights,
    /// A path that ends in a slash is that of a folder.
    pub(super) path: &'static str,
    pub(super) bytes_max: Option<u64>,
}

/// Keys that never change.
pub(super) struct FixedKeys;

impl KeySource for FixedKeys {
    fn read(&mut self) -> Result<LinkKeys, String> {
        Ok(keys())
    }
}

fn keys() -> LinkKeys {
    LinkKeys::parse(key_line(&[1; SECRET_BYTES]).as_bytes()).expect("a key")
}

/// The link with this index, as it is in an address.
fn text_of(index: usize) -> String {
    let (right, path, is_expired) = LINKS[index];
    let segments = path.split('/').filter(|segment| !segment.is_empty()).count();
    let now_unix_s = UNIX_NS / 1_000_000_000;
    let expires_unix_s = if is_expired { now_unix_s } else { now_unix_s + 1_000_000 };
    keys().sign(Link { right, segments, expires_unix_s, id: 7 }, path.as_bytes()).to_string()
}

/// The input with its links in place of their letters.
pub(super) fn write_links(input: &[u8]) -> Vec<u8> {
    let mut parts = input.split(|byte| *byte == LINK);
    let mut written = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        let index = part.first().map(|letter| usize::from(letter.wrapping_sub(b'a')));
        match index.filter(|index| *index < LINKS.len()) {
            Some(index) => {
                written.extend_from_slice(b"/.spindle/link/");
                written.extend_from_slice(text_of(index).as_bytes());
                written.extend_from_slice(&part[1..]);
            }
            None => written.extend_from_slice(part),
        }
    }
    written
}

/// What the links allow together that were sent in these bytes.
pub(super) fn granted(received: &[u8]) -> Vec<Granted> {
    let mut found = Vec::new();
    for (index, (right, path, is_expired)) in LINKS.into_iter().enumerate() {
        if is_expired || memchr::memmem::find(received, text_of(index).as_bytes()).is_none() {
            continue;
        }
        let creates = Rights { reads: false, uploads: UploadPolicy::Create };
        let (rights, bytes_max) = match right {
            LinkRight::Read => (Rights { reads: true, uploads: UploadPolicy::Off }, None),
            LinkRight::Create { bytes_max } | LinkRight::Continue { bytes_max } => (creates, bytes_max),
        };
        let path = if path == FIRST_UPLOAD { "/res" } else { path };
        found.push(Granted { rights, path, bytes_max });
    }
    found
}

impl Granted {
    /// Whether `path` is that of the link, or beneath it.
    pub(super) fn contains(&self, path: &str) -> bool {
        path == self.path || self.path.ends_with('/') && path.starts_with(self.path)
    }
}
