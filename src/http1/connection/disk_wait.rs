//! The wait for content that the disk is still reading, while other connections are served.
//!
//! Before a piece of a file is sent, the connection asks how much of it is in memory. If nothing is, the *disk timer*
//! starts: sending pauses, and when the timer fires the connection asks again. The timer is here and not among the others,
//! so that only a connection that waits needs memory for it. Like them it is a part of the connection's deadline.
//!
//! While the connection waits, the write-stall timer stands still, because it is the server that is slow. It does not
//! start anew: otherwise a client that does not read would get more time with each piece that leaves the memory.
//!
//! The wait is bounded. Once it is over, the piece is read as if it were in memory, and everybody waits for the disk. So
//! sending goes on even if the disk never reads ahead, and an error of the disk is noticed. If the waits for several pieces
//! in a row are in vain, each is shorter than the one before: a file system on which asking is useless costs a response
//! some seconds, and not some seconds for each piece.

use super::Connection;
use super::throttle::Throttle;
use super::timers::{Timer, Timers};
use crate::http1::limits::{DISK_ASK_NS_MAX, DISK_ASK_NS_MIN, DISK_WAIT_NS, UNREAD_FILE_BYTES};
use crate::http1::rate::Rate;
use crate::semantics::Now;
use crate::semantics::service::{FilePiece, Service};

/// What makes a connection pause although its socket is ready.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// `None` if the rate is not limited.
    pub(super) throttle: Option<Throttle>,
    disk: DiskWait,
}

impl Pauses {
    /// Those of a connection whose rate is limited.
    pub(super) fn at(rate: Rate) -> Pauses {
        Pauses { throttle: Some(Throttle::new(rate)), disk: DiskWait::default() }
    }
}

/// A wait for the disk. Times are on the monotonic clock.
#[derive(Debug)]
struct DiskWait {
    /// When the connection first asked for the next piece in vain; `None` if it did not, or has got the piece since.
    since_ns: Option<u64>,
    /// When the connection last asked.
    asked_ns: u64,
    /// When the disk timer fires; `u64::MAX` if it does not run.
    ask_ns: u64,
    /// The time that was left of the write-stall timer then, in nanoseconds; `None` if it did not run.
    stall_left_ns: Option<u64>,
    /// How long it waits for a piece.
    patience_ns: u64,
}

impl Default for DiskWait {
    fn default() -> DiskWait {
        DiskWait { since_ns: None, asked_ns: 0, ask_ns: u64::MAX, stall_left_ns: None, patience_ns: DISK_WAIT_NS }
    }
}

impl DiskWait {
    /// Whether it has waited for long enough.
    fn is_over(&self, now: &Now) -> bool {
        let waited_ns = self.since_ns.map_or(0, |since_ns| now.monotonic_ns.saturating_sub(since_ns));
        waited_ns >= self.patience_ns
    }

    /// Starts the disk timer, and stops the write-stall timer meanwhile. The longer the wait has been, the less another
    /// part of it matters.
    fn wait(&mut self, timers: &mut Timers, now: &Now) {
        let waited_ns = now.monotonic_ns.saturating_sub(*self.since_ns.get_or_insert(now.monotonic_ns));
        self.asked_ns = now.monotonic_ns;
        let stall_ns = timers.deadline_ns(Timer::WriteStall);
        self.stall_left_ns = stall_ns.map(|stall_ns| stall_ns.saturating_sub(now.monotonic_ns));
        timers.stop(Timer::WriteStall);
        self.ask_ns = now.monotonic_ns.saturating_add((waited_ns / 4).clamp(DISK_ASK_NS_MIN, DISK_ASK_NS_MAX));
    }

    /// Notes that a piece has been sent.
    fn sent(&mut self) {
        if self.since_ns.take().is_some() {
            // The piece was never found in memory, so the wait was in vain.
            self.patience_ns /= 4;
            if self.patience_ns < DISK_ASK_NS_MIN {
                self.patience_ns = 0;
            }
        }
    }

    /// Notes that the next piece is in memory.
    fn found(&mut self) {
        *self = DiskWait::default();
    }
}

/// How many bytes of `file` to send now. If that is 0, the disk timer has been started.
pub(super) fn bytes_to_send(
    pauses: &mut Option<Box<Pauses>>,
    timers: &mut Timers,
    file: &impl FilePiece,
    now: &Now,
) -> u64 {
    if pauses.as_ref().is_some_and(|pauses| pauses.disk.is_over(now)) {
        return UNREAD_FILE_BYTES;
    }
    let bytes = file.bytes_in_memory(now);
    if bytes == 0 {
        pauses.get_or_insert_default().disk.wait(timers, now);
    } else if let Some(pauses) = pauses {
        pauses.disk.found();
    }
    bytes
}

impl<S: Service> Connection<S> {
    /// When the disk timer fires; `u64::MAX` if it does not run.
    pub(super) fn disk_deadline_ns(&self) -> u64 {
        self.pauses.as_ref().map_or(u64::MAX, |pauses| pauses.disk.ask_ns)
    }

    /// Whether the content that is to be sent next is still being read from the disk.
    pub(super) fn waits_for_disk(&self) -> bool {
        self.disk_deadline_ns() != u64::MAX
    }

    /// Notes that something has been sent.
    pub(super) fn note_sent(&mut self) {
        if let Some(pauses) = &mut self.pauses {
            pauses.disk.sent();
            self.forget_disk_waits();
        }
    }

    /// Forgets earlier waits for the disk once the content of a response has been sent: the next response is not of the
    /// same file.
    fn forget_disk_waits(&mut self) {
        if self.output.has_source() {
            return;
        }
        if let Some(pauses) = &mut self.pauses {
            pauses.disk = DiskWait::default();
            if pauses.throttle.is_none() {
                self.pauses = None;
            }
        }
    }

    /// Acts on the disk timer if it has fired by `due_ns`.
    pub(super) fn expire_disk_wait(&mut self, due_ns: u64, now: &Now) {
        let Some(pauses) = self.pauses.as_mut().filter(|pauses| pauses.disk.ask_ns <= due_ns) else { return };
        pauses.disk.ask_ns = u64::MAX;
        // A send that blocks later computes the deadline from the last progress.
        let waited_ns = now.monotonic_ns.saturating_sub(pauses.disk.asked_ns);
        self.send_progress_ns = self.send_progress_ns.saturating_add(waited_ns);
        if let Some(left_ns) = pauses.disk.stall_left_ns {
            self.timers.set(Timer::WriteStall, now.monotonic_ns.saturating_add(left_ns));
        }
    }
}
