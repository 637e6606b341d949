//! An honest client: it asks what it may, reads what it is given, and knows what that must be.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use spindle::http1::limits::IDLE_TIMEOUT_NS;

use crate::simulation::clients::ask::{Ask, Asked, Content, Expect, Sent};
use crate::simulation::clients::exchanges::{Answer, Exchange};
use crate::simulation::clients::expected::{Expected, Judge};
use crate::simulation::clients::manners::{Farewell, Manners};
use crate::simulation::clients::responses::{Parsed, Response, bytes_at_least, parse};
use crate::simulation::clients::{Client, Reach};
use crate::simulation::ledger::Ledger;
use crate::simulation::line::Path;
use crate::simulation::network::{MILLISECOND, SECOND};
use crate::simulation::patience::when_past;
use crate::simulation::setup::HOSTILE_UNTIL_NS;

/// How much longer than the network and the server's work an answer may take.
const PATIENCE_NS: u64 = 250 * MILLISECOND;

/// How long a client may wait for a place where all others can give way: each has its quarter of a second to read its last
/// answer, and others wait as well.
const PLACE_NS: u64 = 2 * SECOND;

/// How often a client tries again whose connection was closed before it was answered.
const ATTEMPTS_MAX: u32 = 50;

/// An honest client with one connection.
pub(crate) struct Honest {
    pub(super) manners: Manners,
    ledger: Rc<RefCell<Ledger>>,
    path: Path,
    listener: usize,
    to_ask: VecDeque<Ask>,
    pub(super) asked: VecDeque<Asked>,
    /// What it has not sent yet of what it has to say, in pieces of what length, and when it sends the next one.
    to_send: VecDeque<u8>,
    piece_bytes: usize,
    sends_from_ns: u64,
    /// Bytes that it has sent, and urgent ones besides.
    sent_bytes: u64,
    pub(super) urgent_bytes: u64,
    pub(super) read: Vec<u8>,
    /// It makes no sense to look at what was read before there is so much of it.
    parses_from: usize,
    attempt: u32,
    asks_from_ns: u64,
    reads_from_ns: u64,
    answered_ns: u64,
    /// How often it has waited before it read on, since the last answer.
    pauses: u64,
    /// When the server has said that this was the last answer, and how many flights there had been.
    pub(super) told_to_go: Option<Sent>,
    is_done: bool,
    complaint: Option<String>,
}

impl Honest {
    pub(crate) fn new(
        to_ask: Vec<Ask>,
        manners: Manners,
        ledger: &Rc<RefCell<Ledger>>,
        path: Path,
        listener: usize,
    ) -> Honest {
        Honest {
            manners,
            ledger: Rc::clone(ledger),
            path,
            listener,
            to_ask: to_ask.into(),
            asked: VecDeque::new(),
            to_send: VecDeque::new(),
            piece_bytes: usize::MAX,
            sends_from_ns: 0,
            sent_bytes: 0,
            urgent_bytes: 0,
            read: Vec::new(),
            parses_from: 0,
            attempt: 0,
            asks_from_ns: 0,
            reads_from_ns: 0,
            answered_ns: 0,
            pauses: 0,
            told_to_go: None,
            is_done: false,
            complaint: None,
        }
    }

    fn complain(&mut self, reach: &mut Reach<'_>, about: String) {
        let now_ns = reach.now_ns();
        self.complaint.get_or_insert(format!("at {} ms: {about}", now_ns / MILLISECOND));
        self.is_done = true;
        reach.close();
    }

    fn next_to_answer(&self) -> String {
        self.asked.front().map(|asked| asked.ask.to_string()).unwrap_or_default()
    }

    fn read_some(&mut self, reach: &mut Reach<'_>) {
        let now_ns = reach.now_ns();
        if reach.received_bytes() == 0 {
            return;
        }
        if self.manners.reads_every_ns > 0 {
            if now_ns < self.reads_from_ns {
                return;
            }
            self.reads_from_ns = now_ns + self.manners.reads_every_ns;
            self.pauses += 1;
            reach.wake_in(self.manners.reads_every_ns);
        }
        let bytes = reach.read(self.manners.reads_bytes_max);
        self.read.extend(bytes);
    }

    /// Takes one answer, if it is there. Returns whether it was.
    fn take_answer(&mut self, reach: &mut Reach<'_>) -> bool {
        let has_ended = reach.has_ended();
        if self.read.len() < self.parses_from && !has_ended {
            return false;
        }
        self.parses_from = 0;
        let Some(asked) = self.asked.front_mut() else {
            if !self.read.is_empty() {
                self.complain(reach, "an answer to nothing".to_owned());
            }
            return false;
        };
        match parse(&self.read, asked.ask.is_head(), has_ended) {
            Parsed::Partial => {
                self.parses_from = bytes_at_least(&self.read, asked.ask.is_head());
                false
            }
            Parsed::Malformed(reason) => {
                self.complain(reach, reason);
                false
            }
            Parsed::Response(response) if response.status == 100 => {
                self.read.drain(..response.bytes);
                self.go_on_sending(reach);
                !self.is_done
            }
            Parsed::Response(response) => {
                self.read.drain(..response.bytes);
                self.check_answer(reach, &response);
                !self.is_done
            }
        }
    }

    /// The server has said that it wants the content.
    fn go_on_sending(&mut self, reach: &mut Reach<'_>) {
        let Some(asked) = self.asked.front_mut() else { return };
        let was_asked_for = !asked.ask.may_be_pipelined() && !std::mem::replace(&mut asked.was_continued, true);
        if !was_asked_for {
            let about = format!("an interim response that was not asked for, asked {}", asked.ask);
            return self.complain(reach, about);
        }
        let held_back = std::mem::take(&mut asked.held_back);
        self.send(reach, &held_back);
    }

    fn check_answer(&mut self, reach: &mut Reach<'_>, response: &Response) {
        if self.told_to_go.is_some() {
            return self.complain(reach, "an answer behind the last one".to_owned());
        }
        let Some(asked) = self.asked.pop_front() else { return };
        let now_ns = reach.now_ns();
        self.note_answer(reach, &asked, response);
        if response.status == 408 && self.may_have_come_too_late(reach, &asked) {
            self.asked.push_front(asked);
            self.told_to_go = Some(sent_now(reach));
            return;
        }
        let is_ending = reach.inner.signal_ns.is_some();
        let checked = self.judge(&asked, response, now_ns);
        // Sixteen archives are made at a time, and others may hold those places.
        let is_archive = matches!(asked.ask.expected, Expected::Archive { .. });
        let archives_may_be_held = is_archive && reach.inner.open > 16;
        // Where there are no descriptors, what needs one is refused for now.
        let is_for_now = response.status == 503 && (self.manners.is_scarce || archives_may_be_held)
            || self.manners.disk_may_fail && [500, 503, 507].contains(&response.status);
        let kept = asked.ask.check_persistence(response, !asked.held_back.is_empty());
        let checked = if is_for_now {
            Ok(())
        } else {
            checked.and(if is_ending || self.manners.disk_may_fail { Ok(()) } else { kept })
        };
        let checked = checked.and_then(|()| self.check_time(reach, &asked));
        let checked = checked.and_then(|()| check_last(reach, &asked, response));
        self.answered_ns = now_ns;
        if let Err(about) = checked {
            return self.complain(reach, format!("{about}, asked {}", asked.ask));
        }
        reach.count(&format!("answered {}", response.status));
        self.attempt = 0;
        if response.closes() || response.ends_with_connection {
            self.told_to_go = Some(sent_now(reach));
            self.to_send.clear();
            reach.wake_in(10 * SECOND);
        }
        let pause_ns = reach.random().u64(..=self.manners.pause_ns_max);
        self.asks_from_ns = now_ns + pause_ns;
        reach.wake_in(pause_ns);
    }

    fn judge(&self, asked: &Asked, response: &Response, now_ns: u64) -> Result<(), String> {
        Judge { asked, response, ledger: &mut self.ledger.borrow_mut(), now_ns }.check()
    }

    /// Whether the server may say that a request came too slowly: it was asked to end before all of it had come.
    fn may_have_come_too_late(&self, reach: &Reach<'_>, asked: &Asked) -> bool {
        let line = &reach.inner.lines[reach.line];
        reach.inner.signal_ns.is_some() && line.arrived_by_signal_bytes.unwrap_or(0) < asked.end + self.urgent_bytes
    }

    /// Whether the answer came in time.
    fn check_time(&mut self, reach: &Reach<'_>, asked: &Asked) -> Result<(), String> {
        let now_ns = reach.now_ns();
        let own_ns = (std::mem::take(&mut self.pauses) + 1) * self.manners.reads_every_ns;
        if self.manners.is_scarce && !self.manners.others_give_way {
            // When the last hostile client has left each of the others may keep a descriptor until it times out.
            let others_ns = IDLE_TIMEOUT_NS * reach.inner.lines.len() as u64;
            let is_late = now_ns > HOSTILE_UNTIL_NS + others_ns + reach.inner.busy_ns();
            return if is_late { Err("an answer when nobody has been in the way for long".to_owned()) } else { Ok(()) };
        }
        // An answer may come before its request has been sent to its end.
        let Some(sent) = asked.sent else { return Ok(()) };
        let on_the_way_ns = self.on_the_way_ns(reach, &sent);
        let at_work_ns = reach.inner.busy_ns() - sent.busy_ns;
        let took_ns = now_ns - sent.at_ns.max(self.answered_ns);
        let for_place_ns = if self.manners.others_give_way { PLACE_NS } else { 0 };
        if took_ns <= on_the_way_ns + own_ns + at_work_ns + for_place_ns + PATIENCE_NS {
            return Ok(());
        }
        Err(format!(
            "an answer after {} ms, of which {} on the way and {} at work",
            took_ns / MILLISECOND,
            on_the_way_ns / MILLISECOND,
            at_work_ns / MILLISECOND,
        ))
    }

    /// How long what has been sent since then was on the way at most.
    fn on_the_way_ns(&self, reach: &Reach<'_>, since: &Sent) -> u64 {
        let flights = reach.inner.lines[reach.line].flights - since.flights;
        (flights + 4) * (self.path.latency_ns + self.path.jitter_ns)
    }

    /// Notes what the record of the exchange must say.
    fn note_answer(&self, reach: &mut Reach<'_>, asked: &Asked, response: &Response) {
        let answer = Answer {
            status: response.status,
            received_bytes: asked.ask.received_bytes(response),
            sent_bytes: response.framed_bytes as u64,
            at_ns: reach.now_ns(),
        };
        let exchanges = reach.inner.lines[reach.line].exchanges.iter_mut().flatten();
        if let Some(exchange) = exchanges.into_iter().find(|exchange| exchange.answer.is_none()) {
            exchange.answer = Some(answer);
        }
    }

    fn ask(&mut self, reach: &mut Reach<'_>) {
        let now_ns = reach.now_ns();
        if now_ns < self.asks_from_ns || self.told_to_go.is_some() {
            return;
        }
        let mut bytes = Vec::new();
        while self.asked.len() < self.manners.pipelined {
            let may_follow = self.asked.iter().all(|asked| asked.ask.may_be_followed());
            let next =
                self.to_ask.front().filter(|next| self.asked.is_empty() || may_follow && next.may_be_pipelined());
            if next.is_none() {
                break;
            }
            let Some(ask) = self.to_ask.pop_front() else { break };
            bytes.extend(self.begin(reach, ask, bytes.len()));
        }
        self.send(reach, &bytes);
    }

    /// Notes a request that is sent behind so many bytes of others. Returns what is sent of it now.
    fn begin(&mut self, reach: &mut Reach<'_>, ask: Ask, bytes_before: usize) -> Vec<u8> {
        let now_ns = reach.now_ns();
        let written = ask.write(&mut self.ledger.borrow_mut(), now_ns);
        let exchange = Exchange {
            request: format!("{} {}", ask.method, ask.sent_target()),
            version: ask.version(),
            asked_ns: now_ns,
            answer: None,
        };
        reach.inner.lines[reach.line].exchanges.get_or_insert_default().push(exchange);
        let head_end = self.sent_bytes + (self.to_send.len() + bytes_before + written.head.len()) as u64;
        let (mut bytes, mut held_back, mut goes_on_ns) = (written.head, Vec::new(), 0);
        let end = head_end + written.content.len() as u64;
        if let Some(Content { expect: Expect::Continue { for_ns }, .. }) = ask.content {
            (held_back, goes_on_ns) = (written.content, for_ns.map_or(u64::MAX, |for_ns| now_ns + for_ns));
            if let Some(for_ns) = for_ns {
                reach.wake_in(for_ns);
            }
        } else {
            bytes.extend(written.content);
        }
        let (version, tag) = (written.version, written.tag);
        let (at_ns, sent, was_continued) = (now_ns, None, false);
        self.asked.push_back(Asked {
            ask,
            version,
            tag,
            held_back,
            goes_on_ns,
            head_end,
            end,
            at_ns,
            sent,
            was_continued,
        });
        bytes
    }

    /// Sends bytes, perhaps in pieces.
    fn send(&mut self, reach: &mut Reach<'_>, bytes: &[u8]) {
        self.to_send.extend(bytes);
        self.piece_bytes = match self.manners.pieces {
            0 | 1 => usize::MAX,
            pieces => (2 * self.to_send.len() / pieces).max(1),
        };
        self.send_pieces(reach);
    }

    fn send_pieces(&mut self, reach: &mut Reach<'_>) {
        // Each round sends a piece.
        while !self.to_send.is_empty() && reach.now_ns() >= self.sends_from_ns {
            let most = self.piece_bytes.min(self.to_send.len());
            let bytes = if self.manners.pieces > 1 { reach.random().usize(1..=most) } else { most };
            let is_urgent = self.manners.sends_urgent && reach.random().u8(..4) == 0;
            if is_urgent && reach.inner.lines[reach.line].urgent_at.is_none() {
                reach.next_is_urgent();
                reach.send(b"!");
                self.urgent_bytes += 1;
            }
            let piece: Vec<u8> = self.to_send.drain(..bytes).collect();
            reach.send(&piece);
            self.sent_bytes += bytes as u64;
            if self.manners.piece_every_ns_max > 0 {
                let pause_ns = reach.random().u64(1..=self.manners.piece_every_ns_max);
                self.sends_from_ns = reach.now_ns() + pause_ns;
                reach.wake_in(pause_ns);
            }
        }
        let now = sent_now(reach);
        for asked in &mut self.asked {
            if asked.end <= self.sent_bytes {
                asked.sent.get_or_insert(now);
            }
        }
        let is_last = self.to_ask.is_empty() && self.to_send.is_empty();
        if is_last
            && self.asked.iter().all(|asked| asked.held_back.is_empty())
            && self.manners.farewell == Farewell::EndsEarly
        {
            reach.end();
        }
    }

    /// Sends content that nobody has asked for in time.
    fn lose_patience(&mut self, reach: &mut Reach<'_>) {
        let now_ns = reach.now_ns();
        let Some(asked) = self.asked.front_mut().filter(|asked| now_ns >= asked.goes_on_ns) else { return };
        if !asked.held_back.is_empty() && self.told_to_go.is_none() {
            let held_back = std::mem::take(&mut asked.held_back);
            reach.count("sends content without being asked to go on");
            self.send(reach, &held_back);
        }
    }

    /// The connection has ended: what was not answered is asked again on another one, if it may end so.
    fn go_on_elsewhere(&mut self, reach: &mut Reach<'_>) {
        self.is_done = true;
        reach.close();
        if self.asked.is_empty() && self.to_ask.is_empty() {
            return;
        }
        if !self.may_end(reach) || !self.may_be_cut_short(reach) {
            let bytes = self.read.len();
            let about =
                format!("the connection ended, with {bytes} bytes of an answer; asked {}", self.next_to_answer());
            return self.complain(reach, about);
        }
        if reach.inner.signal_ns.is_some() {
            return;
        }
        if self.attempt == ATTEMPTS_MAX && self.manners.disk_may_fail {
            return;
        }
        if self.attempt == ATTEMPTS_MAX {
            return self.complain(reach, "never answered".to_owned());
        }
        let to_ask = self.asked.drain(..).map(|asked| asked.ask).chain(self.to_ask.drain(..)).collect();
        let mut next = Honest::new(to_ask, self.manners.clone(), &self.ledger, self.path, self.listener);
        next.attempt = self.attempt + 1;
        // Ever later: clients that come again at once would take a scarce place from each other for good.
        let in_ns = reach.random().u64(..SECOND / 2 * u64::from(self.attempt.min(9) + 1));
        reach.count("asks again on another connection");
        reach.add_client(in_ns, self.listener, self.path, Box::new(next));
    }

    /// Behind the last answer the end comes at once.
    fn check_end(&mut self, reach: &mut Reach<'_>) {
        let Some(told) = self.told_to_go else { return };
        let waited_ns = reach.now_ns() - told.at_ns;
        let at_work_ns = reach.inner.busy_ns() - told.busy_ns;
        if waited_ns > self.on_the_way_ns(reach, &told) + at_work_ns + PATIENCE_NS + self.manners.reads_every_ns {
            self.complain(reach, "no end behind the last answer".to_owned());
        }
    }
}

fn sent_now(reach: &Reach<'_>) -> Sent {
    Sent { at_ns: reach.now_ns(), busy_ns: reach.inner.busy_ns(), flights: reach.inner.lines[reach.line].flights }
}

/// Whether the response says that it is the last one, if the server was shutting down before it read the request.
fn check_last(reach: &Reach<'_>, asked: &Asked, response: &Response) -> Result<(), String> {
    let history = &reach.inner.lines[reach.line].history;
    let Some(shutdown) = reach.inner.shutdown else { return Ok(()) };
    let was_read_later = when_past(&history.reads, asked.head_end - 1).is_some_and(|read| read.at_ns > shutdown.at_ns);
    let is_last = response.closes() || response.ends_with_connection;
    if was_read_later && !is_last {
        return Err("a response in shutdown does not say that it is the last one".to_owned());
    }
    Ok(())
}

impl Client for Honest {
    fn act(&mut self, reach: &mut Reach<'_>) {
        if self.is_done {
            return;
        }
        self.read_some(reach);
        // Each round takes an answer.
        while self.take_answer(reach) {}
        if self.is_done {
            return;
        }
        if reach.has_ended() || reach.is_lost() {
            return self.go_on_elsewhere(reach);
        }
        self.check_end(reach);
        self.lose_patience(reach);
        self.send_pieces(reach);
        self.ask(reach);
        let has_all = self.asked.is_empty() && self.to_ask.is_empty();
        if has_all && self.to_send.is_empty() && self.manners.farewell == Farewell::Closes {
            self.is_done = true;
            reach.close();
        }
    }

    fn complaint(&self) -> Option<String> {
        // Where places are scarce it may never have had one.
        let may_be_shut_out = self.manners.is_scarce && !self.manners.others_give_way;
        let was_shut_out = may_be_shut_out && self.asked.is_empty() && self.read.is_empty();
        let is_waiting = !(self.is_done || was_shut_out || self.asked.is_empty() && self.to_ask.is_empty());
        let waits = is_waiting.then(|| format!("never answered, nor told why; waits for {}", self.next_to_answer()));
        self.complaint.clone().or(waits)
    }

    fn name(&self) -> &'static str {
        "honest"
    }

    fn describe(&self) -> String {
        let asks: Vec<String> = self.to_ask.iter().map(Ask::to_string).collect();
        format!("honest, {:?}, asks {}", self.manners, asks.join("; "))
    }
}
