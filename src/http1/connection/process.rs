//! What is made of what was received: one step after the other, each of which asks the service at most one question.

use std::mem;

use super::Connection;
use super::record::PendingRecords;
use super::state::{Destination, Draining, ReceivingContent, State, UnreadContent, is_too_long_to_discard};
use super::timers::Timer;
use crate::http1::content::{ContentDecoder, Decoded};
use crate::http1::framing::Framing;
use crate::http1::limits::{
    DISCARDED_CONTENT_BYTES_MAX, DRAIN_BYTES_MAX, RECEIVE_BUFFER_BYTES, RECEIVE_TAIL_BYTES_MIN,
};
use crate::http1::message_head::{EmptyLine, HeadParser, leading_empty_line};
use crate::http1::protocol_error::ProtocolError;
use crate::http1::request_framing::RequestFraming;
use crate::http1::response_writer::{Persistence, ResponseFraming};
use crate::http1::send_queue::{SendQueue, framing_of};
use crate::http1::shared::Shared;
use crate::semantics::Now;
use crate::semantics::exchange_record::Outcome;
use crate::semantics::method::Method;
use crate::semantics::request::Request;
use crate::semantics::response::Response;
use crate::semantics::service::{Reply, Service, Sink, Source};

/// What a call of [`process`](Connection::process) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing can be done before bytes are received or sent, or time passes.
    Idle,
    /// Something was done; there may be more to do.
    Progress,
    /// As `Progress`; and since that may have waited for the disk, the time that the caller knows is out of date.
    SlowProgress,
}

impl Step {
    fn progress(is_slow: bool) -> Step {
        if is_slow { Step::SlowProgress } else { Step::Progress }
    }
}

impl<S: Service> Connection<S> {
    /// Interprets what was received, up to one question to the service.
    pub fn process(&mut self, service: &mut S, shared: &mut Shared, now: &Now) -> Step {
        // How nearly every pass ends: without a move of the state. Content may end without a further byte.
        if matches!(self.state, State::Head(_)) && self.input.is_empty() && !self.peer_has_ended {
            return Step::Idle;
        }
        let (state, step) = match mem::take(&mut self.state) {
            State::Head(head) => self.process_head(head, service, shared, now),
            State::Content(content) => self.process_content(content, shared, now),
            State::Draining(draining) => self.process_draining(draining, shared, now),
            State::Closed => (State::Closed, Step::Idle),
        };
        self.state = state;
        step
    }

    /// Hands content that has been gathered to the route. To be called when the connection goes idle: until then content
    /// waits for more, so that it is written in large pieces.
    pub fn flush_content(&mut self, shared: &mut Shared, now: &Now) -> Step {
        if self.input.content().is_empty() {
            return Step::Idle;
        }
        match mem::take(&mut self.state) {
            State::Content(content) => {
                self.state = self.write_content(content, shared, now);
                Step::SlowProgress
            }
            state => {
                debug_assert!(false, "content is gathered where none is received");
                self.state = state;
                Step::Idle
            }
        }
    }

    fn process_head(
        &mut self,
        mut head: HeadParser,
        service: &mut S,
        shared: &mut Shared,
        now: &Now,
    ) -> (State<S::Sink>, Step) {
        if self.output.is_full() || self.records.as_ref().is_some_and(|records| records.is_full()) {
            return (State::Head(head), Step::Idle);
        }
        if head.is_empty() {
            self.skip_empty_line();
        }
        let was_empty = head.is_empty();
        let Some((bytes, spans)) = self.input.unread_with_spans() else { return self.no_request(head, now) };
        if was_empty && leading_empty_line(bytes) == EmptyLine::Partial && !self.empty_line_skipped {
            return self.no_request(head, now);
        }
        let error = match head.advance(bytes, spans) {
            Ok(true) => match self.take_request(&head, service, shared, now) {
                Ok(next) => return next,
                Err(error) => error,
            },
            Ok(false) if self.peer_has_ended => ProtocolError::HeadIncomplete,
            Ok(false) => {
                if was_empty {
                    self.wait_for_head(shared, now);
                }
                return (State::Head(head), Step::Idle);
            }
            Err(error) => error,
        };
        (self.refuse(error, head.method(), shared, now), Step::Progress)
    }

    /// RFC 9112 §2.2: an empty line before the request-line is ignored; a second one is a protocol error.
    fn skip_empty_line(&mut self) {
        if !self.empty_line_skipped && leading_empty_line(self.input.unread()) == EmptyLine::Complete {
            self.input.consume(b"\r\n".len());
            self.empty_line_skipped = true;
        }
    }

    /// No byte of a further request has come.
    fn no_request(&mut self, head: HeadParser, now: &Now) -> (State<S::Sink>, Step) {
        if self.peer_has_ended {
            self.timers.stop(Timer::Idle);
            self.begin_sending(now);
            return (self.begin_draining(), Step::Progress);
        }
        (State::Head(head), Step::Idle)
    }

    /// The head is complete: asks the service, and does as it says.
    fn take_request(
        &mut self,
        head: &HeadParser,
        service: &mut S,
        shared: &mut Shared,
        now: &Now,
    ) -> Result<(State<S::Sink>, Step), ProtocolError> {
        self.timers.stop(Timer::Idle);
        self.timers.stop(Timer::Head);
        self.begin_sending(now);
        let Some((bytes, spans)) = self.input.unread_with_spans() else {
            debug_assert!(false, "a head is complete of which nothing has been received");
            return Err(ProtocolError::HeadIncomplete);
        };
        let head = head.complete(bytes, spans);
        let content_has_arrived = bytes.len() > head.bytes;
        let head_bytes = head.bytes;
        if let Some(records) = &mut self.records {
            records.begin(self.number, &head, self.output.queued_bytes(), &mut shared.records, now);
        }
        let framing = RequestFraming::new(&head, shared.settings.strict)?;
        let request = Request {
            method: head.method,
            target: head.target,
            version: head.version,
            fields: head.fields,
            content_bytes: framing.content_bytes(),
        };
        let mut reply = service.call(&request, now);
        let next = match reply {
            Reply::Receive(sink) => {
                if framing.expects_continue && !content_has_arrived {
                    self.output.push_interim(b"HTTP/1.1 100 Continue\r\n\r\n", &mut shared.pool);
                }
                self.input.consume(head_bytes);
                self.receive_content(Destination::Sink(sink), framing, now)
            }
            // By reference: a response is large to move.
            Reply::Respond(ref mut response) => {
                let kept = persistence_behind(response, &framing, self.shutting_down);
                let persistence = match UnreadContent::of(&framing) {
                    UnreadContent::None => Some(kept),
                    UnreadContent::Close => Some(Persistence::Close),
                    UnreadContent::Discard => None,
                };
                let (output, records) = (&mut self.output, self.records.as_deref_mut());
                push_response(output, records, response, &framing, persistence, shared, now);
                self.input.consume(head_bytes);
                match persistence {
                    Some(persistence) => self.answered(persistence),
                    None => self.receive_content(Destination::Nowhere, framing, now),
                }
            }
        };
        Ok((next, Step::progress(service.may_have_blocked())))
    }

    fn receive_content(
        &mut self,
        destination: Destination<S::Sink>,
        framing: RequestFraming,
        now: &Now,
    ) -> State<S::Sink> {
        if !self.output.is_pending() {
            self.timers.stop(Timer::WriteStall);
        }
        self.wait_for_content(now);
        let decoder = ContentDecoder::new(framing.content);
        State::Content(Box::new(ReceivingContent { decoder, destination, framing, bytes: 0 }))
    }

    fn process_content(
        &mut self,
        mut content: Box<ReceivingContent<S::Sink>>,
        shared: &mut Shared,
        now: &Now,
    ) -> (State<S::Sink>, Step) {
        let mut step = Step::Idle;
        // Each round uses up a byte at least, so that the loop ends with what is unread.
        loop {
            let decoded = match content.decoder.decode(self.input.unread()) {
                Ok(decoded) => decoded,
                Err(error) => return (self.content_malformed(content, error, shared, now), Step::SlowProgress),
            };
            if decoded == Decoded::default() {
                break;
            }
            step = Step::Progress;
            self.take_content(&mut content, decoded, now);
            if matches!(content.destination, Destination::Nowhere) && content.bytes > DISCARDED_CONTENT_BYTES_MAX {
                return (self.release_early(content.bytes, now), Step::Progress);
            }
            if decoded.end {
                return (self.content_ended(content, shared, now), Step::SlowProgress);
            }
        }
        if self.peer_has_ended {
            return (
                self.content_malformed(content, ProtocolError::ContentIncomplete, shared, now),
                Step::SlowProgress,
            );
        }
        let is_due = match content.framing.content {
            Framing::Length(_) => content.bytes % RECEIVE_BUFFER_BYTES as u64 == 0,
            Framing::Chunked => self.input.spare_capacity() < RECEIVE_TAIL_BYTES_MIN,
        };
        if is_due && !self.input.content().is_empty() {
            return (self.write_content(content, shared, now), Step::SlowProgress);
        }
        (State::Content(content), step)
    }

    /// Content that a route wants is gathered where it is; other content is dropped.
    fn take_content(&mut self, content: &mut ReceivingContent<S::Sink>, decoded: Decoded, now: &Now) {
        match content.destination {
            Destination::Sink(_) => self.input.gather(decoded.skip, decoded.content),
            Destination::Nowhere => self.input.consume(decoded.skip + decoded.content),
        }
        content.bytes = content.bytes.saturating_add(decoded.content as u64);
        self.content_came(decoded.content as u64, now);
    }

    /// Hands what was gathered to the sink. If that refuses it, the response is held back while the rest is read, where the
    /// rest is known to be short; otherwise it goes at once.
    fn write_content(
        &mut self,
        mut content: Box<ReceivingContent<S::Sink>>,
        shared: &mut Shared,
        now: &Now,
    ) -> State<S::Sink> {
        match self.write_to_sink(&mut content) {
            Ok(()) => State::Content(content),
            Err(refusal) => self.refuse_content(content, *refusal, shared, now),
        }
    }

    fn write_to_sink(
        &mut self,
        content: &mut ReceivingContent<S::Sink>,
    ) -> Result<(), Box<Response<'static, S::Source>>> {
        let written = match &mut content.destination {
            Destination::Sink(sink) if !self.input.content().is_empty() => sink.write(self.input.content()),
            Destination::Sink(_) | Destination::Nowhere => Ok(()),
        };
        self.input.consume_content();
        written
    }

    fn refuse_content(
        &mut self,
        mut content: Box<ReceivingContent<S::Sink>>,
        refusal: Response<'static, S::Source>,
        shared: &mut Shared,
        now: &Now,
    ) -> State<S::Sink> {
        self.push_response(refusal, &content.framing, None, shared, now);
        // The upload is given up now, and not when the rest has come.
        content.destination = Destination::Nowhere;
        if ends_with_refusal(&content.framing) {
            return self.release_early(content.bytes, now);
        }
        State::Content(content)
    }

    /// What was gathered before the error still counts: had it come alone, the sink might have refused it first.
    fn content_malformed(
        &mut self,
        mut content: Box<ReceivingContent<S::Sink>>,
        error: ProtocolError,
        shared: &mut Shared,
        now: &Now,
    ) -> State<S::Sink> {
        if let Err(refusal) = self.write_to_sink(&mut content)
            && ends_with_refusal(&content.framing)
        {
            return self.refuse_content(content, *refusal, shared, now);
        }
        self.note_content_received(content.bytes);
        self.refuse(error, content.framing.method, shared, now)
    }

    fn content_ended(
        &mut self,
        mut content: Box<ReceivingContent<S::Sink>>,
        shared: &mut Shared,
        now: &Now,
    ) -> State<S::Sink> {
        if let Err(refusal) = self.write_to_sink(&mut content) {
            match self.refuse_content(content, *refusal, shared, now) {
                State::Content(refused) => content = refused,
                state => return state,
            }
        }
        self.timers.stop(Timer::ContentRate);
        self.note_content_received(content.bytes);
        self.begin_sending(now);
        let ReceivingContent { destination, framing, .. } = *content;
        let persistence = match destination {
            Destination::Nowhere => {
                let persistence = if self.shutting_down { Persistence::Close } else { framing.persistence };
                self.output.release(persistence);
                persistence
            }
            Destination::Sink(sink) => {
                let response = sink.finish(now);
                let persistence = persistence_behind(&response, &framing, self.shutting_down);
                self.push_response(response, &framing, Some(persistence), shared, now);
                persistence
            }
        };
        self.answered(persistence)
    }

    /// The response that was held back goes although its request has not ended, and is the last one.
    pub(super) fn release_early(&mut self, content_bytes: u64, now: &Now) -> State<S::Sink> {
        self.timers.stop(Timer::ContentRate);
        self.note_content_received(content_bytes);
        // After content that came for minutes, the time to read would otherwise be over before it began.
        self.begin_sending(now);
        self.output.release(Persistence::Close);
        self.answered(Persistence::Close)
    }

    fn push_response(
        &mut self,
        mut response: Response<'static, S::Source>,
        framing: &RequestFraming,
        persistence: Option<Persistence>,
        shared: &mut Shared,
        now: &Now,
    ) {
        let (output, records) = (&mut self.output, self.records.as_deref_mut());
        push_response(output, records, &mut response, framing, persistence, shared, now);
    }

    pub(super) fn note_content_received(&mut self, bytes: u64) {
        if let Some(records) = &mut self.records {
            records.content_received(bytes);
        }
    }

    /// A request has its response: on to the next request, or to the end.
    fn answered(&mut self, persistence: Persistence) -> State<S::Sink> {
        if let Some(records) = &mut self.records {
            records.release(self.output.queued_bytes(), self.output.has_source());
        }
        self.empty_line_skipped = false;
        match persistence {
            Persistence::KeepAlive | Persistence::KeepAliveExplicit => State::Head(HeadParser::default()),
            Persistence::Close => self.begin_draining(),
        }
    }

    /// The client broke the protocol: says so, drops whatever was going on, and parses nothing more. `method` is that of the
    /// request, as far as it is known: the response to HEAD never has content, not even that of an error (RFC 9110 §9.3.2).
    pub(super) fn refuse(
        &mut self,
        error: ProtocolError,
        method: Method,
        shared: &mut Shared,
        now: &Now,
    ) -> State<S::Sink> {
        self.timers.stop(Timer::Idle);
        self.timers.stop(Timer::Head);
        self.timers.stop(Timer::ContentRate);
        self.input.consume_content();
        self.output.drop_held();
        self.begin_sending(now);
        if let Some(records) = &mut self.records {
            records.refuse(self.number, error, self.output.queued_bytes(), &mut shared.records, now);
        }
        let response = Response::with_reason(error.status(), error.reason());
        let framing = RequestFraming::of_protocol_error(method);
        self.push_response(response, &framing, Some(Persistence::Close), shared, now);
        self.answered(Persistence::Close)
    }

    fn process_draining(&mut self, mut draining: Draining, shared: &mut Shared, now: &Now) -> (State<S::Sink>, Step) {
        let bytes = self.input.unread().len() as u64;
        if bytes > 0 {
            draining.bytes = draining.bytes.saturating_add(bytes);
            self.input.consume_all();
            if self.output.has_ended() {
                self.drain_came(draining.give_up_ns, now);
            }
        }
        let is_enough = draining.bytes > DRAIN_BYTES_MAX;
        if self.output.has_ended() && (self.peer_has_ended || is_enough) {
            self.close(Outcome::Complete, shared, now);
            return (State::Closed, Step::Progress);
        }
        (State::Draining(draining), if bytes > 0 { Step::Progress } else { Step::Idle })
    }
}

/// Whether a sink's refusal goes at once, and is the last response: the content is long, or its length is not known.
fn ends_with_refusal(framing: &RequestFraming) -> bool {
    framing.content == Framing::Chunked || is_too_long_to_discard(framing)
}

/// What becomes of the connection behind `response`.
fn persistence_behind<B: Source>(
    response: &Response<'_, B>,
    framing: &RequestFraming,
    shutting_down: bool,
) -> Persistence {
    match framing_of(response, framing.version) {
        ResponseFraming::CloseDelimited => Persistence::Close,
        _ if shutting_down => Persistence::Close,
        _ => framing.persistence,
    }
}

/// Queues a response, to be held back where no `persistence` is given. Not a method of the connection, since the response
/// may borrow from what was received.
fn push_response<B: Source>(
    output: &mut SendQueue<B>,
    records: Option<&mut PendingRecords>,
    response: &mut Response<'_, B>,
    framing: &RequestFraming,
    persistence: Option<Persistence>,
    shared: &mut Shared,
    now: &Now,
) {
    let status = response.status.code();
    let queued_before = output.queued_bytes();
    let response_framing = framing_of(response, framing.version);
    let head_only = framing.method == Method::Head;
    let (date, pool) = shared.date_and_pool(now);
    let content_queued = output.push(response, response_framing, head_only, persistence, date, pool);
    if let Some(records) = records {
        records.respond(status, queued_before, content_queued);
    }
}
