//! Keeps the records of a connection's exchanges, if records are enabled, until the exchanges have ended. They are
//! reused, so that a plain request needs no heap allocation.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::http1::limits::{RECORD_BYTES_KEPT, RECORDS_BYTES_FULL};
use crate::http1::message_head::RequestHead;
use crate::http1::protocol_error::ProtocolError;
use crate::semantics::Now;
use crate::semantics::client::Client;
use crate::semantics::exchange_record::{ExchangeRecord, Outcome};

/// The records of one event loop: those of exchanges that have ended, and those to be reused.
#[derive(Debug, Default)]
pub struct Records {
    /// Whether exchanges are recorded. To be set before the first connection is created.
    pub enabled: bool,
    /// Whether records do not contain the targets and fields of requests, because nothing reads them.
    pub omits_requests: bool,
    // Boxed as in the connections, so that a record is never copied.
    #[allow(clippy::vec_box)]
    free: Vec<Box<ExchangeRecord>>,
    ended: VecDeque<Box<ExchangeRecord>>,
    /// Empty queues of pending records, of which each connection with a request in progress uses one.
    free_queues: Vec<VecDeque<Pending>>,
}

/// How many empty queues are kept for reuse, and each for how many records.
const FREE_QUEUES_MAX: usize = 64;
const FREE_QUEUE_RECORDS_MAX: usize = 64;

/// How many records are kept for reuse.
const FREE_RECORDS_MAX: usize = 256;

impl Records {
    /// Removes the record that ended first.
    pub fn take_ended(&mut self) -> Option<Box<ExchangeRecord>> {
        self.ended.pop_front()
    }

    /// How many records have ended and have not been taken.
    pub fn ended_count(&self) -> usize {
        self.ended.len()
    }

    /// Takes back a record, for reuse.
    pub fn recycle(&mut self, mut record: Box<ExchangeRecord>) {
        if self.free.len() < FREE_RECORDS_MAX {
            record.forget_request(RECORD_BYTES_KEPT);
            self.free.push(record);
        }
    }

    fn begin(&mut self, client: Client, connection: u64, request: u64, now: &Now) -> Box<ExchangeRecord> {
        let mut record = self.free.pop().unwrap_or_default();
        record.begin(client, connection, request, now);
        record
    }
}

/// An exchange that has not ended.
#[derive(Debug)]
struct Pending {
    record: Box<ExchangeRecord>,
    response: ResponsePosition,
}

/// Where a response is in the stream of all bytes that the connection sends.
#[derive(Clone, Copy, Debug, Default)]
struct ResponsePosition {
    start: u64,
    /// How many of the queued bytes are content.
    content_queued: u64,
    content_start: u64,
    /// `None` while a source may add bytes.
    end: Option<u64>,
    /// Whether the response has been queued, and is not held back.
    is_queued: bool,
}

impl Pending {
    fn new(record: Box<ExchangeRecord>) -> Pending {
        Pending { record, response: ResponsePosition::default() }
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

/// The exchanges of one connection that have not ended, in order. The last one may have no response yet.
#[derive(Debug)]
pub(super) struct PendingRecords {
    client: Client,
    /// The number of the connection.
    connection: u64,
    /// How many exchanges have begun.
    begun: u64,
    pending: VecDeque<Pending>,
    /// How many bytes of their requests the pending records contain.
    request_bytes: usize,
    /// How many bytes the connection has sent.
    sent: u64,
}

impl PendingRecords {
    pub(super) fn new(client: Client, connection: u64) -> PendingRecords {
        PendingRecords { client, connection, begun: 0, pending: VecDeque::new(), request_bytes: 0, sent: 0 }
    }

    /// The client of the connection: a proxy's, if the proxy has named it.
    pub(super) fn client(&self) -> Client {
        self.client
    }

    /// Notes that a proxy has named its client.
    pub(super) fn set_client(&mut self, client: Client) {
        self.client = client;
    }

    /// Notes that the connection ends before its first request. [`end_all`](PendingRecords::end_all) follows.
    pub(super) fn end_without_request(&mut self, outcome: Outcome, pool: &mut Records, now: &Now) {
        let mut record = self.next_record(self.client, pool, now);
        record.outcome = outcome;
        self.pending.push_back(Pending::new(record));
    }

    /// Whether the records contain so much that no further request may be parsed.
    pub(super) fn is_full(&self) -> bool {
        self.request_bytes >= RECORDS_BYTES_FULL
    }

    /// Lets another connection use the memory for pending records, if there are none.
    pub(super) fn release_idle_memory(&mut self, pool: &mut Records) {
        if self.pending.is_empty() && self.pending.capacity() > 0 {
            let mut queue = std::mem::take(&mut self.pending);
            if pool.free_queues.len() < FREE_QUEUES_MAX {
                queue.shrink_to(FREE_QUEUE_RECORDS_MAX);
                pool.free_queues.push(queue);
            }
        }
    }

    /// Begins the record of a request whose head is complete, while `queued` bytes of responses are still to be sent.
    pub(super) fn begin(
        &mut self,
        client: Client,
        head: &RequestHead<'_>,
        queued: usize,
        pool: &mut Records,
        now: &Now,
    ) {
        self.end_last_response(queued);
        let mut record = self.next_record(client, pool, now);
        (record.version, record.method) = (Some(head.version), head.method);
        if !pool.omits_requests {
            record.note_request(head.method_and_target, &head.fields);
            self.request_bytes += record.request_bytes();
        }
        self.pending.push_back(Pending::new(record));
    }

    fn next_record(&mut self, client: Client, pool: &mut Records, now: &Now) -> Box<ExchangeRecord> {
        self.begun += 1;
        if self.pending.capacity() == 0
            && let Some(queue) = pool.free_queues.pop()
        {
            self.pending = queue;
        }
        pool.begin(client, self.connection, self.begun, now)
    }

    /// Notes that the last response ends after the `queued` bytes, because another exchange begins. If its content came
    /// from a source, the end may not have been known yet: the source's last bytes may still be queued.
    fn end_last_response(&mut self, queued: usize) {
        let end = self.sent.saturating_add(queued as u64);
        if let Some(last) = self.pending.back_mut().filter(|last| last.response.is_queued) {
            last.response.end.get_or_insert(end);
        }
    }

    /// Notes a protocol error in the current request, whose head may not be complete. `queued` bytes of earlier
    /// responses are still to be sent.
    pub(super) fn refuse(&mut self, error: ProtocolError, queued: usize, pool: &mut Records, now: &Now) {
        self.end_last_response(queued);
        let has_current = self.pending.back().is_some_and(|current| current.response.end.is_none());
        if !has_current {
            let record = self.next_record(self.client, pool, now);
            self.pending.push_back(Pending::new(record));
        }
        if let Some(current) = self.pending.back_mut() {
            current.record.outcome = match error {
                ProtocolError::HeadTooSlow | ProtocolError::ContentTooSlow => Outcome::TimedOut,
                ProtocolError::HeadIncomplete | ProtocolError::ContentIncomplete => Outcome::CutOff,
                _ => Outcome::Refused(error.reason()),
            };
        }
    }

    /// Notes the account that the current request was authenticated as.
    pub(super) fn authenticated(&mut self, account: Option<&Rc<str>>) {
        if let (Some(current), Some(account)) = (self.pending.back_mut(), account) {
            current.record.account = Some(Rc::clone(account));
        }
    }

    /// Notes that a response to the current request has been queued after `queued_before` bytes. `content_queued` of
    /// its own bytes are content. It may be held back.
    pub(super) fn respond(&mut self, status: u16, queued_before: usize, content_queued: usize) {
        let start = self.sent.saturating_add(queued_before as u64);
        if let Some(current) = self.pending.back_mut() {
            current.record.status = Some(status);
            current.response =
                ResponsePosition { start, content_queued: content_queued as u64, ..ResponsePosition::default() };
        }
    }

    /// Notes that the response to the current request is not held back, or not any longer. It ends after the `queued`
    /// bytes of the queue, unless a source follows.
    pub(super) fn release(&mut self, queued: usize, has_source: bool) {
        let end = self.sent.saturating_add(queued as u64);
        if let Some(current) = self.pending.back_mut() {
            current.response.is_queued = true;
            current.response.content_start = end.saturating_sub(current.response.content_queued);
            current.response.end = (!has_source).then_some(end);
        }
    }

    /// Notes how many bytes of the current request's content have been received.
    pub(super) fn content_received(&mut self, bytes: u64) {
        if let Some(current) = self.pending.back_mut() {
            current.record.content_received_bytes = bytes;
        }
    }

    /// Notes that `bytes` bytes have been sent, and ends the exchanges whose responses end with them. `queued` more
    /// bytes are queued, and `has_source` is whether a source follows these.
    pub(super) fn sent(&mut self, bytes: u64, queued: usize, has_source: bool, pool: &mut Records, now: &Now) {
        self.sent = self.sent.saturating_add(bytes);
        let end = self.sent.saturating_add(queued as u64);
        if let Some(current) = self.pending.back_mut().filter(|current| current.response.is_queued && !has_source) {
            current.response.end.get_or_insert(end);
        }
        // Each round ends a record, or the loop.
        while let Some(Pending { record, response }) = self.pending.front_mut() {
            if response.is_queued && record.first_byte_ns.is_none() && self.sent > response.start {
                record.first_byte_ns = Some(now.monotonic_ns.saturating_sub(record.started.monotonic_ns));
            }
            if response.end.is_none_or(|end| end > self.sent) {
                break;
            }
            let outcome = record.outcome;
            self.request_bytes -= record.request_bytes();
            let Some(first) = self.pending.pop_front() else { break };
            pool.ended.push_back(first.end(outcome, self.sent, now));
        }
    }

    /// Ends all exchanges, because the connection has ended.
    pub(super) fn end_all(&mut self, outcome: Outcome, pool: &mut Records, now: &Now) {
        self.request_bytes = 0;
        for pending in self.pending.drain(..) {
            // A protocol error or timeout remains the outcome, even if its response could not be sent.
            let outcome = if pending.record.outcome == Outcome::Complete { outcome } else { pending.record.outcome };
            pool.ended.push_back(pending.end(outcome, self.sent, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_reused_and_only_so_many_are_kept() {
        let mut records = Records::default();
        for _ in 0..=FREE_RECORDS_MAX {
            records.recycle(Box::default());
        }
        assert_eq!(records.free.len(), FREE_RECORDS_MAX);
        records.begin(Client::Unix, 0, 1, &Now { monotonic_ns: 0, unix_ns: 0 });
        assert_eq!(records.free.len(), FREE_RECORDS_MAX - 1);
    }
}
