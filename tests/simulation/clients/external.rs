//! Clients of files that other processes change. A file may exist or not, but its content must be one version, or be
//! cut short, and it must never come from outside of the root.

use std::rc::Rc;

use fastrand::Rng;

use crate::simulation::clients::responses::{Parsed, Response, bytes_at_least, parse};
use crate::simulation::clients::{Client, ClientSocket};
use crate::simulation::disk::{Action, Disk};
use crate::simulation::file_model::content;
use crate::simulation::network::START_UNIX_NS;
use crate::simulation::scenario::one_of;

/// A file outside of the root.
const SECRET: &str = "/outside/secret";

/// A file that other processes may create, and that clients may only create: none of them may replace it.
const TAKEN: &str = "others/taken";

/// Another process creates that file just before this rename that never replaces, so that a MOVE comes too late that
/// found the name free.
pub(crate) const MOVE_THAT_COMES_TOO_LATE: u64 = 1;

/// The length to which another process truncates the file.
const CUT_BYTES: usize = 10;

/// The versions that other processes write.
fn version(number: usize) -> Rc<[u8]> {
    content(2_000_000 + number as u64, [5_000, 40_000, 12_000][number % 3])
}

const VERSIONS: usize = 3;

/// What other processes write to [`TAKEN`].
fn taken() -> Rc<[u8]> {
    content(2_999_998, 200)
}

fn secret() -> Rc<[u8]> {
    content(2_999_999, 300)
}

/// Creates the files before the run.
pub(crate) fn write_files(disk: &Disk) {
    for directory in ["others", "others/box"] {
        disk.add_directory(directory);
    }
    let long_ago_ns = i128::from(START_UNIX_NS) - 86_400_000_000_000;
    disk.add_file("others/page", &version(0), long_ago_ns);
    disk.add_file("others/box/inner", &version(0), long_ago_ns);
    disk.add_file(SECRET, &secret(), long_ago_ns);
}

/// What other processes do, between any two calls of the server.
pub(crate) fn actions() -> Vec<Action> {
    let page = || "others/page".to_owned();
    let link = |target: &str| Action::SoftLink { target: target.to_owned(), path: "others/way".to_owned() };
    let moved = |from: &str, to: &str| Action::Move { from: from.to_owned(), to: to.to_owned() };
    let renamed = |from: &str, to: &str| Action::Rename {
        directory: "others".to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    };
    let mut actions = vec![
        Action::Truncate { path: page(), bytes: CUT_BYTES },
        Action::Unlink { path: page() },
        link("/outside"),
        link("../../outside"),
        link("box"),
        Action::Unlink { path: "others/way".to_owned() },
        moved("others/box", "/outside/box"),
        moved("/outside/box", "others/box"),
        renamed("page", "paper"),
        renamed("paper", "page"),
        Action::Unlink { path: TAKEN.to_owned() },
    ];
    actions.push(takes_name());
    actions.extend((0..VERSIONS).map(|number| Action::Replace { path: page(), content: version(number).to_vec() }));
    actions
}

/// Another process creates the file that clients may only create.
pub(crate) fn takes_name() -> Action {
    Action::Create { path: TAKEN.to_owned(), content: taken().to_vec() }
}

/// Moves back what another process has moved away.
pub(crate) fn bring_back(disk: &Disk) {
    // Does nothing if it has not been moved.
    disk.act(&Action::Move { from: "/outside/box".to_owned(), to: "others/box".to_owned() });
}

/// Checks the files outside of the root after the run, and the files that other processes have created.
pub(crate) fn check_files(disk: &Disk) -> Result<(), String> {
    if disk.was_created_by_others(TAKEN) && disk.read(TAKEN).as_deref() != Some(&taken()[..]) {
        return Err("a file of another process was replaced, although Overwrite was F".to_owned());
    }
    if disk.read(SECRET).as_deref() != Some(&secret()[..]) {
        return Err("a file outside of the root was changed".to_owned());
    }
    match disk.names("/outside").iter().find(|name| !["secret", "box"].contains(&name.as_str())) {
        Some(name) => Err(format!("{name:?} was created outside of the root")),
        None => Ok(()),
    }
}

/// A client of files that other processes change.
pub(crate) struct ExternalChangeClient {
    request: Vec<u8>,
    is_page: bool,
    read: Vec<u8>,
    /// How many bytes are needed before another attempt to parse is worthwhile.
    parses_from: usize,
    is_done: bool,
    violation: Option<String>,
}

impl ExternalChangeClient {
    /// `target_of` gives the target of a path below the root.
    pub(crate) fn new(target_of: impl Fn(&str) -> String, random: &mut Rng) -> ExternalChangeClient {
        let read =
            ["others/page", "others/page", "others/box/inner", "others/way/secret", "others/way/inner", "others/got"];
        let written = ["others/box/new", "others/way/new", "others/way"];
        let (name, request) = match random.u8(..8) {
            0..=2 => {
                let name = one_of(random, &read);
                (name, format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target_of(name)))
            }
            3 => {
                let target = target_of(one_of(random, &written));
                ("", format!("PUT {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nmine"))
            }
            4 => ("", form(&target_of(one_of(random, &["others/box/", "others/way/"])))),
            _ => ("", change(&target_of, random)),
        };
        ExternalChangeClient {
            request: request.into_bytes(),
            is_page: name == "others/page",
            read: Vec::new(),
            parses_from: 0,
            is_done: false,
            violation: None,
        }
    }

    fn check(&self, response: &Response) -> Result<(), String> {
        if *response.content == *secret() {
            return Err("a file outside of the root was sent".to_owned());
        }
        let is_version = |number: usize| {
            let whole = version(number);
            *response.content == *whole || response.content == whole[..CUT_BYTES]
        };
        if response.status == 200 && self.is_page && !(0..VERSIONS).any(is_version) {
            return Err(format!("{} bytes that are no version", response.content.len()));
        }
        Ok(())
    }
}

/// A form with one file.
fn form(target: &str) -> String {
    let content = "--b\r\nContent-Disposition: form-data; name=f; filename=\"new\"\r\n\r\nmine\r\n--b--\r\n";
    let fields = format!("Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}", content.len());
    format!("POST {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{content}")
}

/// A request to delete, move or create something of what other processes change, possibly outside of the root.
fn change(target_of: &impl Fn(&str) -> String, random: &mut Rng) -> String {
    let moved = |from: &str, to: &str, overwrite: &str| {
        let fields = format!("Destination: {}\r\nOverwrite: {overwrite}\r\n", target_of(to));
        format!("MOVE {} HTTP/1.1\r\nHost: a\r\n{fields}\r\n", target_of(from))
    };
    let plain = |method: &str, name: &str| format!("{method} {} HTTP/1.1\r\nHost: a\r\n\r\n", target_of(name));
    match random.u8(..10) {
        0..=3 => moved("others/page", TAKEN, "F"),
        4 => moved("others/box/inner", TAKEN, "F"),
        5 => moved(one_of(random, &["others/way/secret", "others/way", "others/page"]), "others/got", "T"),
        6 => moved("others/page", "others/way/got", "T"),
        7 => plain("DELETE", one_of(random, &["others/page", "others/way", "others/box/inner"])),
        8 => plain("DELETE", "others/way/secret"),
        _ => plain("MKCOL", "others/way/directory"),
    }
}

impl Client for ExternalChangeClient {
    fn act(&mut self, socket: &mut ClientSocket<'_>) {
        if self.is_done {
            return;
        }
        let request = std::mem::take(&mut self.request);
        socket.send(&request);
        self.read.extend(socket.read(usize::MAX));
        let has_ended = socket.has_ended() || socket.is_lost();
        if self.read.len() < self.parses_from && !has_ended {
            return;
        }
        match parse(&self.read, false, false) {
            Parsed::Response(response) => {
                self.violation = self.check(&response).err();
                socket.count(&format!("external changes: response {}", response.status));
            }
            Parsed::Malformed(reason) => self.violation = Some(reason),
            Parsed::Partial if has_ended => socket.count("external changes: response cut short"),
            Parsed::Partial => {
                self.parses_from = bytes_at_least(&self.read, false);
                return;
            }
        }
        self.is_done = true;
        socket.close();
    }

    fn violation(&self) -> Option<String> {
        self.violation.clone()
    }

    fn name(&self) -> &'static str {
        "external changes"
    }
}
