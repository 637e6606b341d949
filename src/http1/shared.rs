//! What all connections of one event loop share: settings, buffers, records, and the date.

use super::buffer_pool::BufferPool;
use super::connection::Records;
use super::limits;
use super::rate::Rate;
use super::response_writer::DateLine;
use crate::semantics::Now;
use crate::semantics::client::Client;
use crate::semantics::proxies::{Proxies, Sender};

/// The settings of the protocol core. [`limits`] has what cannot be configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether to refuse HTTP/1.1 requests without Host, and targets that violate the URI grammar.
    pub strict: bool,
    /// Whether responses have a Date field.
    pub send_date: bool,
    /// How long a head may take from its first byte to its last, in nanoseconds.
    pub head_timeout_ns: u64,
    /// How long a connection may wait for its next request, in nanoseconds.
    pub idle_timeout_ns: u64,
    /// What each connection of a client may send and receive; `None` for no limit.
    pub rate: Option<Rate>,
    /// The proxies that are believed about their clients' addresses.
    pub proxies: Proxies,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            strict: false,
            send_date: true,
            head_timeout_ns: limits::HEAD_TIMEOUT_NS,
            idle_timeout_ns: limits::IDLE_TIMEOUT_NS,
            rate: None,
            proxies: Proxies::default(),
        }
    }
}

/// Shared by all connections of one event loop. What a panic could leave half-written is reset before each use and not
/// after it, so that a panic during one use cannot affect the next one.
#[derive(Default)]
pub struct Shared {
    /// The settings.
    pub settings: Settings,
    /// Buffers that no connection uses.
    pub pool: BufferPool,
    /// Records of the exchanges.
    pub records: Records,
    /// Whom the connection counts against that is being driven. To be set before each drive; the connection sets it when
    /// a proxy names its client.
    pub sender: Sender,
    /// The client that the connection's proxy has named in this drive. To be taken after each drive.
    pub named_client: Option<Client>,
    date: Option<DateLine>,
}

impl Shared {
    /// Creates the state of a loop in which no connection exists.
    pub fn new(settings: Settings) -> Shared {
        Shared { settings, ..Shared::default() }
    }

    /// The Date field line for `now`, or `None` if none is to be sent; and the pool, because callers need both borrows
    /// at once.
    pub(super) fn date_and_pool(&mut self, now: &Now) -> (Option<&DateLine>, &mut BufferPool) {
        if !self.settings.send_date {
            return (None, &mut self.pool);
        }
        let unix_s = now.unix_s();
        if self.date.as_ref().is_none_or(|date| date.unix_s() != unix_s) {
            self.date = DateLine::new(unix_s);
        }
        (self.date.as_ref(), &mut self.pool)
    }
}
