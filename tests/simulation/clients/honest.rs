//! An honest client: it asks what it may, reads what it is given, and knows what that must be.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use spindle::http1::limits::IDLE_TIMEOUT_NS;

use crate::simulation::clients::ask::{Ask, Asked};
use crate::simulation::clients::responses::{Parsed, Response, parse};
use crate::simulation::clients::{Client, Reach};
use crate::simulation::ledger::Ledger;
use crate::simulation::line::Path;
use crate::simulation::network::{MILLISECOND, SECOND};

/// How much longer than the network and the server's work an answer may take.
const PATIENCE_NS: u64 = 2 * SECOND;

/// How often a client tries again whose connection was closed before it was answered.
const ATTEMPTS_MAX: u32 = 50;

/// How a client behaves.
#[derive(Clone, Debug)]
pub(crate) struct Manners {
    /// How many questions it asks before it has the answers.
    pub pipelined: usize,
    /// How long it waits between an answer and the next question at most.
    pub pause_ns_max: u64,
    /// How much it reads at a time, and how long it waits then. It is slow, but not too slow.
    pub reads_bytes_max: usize,
    pub reads_every_ns: u64,
    /// What it does at the end.
    pub farewell: Farewell,
    /// Whether connections and descriptors may be scarce: then a connection that is not being answered may be closed, and an
    /// answer may be late.
    pub is_scarce: bool,
    /// Whether it must be answered in time all the same, since all others can give way.
    pub others_give_way: bool,
    /// Whether the disk may fail: then an answer may be that it did, and content may end short.
    pub disk_may_fail: bool,
}

/// What a client does when it has all its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// It ends its side along with its last question.
    EndsEarly,
    /// It closes.
    Closes,
    /// It stays, until the server closes.
    Stays,
}

/// An honest client with one connection.
pub(crate) struct Honest {
    manners: Manners,
    ledger: Rc<RefCell<Ledger>>,
    path: Path,
    listener: usize,
    to_ask: VecDeque<Ask>,
    asked: VecDeque<Asked>,
    read: Vec<u8>,
    attempt: u32,
    asks_from_ns: u64,
    reads_from_ns: u64,
    answered_ns: u64,
    /// How often it has waited before it read on, since the last answer.
    pauses: u64,
    /// Whether the server has said that this was the last answer.
    was_told_to_go: bool,
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
            read: Vec::new(),
            attempt: 0,
            asks_from_ns: 0,
            reads_from_ns: 0,
            answered_ns: 0,
            pauses: 0,
            was_told_to_go: false,
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
        let Some(asked) = self.asked.front_mut() else {
            if !self.read.is_empty() {
                self.complain(reach, "an answer to nothing".to_owned());
            }
            return false;
        };
        match parse(&self.read, asked.ask.is_head(), has_ended) {
            Parsed::Partial => false,
            Parsed::Malformed(reason) => {
                self.complain(reach, reason);
                false
            }
            Parsed::Response(response) if response.status == 100 => {
                self.read.drain(..response.bytes);
                let held_back = std::mem::take(&mut asked.held_back);
                reach.send(&held_back);
                true
            }
            Parsed::Response(response) => {
                self.read.drain(..response.bytes);
                self.check_answer(reach, &response);
                !self.is_done
            }
        }
    }

    fn check_answer(&mut self, reach: &mut Reach<'_>, response: &Response) {
        let Some(asked) = self.asked.pop_front() else { return };
        let now_ns = reach.now_ns();
        let checked = asked.ask.check(&asked, response, &mut self.ledger.borrow_mut(), now_ns);
        // Where there are no descriptors, what needs one is refused for now.
        let is_for_now = response.status == 503 && self.manners.is_scarce
            || self.manners.disk_may_fail && [500, 503, 507].contains(&response.status);
        if let (Err(about), false) = (checked, is_for_now) {
            return self.complain(reach, format!("{about}, asked {}", asked.ask));
        }
        let flights = reach.inner.lines[reach.line].flights - asked.flights;
        let on_the_way_ns = (flights + 4) * (self.path.latency_ns + self.path.jitter_ns);
        let own_ns = (std::mem::take(&mut self.pauses) + 1) * self.manners.reads_every_ns;
        let at_work_ns = reach.inner.busy_ns() - asked.busy_ns;
        let took_ns = now_ns - asked.at_ns.max(self.answered_ns);
        self.answered_ns = now_ns;
        let may_be_late = self.manners.is_scarce && !self.manners.others_give_way;
        if took_ns > on_the_way_ns + own_ns + at_work_ns + PATIENCE_NS && !may_be_late {
            return self.complain(
                reach,
                format!(
                    "an answer after {} ms, of which {} on the way and {} at work, asked {}",
                    took_ns / MILLISECOND,
                    on_the_way_ns / MILLISECOND,
                    at_work_ns / MILLISECOND,
                    asked.ask
                ),
            );
        }
        reach.count(&format!("answered {}", response.status));
        self.attempt = 0;
        self.was_told_to_go |= response.closes() || response.ends_with_connection;
        let pause_ns = reach.random().u64(..=self.manners.pause_ns_max);
        self.asks_from_ns = now_ns + pause_ns;
        reach.wake_in(pause_ns);
    }

    fn ask(&mut self, reach: &mut Reach<'_>) {
        let now_ns = reach.now_ns();
        if now_ns < self.asks_from_ns || self.was_told_to_go {
            return;
        }
        while self.asked.len() < self.manners.pipelined {
            let may_follow = self.asked.iter().all(|asked| asked.ask.may_be_pipelined());
            let next =
                self.to_ask.front().filter(|next| self.asked.is_empty() || may_follow && next.may_be_pipelined());
            if next.is_none() {
                break;
            }
            let Some(ask) = self.to_ask.pop_front() else { break };
            let (bytes, held_back, version) = ask.request(&mut self.ledger.borrow_mut(), now_ns);
            reach.send(&bytes);
            let (busy_ns, flights) = (reach.inner.busy_ns(), reach.inner.lines[reach.line].flights);
            self.asked.push_back(Asked { ask, version, held_back, at_ns: now_ns, busy_ns, flights });
        }
        let is_last = self.to_ask.is_empty() && self.asked.iter().all(|asked| asked.held_back.is_empty());
        if is_last && self.manners.farewell == Farewell::EndsEarly {
            reach.end();
        }
    }

    /// The connection has ended: what was not answered is asked again on another one, if it may end so.
    fn go_on_elsewhere(&mut self, reach: &mut Reach<'_>) {
        self.is_done = true;
        reach.close();
        if self.asked.is_empty() && self.to_ask.is_empty() {
            return;
        }
        let is_ending = reach.inner.signal_ns.is_some();
        let was_refused =
            reach.inner.settings.faults.failed_accept > 0 && reach.inner.lines[reach.line].accepted_ns.is_none();
        // Between two questions, or when it was idle for so long: the next question may have crossed with the end.
        let line = &reach.inner.lines[reach.line];
        let was_idle = line.closed_ns.is_some_and(|closed_ns| closed_ns >= line.output_ns + IDLE_TIMEOUT_NS);
        let is_between = self.asked.is_empty() || was_idle;
        let is_stopped = reach.inner.may_be_stopped();
        let may_be_short = is_ending || is_stopped || self.manners.disk_may_fail;
        let may_end = self.was_told_to_go || self.manners.is_scarce || was_refused || is_between || may_be_short;
        let is_cut_short = !self.read.is_empty();
        if !may_end || is_cut_short && !may_be_short {
            let about = format!(
                "the connection ended, with {} bytes of an answer; asked {}",
                self.read.len(),
                self.next_to_answer()
            );
            return self.complain(reach, about);
        }
        if is_ending {
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
        let in_ns = reach.random().u64(..SECOND / 2);
        reach.count("asks again on another connection");
        reach.add_client(in_ns, self.listener, self.path, Box::new(next));
    }
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
        self.ask(reach);
        if self.asked.is_empty() && self.to_ask.is_empty() && self.manners.farewell == Farewell::Closes {
            self.is_done = true;
            reach.close();
        }
    }

    fn complaint(&self) -> Option<String> {
        // Where places are scarce it may never have had one.
        let may_be_shut_out = self.manners.is_scarce && !self.manners.others_give_way;
        let was_shut_out = may_be_shut_out && self.asked.is_empty() && self.read.is_empty();
        let is_waiting = !self.is_done && !was_shut_out && !(self.asked.is_empty() && self.to_ask.is_empty());
        let waits = is_waiting.then(|| format!("never answered, nor told why; waits for {}", self.next_to_answer()));
        self.complaint.clone().or(waits)
    }

    fn name(&self) -> &'static str {
        "honest"
    }
}
