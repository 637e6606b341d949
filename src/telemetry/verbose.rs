//! The lines of `-v`: one for each exchange, in the server's own log.

use log::info;

use crate::semantics::exchange_record::{ExchangeRecord, Outcome};

const NS_PER_MS: f64 = 1_000_000.0;

/// Logs one line about an exchange that has ended.
pub(super) fn log_exchange(record: &ExchangeRecord) {
    let request = match record.method_and_target() {
        b"" => "no complete request".to_owned(),
        request => request.escape_ascii().to_string(),
    };
    let status = record.status.map_or_else(|| "no response".to_owned(), |status| status.to_string());
    info!(
        "connection {} from {}: {request} → {status}, {} bytes, {:.3} ms{}",
        record.connection,
        record.client,
        record.content_sent_bytes,
        record.total_ns as f64 / NS_PER_MS,
        outcome_suffix(record.outcome),
    );
}

/// The end of the line; empty for an exchange that completed.
fn outcome_suffix(outcome: Outcome) -> String {
    match outcome {
        Outcome::Complete => String::new(),
        Outcome::CutOff => ", cut off".to_owned(),
        Outcome::TimedOut => ", timed out".to_owned(),
        Outcome::Refused(reason) => format!(", refused: {reason}"),
        Outcome::ServerClosed => ", cut off by the server".to_owned(),
    }
}
