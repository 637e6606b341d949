//! Honest clients that create, replace, read, delete and move files and directories of the same names, and store files by
//! forms. Their connections are cut at any byte. `managed/` checks what they have seen.

mod forms;
mod requests;

use std::cell::RefCell;
use std::rc::Rc;

use fastrand::Rng;

use self::forms::SentForm;
use crate::simulation::clients::responses::{Parsed, Response, parse};
use crate::simulation::clients::{Client, ClientSocket};
use crate::simulation::link::Path;
use crate::simulation::managed::Shared;
use crate::simulation::managed::tree::{Observed, Operation};
use crate::simulation::network::{MILLISECOND, SECOND};
use crate::simulation::scenario::one_of;

/// How many connections a client makes at most. Each that is cut costs one, and so does each crash.
const CONNECTIONS_MAX: u32 = 60;

/// What all connections of a client share.
pub(crate) struct Plan {
    names: Shared,
    /// The target of the directory with the names, with a slash at its end.
    target: String,
    is_folder: bool,
    sends_large: bool,
    requests_left: usize,
    connections: u32,
}

impl Plan {
    pub(crate) fn new(names: &Shared, target: String, is_folder: bool, requests: usize) -> Rc<RefCell<Plan>> {
        let sends_large = names.borrow().rules.upload_bytes_max.is_none();
        let names = Rc::clone(names);
        Rc::new(RefCell::new(Plan { names, target, is_folder, sends_large, requests_left: requests, connections: 0 }))
    }
}

/// A request whose response is awaited.
enum Sent {
    Nothing,
    /// One operation, by its number.
    One {
        number: usize,
        destination: Option<String>,
    },
    Form(SentForm),
    /// A request that cannot take effect, because only a part of it was sent.
    Cut,
}

/// One connection of a client.
pub(crate) struct Managing {
    plan: Rc<RefCell<Plan>>,
    path: Path,
    listener: usize,
    sent: Sent,
    /// When the client drops the connection, whatever it has received, and whether it resets it.
    cut: Option<(u64, bool)>,
    read: Vec<u8>,
    next_request_ns: u64,
    is_done: bool,
    violation: Option<String>,
}

impl Managing {
    pub(crate) fn new(plan: &Rc<RefCell<Plan>>, path: Path, listener: usize) -> Managing {
        Managing {
            plan: Rc::clone(plan),
            path,
            listener,
            sent: Sent::Nothing,
            cut: None,
            read: Vec::new(),
            next_request_ns: 0,
            is_done: false,
            violation: None,
        }
    }

    fn send_request(&mut self, socket: &mut ClientSocket<'_>) {
        if !matches!(self.sent, Sent::Nothing) || socket.now_ns() < self.next_request_ns {
            return;
        }
        let plan = Rc::clone(&self.plan);
        let mut plan = plan.borrow_mut();
        if plan.requests_left == 0 || !plan.names.borrow().has_room() {
            self.is_done = true;
            return socket.close();
        }
        plan.requests_left -= 1;
        let mut random = socket.random().fork();
        if plan.is_folder && random.u8(..4) == 0 {
            let form = forms::generate(&mut plan.names.borrow_mut(), plan.sends_large, &mut random);
            let bytes = form.encode(&plan.target);
            let sent_bytes = self.send_bytes(socket, &bytes.0, &mut random);
            let (link, now_ns) = (socket.link, socket.now_ns());
            let whole = sent_bytes == bytes.0.len();
            let received = form.received_parts(sent_bytes, &bytes);
            socket.inner.coverage.count("form", if whole { "sent" } else { "cut" });
            self.sent = Sent::Form(form.note(&mut plan.names.borrow_mut(), received, link, now_ns));
            return;
        }
        let (operation, content) = requests::generate(&mut plan.names.borrow_mut(), plan.sends_large, &mut random);
        let request = requests::encode(&operation, &content, &plan, &mut random);
        let is_whole = self.send_bytes(socket, &request.bytes, &mut random) == request.bytes.len();
        self.sent = match is_whole {
            true => {
                let number = plan.names.borrow_mut().sent(operation, socket.link, socket.now_ns(), None);
                Sent::One { number, destination: request.destination }
            }
            false => Sent::Cut,
        };
    }

    /// Sends a request, or only a part of it. Returns how many bytes it has sent.
    fn send_bytes(&mut self, socket: &mut ClientSocket<'_>, bytes: &[u8], random: &mut Rng) -> usize {
        let mut sent_bytes = bytes.len();
        if random.u8(..5) == 0 {
            if random.bool() {
                sent_bytes = random.usize(..=bytes.len());
            }
            let in_ns = one_of(random, &[0, MILLISECOND, 200 * MILLISECOND, 3 * SECOND]);
            self.cut = Some((socket.now_ns() + in_ns, random.bool()));
            socket.wake_in(in_ns);
        }
        socket.send(&bytes[..sent_bytes]);
        sent_bytes
    }

    /// Continues on another connection.
    fn reconnect(&mut self, socket: &mut ClientSocket<'_>) {
        self.is_done = true;
        socket.close();
        let mut plan = self.plan.borrow_mut();
        if plan.requests_left == 0 || socket.inner.signal_ns.is_some() || plan.connections >= CONNECTIONS_MAX {
            return;
        }
        plan.connections += 1;
        drop(plan);
        let in_ns = one_of(socket.random(), &[0, 0, 100 * MILLISECOND, SECOND, 5 * SECOND]);
        let next = Managing::new(&self.plan, self.path, self.listener);
        socket.add_client(in_ns, self.listener, self.path, Box::new(next));
    }

    /// Takes one response. Returns whether there was one.
    fn take_response(&mut self, socket: &mut ClientSocket<'_>) -> bool {
        let response = match parse(&self.read, false, false) {
            Parsed::Partial => return false,
            Parsed::Malformed(reason) => return self.report(socket, &reason),
            Parsed::Response(response) => response,
        };
        self.read.drain(..response.bytes);
        let sent = std::mem::replace(&mut self.sent, Sent::Nothing);
        let plan = Rc::clone(&self.plan);
        let checked = match sent {
            Sent::Nothing => Err("a response without a request".to_owned()),
            Sent::Cut if matches!(response.status, 200..400) => {
                Err(format!("a status of {} to a part of a request", response.status))
            }
            Sent::Cut => Ok(()),
            Sent::One { number, destination } => {
                check_one(socket, &plan.borrow(), number, destination.as_deref(), &response)
            }
            Sent::Form(form) => form.check(socket, &mut plan.borrow().names.borrow_mut(), &response),
        };
        if let Err(about) = checked {
            return self.report(socket, &format!("{about}: {response:?}"));
        }
        if response.closes() || self.cut.is_some() {
            self.reconnect(socket);
            return false;
        }
        let pause_ns = one_of(socket.random(), &[0, 0, MILLISECOND, 2 * SECOND, 20 * SECOND]);
        self.next_request_ns = socket.now_ns() + pause_ns;
        socket.wake_in(pause_ns);
        true
    }

    fn report(&mut self, socket: &mut ClientSocket<'_>, about: &str) -> bool {
        let now_ms = socket.now_ns() / MILLISECOND;
        self.violation.get_or_insert(format!("at {now_ms} ms: {about}"));
        self.is_done = true;
        socket.close();
        false
    }
}

/// Notes the response to one operation.
fn check_one(
    socket: &mut ClientSocket<'_>,
    plan: &Plan,
    number: usize,
    destination: Option<&str>,
    response: &Response,
) -> Result<(), String> {
    let mut names = plan.names.borrow_mut();
    let operation = names.operation(number).clone();
    socket.inner.coverage.count("manage", &format!("{} {}", method(&operation), response.status));
    let mut content = None;
    match (&operation, response.status) {
        (Operation::Get { path }, 200) => {
            let found = names.number_of(&response.content);
            let found = found.ok_or_else(|| format!("{path} contains bytes that nobody has sent as a whole"))?;
            names.tagged(path, response.field("etag"), found);
            content = Some(found);
        }
        (Operation::Put { path, content, .. }, 201 | 204) => names.tagged(path, response.field("etag"), *content),
        (Operation::Move { .. }, 201) if response.field("location") != destination => {
            return Err(format!("the location is {:?} and not {destination:?}", response.field("location")));
        }
        _ => {}
    }
    names.responded(number, Observed { status: response.status, content }, socket.now_ns());
    Ok(())
}

fn method(operation: &Operation) -> &'static str {
    match operation {
        Operation::Get { .. } => "GET",
        Operation::Put { .. } => "PUT",
        Operation::Delete { .. } => "DELETE",
        Operation::CreateDirectory { .. } => "MKCOL",
        Operation::Move { .. } => "MOVE",
    }
}

impl Client for Managing {
    fn act(&mut self, socket: &mut ClientSocket<'_>) {
        if self.is_done {
            return;
        }
        if let Some((at_ns, resets)) = self.cut
            && socket.now_ns() >= at_ns
        {
            if resets {
                socket.reset();
            }
            return self.reconnect(socket);
        }
        let read = socket.read(usize::MAX);
        self.read.extend(read);
        // Each iteration takes a response.
        while self.take_response(socket) {}
        if self.is_done {
            return;
        }
        if socket.has_ended() || socket.is_lost() {
            return self.reconnect(socket);
        }
        self.send_request(socket);
    }

    fn violation(&self) -> Option<String> {
        self.violation.clone()
    }

    fn name(&self) -> &'static str {
        "managing"
    }

    fn describe(&self) -> String {
        let plan = self.plan.borrow();
        format!("managing, {} more requests, connection {}", plan.requests_left, plan.connections)
    }
}
