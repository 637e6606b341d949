//! What the server holds at a moment: a diagnostic, for metrics and for the tests that hold it against its bounds.

use super::Server;
use super::session::Queued;
use super::world::{Transport, World};
use crate::http1::limits::{FIELD_LINES_MAX, OUTPUT_BUFFER_BYTES, RECEIVE_BUFFER_BYTES};
use crate::semantics::fields::FieldSpan;
use crate::semantics::service::{Service, Source};

/// The most that [`Usage::connection_buffer_bytes`] shows: a receive buffer, with room for the lines of a head, and a send
/// queue's buffer.
pub const CONNECTION_BUFFER_BYTES_MAX: usize =
    RECEIVE_BUFFER_BYTES + FIELD_LINES_MAX * size_of::<FieldSpan>() + OUTPUT_BUFFER_BYTES;

/// What the server holds at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Connections that are open.
    pub sessions: usize,
    /// Open connections that wait for their turn.
    pub ready_sessions: usize,
    /// Open connections that wait for their client: they are driven again at an event or at their deadline.
    pub idle_sessions: usize,
    /// Idle connections without a deadline. There should be none: such a client could keep its connection for ever.
    pub idle_without_deadline: usize,
    /// Sessions that have an entry among the deadlines.
    pub armed_sessions: usize,
    /// Entries of the deadlines: as many as there are armed sessions.
    pub deadlines: usize,
    /// Entries of the run queue: as many as there are ready sessions, and those of sessions that have left it by a panic.
    pub queued: usize,
    /// Bytes of the buffers that connections have borrowed.
    pub buffer_bytes: usize,
    /// Those of connections that wait for a request of which nothing has come. They should have none: ten thousand of them are
    /// to cost megabytes.
    pub waiting_buffer_bytes: usize,
    /// The most of them that one connection has.
    pub connection_buffer_bytes: usize,
    /// Bytes of the buffers that are kept for the next connection.
    pub pooled_bytes: usize,
    /// Records of finished exchanges that the observer has not been given yet.
    pub undelivered_records: usize,
}

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    /// What the server holds now, between two turns. It looks at each session: not for every turn of a busy server.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage {
            sessions: self.sessions.len(),
            deadlines: self.deadlines.len(),
            queued: self.queue.ready_len() + self.queue.busy_len(),
            pooled_bytes: self.cx.shared.pool.kept_bytes(),
            undelivered_records: self.cx.shared.records.ended_count(),
            ..Usage::default()
        };
        for (_, session) in &self.sessions {
            let is_idle = session.queued == Queued::No;
            let buffer_bytes = session.connection.memory_bytes();
            usage.ready_sessions += usize::from(!is_idle);
            usage.idle_sessions += usize::from(is_idle);
            usage.idle_without_deadline += usize::from(is_idle && session.connection.deadline_ns() == u64::MAX);
            usage.armed_sessions += usize::from(session.armed_ns != u64::MAX);
            usage.buffer_bytes += buffer_bytes;
            if is_idle && session.connection.waits_for_request() {
                usage.waiting_buffer_bytes += buffer_bytes;
            }
            usage.connection_buffer_bytes = usage.connection_buffer_bytes.max(buffer_bytes);
        }
        usage
    }
}
