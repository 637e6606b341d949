//! Compares exchange records with the bytes that the server sent: each response has one record, in order, with the
//! right values.

use spindle::semantics::client::Client;
use spindle::semantics::exchange_record::{ExchangeRecord, Outcome};
use spindle::semantics::request::Version;

use crate::simulation::clients::exchanges::{Exchange, ReceivedResponse};
use crate::simulation::clients::responses::measure;
use crate::simulation::link::Link;
use crate::simulation::network::MILLISECOND;
use crate::simulation::proxies;

/// By how much the loop's clock may lag when an exchange begins. It is read after some drives, not before each.
pub(crate) const CLOCK_LAG_NS: u64 = 100 * MILLISECOND;

/// The values of a record.
#[derive(Clone, Debug)]
pub(crate) struct ObservedRecord {
    pub link: usize,
    pub client: Client,
    pub request: String,
    pub status: Option<u16>,
    pub version: Option<Version>,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    pub outcome: Outcome,
    pub first_byte_ns: Option<u64>,
    pub total_ns: u64,
    /// When the observer got the record.
    pub at_ns: u64,
}

impl ObservedRecord {
    pub(crate) fn new(record: &ExchangeRecord, at_ns: u64) -> ObservedRecord {
        let Client::Network { port: Some(port), .. } = record.client else { panic!("{:?}", record.client) };
        ObservedRecord {
            link: usize::from(port),
            client: record.client,
            request: String::from_utf8_lossy(record.method_and_target()).into_owned(),
            status: record.status,
            version: record.version,
            received_bytes: record.content_received_bytes,
            sent_bytes: record.content_sent_bytes,
            outcome: record.outcome,
            first_byte_ns: record.first_byte_ns,
            total_ns: record.total_ns,
            at_ns,
        }
    }
}

/// Checks the records of a connection against all bytes that were sent on it.
pub(crate) fn check(link: &Link, records: &[&ObservedRecord]) -> Result<(), String> {
    for record in records {
        let expected = link.named.unwrap_or_else(|| proxies::accepted(record.link, link));
        if record.client != expected {
            return Err(format!("the client was {expected}: {record:?}"));
        }
    }
    if link.was_refused {
        return if records.is_empty() { Ok(()) } else { Err(format!("records of a refused connection: {records:?}")) };
    }
    let mut rest = &link.output[..];
    for (place, record) in records.iter().enumerate() {
        rest = skip_interim(rest)?;
        let Some(status) = record.status else {
            if place + 1 < records.len() {
                return Err(format!("a record without a response is not the last one: {record:?}"));
            }
            continue;
        };
        let is_head = record.request.starts_with("HEAD ");
        match measure(rest, is_head) {
            Err(reason) => return Err(format!("the response of {record:?} is malformed: {reason}")),
            Ok(None) if record.outcome == Outcome::Complete => {
                return Err(format!("an incomplete response is recorded as complete: {record:?}"));
            }
            Ok(None) if place + 1 < records.len() => {
                // Nothing after it was sent. The following records say so.
                rest = &[];
            }
            Ok(None) => return Ok(()),
            Ok(Some(response)) => {
                if response.status != status {
                    return Err(format!("a response of {} is recorded as {record:?}", response.status));
                }
                let is_complete = record.outcome == Outcome::Complete;
                if is_complete && response.framed_bytes as u64 != record.sent_bytes {
                    return Err(format!("{} bytes of content are recorded as {record:?}", response.framed_bytes));
                }
                rest = &rest[response.bytes..];
            }
        }
    }
    match skip_interim(rest)? {
        // The exchange in progress at a crash has no record.
        _ if link.was_crashed => Ok(()),
        [] => Ok(()),
        more => Err(format!("{} bytes were sent without a record", more.len())),
    }
}

/// Checks the records of an honest client's exchanges: one each, in order, with what the client saw.
pub(crate) fn check_exchanges(link: &Link, records: &[&ObservedRecord]) -> Result<(), String> {
    let Some(exchanges) = &link.exchanges else { return Ok(()) };
    if link.was_refused {
        return Ok(());
    }
    if records.len() > exchanges.len() {
        return Err(format!("{} records of {} exchanges", records.len(), exchanges.len()));
    }
    for (place, exchange) in exchanges.iter().enumerate() {
        match (records.get(place), &exchange.response) {
            (Some(record), Some(response)) => {
                let checked = check_exchange(record, exchange, response);
                checked.map_err(|about| format!("{about}: {record:?} of {exchange:?}"))?;
            }
            // The exchange in progress at a crash has no record.
            (None, Some(_)) if link.was_crashed => {}
            (None, Some(_)) => return Err(format!("no record of {exchange:?}")),
            // The record of an incomplete head has no request.
            (Some(record), None) if record.request != exchange.request && !record.request.is_empty() => {
                return Err(format!("a record of another request: {record:?} of {exchange:?}"));
            }
            (_, None) => {}
        }
    }
    Ok(())
}

fn check_exchange(
    record: &ObservedRecord,
    exchange: &Exchange,
    response: &ReceivedResponse,
) -> Result<(), &'static str> {
    let took_ns = response.at_ns - exchange.requested_ns + CLOCK_LAG_NS;
    let wrong = [
        (record.status != Some(response.status), "another status"),
        // All other statuses follow a complete request.
        (response.status != 408 && record.request != exchange.request, "another request"),
        (response.status != 408 && record.version != Some(exchange.version), "another version"),
        (
            response.status != 408 && record.outcome != Outcome::Complete,
            "a complete response that is recorded as incomplete",
        ),
        (!response.received_bytes.contains(&record.received_bytes), "a wrong number of received bytes"),
        (record.sent_bytes != response.sent_bytes, "a wrong number of sent bytes"),
        (record.first_byte_ns.is_none_or(|first_ns| first_ns > record.total_ns), "no time of the first byte"),
        (record.total_ns > took_ns, "a longer time than it took"),
    ];
    wrong.iter().find(|(is_wrong, _)| *is_wrong).map_or(Ok(()), |(_, about)| Err(about))
}

/// The stream after the interim responses that it begins with.
fn skip_interim(mut stream: &[u8]) -> Result<&[u8], String> {
    // Each iteration takes a response.
    while stream.starts_with(b"HTTP/1.1 1") {
        match measure(stream, false)? {
            Some(response) => stream = &stream[response.bytes..],
            None => return Ok(&[]),
        }
    }
    Ok(stream)
}
