//! All the waiting there is: one deadline, and what is done when it passes.

use super::Connection;
use super::phase::Phase;
use crate::http1::commons::Commons;
use crate::http1::limits::{
    CONTENT_GRACE_NS, CONTENT_OCTETS_PER_SECOND_MIN, CONTENT_SILENCE_NS, DRAIN_CROWDED_NS, DRAIN_NS,
    DRAIN_SILENCE_CROWDED_NS, DRAIN_SILENCE_NS, READER_OCTETS_PER_SECOND_MIN, SECOND_NS, WRITE_STALL_NS,
};
use crate::http1::offence::Offence;
use crate::semantics::Now;
use crate::semantics::service::Service;

impl<S: Service> Connection<S> {
    /// The socket takes no more octets for now, and holds at most `send_buffer_octets`. A peer that reads them slowly
    /// shows no progress until the buffer has room again, and is not to be taken for one that does not read.
    pub fn write_blocked(&mut self, send_buffer_octets: u64) {
        self.stall_allowance_ns = (send_buffer_octets / READER_OCTETS_PER_SECOND_MIN).saturating_mul(SECOND_NS);
    }

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
                let paced_ns = self.since_ns.saturating_add(CONTENT_GRACE_NS).saturating_add(earned_ns);
                paced_ns.min(receiving.heard_ns.saturating_add(CONTENT_SILENCE_NS))
            }
            Phase::Draining(draining) if self.output.has_ended() => {
                let is_pressed = commons.is_crowded || self.finishing;
                let (silence_ns, drain_ns) = if is_pressed {
                    (DRAIN_SILENCE_CROWDED_NS, DRAIN_CROWDED_NS)
                } else {
                    (DRAIN_SILENCE_NS, DRAIN_NS)
                };
                self.since_ns.saturating_add(silence_ns).min(draining.ended_ns.saturating_add(drain_ns))
            }
            Phase::Draining(_) | Phase::Closed => u64::MAX,
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
}
