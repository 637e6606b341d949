//! What the service manager is told (`sd_notify(3)`): that the server is ready, that it stops, and that it is alive. All
//! of it does nothing unless a service manager has set `NOTIFY_SOCKET`.

use std::time::Duration;

use log::warn;
use sd_notify::NotifyState;

/// Reports that the listeners are open. `status` is one line about what is served.
pub fn report_ready(status: &str) {
    report(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Reports that the shutdown has begun. `status` is one line about what it waits for.
pub(super) fn report_stopping(status: &str) {
    report(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

fn report(states: &[NotifyState<'_>]) {
    // A service manager that cannot be reached must not stop the server.
    if let Err(error) = sd_notify::notify(states) {
        warn!("cannot notify the service manager: {error}");
    }
}

/// Sends a watchdog ping at regular intervals, if the service manager expects it (`WatchdogSec` in systemd's unit). The
/// manager restarts a server that stays silent.
#[derive(Debug)]
pub(super) struct Watchdog {
    interval_ns: u64,
    /// When the next sign is due, on the monotonic clock.
    next_ns: u64,
}

impl Watchdog {
    /// `None` if the service manager does not expect watchdog ping.
    pub(super) fn from_environment() -> Option<Watchdog> {
        // Half of the time that the manager waits, as its documentation recommends.
        sd_notify::watchdog_enabled().map(|timeout| Watchdog::every(timeout / 2))
    }

    fn every(interval: Duration) -> Watchdog {
        let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        Watchdog { interval_ns, next_ns: 0 }
    }

    /// Sends a watchdog ping if one is due.
    pub(super) fn tick(&mut self, now_ns: u64) {
        if self.is_due(now_ns) {
            report(&[NotifyState::Watchdog]);
        }
    }

    fn is_due(&mut self, now_ns: u64) -> bool {
        let is_due = now_ns >= self.next_ns;
        if is_due {
            self.next_ns = now_ns.saturating_add(self.interval_ns);
        }
        is_due
    }

    /// Shortens a poll so that the next sign is sent in time.
    pub(super) fn shorten(&self, timeout: Option<Duration>, now_ns: u64) -> Option<Duration> {
        let until_next = Duration::from_nanos(self.next_ns.saturating_sub(now_ns));
        Some(timeout.map_or(until_next, |timeout| timeout.min(until_next)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_life_is_due_once_in_each_interval_and_no_poll_sleeps_longer() {
        let mut watchdog = Watchdog::every(Duration::from_nanos(10));
        assert!(watchdog.is_due(3));
        assert!(!watchdog.is_due(12));
        assert_eq!(watchdog.shorten(None, 5), Some(Duration::from_nanos(8)));
        assert_eq!(watchdog.shorten(Some(Duration::from_nanos(2)), 5), Some(Duration::from_nanos(2)));
        assert_eq!(watchdog.shorten(Some(Duration::from_secs(1)), 20), Some(Duration::ZERO), "one is overdue");
        assert!(watchdog.is_due(20));
    }
}
