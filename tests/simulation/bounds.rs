//! Bounds on the server's memory, queues and deadlines: after a turn, and when all connections are closed.

use spindle::http1::limits::{
    CONTENT_BUFFER_BYTES, CONTENT_BUFFERS_MAX, OUTPUT_BUFFER_BYTES, POOLED_BUFFERS_MAX, POOLED_CONTENT_BUFFERS_MAX,
    RECEIVE_BUFFER_BYTES,
};
use spindle::server::{CONNECTION_BUFFER_BYTES_MAX, Usage};

/// The most that the buffer pool keeps.
const POOLED_BYTES_MAX: usize = POOLED_BUFFERS_MAX * (RECEIVE_BUFFER_BYTES + OUTPUT_BUFFER_BYTES)
    + POOLED_CONTENT_BUFFERS_MAX * CONTENT_BUFFER_BYTES;

/// Checks the usage after a turn, with `open` sockets open.
pub(crate) fn check(usage: &Usage, connections_max: usize, open: usize) -> Result<(), String> {
    let checks = [
        ("one session per socket", usage.sessions == open),
        ("no more sessions than the connection limit", usage.sessions <= connections_max),
        ("each idle session has a deadline", usage.idle_without_deadline == 0),
        ("each idle session has an entry in the deadlines", usage.armed_sessions >= usage.idle_sessions),
        ("one entry in the deadlines per armed session", usage.deadlines == usage.armed_sessions),
        ("one queue entry per ready session", usage.queued == usage.ready_sessions),
        ("the buffers of a connection are bounded", usage.connection_buffer_bytes <= CONNECTION_BUFFER_BYTES_MAX),
        ("sessions that wait for a request have no buffers", usage.waiting_buffer_bytes == 0),
        ("idle sessions that receive content have no receive buffer", usage.idle_content_buffer_bytes == 0),
        ("the buffers for long content are bounded", usage.content_buffers <= CONTENT_BUFFERS_MAX),
        ("the buffer pool is bounded", usage.pooled_bytes <= POOLED_BYTES_MAX),
        ("no record is undelivered", usage.undelivered_records == 0),
    ];
    first_violation(&checks, usage)
}

/// Checks the usage when no event is left.
pub(crate) fn check_quiescent(usage: &Usage) -> Result<(), String> {
    let Usage { pooled_bytes, content_buffers, .. } = *usage;
    let only_the_pool = Usage { pooled_bytes, content_buffers, ..Usage::default() };
    let checks = [
        ("only the buffer pool uses memory", *usage == only_the_pool),
        ("the pool keeps few buffers for long content", content_buffers <= POOLED_CONTENT_BUFFERS_MAX),
    ];
    first_violation(&checks, usage)
}

fn first_violation(checks: &[(&str, bool)], usage: &Usage) -> Result<(), String> {
    match checks.iter().find(|(_, is_met)| !is_met) {
        Some((bound, _)) => Err(format!("violated: {bound}: {usage:?}")),
        None => Ok(()),
    }
}
