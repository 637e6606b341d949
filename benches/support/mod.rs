//! Shared by the measurements without sockets: requests as clients send them, and a connection that responds to them.

// Each measurement uses only a part of this module.
#![allow(dead_code)]

pub(crate) mod corpus;

use spindle::http1::{Connection, Settings, Shared, Transmit};
use spindle::routes::Routes;
use spindle::semantics::Now;
use spindle::semantics::client::Client;
use spindle::semantics::observer::Observer;
use spindle::semantics::proxies::{Network, Proxies};

/// A kept connection without a socket.
pub(crate) struct InMemoryConnection {
    connection: Connection<Routes>,
    shared: Shared,
    routes: Routes,
    now: Now,
    observer: Option<Box<dyn Observer>>,
}

impl InMemoryConnection {
    /// A connection that has just been accepted by a server with these routes.
    pub(crate) fn new(routes: Routes) -> InMemoryConnection {
        let now = Now { monotonic_ns: 0, unix_ns: 1_767_225_600_000_000_000 };
        let shared = Shared::new(Settings::default());
        InMemoryConnection {
            connection: Connection::new(Client::Unix, 0, &shared, &now),
            shared,
            routes,
            now,
            observer: None,
        }
    }

    /// Sets the time, in nanoseconds since 1970.
    pub(crate) fn at(mut self, unix_ns: u64) -> InMemoryConnection {
        self.now.unix_ns = unix_ns;
        self
    }

    /// Lets an observer read the record of each exchange, and write after all of them, as at the end of a turn.
    pub(crate) fn observed_by(mut self, observer: Box<dyn Observer>) -> InMemoryConnection {
        self.shared.records.enabled = true;
        self.shared.records.omits_requests = !observer.reads_requests();
        self.connection = Connection::new(Client::at([192, 0, 2, 1].into(), 80), 0, &self.shared, &self.now);
        self.observer = Some(observer);
        self
    }

    /// Believes these proxies. The client of an observed connection is 192.0.2.1.
    pub(crate) fn behind_proxies(mut self, trusted: Vec<Network>) -> InMemoryConnection {
        self.shared.settings.proxies = Proxies { trusted, protocol: Vec::new() };
        self
    }

    /// Receives `requests` at once, responds to all of them, and passes the bytes that are sent to `sent`.
    pub(crate) fn exchange(&mut self, requests: &[u8], mut sent: impl FnMut(&[u8])) {
        self.connection.input_space(&mut self.shared, &self.now)[..requests.len()].copy_from_slice(requests);
        self.connection.received(requests.len(), &self.now);
        loop {
            let mut has_progressed = false;
            while !self.connection.process(&mut self.routes, &mut self.shared, &self.now).is_idle() {
                has_progressed = true;
            }
            while let Some(Transmit::Bytes { bytes, .. }) = self.connection.transmit(&self.now) {
                let count = bytes.len() as u64;
                sent(bytes);
                self.connection.transmitted(count, &mut self.shared, &self.now);
                has_progressed = true;
            }
            if !has_progressed {
                break;
            }
        }
        self.connection.release_idle_memory(&mut self.shared);
        let Some(observer) = &mut self.observer else { return };
        while let Some(record) = self.shared.records.take_ended() {
            observer.exchange_ended(&record);
            self.shared.records.recycle(record);
        }
        observer.flush(&self.now);
    }
}
