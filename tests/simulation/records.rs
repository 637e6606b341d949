//! Records of exchanges, held against what the server really handed to its sockets: each response has one record, in order,
//! and what it says is true.

use std::net::SocketAddr;

use spindle::semantics::exchange_record::{Ending, ExchangeRecord};

use crate::simulation::clients::responses::measure;
use crate::simulation::line::Line;

/// What a record says.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub line: usize,
    pub request: String,
    pub status: Option<u16>,
    pub sent_bytes: u64,
    pub ending: Ending,
    pub total_ns: u64,
}

impl Told {
    pub(crate) fn new(client: &SocketAddr, record: &ExchangeRecord) -> Told {
        Told {
            line: usize::from(client.port()),
            request: String::from_utf8_lossy(record.method_and_target()).into_owned(),
            status: record.status,
            sent_bytes: record.content_sent_bytes,
            ending: record.ending,
            total_ns: record.total_ns,
        }
    }
}

/// What is wrong with the records of a connection, or with what was sent on it.
pub(crate) fn check(line: &Line, records: &[&Told]) -> Result<(), String> {
    let mut rest = &line.output[..];
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
            Ok(None) if record.ending == Ending::Complete => {
                return Err(format!("a response is cut short whose record says that it is complete: {record:?}"));
            }
            Ok(None) if place + 1 < records.len() => {
                // Nothing behind it was sent, and the records of what was not sent say so.
                rest = &[];
            }
            Ok(None) => return Ok(()),
            Ok(Some(response)) => {
                if response.status != status {
                    return Err(format!("a response of {} is recorded as {record:?}", response.status));
                }
                let is_complete = record.ending == Ending::Complete;
                if is_complete && response.framed_bytes as u64 != record.sent_bytes {
                    return Err(format!("{} bytes of content are recorded as {record:?}", response.framed_bytes));
                }
                rest = &rest[response.bytes..];
            }
        }
    }
    match skip_interim(rest)? {
        // Nobody was left to tell of what was under way.
        _ if line.was_stopped => Ok(()),
        [] => Ok(()),
        more => Err(format!("{} bytes were sent that no record tells of", more.len())),
    }
}

/// What is behind the interim responses that `stream` begins with.
fn skip_interim(mut stream: &[u8]) -> Result<&[u8], String> {
    // Each round takes a response.
    while stream.starts_with(b"HTTP/1.1 1") {
        match measure(stream, false)? {
            Some(response) => stream = &stream[response.bytes..],
            None => return Ok(&[]),
        }
    }
    Ok(stream)
}
