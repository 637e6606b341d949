//! Receives the content of a request: decodes it, passes it to the route's sink or discards it, and finishes the
//! exchange.

use std::mem;

use super::Connection;
use super::process::{Processed, Step, persistence_after};
use super::state::{Destination, ReceivingContent, State, is_too_long_to_discard};
use super::timers::Timer;
use crate::http1::content::{ContentDecoder, Decoded};
use crate::http1::framing::Framing;
use crate::http1::limits::{DISCARDED_CONTENT_BYTES_MAX, RECEIVE_TAIL_BYTES_MIN};
use crate::http1::protocol_error::ProtocolError;
use crate::http1::request_framing::RequestFraming;
use crate::http1::response_writer::{Persistence, write_interim};
use crate::http1::shared::Shared;
use crate::semantics::Now;
use crate::semantics::request::Version;
use crate::semantics::response::Response;
use crate::semantics::service::{Finished, Service, Sink};

impl<S: Service> Connection<S> {
    /// Passes gathered content to the route. To be called when the connection goes idle: until then, content is
    /// gathered so that it is written in large pieces.
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
                debug_assert!(false, "there is content outside of State::Content");
                self.state = state;
                Step::Idle
            }
        }
    }

    /// The state after a head whose content is to be read.
    pub(super) fn receive_content(
        &mut self,
        destination: Destination<S::Sink>,
        framing: RequestFraming,
        now: &Now,
    ) -> State<S::Sink> {
        // The response has to wait for the content. If nothing else is queued, the client has nothing to read.
        if !self.output.is_pending() {
            self.timers.stop(Timer::WriteStall);
        }
        self.start_content_timer(now);
        let mut decoder = ContentDecoder::new(framing.content);
        if matches!(&destination, Destination::Sink(sink) if sink.wants_trailers()) {
            decoder.keep_trailers();
        }
        State::Content(Box::new(ReceivingContent { decoder, destination, framing, bytes: 0, end: None }))
    }

    /// Not inlined, and neither are the other steps that most requests do not take: a drive that contains them all has a
    /// large stack frame, which costs each drive more than the call costs a step.
    #[inline(never)]
    pub(super) fn process_content(
        &mut self,
        mut content: Box<ReceivingContent<S::Sink>>,
        shared: &mut Shared,
        now: &Now,
    ) -> Processed<S> {
        match content.end {
            None => {}
            Some(Ok(())) => return self.content_ended(content, shared, now),
            Some(Err(error)) => return (self.content_malformed(content, error, shared, now), Step::SlowProgress),
        }
        let mut step = Step::Idle;
        // Each round consumes at least one unread byte, or ends the loop.
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
            if matches!(content.destination, Destination::Discard) && content.bytes > DISCARDED_CONTENT_BYTES_MAX {
                return (self.release_and_close(content.bytes, now), Step::Progress);
            }
            if decoded.end {
                return self.content_ended(content, shared, now);
            }
        }
        if self.input_ended {
            return (
                self.content_malformed(content, ProtocolError::ContentIncomplete, shared, now),
                Step::SlowProgress,
            );
        }
        // Content of known length is written whenever it has filled the buffer (see `bytes_to_boundary`), chunked
        // content when the buffer has little space left.
        let is_due = match content.framing.content {
            Framing::Length(_) => content.bytes % self.input.capacity() as u64 == 0,
            Framing::Chunked => self.input.spare_capacity() < RECEIVE_TAIL_BYTES_MIN,
        };
        if is_due && !self.input.content().is_empty() {
            return (self.write_content(content, shared, now), Step::SlowProgress);
        }
        (State::Content(content), step)
    }

    /// Consumes decoded bytes, and gathers the content if a sink takes it.
    fn take_content(&mut self, content: &mut ReceivingContent<S::Sink>, decoded: Decoded, now: &Now) {
        match content.destination {
            Destination::Sink(_) => self.input.gather(decoded.skip, decoded.content),
            Destination::Discard => self.input.consume(decoded.skip + decoded.content),
        }
        content.bytes = content.bytes.saturating_add(decoded.content as u64);
        self.extend_content_timer(decoded.content as u64, now);
    }

    /// Passes gathered content to the sink. If the sink refuses it, the response is held back while the rest of the
    /// content is read, provided that it is known to be short; otherwise the response is sent at once.
    fn write_content(
        &mut self,
        mut content: Box<ReceivingContent<S::Sink>>,
        shared: &mut Shared,
        now: &Now,
    ) -> State<S::Sink> {
        match self.write_to_sink(&mut content, now) {
            Ok(()) => {
                if let Destination::Sink(sink) = &mut content.destination {
                    self.send_interim(sink, content.framing.version, shared, now);
                }
                State::Content(content)
            }
            Err(refusal) => self.refuse_content(content, *refusal, shared, now),
        }
    }

    /// Queues the sink's interim response, if there is one. None is sent to a client that does not read, because it
    /// would be queued without limit, nor to an HTTP/1.0 client (RFC 9110 §15.2).
    pub(super) fn send_interim(&mut self, sink: &mut S::Sink, version: Version, shared: &mut Shared, now: &Now) {
        if version == Version::Http10 || self.output.is_full() {
            return;
        }
        if let Some(interim) = sink.interim(now) {
            self.start_write_stall_timer(now);
            let mut bytes = Vec::new();
            write_interim(&mut bytes, &interim);
            self.output.push_interim(&bytes, &mut shared.pool);
        }
    }

    /// Passes gathered content to the sink of a resumable upload, because the connection ends before the content does.
    pub(super) fn save_content(&mut self, now: &Now) {
        if let State::Content(mut content) = mem::take(&mut self.state)
            && matches!(&content.destination, Destination::Sink(sink) if sink.is_resumable())
        {
            // A refusal cannot be sent any more.
            let _ = self.write_to_sink(&mut content, now);
        }
    }

    /// Passes gathered content to the sink, which may leave a part of it for the next call.
    fn write_to_sink(
        &mut self,
        content: &mut ReceivingContent<S::Sink>,
        now: &Now,
    ) -> Result<(), Box<Response<'static, S::Source>>> {
        let gathered = self.input.content();
        let bytes = gathered.len();
        let written = match &mut content.destination {
            Destination::Sink(sink) if bytes > 0 => sink.write(gathered, now),
            Destination::Sink(_) | Destination::Discard => Ok(bytes),
        };
        self.input.consume_content(*written.as_ref().unwrap_or(&bytes));
        written.map(|_| ())
    }

    /// Marks the content as ended, although the sink has not taken all of it yet. The sink gets the rest in the next
    /// steps, so that other connections are served in between.
    fn end_later(
        &mut self,
        mut content: Box<ReceivingContent<S::Sink>>,
        end: Result<(), ProtocolError>,
    ) -> State<S::Sink> {
        // The client has sent everything, and the sink may take its time.
        self.timers.stop(Timer::ContentRate);
        content.end = Some(end);
        State::Content(content)
    }

    /// Queues the sink's refusal, which is sent at once, or is held back until the rest of the content has been read.
    fn refuse_content(
        &mut self,
        mut content: Box<ReceivingContent<S::Sink>>,
        refusal: Response<'static, S::Source>,
        shared: &mut Shared,
        now: &Now,
    ) -> State<S::Sink> {
        self.push_response(refusal, &content.framing, None, shared, now);
        // Drops the sink, and with it the upload, before the rest of the content is read.
        content.destination = Destination::Discard;
        if closes_after_refusal(&content.framing) {
            return self.release_and_close(content.bytes, now);
        }
        State::Content(content)
    }

    /// Passes the content that precedes the error to the sink first. If it had arrived in an earlier read, the sink
    /// might have refused it, and the response must not depend on how the bytes were cut.
    pub(super) fn content_malformed(
        &mut self,
        mut content: Box<ReceivingContent<S::Sink>>,
        error: ProtocolError,
        shared: &mut Shared,
        now: &Now,
    ) -> State<S::Sink> {
        match self.write_to_sink(&mut content, now) {
            Err(refusal) if closes_after_refusal(&content.framing) => {
                return self.refuse_content(content, *refusal, shared, now);
            }
            Ok(()) if !self.input.content().is_empty() => return self.end_later(content, Err(error)),
            Ok(()) | Err(_) => {}
        }
        self.record_content_received(content.bytes);
        self.respond_with_error(error, content.framing.method, shared, now)
    }

    /// All content has been received: the sink responds or defers its response, or the response that was held back is
    /// sent.
    fn content_ended(
        &mut self,
        mut content: Box<ReceivingContent<S::Sink>>,
        shared: &mut Shared,
        now: &Now,
    ) -> Processed<S> {
        match self.write_to_sink(&mut content, now) {
            Ok(()) if !self.input.content().is_empty() => return (self.end_later(content, Ok(())), Step::SlowProgress),
            Ok(()) => {}
            Err(refusal) => match self.refuse_content(content, *refusal, shared, now) {
                State::Content(refused) => content = refused,
                state => return (state, Step::SlowProgress),
            },
        }
        self.timers.stop(Timer::ContentRate);
        self.record_content_received(content.bytes);
        let ReceivingContent { destination, framing, mut decoder, .. } = *content;
        let next = match destination {
            Destination::Discard => {
                self.start_write_stall_timer(now);
                let persistence = if self.shutting_down { Persistence::Close } else { framing.persistence };
                self.output.release(persistence);
                self.finish_exchange(persistence)
            }
            Destination::Sink(mut sink) => {
                if let Some(trailers) = decoder.trailers() {
                    sink.take_trailers(&trailers);
                }
                match sink.finish(now) {
                    Finished::Responded(response) => self.respond_to_content(response, &framing, shared, now),
                    Finished::Deferred(commit) => {
                        return (State::Committing(framing), Step::Deferred(Box::new(commit)));
                    }
                }
            }
        };
        (next, Step::SlowProgress)
    }

    /// Takes the response to the upload that [`process`](Connection::process) has returned as [`Step::Deferred`].
    /// Without effect if the connection has been closed meanwhile.
    pub fn committed(&mut self, response: Response<'static, S::Source>, shared: &mut Shared, now: &Now) {
        self.state = match mem::take(&mut self.state) {
            State::Committing(framing) => self.respond_to_content(response, &framing, shared, now),
            state => state,
        };
    }

    /// Queues the response to a request whose content is complete.
    pub(super) fn respond_to_content(
        &mut self,
        response: Response<'static, S::Source>,
        framing: &RequestFraming,
        shared: &mut Shared,
        now: &Now,
    ) -> State<S::Sink> {
        self.start_write_stall_timer(now);
        let persistence = persistence_after(&response, framing, self.shutting_down);
        self.push_response(response, framing, Some(persistence), shared, now);
        self.finish_exchange(persistence)
    }

    /// Sends the response that was held back before its request's content has ended. It is the connection's last.
    pub(super) fn release_and_close(&mut self, content_bytes: u64, now: &Now) -> State<S::Sink> {
        self.timers.stop(Timer::ContentRate);
        self.record_content_received(content_bytes);
        // The timer does not run if nothing else was queued: it was stopped when the content began.
        self.start_write_stall_timer(now);
        self.output.release(Persistence::Close);
        self.finish_exchange(Persistence::Close)
    }
}

/// Whether a sink's refusal is sent at once and closes the connection, because the content is long or its length
/// unknown.
fn closes_after_refusal(framing: &RequestFraming) -> bool {
    framing.content == Framing::Chunked || is_too_long_to_discard(framing)
}
