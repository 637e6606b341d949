//! The rate of a connection, which is limited in each direction.
//!
//! A direction that has transferred as much as it may pauses until its *rate timer* fires. The timer of both directions
//! is here and not among the others, so that a connection takes no memory for it where there is no limit. It fires,
//! and is a part of the connection's deadline, as they do.
//!
//! While the server pauses, the client's clocks stand still, because it is the server that is slow:
//!
//! - The pause of receiving is added to the times for the head, for content, for the next request and for draining.
//! - While sending pauses, no write-stall timer runs. It starts anew after the pause.
//!
//! If the socket fails during a pause, the connection ends at once, which the owner of the socket decides.
//!
//! Every byte counts: those of heads, of interim responses, and of content that is discarded.

use super::Connection;
use super::disk_wait::Pauses;
use super::timers::Timer;
use crate::http1::limits::WRITE_STALL_NS;
use crate::http1::rate::{Bucket, Rate};
use crate::semantics::Now;
use crate::semantics::service::Service;

/// The rate and the two directions.
#[derive(Debug)]
pub(super) struct Throttle {
    rate: Rate,
    sending: Bucket,
    receiving: Bucket,
}

impl Throttle {
    pub(super) fn new(rate: Rate) -> Throttle {
        Throttle { rate, sending: Bucket::default(), receiving: Bucket::default() }
    }

    /// When the rate timer fires; `u64::MAX` if neither direction pauses.
    fn deadline_ns(&self) -> u64 {
        let ends = [self.sending.resume_ns(), self.receiving.resume_ns()];
        ends.into_iter().flatten().min().unwrap_or(u64::MAX)
    }
}

fn throttle_of(pauses: &mut Option<Box<Pauses>>) -> Option<&mut Throttle> {
    pauses.as_mut()?.throttle.as_mut()
}

impl<S: Service> Connection<S> {
    fn throttle(&self) -> Option<&Throttle> {
        self.pauses.as_ref()?.throttle.as_ref()
    }

    /// When the rate timer fires; `u64::MAX` if it does not run.
    pub(super) fn rate_deadline_ns(&self) -> u64 {
        self.throttle().map_or(u64::MAX, Throttle::deadline_ns)
    }

    pub(super) fn receiving_is_paused(&self) -> bool {
        self.throttle().is_some_and(|throttle| throttle.receiving.is_paused())
    }

    /// How many bytes may be received now.
    pub(super) fn receivable_bytes(&self, now: &Now) -> u64 {
        self.throttle().map_or(u64::MAX, |throttle| throttle.receiving.available_bytes(throttle.rate, now.monotonic_ns))
    }

    /// How many bytes may be sent now; 0 while sending pauses.
    pub(super) fn sendable_bytes(&self, now: &Now) -> u64 {
        self.throttle().map_or(u64::MAX, |throttle| throttle.sending.available_bytes(throttle.rate, now.monotonic_ns))
    }

    /// Counts received bytes.
    pub(super) fn throttle_receiving(&mut self, bytes: u64, now: &Now) {
        let Some(throttle) = throttle_of(&mut self.pauses) else { return };
        if throttle.receiving.take(bytes, throttle.rate, now.monotonic_ns)
            && let Some(resume_ns) = throttle.receiving.resume_ns()
        {
            let pause_ns = resume_ns.saturating_sub(now.monotonic_ns);
            for timer in [Timer::Head, Timer::ContentRate, Timer::Idle, Timer::Drain] {
                if let Some(at_ns) = self.timers.deadline_ns(timer) {
                    self.timers.set(timer, at_ns.saturating_add(pause_ns));
                }
            }
        }
    }

    /// Counts sent bytes. To be called after everything else that follows a send.
    pub(super) fn throttle_sending(&mut self, bytes: u64, now: &Now) {
        let Some(throttle) = throttle_of(&mut self.pauses) else { return };
        if throttle.sending.take(bytes, throttle.rate, now.monotonic_ns) {
            self.timers.stop(Timer::WriteStall);
        }
    }

    /// Acts on the rate timer if it has fired by `due_ns`: the pauses end whose time has come.
    pub(super) fn expire_rate(&mut self, due_ns: u64, now: &Now) {
        let Some(throttle) = throttle_of(&mut self.pauses) else { return };
        throttle.receiving.resume(due_ns);
        if throttle.sending.resume(due_ns) && self.output.is_pending() {
            self.send_progress_ns = now.monotonic_ns;
            self.timers.set(Timer::WriteStall, now.monotonic_ns.saturating_add(WRITE_STALL_NS));
        }
    }
}
