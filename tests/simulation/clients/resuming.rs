//! Honest clients that upload a file with "Resumable Uploads for HTTP": in parts, on connections that are cut at any
//! byte, on two connections at a time, with lost responses, and across restarts of the server.
//!
//! Each upload has a name of its own. So the file is the one that was sent, or there is none.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use sha2::{Digest as _, Sha256};
use spindle::routes::UploadPolicy;

use crate::simulation::clients::responses::{Parsed, Response, parse};
use crate::simulation::clients::{Client, ClientSocket};
use crate::simulation::disk::Loss;
use crate::simulation::file_model::{FileModel, VersionId, content};
use crate::simulation::link::Path;
use crate::simulation::network::{MILLISECOND, SECOND};
use crate::simulation::scenario::{Scenario, one_of, target_of};

/// How many connections a client makes at most for one upload.
const CONNECTIONS_MAX: u32 = 60;

/// How many requests it sends at most. After half of them it sends all content that is left, and cuts nothing.
const REQUESTS_MAX: u32 = 60;

/// By how much the disk may round a time.
const TIME_ROUNDING_NS: u64 = 2 * SECOND;

/// How long after the last act of a client the server may still save its upload.
const EXPIRY_MARGIN_NS: u64 = 15 * SECOND;

/// What all connections of an upload share.
pub(crate) struct Plan {
    model: Rc<RefCell<FileModel>>,
    name: String,
    target: String,
    method: &'static str,
    content: Rc<[u8]>,
    version: Option<VersionId>,
    understands_104: bool,
    states_length: bool,
    /// Whether the client states a digest of the content, and whether it is the right one.
    repr_digest: Option<bool>,
    wants_digest: bool,
    /// Whether the client cancels the upload after a few requests.
    cancels: bool,
    only_creates: bool,
    disk_may_fail: bool,
    /// Whether a power cut may lose a file while it is published. See `settings::Loss::Unordered`.
    may_be_lost_by_power: bool,
    age_ns: u64,
    /// When a client last acted on a connection of this upload. `None` while the server may be slower than its clients.
    touched_ns: Option<u64>,
    /// The path of the upload resource.
    resource: Option<String>,
    /// The highest offset that the server has sent, and when the request for it was sent.
    promised: usize,
    promised_ns: u64,
    /// The end of the content that was sent.
    sent_max: usize,
    /// Whether a request with the rest of the content was sent, so that the file may have been published.
    may_be_published: bool,
    /// Whether a request to cancel the upload was sent.
    is_cancelled: bool,
    is_stored: bool,
    is_done: bool,
    requests: u32,
    connections: u32,
}

impl Plan {
    pub(crate) fn new(
        scenario: &Scenario,
        model: &Rc<RefCell<FileModel>>,
        random: &mut Rng,
        number: usize,
    ) -> Rc<RefCell<Plan>> {
        let name = format!("up/part-{number}");
        let sizes = [0, 1, 900, 900, 20_000, 150_000];
        let sizes = if scenario.upload_bytes_max.is_some() { &sizes[..4] } else { &sizes[..] };
        let bytes = one_of(random, sizes);
        Rc::new(RefCell::new(Plan {
            model: Rc::clone(model),
            target: target_of(scenario, &name),
            name,
            method: one_of(random, &["POST", "PUT"]),
            content: content(5_000_000 + number as u64, bytes),
            version: None,
            understands_104: random.bool(),
            states_length: random.bool(),
            repr_digest: one_of(random, &[None, None, Some(true), Some(true), Some(false)]),
            wants_digest: random.u8(..3) == 0,
            cancels: random.u8(..6) == 0,
            only_creates: scenario.policy == UploadPolicy::Create,
            disk_may_fail: scenario.fault_plan.may_fail(),
            may_be_lost_by_power: scenario.disk.loss == Loss::Unordered && scenario.disk.no_links.is_some(),
            age_ns: scenario.upload_age_s * SECOND,
            touched_ns: (scenario.fault_plan.slow == 0).then_some(0),
            resource: None,
            promised: 0,
            promised_ns: 0,
            sent_max: 0,
            may_be_published: false,
            is_cancelled: false,
            is_stored: false,
            is_done: false,
            requests: 0,
            connections: 0,
        }))
    }

    /// The server has sent this offset, in response to a request that was sent at that time.
    fn promises(&mut self, offset: usize, sent_ns: u64) {
        self.promised = self.promised.max(offset);
        self.promised_ns = self.promised_ns.max(sent_ns);
    }

    /// As [`promises`](Self::promises), by a response that says how long the upload will exist, in Upload-Limit.
    fn promises_for(&mut self, offset: usize, sent_ns: u64, response: &Response) -> Result<(), String> {
        let limits = response.field("upload-limit").ok_or("no Upload-Limit")?;
        let max_age = limits.split(", ").find_map(|limit| limit.strip_prefix("max-age=")).ok_or("no max-age")?;
        let lifetime_ns = max_age.parse::<u64>().map_err(|_| "max-age is not a number")?.saturating_mul(SECOND);
        if lifetime_ns > self.age_ns {
            return Err(format!("a max-age of {max_age} s"));
        }
        self.promises(offset, (sent_ns + lifetime_ns).saturating_sub(self.age_ns));
        Ok(())
    }

    /// Whether the upload had certainly expired before a client acts now.
    fn has_expired(&self, socket: &ClientSocket<'_>) -> bool {
        let is_exact = !self.disk_may_fail && socket.inner.clock_offset_ns == 0;
        let idle_ns = |at_ns| socket.now_ns().saturating_sub(at_ns);
        self.touched_ns.is_some_and(|at_ns| is_exact && idle_ns(at_ns) > self.age_ns + EXPIRY_MARGIN_NS)
    }

    /// The server has created this upload resource.
    fn has_created(&mut self, location: &str) -> Result<(), String> {
        let resource = location_path(location)?;
        if self.resource.as_ref() != Some(&resource) {
            (self.resource, self.promised, self.promised_ns, self.is_cancelled) = (Some(resource), 0, 0, false);
        }
        Ok(())
    }

    /// Forgets the upload resource.
    fn forget(&mut self) {
        (self.resource, self.promised, self.is_cancelled) = (None, 0, false);
    }

    fn digest(&self) -> String {
        digest(&self.content)
    }

    /// Whether the server may not find the upload.
    fn may_be_gone(&self, socket: &ClientSocket<'_>) -> bool {
        let age_ns = socket.now_ns() - self.promised_ns.min(socket.now_ns());
        let may_have_expired = age_ns + TIME_ROUNDING_NS > self.age_ns || socket.inner.clock_offset_ns > 0;
        let may_be_lost = self.promised == 0 || self.may_be_lost_by_power && socket.inner.crashed_ns.is_some();
        // The server removes content whose Repr-Digest differs.
        let may_differ = self.repr_digest == Some(false) && self.may_be_published;
        self.is_cancelled || self.disk_may_fail || may_have_expired || may_be_lost || may_differ
    }
}

fn digest(content: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(content)))
}

/// The last request on the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sent {
    Nothing,
    /// The creation, or a part: from `offset` to `end`.
    Part {
        creates: bool,
        offset: usize,
        end: usize,
        complete: bool,
        digest_is_wrong: bool,
    },
    Head,
    Replay,
    Delete,
    Get,
}

/// One connection of an upload.
pub(crate) struct Resuming {
    plan: Rc<RefCell<Plan>>,
    path: Path,
    listener: usize,
    sent: Sent,
    sent_ns: u64,
    /// Whether the upload had expired when this connection was made.
    has_expired: bool,
    /// The upload resource that it was sent to.
    resource: Option<String>,
    /// The highest offset that the server had sent before. The response on another connection may overtake this one.
    promised: usize,
    /// The rest of a request that is sent slowly.
    pieces: VecDeque<Vec<u8>>,
    next_piece_ns: u64,
    /// When the client drops the connection, whatever it has received, and whether it resets it.
    cut: Option<(u64, bool)>,
    /// The offset that the server has just reported.
    offset: Option<usize>,
    is_complete: bool,
    /// Whether another connection continues the upload.
    has_rival: bool,
    read: Vec<u8>,
    next_request_ns: u64,
    is_done: bool,
    violation: Option<String>,
}

impl Resuming {
    pub(crate) fn new(plan: &Rc<RefCell<Plan>>, path: Path, listener: usize) -> Resuming {
        Resuming {
            plan: Rc::clone(plan),
            path,
            listener,
            sent: Sent::Nothing,
            sent_ns: 0,
            has_expired: false,
            resource: None,
            promised: 0,
            pieces: VecDeque::new(),
            next_piece_ns: 0,
            cut: None,
            offset: None,
            is_complete: false,
            has_rival: false,
            read: Vec::new(),
            next_request_ns: 0,
            is_done: false,
            violation: None,
        }
    }

    fn report(&mut self, socket: &mut ClientSocket<'_>, about: &str) {
        let now_ns = socket.now_ns();
        let (sent, name) = (&self.sent, &self.plan.borrow().name);
        self.violation.get_or_insert(format!("at {} ms: {about}, {name}, after {sent:?}", now_ns / MILLISECOND));
        self.is_done = true;
        socket.close();
    }

    fn send_request(&mut self, socket: &mut ClientSocket<'_>) {
        let now_ns = socket.now_ns();
        if self.sent != Sent::Nothing || now_ns < self.next_request_ns {
            return;
        }
        let plan_cell = Rc::clone(&self.plan);
        let mut plan = plan_cell.borrow_mut();
        plan.requests += 1;
        if plan.requests > REQUESTS_MAX && !plan.disk_may_fail {
            drop(plan);
            return self.report(socket, "an upload that does not end");
        }
        if plan.requests > 2 * REQUESTS_MAX {
            plan.is_done = true;
            return;
        }
        let is_patient = plan.requests > REQUESTS_MAX / 2;
        let mut random = socket.random().fork();
        let (bytes, sent) = match (&plan.resource, self.offset) {
            _ if plan.is_stored => {
                (request("GET", &plan.target, &["Want-Repr-Digest: sha-256=5".to_owned()], b""), Sent::Get)
            }
            (Some(resource), _) if plan.cancels && plan.requests > 3 => {
                (request("DELETE", resource, &[], b""), Sent::Delete)
            }
            (Some(resource), None) => (request("HEAD", resource, &[], b""), Sent::Head),
            (Some(resource), Some(offset)) if self.is_complete => {
                let fields = part_fields(true, Some(offset));
                (request("PATCH", resource, &fields, b""), Sent::Replay)
            }
            (resource, offset) => {
                let creates = resource.is_none();
                let offset = offset.filter(|_| !creates).unwrap_or(0);
                let left = plan.content.len().saturating_sub(offset);
                let all = is_patient || random.u8(..3) == 0;
                let end = offset + if all { left } else { random.usize(..=left) };
                let complete = end == plan.content.len() && random.u8(..8) > 0;
                // A wrong offset may be right by now, if another connection has sent more. So the content is that of
                // the stated offset.
                let is_wrong = !creates && end > offset && !is_patient && random.u8(..12) == 0;
                let offset = if is_wrong { offset + 1 } else { offset };
                let mut fields = part_fields(complete, (!creates).then_some(offset));
                let digest_is_wrong = !is_patient && random.u8(..10) == 0;
                let part = &plan.content[offset..end];
                if digest_is_wrong {
                    fields.push(format!("Content-Digest: {}", digest(b"something else")));
                } else if random.u8(..3) == 0 {
                    fields.push(format!("Content-Digest: {}", digest(part)));
                }
                if plan.understands_104 {
                    fields.push("Upload-Draft-Interop-Version: 8".to_owned());
                }
                if plan.states_length {
                    fields.push(format!("Upload-Length: {}", plan.content.len()));
                }
                if creates {
                    fields.extend(match plan.repr_digest {
                        Some(true) => Some(format!("Repr-Digest: {}", plan.digest())),
                        Some(false) => Some(format!("Repr-Digest: {}", digest(b"something else"))),
                        None => None,
                    });
                    if plan.wants_digest {
                        fields.push("Want-Repr-Digest: sha-256=5".to_owned());
                    }
                }
                let target = if creates { &plan.target } else { resource.as_ref().unwrap_or(&plan.target) };
                let bytes = request(if creates { plan.method } else { "PATCH" }, target, &fields, part);
                (bytes, Sent::Part { creates, offset, end, complete, digest_is_wrong })
            }
        };
        plan.is_cancelled |= sent == Sent::Delete;
        if let Sent::Part { creates, end, complete, .. } = sent {
            if plan.version.is_none() {
                let (name, content) = (plan.name.clone(), Rc::clone(&plan.content));
                let mut model = plan.model.borrow_mut();
                let version = model.sends(&name, content, now_ns);
                if plan.repr_digest == Some(false) {
                    model.refused(&version);
                }
                drop(model);
                plan.version = Some(version);
            }
            plan.sent_max = plan.sent_max.max(end);
            plan.may_be_published |= complete;
            socket.inner.coverage.count("upload", if creates { "created" } else { "continued" });
        }
        (self.sent, self.sent_ns, self.promised) = (sent, now_ns, plan.promised);
        self.resource.clone_from(&plan.resource);
        drop(plan);
        self.send_bytes(socket, bytes, is_patient, &mut random);
    }

    /// Sends a request: at once, slowly, or only a part of it.
    fn send_bytes(&mut self, socket: &mut ClientSocket<'_>, mut bytes: Vec<u8>, is_patient: bool, random: &mut Rng) {
        let cuts = !is_patient && random.u8(..3) == 0;
        if cuts {
            bytes.truncate(random.usize(..=bytes.len()));
            // If the request was sent completely, its response is lost.
            let in_ns = one_of(random, &[0, MILLISECOND, 200 * MILLISECOND, 3 * SECOND]);
            self.cut = Some((socket.now_ns() + in_ns, random.bool()));
            socket.wake_in(in_ns);
        }
        if random.u8(..4) == 0 && bytes.len() > 8 {
            // Longer than the interval of the interim responses with an offset.
            for piece in bytes.chunks(bytes.len().div_ceil(4)) {
                self.pieces.push_back(piece.to_vec());
            }
            self.cut = self.cut.map(|(at_ns, resets)| (at_ns + random.u64(..6 * SECOND), resets));
            if let Some((at_ns, _)) = self.cut {
                socket.wake_in(at_ns - socket.now_ns());
            }
            let is_part = matches!(self.sent, Sent::Part { creates: false, .. });
            if is_part && !is_patient && random.bool() && self.plan.borrow().connections < CONNECTIONS_MAX / 2 {
                self.has_rival = true;
                self.add_connection(socket, random.u64(..5 * SECOND));
            }
            self.send_pieces(socket);
        } else {
            socket.send(&bytes);
        }
    }

    fn send_pieces(&mut self, socket: &mut ClientSocket<'_>) {
        if socket.now_ns() < self.next_piece_ns {
            return;
        }
        let Some(piece) = self.pieces.pop_front() else { return };
        socket.send(&piece);
        self.next_piece_ns = socket.now_ns() + 1_200 * MILLISECOND;
        socket.wake_in(1_200 * MILLISECOND);
    }

    fn add_connection(&self, socket: &mut ClientSocket<'_>, in_ns: u64) {
        self.plan.borrow_mut().connections += 1;
        let next = Resuming::new(&self.plan, self.path, self.listener);
        socket.add_client(in_ns, self.listener, self.path, Box::new(next));
    }

    /// Continues on another connection.
    fn reconnect(&mut self, socket: &mut ClientSocket<'_>) {
        self.is_done = true;
        socket.close();
        let plan = self.plan.borrow();
        if plan.is_done || socket.inner.signal_ns.is_some() || self.has_rival {
            return;
        }
        if plan.connections >= CONNECTIONS_MAX {
            let is_excused = plan.disk_may_fail || socket.inner.crashed_ns.is_some();
            drop(plan);
            if !is_excused {
                self.report(socket, "no response on all connections");
            }
            return;
        }
        drop(plan);
        // Longer pauses let an upload expire.
        let in_ns = one_of(socket.random(), &[0, 0, 100 * MILLISECOND, SECOND, 5 * SECOND, 25 * SECOND, 40 * SECOND]);
        self.add_connection(socket, in_ns);
    }

    /// Takes one response. Returns whether there was one.
    fn take_response(&mut self, socket: &mut ClientSocket<'_>) -> bool {
        if self.sent == Sent::Nothing {
            if !self.read.is_empty() {
                self.report(socket, "a response without a request");
            }
            return false;
        }
        match parse(&self.read, self.sent == Sent::Head, false) {
            Parsed::Partial => false,
            Parsed::Malformed(reason) => {
                self.report(socket, &reason);
                false
            }
            Parsed::Response(response) => {
                self.read.drain(..response.bytes);
                let checked =
                    if response.status < 200 { self.interim(socket, &response) } else { self.check(socket, &response) };
                if let Err(about) = checked {
                    self.report(socket, &format!("{about}: {response:?}"));
                    return false;
                }
                if response.status >= 200 {
                    self.has_expired = false;
                    self.sent = Sent::Nothing;
                    let unsent = self.pieces.len();
                    self.pieces.clear();
                    if response.closes() || unsent > 0 || self.has_rival && response.status == 409 {
                        self.reconnect(socket);
                        return false;
                    }
                    let pause_ns = one_of(socket.random(), &[0, 0, MILLISECOND, 2 * SECOND]);
                    self.next_request_ns = socket.now_ns() + pause_ns;
                    socket.wake_in(pause_ns);
                }
                true
            }
        }
    }

    /// Checks a response with status 104.
    fn interim(&mut self, socket: &mut ClientSocket<'_>, response: &Response) -> Result<(), String> {
        let mut plan = self.plan.borrow_mut();
        let Sent::Part { creates, .. } = self.sent else { return Err("an unexpected interim response".to_owned()) };
        if response.status != 104 || !plan.understands_104 {
            return Err("an interim response that nobody asked for".to_owned());
        }
        match (response.field("location"), number(response, "upload-offset")?) {
            (Some(location), None) if creates => {
                plan.has_created(location)?;
                self.resource.clone_from(&plan.resource);
                socket.inner.coverage.count("upload", "interim response with the location");
            }
            // Another connection has begun the upload again.
            (None, Some(_)) if plan.resource != self.resource => {}
            (None, Some(offset)) => {
                self.check_offset(&plan, offset)?;
                plan.promises(offset, self.sent_ns);
                socket.inner.coverage.count("upload", "interim response with an offset");
            }
            _ => return Err("an interim response with other fields".to_owned()),
        }
        Ok(())
    }

    fn check_offset(&self, plan: &Plan, offset: usize) -> Result<(), String> {
        // If another connection has begun the upload again, its offset says nothing about this one.
        let promised = self.promised.min(plan.promised);
        if (promised..=plan.sent_max).contains(&offset) {
            Ok(())
        } else {
            Err(format!("the offset is {offset}, and not between {promised} and {}", plan.sent_max))
        }
    }

    fn check(&mut self, socket: &mut ClientSocket<'_>, response: &Response) -> Result<(), String> {
        let sent = self.sent.clone();
        let plan_cell = Rc::clone(&self.plan);
        let plan = &mut *plan_cell.borrow_mut();
        let is_wrong = plan.repr_digest == Some(false);
        socket.inner.coverage.count("upload", &format!("status {}", response.status));
        if plan.disk_may_fail && response.status >= 400 {
            match response.status {
                404 => plan.forget(),
                400 => plan.is_done = is_wrong && matches!(sent, Sent::Part { complete: true, .. }),
                _ => {}
            }
            self.offset = None;
            return Ok(());
        }
        // A client that sends slowly gives the server's own slowness the rest of its time.
        let may_be_late = response.status == 408 && plan.touched_ns.is_none();
        if may_be_late || matches!(response.status, 408 | 503) && socket.inner.signal_ns.is_some() {
            return Ok(());
        }
        let complete = response.field("upload-complete");
        let offset = number(response, "upload-offset")?;
        (self.offset, self.is_complete) = (None, false);
        let creates = matches!(sent, Sent::Part { creates: true, .. });
        let may_end = sent != Sent::Head && complete == Some("?1");
        if !creates && sent != Sent::Get && plan.resource != self.resource && !may_end {
            // Another connection has begun the upload again.
            return Ok(());
        }
        match (sent, response.status) {
            (Sent::Get, 200) => {
                plan.is_done = true;
                let has_other_digest = response.field("repr-digest").is_some_and(|found| found != plan.digest());
                match response.content == plan.content[..] {
                    true if has_other_digest => Err("another digest".to_owned()),
                    true => Ok(()),
                    false => Err("another content".to_owned()),
                }
            }
            (Sent::Head, 204) => {
                if std::mem::take(&mut self.has_expired) && socket.inner.clock_offset_ns == 0 {
                    return Err("an upload that has expired is found".to_owned());
                }
                let offset = offset.ok_or("no offset")?;
                self.check_offset(plan, offset)?;
                if socket.inner.crashed_ns.is_some_and(|crashed_ns| plan.promised_ns < crashed_ns && offset > 0) {
                    socket.inner.coverage.count("upload", "found after a restart");
                }
                self.is_complete = match complete {
                    Some("?0") => false,
                    Some("?1") if plan.may_be_published => true,
                    other => return Err(format!("Upload-Complete is {other:?}")),
                };
                if self.is_complete && offset != plan.content.len() {
                    return Err("a complete upload of another length".to_owned());
                }
                plan.promises_for(offset, self.sent_ns, response)?;
                self.offset = Some(offset);
                Ok(())
            }
            (Sent::Delete, 204) => {
                socket.inner.coverage.count("upload", "cancelled");
                (plan.is_cancelled, plan.cancels) = (true, false);
                Ok(())
            }
            (Sent::Head | Sent::Part { creates: false, .. } | Sent::Replay | Sent::Delete, 404) => {
                if !plan.may_be_gone(socket) && self.promised > 0 {
                    return Err(format!("the offset {} was promised", plan.promised));
                }
                let is_old = socket.now_ns() - plan.promised_ns.min(socket.now_ns()) >= plan.age_ns;
                if plan.promised > 0 && !plan.is_cancelled && is_old {
                    socket.inner.coverage.count("upload", "expired");
                }
                plan.cancels &= !plan.is_cancelled;
                plan.forget();
                Ok(())
            }
            (Sent::Part { creates: false, .. }, 400)
                if plan.may_be_published && is_about_completed(&response.content) =>
            {
                socket.inner.coverage.count("upload", "completed on another connection");
                Ok(())
            }
            (Sent::Part { digest_is_wrong: true, offset: before, .. }, 400) => {
                socket.inner.coverage.count("upload", "Content-Digest differs");
                if complete != Some("?0") || offset != Some(before) {
                    return Err("content whose digest differs is kept".to_owned());
                }
                if let Some(location) = response.field("location") {
                    plan.has_created(location)?;
                }
                plan.promises_for(before, self.sent_ns, response)?;
                Ok(())
            }
            (Sent::Part { complete: true, .. }, 400) if is_wrong => {
                socket.inner.coverage.count("upload", "Repr-Digest differs");
                plan.is_done = true;
                Ok(())
            }
            // Another request of this upload may be on its way on an older connection.
            (Sent::Part { creates: false, .. } | Sent::Replay, 409) if offset.is_some() => {
                socket.inner.coverage.count("upload", "mismatch");
                offset.map_or(Ok(()), |offset| self.check_offset(plan, offset))
            }
            (Sent::Part { .. }, 409) if response.content.starts_with(b"Another request") => {
                socket.inner.coverage.count("upload", "taken over");
                Ok(())
            }
            (Sent::Part { .. }, 409 | 412) if plan.only_creates && plan.may_be_published => {
                socket.inner.coverage.count("upload", "was published before");
                plan.is_done = true;
                Ok(())
            }
            // Without content it requests the final response again, if the upload has ended on another connection.
            (Sent::Part { digest_is_wrong: true, offset, end, complete, .. }, status)
                if status < 400 && (end > offset || !complete) =>
            {
                Err("content with another digest was accepted".to_owned())
            }
            (Sent::Part { creates, end, complete: false, .. }, status) if status == if creates { 201 } else { 204 } => {
                if complete != Some("?0") || offset != Some(end) {
                    return Err(format!("an offset of {offset:?} and not {end}"));
                }
                if creates {
                    let location = response.field("location").ok_or("no location")?;
                    plan.has_created(location)?;
                }
                plan.promises_for(end, self.sent_ns, response)?;
                self.offset = Some(end);
                Ok(())
            }
            (Sent::Part { complete: true, .. } | Sent::Replay, 201 | 204) => {
                if self.sent == Sent::Replay {
                    socket.inner.coverage.count("upload", "replayed");
                }
                if complete != Some("?1") || is_wrong {
                    return Err("the upload is not complete".to_owned());
                }
                let right = plan.digest();
                match response.field("repr-digest") {
                    Some(found) if found != right => return Err("another digest".to_owned()),
                    // It is not known if the server stopped, or the disk failed, between the publication and its record.
                    None if plan.wants_digest && !plan.disk_may_fail && socket.inner.crashed_ns.is_none() => {
                        return Err("no digest".to_owned());
                    }
                    _ => {}
                }
                socket.inner.coverage.count("upload", "completed");
                plan.is_stored = true;
                if let Some(version) = &plan.version {
                    plan.model.borrow_mut().acknowledged(version, socket.now_ns());
                }
                Ok(())
            }
            (_, status) => Err(format!("an unexpected status of {status}")),
        }
    }
}

/// Whether problem details say that the upload is already complete: content is refused then because of its length.
fn is_about_completed(content: &[u8]) -> bool {
    let problems = [&b"#completed-upload"[..], b"#inconsistent-upload-length"];
    problems.iter().any(|problem| content.windows(problem.len()).any(|part| part == *problem))
}

/// The path of a Location field, which may be a URI.
fn location_path(location: &str) -> Result<String, String> {
    match location.find("/.spindle/uploads/") {
        Some(at) => Ok(location[at..].to_owned()),
        None => Err(format!("the location is {location:?}")),
    }
}

/// The value of a field with a number.
fn number(response: &Response, field: &str) -> Result<Option<usize>, String> {
    let Some(value) = response.field(field) else { return Ok(None) };
    value.parse().map(Some).map_err(|_| format!("{field} is {value:?}"))
}

fn part_fields(complete: bool, offset: Option<usize>) -> Vec<String> {
    let mut fields = vec![format!("Upload-Complete: ?{}", u8::from(complete))];
    if let Some(offset) = offset {
        fields.push(format!("Upload-Offset: {offset}"));
        fields.push("Content-Type: application/partial-upload".to_owned());
    }
    fields
}

fn request(method: &str, target: &str, fields: &[String], content: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n");
    for field in fields {
        head += field;
        head += "\r\n";
    }
    if matches!(method, "POST" | "PUT" | "PATCH") {
        head += &format!("Content-Length: {}\r\n", content.len());
    }
    [format!("{head}\r\n").as_bytes(), content].concat()
}

impl Client for Resuming {
    fn act(&mut self, socket: &mut ClientSocket<'_>) {
        if self.is_done {
            return;
        }
        let now_ns = socket.now_ns();
        {
            let mut plan = self.plan.borrow_mut();
            self.has_expired |= plan.has_expired(socket);
            plan.touched_ns = plan.touched_ns.map(|_| now_ns);
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
        if self.plan.borrow().is_done {
            self.is_done = true;
            return socket.close();
        }
        self.send_pieces(socket);
        self.send_request(socket);
    }

    fn violation(&self) -> Option<String> {
        self.violation.clone()
    }

    fn name(&self) -> &'static str {
        "resuming"
    }

    fn describe(&self) -> String {
        let plan = self.plan.borrow();
        format!("resuming, {} bytes to {}, connection {}", plan.content.len(), plan.name, plan.connections)
    }
}
