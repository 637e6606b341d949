//! The listeners: the backlogs, the connections that the kernel holds back, and what becomes of both when the server closes
//! its listeners, crashes and is started again.

use std::collections::VecDeque;

use crate::simulation::event_queue::Event;
use crate::simulation::link::Stage;
use crate::simulation::network::{NetworkState, Ready, SECOND};
use crate::simulation::network_settings::HELD_BACK_NS;

/// How often a client tries to connect while the backlog is full, once a second.
const CONNECT_ATTEMPTS: u32 = 3000;

impl NetworkState {
    /// The kernel puts the connection into the backlog and notifies the server, if the server still listens.
    pub(crate) fn connect(&mut self, link: usize, attempt: u32) {
        let listener = self.links[link].listener;
        let Some(backlogs) = &mut self.backlogs else {
            self.coverage.count("network", "connection refused");
            self.links[link].reset_client();
            self.call_client_of(link);
            return;
        };
        if backlogs[listener].len() >= self.settings.backlog_max {
            self.coverage.count("network", "backlog full");
            if attempt < CONNECT_ATTEMPTS {
                self.schedule(self.now_ns() + SECOND, Event::Connect { link, attempt: attempt + 1 });
            }
            return;
        }
        self.links[link].established_ns = Some(self.now_ns());
        self.links[link].stage = Stage::HeldBack;
        match self.holds_back {
            true => self.schedule(self.now_ns() + HELD_BACK_NS, Event::HandOver(link)),
            false => self.hand_over(link),
        }
        self.call_client_of(link);
        self.start_flights(link);
    }

    /// The kernel puts a connection that it has held back into the backlog. If its client has reset it meanwhile, the server
    /// never learns of it.
    pub(crate) fn hand_over(&mut self, link: usize) {
        let listener = self.links[link].listener;
        let Some(backlogs) = self.backlogs.as_mut().filter(|_| self.links[link].stage == Stage::HeldBack) else {
            return;
        };
        if self.links[link].reset_has_arrived {
            self.coverage.count("network", "reset while it was held back");
            self.links[link].stage = Stage::Closed;
            return;
        }
        if self.links[link].arrived.is_empty() && self.holds_back {
            self.coverage.count("network", "handed over silent");
        }
        self.links[link].queued_behind = backlogs[listener].len();
        backlogs[listener].push_back(link);
        self.links[link].stage = Stage::Backlog;
        self.push_ready(Ready::Listener(listener));
    }

    /// From now on, no connection is held back that is not already. Returns how long it takes until those have been handed
    /// over.
    pub(crate) fn stop_holding_back(&mut self) -> u64 {
        if !std::mem::take(&mut self.holds_back) {
            return 0;
        }
        self.holding_back_ended_ns = Some(self.now_ns());
        HELD_BACK_NS
    }

    /// Connections are held back as they were at the start.
    pub(crate) fn hold_back_again(&mut self) {
        self.holds_back = self.settings.holds_back;
        self.holding_back_ended_ns = None;
        if self.holds_back {
            self.coverage.count("network", "held back again");
        }
    }

    /// The server has closed its listeners: connections in the backlog are reset.
    pub(crate) fn close_listeners(&mut self) {
        let now_ns = self.now_ns();
        self.listeners_closed_ns.get_or_insert(now_ns);
        let backlogs = self.backlogs.take();
        let held_back = (0..self.links.len()).filter(|link| self.links[*link].stage == Stage::HeldBack);
        let held_back: Vec<usize> = held_back.filter(|_| backlogs.is_some()).collect();
        for link in backlogs.into_iter().flatten().flatten().chain(held_back) {
            self.coverage.count("network", "lost in the backlog");
            self.links[link].reset_client();
            self.call_client_of(link);
        }
    }

    /// The server crashes: all connections are reset. It does not listen until it is started again.
    pub(crate) fn crash_server(&mut self) {
        self.crashed_ns = Some(self.now_ns());
        for link in 0..self.links.len() {
            if self.links[link].stage != Stage::Before && self.links[link].stage != Stage::Closed {
                self.links[link].reset_client();
                self.links[link].was_crashed = true;
                if self.links[link].stage == Stage::HeldBack {
                    self.links[link].stage = Stage::Closed;
                }
                self.call_client_of(link);
            }
        }
        self.ready.clear();
        self.backlogs = None;
        (self.signal_was_delivered, self.shutdown) = (false, None);
    }

    /// The server is started again and listens.
    pub(crate) fn start_server(&mut self) {
        self.backlogs = Some(vec![VecDeque::new(); self.settings.listeners]);
        self.holds_back = self.settings.holds_back;
        self.holding_back_ended_ns = None;
        // The crash closed the listeners of the process before.
        self.listeners_closed_ns = None;
        self.ready.clear();
        // A signal that was sent before the start has no effect on this process.
        if self.signal_ns.is_some() {
            self.push_ready(Ready::Signal);
        }
        self.end_sleep();
    }
}
