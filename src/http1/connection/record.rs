//! Keeps the records of a connection's exchanges until they have ended. Only where somebody reads them; and records are used
//! again, so that with the log on too a plain request takes nothing from the heap.

use std::collections::VecDeque;

use crate::http1::limits::{RECORD_BYTES_KEPT, RECORDS_BYTES_FULL};
use crate::http1::message_head::RequestHead;
use crate::http1::protocol_error::ProtocolError;
use crate::semantics::Now;
use crate::semantics::exchange_record::{ExchangeRecord, Outcome};

/// The records of one loop: whether they are wanted, those that have ended, and those to be used again.
#[derive(Debug, Default)]
pub struct Records {
    /// Whether records are kept at all. To be set before the first connection is made.
    pub enabled: bool,
    // Boxed as the connections keep them, so that one is never copied.
    #[allow(clippy::vec_box)]
    free: Vec<Box<ExchangeRecord>>,
    ended: VecDeque<Box<ExchangeRecord>>,
}

/// How many pending records an idle connection keeps room for.
const PENDING_KEPT: usize = 4;

/// How many records are kept to be used again.
const FREE_RECORDS_MAX: usize = 256;

impl Records {
    /// Takes out the record that ended first.
    pub fn take_ended(&mut self) -> Option<Box<ExchangeRecord>> {
        self.ended.pop_front()
    }

    /// How many records have ended that nobody took.
    pub fn ended_count(&self) -> usize {
        self.ended.len()
    }

    /// Takes back a record that has been read.
    pub fn recycle(&mut self, mut record: Box<ExchangeRecord>) {
        if self.free.len() < FREE_RECORDS_MAX {
            record.forget_request(RECORD_BYTES_KEPT);
            self.free.push(record);
        }
    }

    fn begin(&mut self, connection: u64, now: &Now) -> Box<ExchangeRecord> {
        let mut record = self.free.pop().unwrap_or_default();
        record.begin(connection, now);
        record
    }
}

/// An exchange that has not ended.
#[derive(Debug)]
struct Pending {
    record: Box<ExchangeRecord>,
    response: ResponsePlace,
}

/// Where a response is in the stream of all that the connection sends.
#[derive(Clone, Copy, Debug, Default)]
struct ResponsePlace {
    start: u64,
    content_queued: u64,
    content_start: u64,
    /// `None` while more is to come.
    end: Option<u64>,
    is_queued: bool,
}

impl Pending {
    fn new(record: Box<ExchangeRecord>) -> Pending {
        Pending { record, response: ResponsePlace::default() }
    }

    fn end(mut self, outcome: Outcome, sent: u64, now: &Now) -> Box<ExchangeRecord> {
        self.record.outcome = outcome;
        let content_end = self.response.end.map_or(sent, |end| end.min(sent));
        if self.response.is_queued {
            self.record.content_sent_bytes = content_end.saturating_sub(self.response.content_start);
        }
        self.record.total_ns = now.monotonic_ns.saturating_sub(self.record.started.monotonic_ns);
        self.record
    }
}

/// The exchanges of one connection that have not ended, in their order. Of the last one the response may be missing.
#[derive(Debug, Default)]
pub(super) struct PendingRecords {
    pending: VecDeque<Pending>,
    /// Bytes that the pending records hold of their requests.
    request_bytes: usize,
    /// Bytes that the connection has sent.
    sent: u64,
}

impl PendingRecords {
    /// Whether the records hold so much that no further request is to be begun.
    pub(super) fn is_full(&self) -> bool {
        self.request_bytes >= RECORDS_BYTES_FULL
    }

    /// Gives back memory that only a long pipeline has needed.
    pub(super) fn release_idle_memory(&mut self) {
        self.pending.shrink_to(PENDING_KEPT);
    }

    /// A request has a complete head, while `queued` bytes of responses wait to be sent.
    pub(super) fn begin(
        &mut self,
        connection: u64,
        head: &RequestHead<'_>,
        queued: usize,
        pool: &mut Records,
        now: &Now,
    ) {
        self.end_last_response(queued);
        let mut record = pool.begin(connection, now);
        record.note_request(head.version, head.method_and_target, &head.fields);
        self.request_bytes += record.request_bytes();
        self.pending.push_back(Pending::new(record));
    }

    /// What is read next belongs to another exchange: the response before it ends behind the `queued` bytes. Where its content
    /// came from a source, it may not be known yet where that ended: its last bytes may have had to wait.
    fn end_last_response(&mut self, queued: usize) {
        let end = self.sent.saturating_add(queued as u64);
        if let Some(last) = self.pending.back_mut().filter(|last| last.response.is_queued) {
            last.response.end.get_or_insert(end);
        }
    }

    /// What was received of the current request breaks the protocol, perhaps before its head was complete. `queued` bytes of
    /// the responses before it wait to be sent.
    pub(super) fn refuse(
        &mut self,
        connection: u64,
        error: ProtocolError,
        queued: usize,
        pool: &mut Records,
        now: &Now,
    ) {
        self.end_last_response(queued);
        let has_current = self.pending.back().is_some_and(|current| current.response.end.is_none());
        if !has_current {
            self.pending.push_back(Pending::new(pool.begin(connection, now)));
        }
        if let Some(current) = self.pending.back_mut() {
            current.record.outcome = match error {
                ProtocolError::HeadTooSlow | ProtocolError::ContentTooSlow => Outcome::TimedOut,
                ProtocolError::HeadIncomplete | ProtocolError::ContentIncomplete => Outcome::CutOff,
                _ => Outcome::Refused(error.reason()),
            };
        }
    }

    /// A response to the current request is in the queue, behind `queued_before` bytes; `content_queued` of its own bytes
    /// are content. It may be held back.
    pub(super) fn respond(&mut self, status: u16, queued_before: usize, content_queued: usize) {
        let start = self.sent.saturating_add(queued_before as u64);
        if let Some(current) = self.pending.back_mut() {
            current.record.status = Some(status);
            current.response =
                ResponsePlace { start, content_queued: content_queued as u64, ..ResponsePlace::default() };
        }
    }

    /// The response to the current request may be sent: it ends behind the `queued` bytes of the queue, unless a source
    /// follows.
    pub(super) fn release(&mut self, queued: usize, has_source: bool) {
        let end = self.sent.saturating_add(queued as u64);
        if let Some(current) = self.pending.back_mut() {
            current.response.is_queued = true;
            current.response.content_start = end.saturating_sub(current.response.content_queued);
            current.response.end = (!has_source).then_some(end);
        }
    }

    /// So much content of the current request has been received.
    pub(super) fn content_received(&mut self, bytes: u64) {
        if let Some(current) = self.pending.back_mut() {
            current.record.content_received_bytes = bytes;
        }
    }

    /// Bytes were sent. `queued` more are in the queue, and `has_source` says whether a source follows them.
    pub(super) fn sent(&mut self, bytes: u64, queued: usize, has_source: bool, pool: &mut Records, now: &Now) {
        self.sent = self.sent.saturating_add(bytes);
        let end = self.sent.saturating_add(queued as u64);
        if let Some(current) = self.pending.back_mut().filter(|current| current.response.is_queued && !has_source) {
            current.response.end.get_or_insert(end);
        }
        // Each round ends a record.
        while let Some(mut first) = self.pending.pop_front() {
            let Pending { record, response } = &mut first;
            if response.is_queued && record.first_byte_ns.is_none() && self.sent > response.start {
                record.first_byte_ns = Some(now.monotonic_ns.saturating_sub(record.started.monotonic_ns));
            }
            if response.end.is_none_or(|end| end > self.sent) {
                self.pending.push_front(first);
                break;
            }
            let outcome = record.outcome;
            self.request_bytes -= record.request_bytes();
            pool.ended.push_back(first.end(outcome, self.sent, now));
        }
    }

    /// The connection is lost, and with it all that has not been sent.
    pub(super) fn lose(&mut self, outcome: Outcome, pool: &mut Records, now: &Now) {
        self.request_bytes = 0;
        for pending in self.pending.drain(..) {
            // What was refused, and could not even be told so, stays refused.
            let outcome = if pending.record.outcome == Outcome::Complete { outcome } else { pending.record.outcome };
            pool.ended.push_back(pending.end(outcome, self.sent, now));
        }
    }
}
