//! Chooses operations on the managed names, and encodes them as requests.

use std::rc::Rc;

use fastrand::Rng;

use super::Plan;
use crate::simulation::managed::ManagedNames;
use crate::simulation::managed::tree::{Condition, Operation};
use crate::simulation::scenario::one_of;

/// The paths below the directory of the managed names. Each may become a file or a directory.
const PATHS: [&str; 10] = ["one", "one", "one", "two", "two", "box", "box", "bag", "box/in", "bag/in"];

/// Pairs of paths between which files are moved.
const PAIRS: [(&str, &str); 6] =
    [("one", "two"), ("two", "one"), ("one", "box/in"), ("box/in", "one"), ("two", "box/in"), ("box/in", "two")];

/// A request as it is sent.
pub(super) struct EncodedRequest {
    pub bytes: Vec<u8>,
    /// The path of the destination of a MOVE.
    pub destination: Option<String>,
}

/// Chooses an operation. Returns it with the content that it sends.
pub(super) fn generate(names: &mut ManagedNames, sends_large: bool, random: &mut Rng) -> (Operation, Rc<[u8]>) {
    // Otherwise most requests would be for names that do not exist.
    let recent = names.recent.clone().filter(|_| random.bool());
    let path = recent.unwrap_or_else(|| one_of(random, &PATHS).to_owned());
    let only = |path: &str, random: &mut Rng| {
        let tag = names.tag_of(path).filter(|_| random.u8(..3) == 0);
        tag.map(|(_, content)| content)
    };
    let operation = match random.u8(..20) {
        0..=3 => Operation::Get { path },
        4..=8 => {
            // Most are stored at the top, and moves take them into directories.
            let path = if random.u8(..4) > 0 { one_of(random, &["one", "two"]).to_owned() } else { path };
            let condition = match (random.u8(..4), only(&path, random)) {
                (0, _) => Condition::Absent,
                (_, Some(content)) => Condition::Content(content),
                (_, None) => Condition::Nothing,
            };
            let bytes = content_bytes(sends_large, random);
            let (content, bytes_sent) = names.new_content(bytes);
            return (Operation::Put { path, content, bytes, condition, in_form: false }, bytes_sent);
        }
        9..=11 => {
            let only = only(&path, random);
            Operation::Delete { path, as_directory: random.u8(..4) == 0, only }
        }
        12 | 13 => {
            Operation::CreateDirectory { path: one_of(random, &["box", "bag", "box", "bag/in", "one"]).to_owned() }
        }
        _ => {
            // Half of the moves are between names that often exist.
            let (from, to) = match random.bool() {
                true => one_of(random, &PAIRS),
                false => (&*path, one_of(random, &PATHS)),
            };
            let only = only(from, random);
            let (as_directory, replaces) = (random.u8(..6) == 0, random.u8(..3) > 0);
            Operation::Move { from: from.to_owned(), to: to.to_owned(), as_directory, replaces, only }
        }
    };
    (operation, Rc::from([]))
}

/// The length of a content. Shorter ones would not be different from each other.
pub(super) fn content_bytes(sends_large: bool, random: &mut Rng) -> usize {
    if sends_large { one_of(random, &[40, 700, 700, 70_000]) } else { one_of(random, &[40, 700, 700, 1_001]) }
}

pub(super) fn encode(operation: &Operation, content: &[u8], plan: &Plan, random: &mut Rng) -> EncodedRequest {
    let names = plan.names.borrow();
    let target = |path: &str, has_slash: bool| format!("{}{path}{}", plan.target, if has_slash { "/" } else { "" });
    let if_match = |path: &str, only: Option<usize>| {
        // The tag may be a later one by now, of other content.
        let tag = names.tag_of(path).filter(|(_, content)| Some(*content) == only);
        only.map(|_| format!("If-Match: {}\r\n", tag.map_or("\"gone\"".to_owned(), |(tag, _)| tag)))
    };
    let mut destination = None;
    let (method, path, fields) = match operation {
        Operation::Get { path } => ("GET", target(path, false), String::new()),
        Operation::Put { path, bytes, condition, .. } => {
            let condition = match condition {
                Condition::Nothing => None,
                Condition::Absent => Some("If-None-Match: *\r\n".to_owned()),
                Condition::Content(content) => if_match(path, Some(*content)),
            };
            let fields = format!("Content-Length: {bytes}\r\n{}", condition.unwrap_or_default());
            ("PUT", target(path, false), fields)
        }
        Operation::Delete { path, as_directory, only } => {
            ("DELETE", target(path, *as_directory), if_match(path, *only).unwrap_or_default())
        }
        Operation::CreateDirectory { path } => ("MKCOL", target(path, random.bool()), String::new()),
        Operation::Move { from, to, as_directory, replaces, only } => {
            let path = target(to, *as_directory);
            let authority = if random.u8(..3) == 0 { "http://a" } else { "" };
            let overwrite = match replaces {
                true => one_of(random, &["", "Overwrite: T\r\n"]),
                false => "Overwrite: F\r\n",
            };
            let condition = if_match(from, *only).unwrap_or_default();
            let fields = format!("Destination: {authority}{path}\r\n{overwrite}{condition}");
            destination = Some(path);
            ("MOVE", target(from, false), fields)
        }
    };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    EncodedRequest { bytes: [head.as_bytes(), content].concat(), destination }
}
