//! One connection: its phase, its output, and all the waiting there is. `mod.rs` has the picture.

use log::{debug, info, log_enabled};

use super::commons::Commons;
use super::content::{ContentDecoder, Decoded};
use super::exchange::{self, Exchange};
use super::limits::{
    CONTENT_GRACE_NS, CONTENT_OCTETS_PER_SECOND_MIN, DISCARDED_CONTENT_OCTETS_MAX, DRAIN_NS, DRAIN_OCTETS_MAX,
    DRAIN_SILENCE_NS, READER_OCTETS_PER_SECOND_MIN, SECOND_NS, WRITE_STALL_NS,
};
use super::message_head::{EmptyLine, MessageHead, leading_empty_line};
use super::offence::Offence;
use super::output::{Output, Persistence, Transmit};
use super::receive_buffer::ReceiveBuffer;
use crate::semantics::Now;
use crate::semantics::request::Request;
use crate::semantics::response::Response;
use crate::semantics::service::{Reply, Service, Sink};

/// What a [`step`](Connection::step) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something moved; there may be more to do.
    Moved,
    /// Nothing can move before octets are received or sent, or time passes.
    Waiting,
}

/// What the next received octet means.
enum Phase<K> {
    /// It belongs to a head, or begins one.
    Head(MessageHead),
    /// It belongs to the content of a request.
    Content(Box<Receiving<K>>),
    /// Nothing: it is discarded, so that no reset destroys the last answer.
    Draining(Draining),
    /// There is none.
    Closed,
}

/// Content on its way in.
struct Receiving<K> {
    decoder: ContentDecoder,
    destination: Destination<K>,
    exchange: Exchange,
    /// Octets of content so far.
    octets: u64,
    /// What the log calls the request; empty where nothing is logged.
    description: String,
}

/// Where content goes.
enum Destination<K> {
    /// Into a route's sink.
    Sink(K),
    /// Nowhere: the answer has been made, and is held until the content has proved to be well-formed.
    Nowhere,
}

#[derive(Default)]
struct Draining {
    /// When the end was sent; 0 before.
    ended_ns: u64,
    octets: u64,
}

/// The state of one connection, without its socket.
pub struct Connection<S: Service> {
    phase: Phase<S::Sink>,
    input: ReceiveBuffer,
    output: Output<S::Source>,
    /// What the phase's waiting is counted from: the end of the last answer, the first octet of a head, the start of
    /// content, the last octet drained.
    since_ns: u64,
    /// When something was last sent, or last became owed.
    progress_ns: u64,
    /// How much longer than usual the peer may show no progress, because of what its send buffer holds.
    stall_allowance_ns: u64,
    /// What the log calls the connection.
    number: u32,
    peer_has_ended: bool,
    empty_line_skipped: bool,
    /// Whether the server is shutting down: every further answer is the connection's last.
    finishing: bool,
}

impl<S: Service> Connection<S> {
    /// A connection that has just been accepted. `number` names it in the log.
    pub fn new(number: u32, now: &Now) -> Connection<S> {
        Connection {
            phase: Phase::Head(MessageHead::default()),
            input: ReceiveBuffer::default(),
            output: Output::default(),
            since_ns: now.monotonic_ns,
            progress_ns: now.monotonic_ns,
            stall_allowance_ns: 0,
            number,
            peer_has_ended: false,
            empty_line_skipped: false,
            finishing: false,
        }
    }

    // What is received.

    /// Whether received octets are of use now.
    pub fn wants_input(&self) -> bool {
        let is_done = match &self.phase {
            Phase::Draining(draining) => draining.octets > DRAIN_OCTETS_MAX,
            Phase::Closed => true,
            Phase::Head(_) | Phase::Content(_) => false,
        };
        !is_done && !self.peer_has_ended && !self.input.is_full()
    }

    /// Room to receive into. Empty only if [`wants_input`](Connection::wants_input) is false.
    pub fn input_space(&mut self, commons: &mut Commons) -> &mut [u8] {
        self.input.space(&mut commons.pool)
    }

    /// The first `octets` of the space have been received.
    pub fn received(&mut self, octets: usize) {
        self.input.received(octets);
    }

    /// The peer will send nothing more.
    pub fn received_eof(&mut self) {
        self.peer_has_ended = true;
    }

    // What is made of it.

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
        let Phase::Head(head) = &mut self.phase else { return Step::Waiting };
        if self.output.is_full() {
            return Step::Waiting;
        }
        let was_empty = head.is_empty();
        if was_empty && !self.empty_line_skipped {
            match leading_empty_line(self.input.unread()) {
                EmptyLine::None => {}
                EmptyLine::Partial if self.peer_has_ended => self.input.consume_all(),
                EmptyLine::Partial => return Step::Waiting,
                EmptyLine::Complete => {
                    self.input.consume(b"\r\n".len());
                    self.empty_line_skipped = true;
                }
            }
        }
        let Some((octets, spans)) = self.input.unread_with_spans().filter(|(octets, _)| !octets.is_empty()) else {
            return self.wait_for_request();
        };
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

    /// No octet of a further request has come.
    fn wait_for_request(&mut self) -> Step {
        if self.peer_has_ended || self.finishing {
            self.end();
            return Step::Moved;
        }
        Step::Waiting
    }

    /// The head is complete: asks the service, and does as it says.
    fn take_request(&mut self, service: &mut S, commons: &mut Commons, now: &Now) -> Result<(), Offence> {
        let Phase::Head(head) = &self.phase else { return Ok(()) };
        let Some((octets, spans)) = self.input.unread_with_spans() else { return Ok(()) };
        let head = head.complete(octets, spans)?;
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
        let description = if log_enabled!(log::Level::Info) { exchange::describe(&head) } else { String::new() };
        let destination = match service.answer(&request, now) {
            Reply::Respond(response) => {
                let fate = Fate::of_unwanted_content(&exchange);
                let (date, pool) = commons.date_and_pool(now);
                let persistence = match fate {
                    Fate::NoContent => Some(exchange.persistence),
                    Fate::Discard => None,
                    Fate::Close => Some(Persistence::Close),
                };
                let status = response.status;
                let octets = self.output.push(response, exchange.head_only, persistence, date, pool);
                log_answer(self.number, &description, status.code(), octets);
                self.progress_ns = now.monotonic_ns;
                match fate {
                    Fate::NoContent | Fate::Close => {
                        self.input.consume(head_octets);
                        self.answered(persistence.unwrap_or(Persistence::Close), now);
                        return Ok(());
                    }
                    Fate::Discard => Destination::Nowhere,
                }
            }
            Reply::Receive(sink) => {
                if exchange.expects_continue && !content_has_arrived {
                    self.output.push_interim(b"HTTP/1.1 100 Continue\r\n\r\n", &mut commons.pool);
                    self.progress_ns = now.monotonic_ns;
                }
                Destination::Sink(sink)
            }
        };
        self.input.consume(head_octets);
        self.since_ns = now.monotonic_ns;
        self.tell("reading the content");
        let decoder = ContentDecoder::new(exchange.framing);
        self.phase = Phase::Content(Box::new(Receiving { decoder, destination, exchange, octets: 0, description }));
        Ok(())
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
        receiving.destination = Destination::Nowhere;
        let is_too_long = is_too_long_to_discard(&receiving.exchange);
        let (date, pool) = commons.date_and_pool(now);
        let head_only = receiving.exchange.head_only;
        let status = response.status;
        let octets = self.output.push(response, head_only, None, date, pool);
        log_answer(self.number, &receiving.description, status.code(), octets);
        if is_too_long {
            self.release(Persistence::Close, now);
        }
    }

    /// Unwanted content that goes on for too long ends the connection, with the answer that was held.
    fn discard_within_reason(&mut self, now: &Now) {
        if let Phase::Content(receiving) = &self.phase
            && let Destination::Nowhere = receiving.destination
            && receiving.octets > DISCARDED_CONTENT_OCTETS_MAX
        {
            self.release(Persistence::Close, now);
        }
    }

    fn content_ended(&mut self, commons: &mut Commons, now: &Now) {
        if !matches!(self.phase, Phase::Content(_)) {
            return;
        }
        let Phase::Content(receiving) = std::mem::replace(&mut self.phase, Phase::Closed) else { return };
        let Receiving { destination, exchange, description, .. } = *receiving;
        let persistence = if self.finishing { Persistence::Close } else { exchange.persistence };
        match destination {
            Destination::Nowhere => self.release(persistence, now),
            Destination::Sink(sink) => {
                let response = sink.finish(now);
                let (date, pool) = commons.date_and_pool(now);
                let status = response.status;
                let octets = self.output.push(response, exchange.head_only, Some(persistence), date, pool);
                log_answer(self.number, &description, status.code(), octets);
                self.progress_ns = now.monotonic_ns;
                self.answered(persistence, now);
            }
        }
    }

    /// The answer that was held may go.
    fn release(&mut self, persistence: Persistence, now: &Now) {
        self.output.release(persistence);
        self.progress_ns = now.monotonic_ns;
        self.answered(persistence, now);
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
    fn refuse(&mut self, offence: Offence, commons: &mut Commons, now: &Now) -> Step {
        self.output.drop_held();
        let response = Response::with_reason(offence.status(), offence.reason());
        let (date, pool) = commons.date_and_pool(now);
        let octets = self.output.push(response, false, Some(Persistence::Close), date, pool);
        log_answer(self.number, offence.reason(), offence.status().code(), octets);
        self.progress_ns = now.monotonic_ns;
        self.end();
        Step::Moved
    }

    /// Nothing more will be answered: what is owed is sent, and what still comes is drained.
    fn end(&mut self) {
        self.output.end();
        self.phase = Phase::Draining(Draining::default());
    }

    fn step_draining(&mut self, now: &Now) -> Step {
        let Phase::Draining(draining) = &mut self.phase else { return Step::Waiting };
        let octets = self.input.unread().len() as u64;
        if octets > 0 {
            draining.octets = draining.octets.saturating_add(octets);
            self.since_ns = now.monotonic_ns;
            self.input.consume_all();
        }
        let enough = draining.octets > DRAIN_OCTETS_MAX;
        if self.output.has_ended() && (self.peer_has_ended || enough) {
            self.close();
            return Step::Moved;
        }
        if octets > 0 { Step::Moved } else { Step::Waiting }
    }

    fn close(&mut self) {
        self.tell("closed");
        self.phase = Phase::Closed;
    }

    // What is sent.

    /// What is to be sent next: octets, then one source, then the end.
    pub fn transmit(&self) -> Option<Transmit<'_, S::Source>> {
        match self.phase {
            Phase::Closed => None,
            _ => self.output.transmit(),
        }
    }

    /// The first `octets` of what [`transmit`](Connection::transmit) gave have been sent.
    pub fn transmitted(&mut self, octets: u64, now: &Now) {
        self.output.transmitted(octets);
        self.progress_ns = now.monotonic_ns;
        self.stall_allowance_ns = 0;
        if !self.output.is_pending() && self.is_between_requests() {
            self.since_ns = now.monotonic_ns;
            self.tell("kept alive");
        }
    }

    /// The writing side has been shut, as [`Transmit::End`] asked.
    pub fn end_transmitted(&mut self, now: &Now) {
        self.output.end_transmitted();
        self.since_ns = now.monotonic_ns;
        if let Phase::Draining(draining) = &mut self.phase {
            draining.ended_ns = now.monotonic_ns;
            self.tell("draining");
        }
    }

    /// The socket takes no more octets for now, and holds at most `send_buffer_octets`. A peer that reads them slowly
    /// shows no progress until the buffer has room again, and is not to be taken for one that does not read.
    pub fn write_blocked(&mut self, send_buffer_octets: u64) {
        self.stall_allowance_ns = (send_buffer_octets / READER_OCTETS_PER_SECOND_MIN).saturating_mul(SECOND_NS);
    }

    // What is waited for.

    /// The monotonic time, in nanoseconds, at which [`deadline_passed`](Connection::deadline_passed) is to be called;
    /// `u64::MAX` for never. It may have moved when that time comes.
    pub fn deadline_ns(&self, commons: &Commons) -> u64 {
        self.phase_deadline_ns(commons).min(self.write_deadline_ns())
    }

    fn phase_deadline_ns(&self, commons: &Commons) -> u64 {
        match &self.phase {
            Phase::Head(head) if !head.is_empty() => self.since_ns.saturating_add(commons.settings.head_timeout_ns),
            // While an answer is being sent the peer cannot be expected to ask for more.
            Phase::Head(_) if self.output.is_pending() => u64::MAX,
            Phase::Head(_) => self.since_ns.saturating_add(commons.settings.idle_timeout_ns),
            Phase::Content(receiving) => {
                let earned_ns =
                    u128::from(receiving.octets) * u128::from(SECOND_NS) / u128::from(CONTENT_OCTETS_PER_SECOND_MIN);
                let earned_ns = u64::try_from(earned_ns).unwrap_or(u64::MAX);
                self.since_ns.saturating_add(CONTENT_GRACE_NS).saturating_add(earned_ns)
            }
            Phase::Draining(draining) if self.output.has_ended() => {
                let silence_ns = self.since_ns.saturating_add(DRAIN_SILENCE_NS);
                silence_ns.min(draining.ended_ns.saturating_add(DRAIN_NS))
            }
            Phase::Draining(_) => u64::MAX,
            Phase::Closed => u64::MAX,
        }
    }

    fn write_deadline_ns(&self) -> u64 {
        if self.output.is_pending() {
            self.progress_ns.saturating_add(WRITE_STALL_NS).saturating_add(self.stall_allowance_ns)
        } else {
            u64::MAX
        }
    }

    /// Does what the deadline asks for, if it has passed.
    pub fn deadline_passed(&mut self, commons: &mut Commons, now: &Now) {
        if now.monotonic_ns >= self.write_deadline_ns() {
            self.tell("the peer does not read");
            self.close();
            return;
        }
        if now.monotonic_ns < self.phase_deadline_ns(commons) {
            return;
        }
        match &self.phase {
            Phase::Head(head) if !head.is_empty() => {
                self.refuse(Offence::HeadTooSlow, commons, now);
            }
            Phase::Content(_) => {
                self.refuse(Offence::ContentTooSlow, commons, now);
            }
            Phase::Head(_) | Phase::Draining(_) | Phase::Closed => self.close(),
        }
    }

    /// The server is shutting down: a connection without work is closed, and any other after its next answer.
    pub fn finish(&mut self) {
        self.finishing = true;
        if self.is_between_requests() {
            if self.output.is_pending() {
                self.end();
            } else {
                self.close();
            }
        }
    }

    /// Whether no octet of a further request has been received.
    fn is_between_requests(&self) -> bool {
        matches!(&self.phase, Phase::Head(head) if head.is_empty()) && self.input.is_empty()
    }

    /// Gives back memory in which nothing waits.
    pub fn release_idle_memory(&mut self, commons: &mut Commons) {
        self.input.release_if_empty(&mut commons.pool);
        self.output.release_if_empty(&mut commons.pool);
    }

    /// Whether the socket may be closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    fn tell(&self, state: &str) {
        debug!("connection {}: {state}", self.number);
    }
}

/// What becomes of the content of a request that has been answered without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// There is none.
    NoContent,
    /// It is read and discarded, and the connection kept.
    Discard,
    /// It is not worth reading, or may never come: the answer goes at once, and the connection ends.
    Close,
}

impl Fate {
    fn of_unwanted_content(exchange: &Exchange) -> Fate {
        if exchange.has_no_content() {
            Fate::NoContent
        } else if exchange.expects_continue || is_too_long_to_discard(exchange) {
            // A peer that waits for `100 Continue` may send its content, or not, once it has seen another answer.
            Fate::Close
        } else {
            Fate::Discard
        }
    }
}

/// Whether it has been announced that the content is not worth reading. It is the whole length that counts and not what
/// is left of it, which would depend on how the octets were cut.
fn is_too_long_to_discard(exchange: &Exchange) -> bool {
    exchange.content_octets().is_some_and(|octets| octets > DISCARDED_CONTENT_OCTETS_MAX)
}

fn log_answer(number: u32, request: &str, status: u16, content_octets: u64) {
    info!("connection {number}: {request} → {status}, {content_octets} octets");
}
