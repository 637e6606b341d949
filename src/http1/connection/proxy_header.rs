//! The state before the first request of a connection that comes from a proxy: the header in which the proxy names the
//! client.

use super::Connection;
use super::process::{Processed, Step};
use super::state::State;
use super::timers::Timer;
use crate::http1::message_head::HeadParser;
use crate::http1::proxy_protocol;
use crate::http1::shared::Shared;
use crate::semantics::Now;
use crate::semantics::exchange_record::Outcome;
use crate::semantics::service::Service;

/// Why a connection is closed without a response.
const NO_HEADER: &str = "The connection does not begin with a PROXY protocol header.";

impl<S: Service> Connection<S> {
    /// Takes the header. A connection without one is closed without a response, because its sender is not a proxy, and
    /// must not be told what to send.
    #[inline(never)]
    pub(super) fn process_proxy_header(&mut self, shared: &mut Shared, now: &Now) -> Processed<S> {
        match proxy_protocol::parse(self.input.unread()) {
            Ok(Some(header)) => {
                self.input.consume(header.bytes);
                if let Some(client) = header.client {
                    shared.sender = shared.settings.proxies.named_sender(&client);
                    shared.named_client = Some(client);
                    if let Some(records) = &mut self.records {
                        records.set_client(client);
                    }
                }
                self.timers.stop(Timer::Head);
                self.start_idle_timer(shared, now);
                (State::Head(HeadParser::default()), Step::Progress)
            }
            Ok(None) if !self.input_ended => (State::ProxyHeader, Step::Idle),
            Ok(None) | Err(_) => {
                self.close_without_proxy_header(Outcome::Refused(NO_HEADER), shared, now);
                (State::Closed, Step::Progress)
            }
        }
    }

    /// The header was not complete in time.
    pub(super) fn proxy_header_timed_out(&mut self, shared: &mut Shared, now: &Now) {
        self.close_without_proxy_header(Outcome::TimedOut, shared, now);
    }

    /// Records `outcome`, unless nothing was received: a health check that only connects is not worth a record.
    fn close_without_proxy_header(&mut self, outcome: Outcome, shared: &mut Shared, now: &Now) {
        if let Some(records) = self.records.as_mut().filter(|_| !self.input.is_empty()) {
            records.end_without_request(outcome, &mut shared.records, now);
        }
        self.close(outcome, shared, now);
    }
}
