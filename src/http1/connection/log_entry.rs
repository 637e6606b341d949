//! What the log is told of an answer: one line, once it is sure to be sent.

use log::{info, log_enabled};

use crate::http1::message_head::CompleteHead;
use crate::http1::offence::Offence;

/// What a line says of the answer. One that is held may yet be forgotten, and then nothing is said.
#[derive(Clone, Copy)]
pub(super) struct Outcome {
    pub(super) status: u16,
    pub(super) content_octets: u64,
}

/// What a line says of the request.
pub(super) struct LogEntry {
    connection: u32,
    /// Made only where it will be logged.
    request: Option<String>,
}

impl LogEntry {
    /// Of a request whose head is well-formed. No octet of it can end the line or command a terminal.
    pub(super) fn of_request(connection: u32, head: &CompleteHead<'_>) -> LogEntry {
        LogEntry { connection, request: is_logged().then(|| head.method_and_target.escape_ascii().to_string()) }
    }

    /// Of what cannot be called a request.
    pub(super) fn of_offence(connection: u32, offence: Offence) -> LogEntry {
        LogEntry { connection, request: is_logged().then(|| offence.reason().to_owned()) }
    }

    /// Writes the line.
    pub(super) fn log(&self, outcome: Outcome) {
        let Outcome { status, content_octets } = outcome;
        if let Some(request) = &self.request {
            info!("connection {}: {request} → {status}, {content_octets} octets", self.connection);
        }
    }
}

fn is_logged() -> bool {
    log_enabled!(log::Level::Info)
}
