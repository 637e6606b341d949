//! Readers of exchange records. Today: the log of `-v`.
//!
//! # Laws
//!
//! 1. A record is read after the fact: what is logged of an exchange is what came of it.
//! 2. Nothing from the wire ends a line of the log or commands a terminal: it is escaped.

use std::net::SocketAddr;

use log::{info, log_enabled};

use crate::semantics::exchange_record::{ExchangeRecord, Outcome};

const NS_PER_MS: f64 = 1_000_000.0;

/// Whether the log wants to know of exchanges.
pub fn is_wanted() -> bool {
    log_enabled!(log::Level::Info)
}

/// Writes a line about an exchange that has ended.
pub fn log_exchange(client: &SocketAddr, record: &ExchangeRecord) {
    let request = match record.method_and_target() {
        b"" => "no whole request".to_owned(),
        request => request.escape_ascii().to_string(),
    };
    let status = record.status.map_or_else(|| "no response".to_owned(), |status| status.to_string());
    info!(
        "connection {} from {client}: {request} → {status}, {} bytes, {:.3} ms{}",
        record.connection,
        record.content_sent_bytes,
        record.total_ns as f64 / NS_PER_MS,
        outcome(record.outcome),
    );
}

/// What is said of an exchange that did not simply end well.
fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::Complete => String::new(),
        Outcome::CutOff => ", cut off".to_owned(),
        Outcome::TimedOut => ", timed out".to_owned(),
        Outcome::Refused(reason) => format!(", refused: {reason}"),
        Outcome::ServerClosed => ", cut off by the end of the server".to_owned(),
    }
}
