//! What is made of what was received: one step after the other, each of which asks the service at most one question.

use super::Connection;
use super::log_entry::{LogEntry, Outcome};
use super::phase::{Destination, Fate, Phase, Receiving, is_too_long_to_discard};
use crate::http1::commons::Commons;
use crate::http1::content::{ContentDecoder, Decoded};
use crate::http1::exchange::Exchange;
use crate::http1::limits::{DISCARDED_CONTENT_OCTETS_MAX, DRAIN_OCTETS_MAX};
use crate::http1::message_head::{EmptyLine, MessageHead, leading_empty_line};
use crate::http1::offence::Offence;
use crate::http1::output::{Output, Persistence};
use crate::semantics::Now;
use crate::semantics::method::Method;
use crate::semantics::request::Request;
use crate::semantics::response::Response;
use crate::semantics::service::{Reply, Service, Sink, Source};

/// What a [`step`](Connection::step) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something moved; there may be more to do.
    Moved,
    /// Nothing can move before octets are received or sent, or time passes.
    Waiting,
}

impl<S: Service> Connection<S> {
    /// Makes sense of what was received, up to one question to the service.
    pub fn step(&mut self, service: &mut S, commons: &mut Commons, now: &Now) -> Step {
        match &self.phase {
            Phase::Head(_) => self.step_head(service, commons, now),
            Phase::Content(_) => self.step_content(commons, now),
            Phase::Draining(_) => self.step_draining(now),
            Phase::Closed => Step::Waiting,
        }
    }

    fn step_head(&mut self, service: &mut S, commons: &mut Commons, now: &Now) -> Step {
        if self.output.is_full() {
            return Step::Waiting;
        }
        self.skip_empty_line();
        let Phase::Head(head) = &mut self.phase else { return Step::Waiting };
        let was_empty = head.is_empty();
        let Some((octets, spans)) = self.input.unread_with_spans().filter(|(octets, _)| !octets.is_empty()) else {
            return self.wait_for_request(now);
        };
        if was_empty && leading_empty_line(octets) == EmptyLine::Partial && !self.empty_line_skipped {
            return self.wait_for_request(now);
        }
        match head.advance(octets, spans) {
            Ok(true) => match self.take_request(service, commons, now) {
                Ok(()) => Step::Moved,
                Err(offence) => self.refuse(offence, commons, now),
            },
            Ok(false) if self.peer_has_ended => self.refuse(Offence::HeadCutShort, commons, now),
            Ok(false) => {
                if was_empty {
                    self.since_ns = now.monotonic_ns;
                    self.tell("reading the head");
                }
                Step::Waiting
            }
            Err(offence) => self.refuse(offence, commons, now),
        }
    }

    /// RFC 9112 §2.2: an empty line before the request-line is ignored; a second one is an offence.
    fn skip_empty_line(&mut self) {
        if let Phase::Head(head) = &self.phase
            && head.is_empty()
            && !self.empty_line_skipped
            && leading_empty_line(self.input.unread()) == EmptyLine::Complete
        {
            self.input.consume(b"\r\n".len());
            self.empty_line_skipped = true;
        }
    }

    /// No octet of a further request has come.
    fn wait_for_request(&mut self, now: &Now) -> Step {
        if self.peer_has_ended || self.finishing {
            self.begin_to_owe(now);
            self.end();
            return Step::Moved;
        }
        Step::Waiting
    }

    /// The head is complete: asks the service, and does as it says.
    fn take_request(&mut self, service: &mut S, commons: &mut Commons, now: &Now) -> Result<(), Offence> {
        self.begin_to_owe(now);
        let Phase::Head(head) = &self.phase else { return Ok(()) };
        let Some((octets, spans)) = self.input.unread_with_spans() else { return Ok(()) };
        let head = head.complete(octets, spans);
        let mut exchange = Exchange::new(&head, commons.settings.strict)?;
        if self.finishing {
            exchange.persistence = Persistence::Close;
        }
        let request = Request {
            method: head.method,
            target: head.target,
            version: head.version,
            fields: head.fields,
            content_octets: exchange.content_octets(),
        };
        let head_octets = head.octets;
        let content_has_arrived = octets.len() > head_octets;
        let entry = LogEntry::of_request(self.number, &head);
        match service.answer(&request, now) {
            Reply::Receive(sink) => {
                if exchange.expects_continue && !content_has_arrived {
                    self.output.push_interim(b"HTTP/1.1 100 Continue\r\n\r\n", &mut commons.pool);
                }
                self.input.consume(head_octets);
                self.receive_content(Destination::Sink(sink), exchange, entry, now);
            }
            Reply::Respond(response) => {
                let persistence = match Fate::of_unwanted_content(&exchange) {
                    Fate::NoContent => Some(exchange.persistence),
                    Fate::Close => Some(Persistence::Close),
                    Fate::Discard => None,
                };
                let outcome = push_answer(&mut self.output, response, &exchange, persistence, commons, now);
                self.input.consume(head_octets);
                match persistence {
                    Some(persistence) => {
                        entry.log(outcome);
                        self.answered(persistence, now);
                    }
                    None => self.receive_content(Destination::Nowhere(outcome), exchange, entry, now),
                }
            }
        }
        Ok(())
    }

    fn receive_content(&mut self, destination: Destination<S::Sink>, exchange: Exchange, entry: LogEntry, now: &Now) {
        self.since_ns = now.monotonic_ns;
        self.tell("reading the content");
        let decoder = ContentDecoder::new(exchange.framing);
        let heard_ns = now.monotonic_ns;
        self.phase = Phase::Content(Box::new(Receiving { decoder, destination, exchange, octets: 0, heard_ns, entry }));
    }

    fn step_content(&mut self, commons: &mut Commons, now: &Now) -> Step {
        let Phase::Content(receiving) = &mut self.phase else { return Step::Waiting };
        let unread = self.input.unread();
        let decoded = match receiving.decoder.decode(unread) {
            Ok(decoded) => decoded,
            Err(offence) => return self.refuse(offence, commons, now),
        };
        if decoded == Decoded::default() {
            if self.peer_has_ended {
                return self.refuse(Offence::ContentCutShort, commons, now);
            }
            return Step::Waiting;
        }
        receiving.heard_ns = now.monotonic_ns;
        let content = &unread[decoded.skip..decoded.skip + decoded.content];
        receiving.octets = receiving.octets.saturating_add(content.len() as u64);
        let refusal = match &mut receiving.destination {
            Destination::Sink(sink) if !content.is_empty() => sink.write(content).err(),
            _ => None,
        };
        self.input.consume(decoded.skip + decoded.content);
        if let Some(response) = refusal {
            self.refuse_content(*response, commons, now);
        }
        self.discard_within_reason(now);
        if decoded.end {
            self.content_ended(commons, now);
        }
        Step::Moved
    }

    /// The sink refused the content: its answer is held while the rest is read, if the rest is worth reading.
    fn refuse_content(&mut self, response: Response<'static, S::Source>, commons: &mut Commons, now: &Now) {
        let Phase::Content(receiving) = &mut self.phase else { return };
        let outcome = push_answer(&mut self.output, response, &receiving.exchange, None, commons, now);
        receiving.destination = Destination::Nowhere(outcome);
        if is_too_long_to_discard(&receiving.exchange) {
            self.release_early(now);
        }
    }

    /// Unwanted content that goes on for too long ends the connection, with the answer that was held.
    fn discard_within_reason(&mut self, now: &Now) {
        if let Phase::Content(receiving) = &self.phase
            && let Destination::Nowhere(_) = receiving.destination
            && receiving.octets > DISCARDED_CONTENT_OCTETS_MAX
        {
            self.release_early(now);
        }
    }

    fn content_ended(&mut self, commons: &mut Commons, now: &Now) {
        if !matches!(self.phase, Phase::Content(_)) {
            return;
        }
        let Phase::Content(receiving) = std::mem::replace(&mut self.phase, Phase::Closed) else { return };
        let Receiving { destination, exchange, entry, .. } = *receiving;
        let persistence = if self.finishing { Persistence::Close } else { exchange.persistence };
        match destination {
            Destination::Nowhere(outcome) => {
                entry.log(outcome);
                self.begin_to_owe(now);
                self.output.release(persistence);
            }
            Destination::Sink(sink) => {
                let response = sink.finish(now);
                self.begin_to_owe(now);
                entry.log(push_answer(&mut self.output, response, &exchange, Some(persistence), commons, now));
            }
        }
        self.answered(persistence, now);
    }

    /// The answer that was held may go although its request has not ended, and is the last one.
    fn release_early(&mut self, now: &Now) {
        if let Phase::Content(receiving) = &self.phase
            && let Destination::Nowhere(outcome) = receiving.destination
        {
            receiving.entry.log(outcome);
        }
        // After content that came for minutes, the time to read would otherwise be over before it began.
        self.begin_to_owe(now);
        self.output.release(Persistence::Close);
        self.answered(Persistence::Close, now);
    }

    /// Something is about to be owed. If nothing else was, the peer has its time to read from now on; an answer behind
    /// others extends nothing, or a peer that never reads could hold its place by asking for more.
    fn begin_to_owe(&mut self, now: &Now) {
        if !self.output.is_pending() {
            self.progress_ns = now.monotonic_ns;
        }
    }

    /// A request has its answer: on to the next, or to the end.
    fn answered(&mut self, persistence: Persistence, now: &Now) {
        self.tell("writing the response");
        self.since_ns = now.monotonic_ns;
        self.empty_line_skipped = false;
        match persistence {
            Persistence::Keep | Persistence::KeepAndSay => self.phase = Phase::Head(MessageHead::default()),
            Persistence::Close => self.end(),
        }
    }

    /// The peer broke the protocol: says so, drops whatever was going on, and parses nothing more.
    pub(super) fn refuse(&mut self, offence: Offence, commons: &mut Commons, now: &Now) -> Step {
        self.output.drop_held();
        self.begin_to_owe(now);
        let head_only = self.is_receiving_head_request();
        let response = Response::with_reason(offence.status(), offence.reason());
        let entry = LogEntry::of_offence(self.number, offence);
        let (date, pool) = commons.date_and_pool(now);
        let content_octets = self.output.push(response, head_only, Some(Persistence::Close), date, pool);
        entry.log(Outcome { status: offence.status().code(), content_octets });
        self.answered(Persistence::Close, now);
        Step::Moved
    }

    /// Whether what is being received is a HEAD, whose answer never has content: not even an offence's (RFC 9110 §9.3.2).
    fn is_receiving_head_request(&self) -> bool {
        match &self.phase {
            Phase::Head(head) => head.method() == Method::Head,
            Phase::Content(receiving) => receiving.exchange.head_only,
            Phase::Draining(_) | Phase::Closed => false,
        }
    }

    fn step_draining(&mut self, now: &Now) -> Step {
        let Phase::Draining(draining) = &mut self.phase else { return Step::Waiting };
        let octets = self.input.unread().len() as u64;
        if octets > 0 {
            draining.octets = draining.octets.saturating_add(octets);
            self.since_ns = now.monotonic_ns;
            self.input.consume_all();
        }
        let is_enough = draining.octets > DRAIN_OCTETS_MAX;
        if self.output.has_ended() && (self.peer_has_ended || is_enough) {
            self.close();
            return Step::Moved;
        }
        if octets > 0 { Step::Moved } else { Step::Waiting }
    }
}

fn push_answer<B: Source>(
    output: &mut Output<B>,
    response: Response<'_, B>,
    exchange: &Exchange,
    persistence: Option<Persistence>,
    commons: &mut Commons,
    now: &Now,
) -> Outcome {
    let status = response.status.code();
    let (date, pool) = commons.date_and_pool(now);
    let content_octets = output.push(response, exchange.head_only, persistence, date, pool);
    Outcome { status, content_octets }
}
