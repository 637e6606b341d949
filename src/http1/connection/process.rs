//! Interprets received bytes, which moves the connection from one state to the next. `receive_content.rs` has what
//! happens within the content of a request, and `timeouts.rs` the transitions that a timer causes.

use std::convert::Infallible;
use std::mem;
use std::rc::Rc;

use super::Connection;
use super::record::PendingRecords;
use super::state::{Destination, Draining, State, UnreadContent};
use super::timers::Timer;
use crate::http1::limits::{DRAIN_BYTES_MAX, RESPONSE_BYTES_SHORT};
use crate::http1::message_head::{EmptyLine, HeadParser, RequestHead, leading_empty_line};
use crate::http1::protocol_error::ProtocolError;
use crate::http1::request_framing::RequestFraming;
use crate::http1::response_writer::{Persistence, ResponseFraming};
use crate::http1::send_queue::{SendQueue, framing_of};
use crate::http1::shared::Shared;
use crate::semantics::Now;
use crate::semantics::client::ClientGroup;
use crate::semantics::exchange_record::Outcome;
use crate::semantics::method::Method;
use crate::semantics::request::{ArrivedContent, Endpoint, Request};
use crate::semantics::response::Response;
use crate::semantics::service::{CommitOf, Reply, Service, Source};

/// The result of [`Connection::process`] and [`Connection::flush_content`]. `C` is the service's commit, in a box because
/// a commit is large and every step is moved a few times; only `process` returns one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "there may be more to do"]
pub enum Step<C = Infallible> {
    /// There is nothing to do until bytes are received or sent, or a timer fires.
    Idle,
    /// The connection made progress, and may make more.
    Progress,
    /// Like `Progress`, but the step may have waited for the disk, so the caller's time may be out of date.
    SlowProgress,
    /// An upload is complete, and the service is to commit it, perhaps with others. Its response is expected by
    /// [`Connection::committed`]. Until then the connection makes no further progress.
    Deferred(C),
}

impl<C> Step<C> {
    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        matches!(self, Step::Idle)
    }

    fn progress(is_slow: bool) -> Step<C> {
        if is_slow { Step::SlowProgress } else { Step::Progress }
    }
}

/// The next state, and the step that leads to it.
pub(super) type Processed<S> = (State<<S as Service>::Sink>, Step<Box<CommitOf<S>>>);

impl<S: Service> Connection<S> {
    /// Takes one step: interprets received bytes, up to one call of the service or one write to a sink.
    pub fn process(&mut self, service: &mut S, shared: &mut Shared, now: &Now) -> Step<Box<CommitOf<S>>> {
        let (state, step) = match &mut self.state {
            // In place: nearly every step is about a head, and parsing a part of one is no transition.
            State::Head(_) => return self.process_head(service, shared, now),
            state => match mem::take(state) {
                State::ProxyHeader => self.process_proxy_header(shared, now),
                State::Content(content) => self.process_content(content, shared, now),
                State::Draining(draining) => self.process_draining(draining, shared, now),
                state @ (State::Head(_) | State::Committing(_) | State::Closed) => (state, Step::Idle),
            },
        };
        self.state = state;
        step
    }

    fn process_head(&mut self, service: &mut S, shared: &mut Shared, now: &Now) -> Step<Box<CommitOf<S>>> {
        // A shortcut for the end of nearly every pass.
        if self.input.is_empty() && !self.input_ended {
            return Step::Idle;
        }
        if self.output.is_full() || self.records.as_ref().is_some_and(|records| records.is_full()) {
            return Step::Idle;
        }
        if !self.request_has_begun() {
            return self.no_request(now);
        }
        let State::Head(head) = &mut self.state else { return Step::Idle };
        let Some((bytes, spans)) = self.input.unread_with_spans() else { return Step::Idle };
        let was_empty = head.is_empty();
        let error = match head.advance(bytes, spans) {
            Ok(true) => {
                let head = *head;
                match self.take_request(&head, service, shared, now) {
                    Ok(step) => return step,
                    Err(error) => error,
                }
            }
            Ok(false) if self.input_ended => ProtocolError::HeadIncomplete,
            Ok(false) => {
                if was_empty {
                    self.start_head_timer(shared, now);
                }
                return Step::Idle;
            }
            Err(error) => error,
        };
        self.refuse_head(error, shared, now);
        Step::Progress
    }

    /// Responds to a protocol error in the head.
    #[cold]
    fn refuse_head(&mut self, error: ProtocolError, shared: &mut Shared, now: &Now) {
        if let State::Head(head) = &self.state {
            let method = head.method();
            self.state = self.respond_with_error(error, method, shared, now);
        }
    }

    /// Whether a byte of a request is unread. Skips an empty line before the request line (RFC 9112 §2.2); a second one is
    /// a protocol error.
    fn request_has_begun(&mut self) -> bool {
        let may_follow_empty_line =
            matches!(&self.state, State::Head(head) if head.is_empty()) && !self.empty_line_skipped;
        match leading_empty_line(self.input.unread()) {
            EmptyLine::Complete if may_follow_empty_line => {
                self.input.consume(b"\r\n".len());
                self.empty_line_skipped = true;
            }
            // A CR alone may become an empty line.
            EmptyLine::Partial if may_follow_empty_line => return false,
            EmptyLine::None | EmptyLine::Partial | EmptyLine::Complete => {}
        }
        !self.input.is_empty()
    }

    /// No request has begun. If the input has ended, none will, and the connection ends.
    #[cold]
    fn no_request(&mut self, now: &Now) -> Step<Box<CommitOf<S>>> {
        if self.input_ended {
            self.timers.stop(Timer::Idle);
            self.start_write_stall_timer(now);
            self.state = self.begin_draining();
            return Step::Progress;
        }
        Step::Idle
    }

    /// Passes a request with a complete head to the service, and acts on its reply. After an error the state is as before.
    fn take_request(
        &mut self,
        head: &HeadParser,
        service: &mut S,
        shared: &mut Shared,
        now: &Now,
    ) -> Result<Step<Box<CommitOf<S>>>, ProtocolError> {
        self.timers.stop(Timer::Idle);
        self.timers.stop(Timer::Head);
        self.start_write_stall_timer(now);
        let Some((bytes, spans)) = self.input.unread_with_spans() else {
            debug_assert!(false, "a head without bytes is complete");
            return Err(ProtocolError::HeadIncomplete);
        };
        let head = head.complete(bytes, spans);
        let (head_bytes, content_has_arrived) = (head.bytes, bytes.len() > head.bytes);
        if let Some(records) = &mut self.records {
            let client = shared.settings.proxies.client_of(records.client(), &head.fields);
            records.begin(client, &head, self.output.queued_bytes(), &mut shared.records, now);
        }
        let framing = RequestFraming::new(&head, shared.settings.strict)?;
        let sender = shared.settings.proxies.group_of(shared.sender, &head.fields);
        let request = request_of(&head, &framing, &bytes[head_bytes..], self.endpoint, sender);
        let mut reply = service.call(&request, now);
        self.state = match reply {
            Reply::Receive(mut sink) => {
                if framing.expects_continue && !content_has_arrived {
                    self.output.push_interim(b"HTTP/1.1 100 Continue\r\n\r\n", &mut shared.pool);
                }
                self.send_interim(&mut sink, framing.version, shared, now);
                self.input.consume(head_bytes);
                self.receive_content(Destination::Sink(sink), framing, now)
            }
            Reply::RespondToContent(content, response) => {
                let content_bytes = content.bytes().len();
                self.input.consume(head_bytes + content_bytes);
                self.record_content_received(content_bytes as u64);
                self.respond_to_content(response, &framing, shared, now)
            }
            // By reference, because a response is large.
            Reply::Respond(ref mut response) => {
                let persistence = match UnreadContent::of(&framing) {
                    UnreadContent::None => Some(persistence_after(response, &framing, self.shutting_down)),
                    UnreadContent::Close => Some(Persistence::Close),
                    UnreadContent::Discard => None,
                };
                let (output, records) = (&mut self.output, self.records.as_deref_mut());
                push_response(output, records, response, &framing, persistence, shared, now);
                self.input.consume(head_bytes);
                match persistence {
                    Some(Persistence::Close) => self.finish_last_exchange(&framing),
                    Some(persistence) => self.finish_exchange(persistence),
                    None => self.receive_content(Destination::Discard, framing, now),
                }
            }
        };
        self.record_account(service.account());
        Ok(Step::progress(service.may_have_blocked()))
    }

    pub(super) fn push_response(
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

    fn record_account(&mut self, account: Option<&Rc<str>>) {
        if let Some(records) = &mut self.records {
            records.authenticated(account);
        }
    }

    pub(super) fn record_content_received(&mut self, bytes: u64) {
        if let Some(records) = &mut self.records {
            records.content_received(bytes);
        }
    }

    /// The state after a final response has been queued and released: the next request, or the end.
    pub(super) fn finish_exchange(&mut self, persistence: Persistence) -> State<S::Sink> {
        if let Some(records) = &mut self.records {
            records.release(self.output.queued_bytes(), self.output.has_source());
        }
        self.empty_line_skipped = false;
        match persistence {
            Persistence::KeepAlive | Persistence::KeepAliveExplicit => {
                self.has_persisted = true;
                State::Head(HeadParser::default())
            }
            Persistence::Close => self.begin_draining(),
        }
    }

    /// The state after the last response to a request without unread content. Draining is unnecessary if the request
    /// asked for the close: such a client sends nothing more (RFC 9112 §9.6). The response must also be the only one, and
    /// short. Then it fits into the client's receive buffer, and the system delivers it even if the client reads nothing
    /// for a long time. Of a longer one the system drops the rest some minutes after the close.
    fn finish_last_exchange(&mut self, framing: &RequestFraming) -> State<S::Sink> {
        let client_is_done = framing.persistence == Persistence::Close && framing.has_no_content();
        let is_short = !self.output.has_source() && self.output.queued_bytes() <= RESPONSE_BYTES_SHORT;
        let is_unnecessary = client_is_done && !self.has_persisted && is_short;
        match self.finish_exchange(Persistence::Close) {
            State::Draining(draining) => State::Draining(Draining { is_unnecessary, ..draining }),
            state => state,
        }
    }

    /// Responds to a protocol error, drops the current request, and parses nothing more. `method` is the request's, if
    /// it is known, because a response to HEAD never has content, not even an error's (RFC 9110 §9.3.2).
    #[cold]
    pub(super) fn respond_with_error(
        &mut self,
        error: ProtocolError,
        method: Method,
        shared: &mut Shared,
        now: &Now,
    ) -> State<S::Sink> {
        self.timers.stop(Timer::Idle);
        self.timers.stop(Timer::Head);
        self.timers.stop(Timer::ContentRate);
        self.input.consume_all_content();
        self.output.drop_held();
        self.start_write_stall_timer(now);
        if let Some(records) = &mut self.records {
            records.refuse(error, self.output.queued_bytes(), &mut shared.records, now);
        }
        let response = Response::with_reason(error.status(), error.reason());
        let framing = RequestFraming::of_protocol_error(method);
        self.push_response(response, &framing, Some(Persistence::Close), shared, now);
        self.finish_exchange(Persistence::Close)
    }

    #[inline(never)]
    fn process_draining(&mut self, mut draining: Draining, shared: &mut Shared, now: &Now) -> Processed<S> {
        let bytes = self.input.unread().len() as u64;
        if bytes > 0 {
            draining.bytes = draining.bytes.saturating_add(bytes);
            self.input.consume_all();
            if self.output.has_ended() {
                self.restart_drain_timer(draining.deadline_ns, now);
            }
        }
        let is_enough = draining.bytes > DRAIN_BYTES_MAX;
        if self.output.has_ended() && (self.input_ended || is_enough) {
            self.close(Outcome::Complete, shared, now);
            return (State::Closed, Step::Progress);
        }
        (State::Draining(draining), if bytes > 0 { Step::Progress } else { Step::Idle })
    }
}

/// The request as the service sees it. `after_head` are the bytes that have arrived after its head.
fn request_of<'a>(
    head: &RequestHead<'a>,
    framing: &RequestFraming,
    after_head: &'a [u8],
    endpoint: Endpoint,
    sender: Option<ClientGroup>,
) -> Request<'a> {
    let content_bytes = framing.content_bytes();
    let known_bytes = content_bytes.and_then(|bytes| usize::try_from(bytes).ok());
    let arrived = known_bytes.and_then(|bytes| after_head.get(..bytes)).map(ArrivedContent::new);
    let RequestHead { method, target, version, fields, .. } = *head;
    Request { method, target, version, fields, content_bytes, arrived, endpoint, sender }
}

/// Whether the connection persists after `response`.
pub(super) fn persistence_after<B: Source>(
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

/// Queues a response, which is held back if `persistence` is `None`. Not a method of the connection, because the
/// response may borrow the received bytes.
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
