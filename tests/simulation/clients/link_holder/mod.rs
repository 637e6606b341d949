//! Clients with signed links: right ones, changed ones, those of absent keys, and those that expire, also while an upload
//! goes on. Each has a folder of its own, with a file that no link lets anybody change.
//!
//! They check that a link gives what it says, and nothing else, whatever credentials are sent with it.

mod checks;
mod requests;

use std::cell::RefCell;
use std::rc::Rc;

use fastrand::Rng;
use spindle::semantics::link::Link;
use spindle::semantics::rights::UploadPolicy;

use self::requests::{Proof, Sent};
use crate::simulation::clients::responses::{Parsed, parse};
use crate::simulation::clients::{Client, ClientSocket};
use crate::simulation::disk::Disk;
use crate::simulation::file_model::{FileModel, VersionId, content};
use crate::simulation::keys::RunKeys;
use crate::simulation::link::Path;
use crate::simulation::network::{MILLISECOND, SECOND, START_UNIX_NS};
use crate::simulation::scenario::{Scenario, one_of};

/// The most connections of a client. Each ends with the response to a request that is refused before its content.
const CONNECTIONS_MAX: usize = 12;

/// A link as the client got it.
#[derive(Clone, Debug)]
struct HeldLink {
    text: String,
    key: usize,
    link: Link,
    /// The decoded path that is signed.
    signed_path: String,
}

/// An unfinished upload.
#[derive(Clone, Debug)]
struct Upload {
    /// The link that the server has issued, and the link under which the upload began.
    own: HeldLink,
    first: HeldLink,
    /// The path of the resource, without a link.
    resource: String,
    version: VersionId,
    content: Rc<[u8]>,
    /// How much of the content the server has.
    offset: usize,
    touched_ns: u64,
}

/// What the responses depend on.
#[derive(Clone, Copy)]
struct Rules {
    is_drop_box: bool,
    offers_manage: bool,
    upload_bytes_max: Option<u64>,
    upload_age_ns: u64,
    disk_may_fail: bool,
    disk_may_be_slow: bool,
}

/// What the connections of a client share.
struct Holder {
    keys: RunKeys,
    model: Rc<RefCell<FileModel>>,
    rules: Rules,
    number: usize,
    links: Vec<HeldLink>,
    upload: Option<Upload>,
    requests_left: usize,
    requests: usize,
    connections: usize,
}

pub(crate) struct LinkHolder {
    holder: Rc<RefCell<Holder>>,
    path: Path,
    sent: Option<Sent>,
    /// When the content of the request is sent, if the server has asked for it.
    content_ns: Option<u64>,
    next_ns: u64,
    read: Vec<u8>,
    is_done: bool,
    violation: Option<String>,
}

/// The folder of a client below the root, without slashes at its ends.
fn folder(number: usize) -> String {
    format!("others/linked-{number}")
}

/// The content of the file that each folder has.
fn given(number: usize) -> Rc<[u8]> {
    content(7_000_000 + number as u64, 60)
}

/// Creates the folder of a client, and one whose name begins with the name of that one.
pub(crate) fn write_files(disk: &Disk, model: &mut FileModel, number: usize) {
    for folder in [folder(number), folder(number) + "-more"] {
        disk.add_directory(&folder);
        let (name, content) = (folder + "/given", given(number));
        disk.add_file(&name, &content, i128::from(START_UNIX_NS) - 86_400 * i128::from(SECOND));
        // At the end it must still be what it was.
        let version = model.sends(&name, content, 0);
        model.acknowledged(&version, 0);
    }
}

impl LinkHolder {
    pub(crate) fn new(
        (keys, model): (&RunKeys, &Rc<RefCell<FileModel>>),
        scenario: &Scenario,
        (number, requests): (usize, usize),
        path: Path,
    ) -> LinkHolder {
        let holder = Holder {
            keys: keys.clone(),
            model: Rc::clone(model),
            rules: Rules {
                is_drop_box: scenario.is_drop_box,
                offers_manage: scenario.policy_offered() == UploadPolicy::Manage,
                upload_bytes_max: scenario.upload_bytes_max,
                upload_age_ns: scenario.upload_age_s * SECOND,
                disk_may_fail: scenario.fault_plan.may_fail(),
                disk_may_be_slow: scenario.fault_plan.slow > 0,
            },
            number,
            links: Vec::new(),
            upload: None,
            requests_left: requests,
            requests: 0,
            connections: 0,
        };
        LinkHolder::connection_of(&Rc::new(RefCell::new(holder)), path)
    }

    fn connection_of(holder: &Rc<RefCell<Holder>>, path: Path) -> LinkHolder {
        holder.borrow_mut().connections += 1;
        LinkHolder {
            holder: Rc::clone(holder),
            path,
            sent: None,
            content_ns: None,
            next_ns: 0,
            read: Vec::new(),
            is_done: false,
            violation: None,
        }
    }

    /// Takes one response. Returns whether there was one.
    fn take_response(&mut self, socket: &mut ClientSocket<'_>) -> bool {
        let Some(sent) = &mut self.sent else { return false };
        match parse(&self.read, sent.method == "HEAD", false) {
            Parsed::Partial => false,
            Parsed::Malformed(reason) => {
                self.violation = Some(reason);
                false
            }
            Parsed::Response(response) if response.status == 100 && !sent.was_continued => {
                self.read.drain(..response.bytes);
                sent.was_continued = true;
                // A link may expire in this time.
                let pause_ns = one_of(socket.random(), &[0, MILLISECOND, SECOND, 4 * SECOND]);
                self.content_ns = Some(socket.now_ns() + pause_ns);
                socket.wake_in(pause_ns);
                true
            }
            Parsed::Response(response) => {
                self.read.drain(..response.bytes);
                let Some(sent) = self.sent.take() else { return false };
                let checked = self.holder.borrow_mut().check(socket, &sent, &response);
                if let Err(about) = checked {
                    let now_ms = socket.now_ns() / MILLISECOND;
                    self.violation = Some(format!("at {now_ms} ms: {about}: {sent:?} {response:?}"));
                    return false;
                }
                self.content_ns = None;
                self.next_ns = socket.now_ns() + one_of(socket.random(), &[0, MILLISECOND, 2 * SECOND]);
                if response.closes() {
                    self.reconnect(socket);
                    return false;
                }
                true
            }
        }
    }

    /// Ends this connection, and continues on another one.
    fn reconnect(&mut self, socket: &mut ClientSocket<'_>) {
        self.is_done = true;
        socket.close();
        let is_over = {
            let mut holder = self.holder.borrow_mut();
            if let Some(sent) = self.sent.take() {
                holder.lost(&sent);
            }
            holder.requests_left == 0 || holder.connections >= CONNECTIONS_MAX
        };
        if !is_over && socket.inner.signal_ns.is_none() {
            let in_ns = one_of(socket.random(), &[0, MILLISECOND, 2 * SECOND]);
            let next = LinkHolder::connection_of(&self.holder, self.path);
            socket.add_client(in_ns, 0, self.path, Box::new(next));
        }
    }

    fn send_request(&mut self, socket: &mut ClientSocket<'_>) {
        let mut random = socket.random().fork();
        let sent = self.holder.borrow_mut().next(socket.inner, &mut random);
        socket.inner.coverage.count("link", &format!("sent: {}", sent.proof.name()));
        socket.send(&sent.head);
        if !sent.expects_continue {
            socket.send(&sent.content);
        }
        self.sent = Some(sent);
    }

    fn send_content(&mut self, socket: &mut ClientSocket<'_>) {
        let Some(at_ns) = self.content_ns.filter(|at_ns| socket.now_ns() >= *at_ns) else { return };
        if let Some(sent) = &self.sent {
            socket.send(&sent.content);
            if matches!(&sent.proof, Proof::Link(held) if held.link.expires_unix_s <= socket.inner.unix_s_since(at_ns).0)
            {
                socket.inner.coverage.count("link", "expired during its upload");
            }
        }
        self.content_ns = None;
    }
}

impl Client for LinkHolder {
    fn act(&mut self, socket: &mut ClientSocket<'_>) {
        if self.is_done {
            return;
        }
        self.read.extend(socket.read(usize::MAX));
        // Each iteration takes a response.
        while self.take_response(socket) {}
        if self.is_done {
            return;
        }
        if self.violation.is_some() {
            self.is_done = true;
            return socket.close();
        }
        if socket.has_ended() || socket.is_lost() {
            return self.reconnect(socket);
        }
        if self.sent.is_some() {
            return self.send_content(socket);
        }
        if self.holder.borrow().requests_left == 0 {
            self.is_done = true;
            return socket.close();
        }
        if socket.now_ns() < self.next_ns {
            return socket.wake_in(self.next_ns - socket.now_ns());
        }
        self.send_request(socket);
    }

    fn violation(&self) -> Option<String> {
        self.violation.clone()
    }

    fn name(&self) -> &'static str {
        "link holder"
    }
}

/// Whether something happens that has this probability, in percent.
fn happens(random: &mut Rng, percent: u8) -> bool {
    random.u8(..100) < percent
}
