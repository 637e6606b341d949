//! What the connections of one loop share: settings, memory, records, and the date.

use super::buffer_pool::BufferPool;
use super::connection::Records;
use super::limits;
use super::response_writer::DateLine;
use crate::semantics::Now;

/// What can be configured of the protocol.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether an HTTP/1.1 request without Host is refused, and a target outside the URI grammar.
    pub strict: bool,
    /// Whether responses carry Date.
    pub send_date: bool,
    /// How long a head may take from its first byte, in nanoseconds.
    pub head_timeout_ns: u64,
    /// How long a connection may wait for its next request, in nanoseconds.
    pub idle_timeout_ns: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            strict: false,
            send_date: true,
            head_timeout_ns: limits::HEAD_TIMEOUT_NS,
            idle_timeout_ns: limits::IDLE_TIMEOUT_NS,
        }
    }
}

/// Shared by all connections of one loop. Each part is made ready before each use, never after: a panic in the middle of a
/// use leaves nothing that the next one trips over.
#[derive(Default)]
pub struct Shared {
    /// What was configured.
    pub settings: Settings,
    /// Buffers.
    pub pool: BufferPool,
    /// What became of the exchanges.
    pub records: Records,
    date: Option<DateLine>,
}

impl Shared {
    /// With these settings, and an empty pool.
    pub fn new(settings: Settings) -> Shared {
        Shared { settings, ..Shared::default() }
    }

    /// The Date field line for `now`, unless none is to be sent; and the pool, which is needed along with it.
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
