//! The clients: honest ones, which know what they must receive, and hostile ones.

pub(crate) mod account_holder;
mod allowed_closes;
pub(crate) mod behaviour;
pub(crate) mod boundary;
pub(crate) mod drop_box;
pub(crate) mod exchanges;
pub(crate) mod expected;
pub(crate) mod external;
pub(crate) mod generate;
pub(crate) mod honest;
pub(crate) mod hostile;
pub(crate) mod hostile_workload;
pub(crate) mod link_holder;
pub(crate) mod listings;
pub(crate) mod malformed;
pub(crate) mod managing;
pub(crate) mod protocol_errors;
pub(crate) mod readers;
pub(crate) mod request;
pub(crate) mod responses;
pub(crate) mod resuming;

use crate::simulation::event_queue::Event;
use crate::simulation::link::{Link, Path, take_bytes};
use crate::simulation::network::NetworkState;

/// A client with one connection.
pub(crate) trait Client {
    /// Called when the client has connected, when its socket has changed, and when it asked to be woken. Further calls
    /// are harmless.
    fn act(&mut self, socket: &mut ClientSocket<'_>);

    /// What was wrong with what it received, after the run.
    fn violation(&self) -> Option<String> {
        None
    }

    /// Its kind, for the trace and the coverage.
    fn name(&self) -> &'static str;

    /// Its kind and what it will send, for the trace.
    fn describe(&self) -> String {
        self.name().to_owned()
    }
}

/// The client's socket, and its clock.
pub(crate) struct ClientSocket<'a> {
    pub(crate) inner: &'a mut NetworkState,
    pub(crate) link: usize,
}

impl ClientSocket<'_> {
    fn state(&mut self) -> &mut Link {
        &mut self.inner.links[self.link]
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.inner.now_ns()
    }

    pub(crate) fn random(&mut self) -> &mut fastrand::Rng {
        &mut self.inner.links[self.link].random
    }

    /// Sends bytes. Those that do not fit wait.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let state = self.state();
        if state.is_dead() || state.client_has_closed || state.end_is_unsent || state.end_has_arrived {
            return;
        }
        state.unsent.extend(bytes);
        state.sent_bytes += bytes.len() as u64;
        self.inner.trace.describe(self.inner.now_ns(), self.link, "the client sends", bytes);
        self.inner.start_flights(self.link);
    }

    /// Marks the next byte as urgent: a read stops before it.
    pub(crate) fn next_is_urgent(&mut self) {
        let state = self.state();
        state.urgent_at = Some(state.sent_bytes);
    }

    /// Bytes that are sent and not on their way yet.
    pub(crate) fn unsent_bytes(&mut self) -> usize {
        self.state().unsent.len()
    }

    /// Reads at most `bytes_max` bytes.
    pub(crate) fn read(&mut self, bytes_max: usize) -> Vec<u8> {
        let state = self.state();
        let bytes = bytes_max.min(state.received.len());
        let read = take_bytes(&mut state.received, bytes);
        self.inner.start_flights(self.link);
        read
    }

    /// How many bytes can be read.
    pub(crate) fn received_bytes(&mut self) -> usize {
        self.state().received.len()
    }

    /// Whether the server has sent its end, and the client has read all before it.
    pub(crate) fn has_ended(&mut self) -> bool {
        let state = self.state();
        state.end_was_received && state.received.is_empty() && !state.is_dead()
    }

    /// Whether a reset has ended the connection.
    pub(crate) fn is_lost(&mut self) -> bool {
        self.state().is_dead()
    }

    /// Whether something else than this client may have ended the connection: a shutdown, a crash, or that the server
    /// could not accept or register it.
    pub(crate) fn may_have_other_causes(&mut self) -> bool {
        let is_ending = self.inner.signal_ns.is_some();
        let state = self.state();
        is_ending || state.was_crashed || state.accepted_ns.is_none() || state.was_not_registered
    }

    /// Half-closes: nothing more will be sent.
    pub(crate) fn end(&mut self) {
        self.inner.trace.describe(self.inner.now_ns(), self.link, "the client ends", b"");
        let state = self.state();
        if !state.end_has_arrived {
            state.end_is_unsent = true;
        }
        self.inner.start_flights(self.link);
    }

    /// Closes the socket. As on Linux, this resets the connection if unread bytes are left.
    pub(crate) fn close(&mut self) {
        let leaves_unread = !self.state().received.is_empty() && !self.is_lost();
        if leaves_unread {
            self.inner.coverage.count("network", "reset: the client leaves bytes unread");
            self.reset();
        }
        self.end();
        let state = self.state();
        state.client_has_closed = true;
        state.received.clear();
        self.inner.start_flights(self.link);
    }

    /// Resets the connection.
    pub(crate) fn reset(&mut self) {
        self.inner.trace.describe(self.inner.now_ns(), self.link, "the client resets", b"");
        if self.inner.settings.rate.is_some() && !self.state().arrived.is_empty() {
            self.inner.coverage.count("network", "reset: unread bytes at a limited rate");
        }
        self.state().reset_server();
        self.inner.made_room(self.link);
    }

    /// Asks to be called after that time.
    pub(crate) fn wake_in(&mut self, ns: u64) {
        let at_ns = self.now_ns() + ns;
        self.inner.schedule(at_ns, Event::Wake(self.link));
    }

    /// Adds another client, which connects after that time.
    pub(crate) fn add_client(&mut self, in_ns: u64, listener: usize, path: Path, client: Box<dyn Client>) -> usize {
        let at_ns = self.now_ns() + in_ns;
        self.inner.add_client(at_ns, listener, path, client)
    }

    pub(crate) fn count(&mut self, what: &str) {
        self.inner.coverage.count("client", what);
    }
}
