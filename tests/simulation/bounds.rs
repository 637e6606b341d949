//! Bounds on the server's memory, queues and deadlines: after a turn, and when all connections are closed.

use spindle::http1::limits::{OUTPUT_BUFFER_BYTES, POOLED_BUFFERS_MAX, RECEIVE_BUFFER_BYTES};
use spindle::server::{CONNECTION_BUFFER_BYTES_MAX, Usage};

/// The most that the buffer pool keeps.
const POOLED_BYTES_MAX: usize = POOLED_BUFFERS_MAX * (RECEIVE_BUFFER_BYTES + OUTPUT_BUFFER_BYTES);

/// Checks the usage after a turn, with `open` sockets open.
pub(crate) fn check(usage: &Usage, connections_max: usize, open: usize) -> Result<(), String> {
    let holds = [
        ("each socket has a session", usage.sessions == open),
        ("there are places for all", usage.sessions <= connections_max),
        ("who waits has a deadline", usage.idle_without_deadline == 0),
        ("who waits is told of when it passes", usage.armed_sessions >= usage.idle_sessions),
        ("a session has one deadline", usage.deadlines == usage.armed_sessions),
        ("who is ready is queued, once, and nobody else", usage.queued == usage.ready_sessions),
        ("a connection's buffers are bounded", usage.connection_buffer_bytes <= CONNECTION_BUFFER_BYTES_MAX),
        ("who waits for a request has no buffers", usage.waiting_buffer_bytes == 0),
        ("who waits for content has no receive buffer", usage.idle_content_buffer_bytes == 0),
        ("the pool keeps some buffers", usage.pooled_bytes <= POOLED_BYTES_MAX),
        ("records are told at once", usage.undelivered_records == 0),
    ];
    say(&holds, usage)
}

/// Checks the usage when no event is left.
pub(crate) fn check_quiescent(usage: &Usage) -> Result<(), String> {
    let only_the_pool = Usage { pooled_bytes: usage.pooled_bytes, ..Usage::default() };
    say(&[("nothing is left but the pool", *usage == only_the_pool)], usage)
}

fn say(holds: &[(&str, bool)], usage: &Usage) -> Result<(), String> {
    match holds.iter().find(|(_, holds)| !holds) {
        Some((law, _)) => Err(format!("it does not hold that {law}: {usage:?}")),
        None => Ok(()),
    }
}
