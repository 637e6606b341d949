//! The server's current use of memory and queues, for tests that check its bounds.

use super::Server;
use super::session::Queued;
use super::world::{Transport, World};
use crate::http1::limits::{CONTENT_BUFFER_BYTES, FIELD_LINES_MAX, OUTPUT_BUFFER_BYTES};
use crate::semantics::fields::FieldSpan;
use crate::semantics::service::{Service, Source};

/// The upper bound of [`Usage::connection_buffer_bytes`]: a receive buffer (for long content, of which there are few),
/// the field lines of a head, and the buffer of a send queue.
pub const CONNECTION_BUFFER_BYTES_MAX: usize =
    CONTENT_BUFFER_BYTES + FIELD_LINES_MAX * size_of::<FieldSpan>() + OUTPUT_BUFFER_BYTES;

/// The server's use of memory and queues at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Open connections.
    pub sessions: usize,
    /// Open connections in the run queue.
    pub ready_sessions: usize,
    /// Open connections that are not in the run queue. They are driven again at an event or at their deadline.
    pub idle_sessions: usize,
    /// Idle connections without a deadline. This must be 0: such a client could keep its connection for ever.
    pub idle_without_deadline: usize,
    /// Connections that count against a group of clients.
    pub counted_sessions: usize,
    /// Groups of clients that hold connections.
    pub groups: usize,
    /// Sessions that have an entry in the deadlines.
    pub armed_sessions: usize,
    /// Entries in the deadlines. Equal to `armed_sessions`.
    pub deadlines: usize,
    /// Entries in the run queue. Equal to `ready_sessions`.
    pub queued: usize,
    /// Bytes of all buffers that connections have borrowed.
    pub buffer_bytes: usize,
    /// Bytes of the buffers of connections that wait for a request and have received nothing of it. This must be 0, so
    /// that ten thousand such connections cost little memory.
    pub waiting_buffer_bytes: usize,
    /// Bytes of the receive buffers of idle connections that receive content. This must be 0: the server hands what it
    /// has received to the route before the connection goes idle.
    pub idle_content_buffer_bytes: usize,
    /// Bytes of the buffers of the connection that has the most.
    pub connection_buffer_bytes: usize,
    /// Bytes of the buffers that the pool keeps for later use.
    pub pooled_bytes: usize,
    /// Buffers for long content, lent or kept by the pool.
    pub content_buffers: usize,
    /// Records of completed exchanges that were not delivered to the observer yet.
    pub undelivered_records: usize,
}

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    /// The current usage. To be called between two turns; its cost grows with the number of sessions.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage {
            sessions: self.sessions.len(),
            counted_sessions: self.shares.connection_count(),
            groups: self.shares.holder_count(),
            deadlines: self.deadlines.len(),
            queued: self.queue.len(),
            pooled_bytes: self.cx.shared.pool.memory_bytes(),
            content_buffers: self.cx.shared.pool.content_buffers(),
            undelivered_records: self.cx.shared.records.ended_count(),
            ..Usage::default()
        };
        for (_, session) in &self.sessions {
            // One that waits for its upload's group goes on with the group.
            let is_idle = session.queued == Queued::No && !session.connection.is_committing();
            let buffer_bytes = session.connection.memory_bytes();
            usage.ready_sessions += usize::from(session.queued != Queued::No);
            usage.idle_sessions += usize::from(is_idle);
            usage.idle_without_deadline += usize::from(is_idle && session.connection.deadline_ns() == u64::MAX);
            usage.armed_sessions += usize::from(session.armed_ns != u64::MAX);
            usage.buffer_bytes += buffer_bytes;
            if is_idle && session.connection.waits_for_request() {
                usage.waiting_buffer_bytes += buffer_bytes;
            }
            if is_idle {
                usage.idle_content_buffer_bytes += session.connection.content_buffer_bytes();
            }
            usage.connection_buffer_bytes = usage.connection_buffer_bytes.max(buffer_bytes);
        }
        usage
    }
}
