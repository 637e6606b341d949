//! What the service manager is told (`sd_notify(3)`): that the server is ready, that it stops, and that it is alive. All
//! of it does nothing unless a service manager has set `NOTIFY_SOCKET`.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::rc::Rc;
use std::time::Duration;

use log::warn;
use sd_notify::NotifyState;

/// The connection to the service manager.
///
/// `sd_notify::notify` would connect for each message. This connects once, because a confined process cannot.
#[derive(Clone, Debug, Default)]
pub struct ServiceManager(Option<Rc<UnixDatagram>>);

impl ServiceManager {
    /// Connects, if there is a service manager. One that cannot be reached must not stop the server.
    pub fn from_environment() -> ServiceManager {
        let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return ServiceManager(None) };
        match connect(&path) {
            Ok(socket) => ServiceManager(Some(Rc::new(socket))),
            Err(error) => {
                warn!("cannot notify the service manager: {error}");
                ServiceManager(None)
            }
        }
    }

    /// Reports that the listeners are open. `status` is one line about what is served.
    pub fn report_ready(&self, status: &str) {
        self.report(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Reports that the shutdown has begun. `status` is one line about what it waits for.
    pub(super) fn report_stopping(&self, status: &str) {
        self.report(&[NotifyState::Stopping, NotifyState::Status(status)]);
    }

    fn report(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.0 else { return };
        let mut message = String::new();
        for state in states {
            // Writing to a string never fails.
            let _ = writeln!(message, "{state}");
        }
        if let Err(error) = socket.send(message.as_bytes()) {
            warn!("cannot notify the service manager: {error}");
        }
    }
}

/// A path that begins with `@` is a name in the abstract namespace, which only Linux has.
fn connect(path: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match path.as_bytes().strip_prefix(b"@") {
        Some(name) => rustix::net::connect(&socket, &abstract_address(name)?)?,
        None => socket.connect(path)?,
    }
    Ok(socket)
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> rustix::io::Result<rustix::net::SocketAddrUnix> {
    rustix::net::SocketAddrUnix::new_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> rustix::io::Result<rustix::net::SocketAddrUnix> {
    Err(rustix::io::Errno::AFNOSUPPORT)
}

/// Sends a watchdog ping at regular intervals, if the service manager expects it (`WatchdogSec` in systemd's unit). The
/// manager restarts a server that stays silent.
#[derive(Debug)]
pub(super) struct Watchdog {
    manager: ServiceManager,
    interval_ns: u64,
    /// When the next ping is due, on the monotonic clock.
    next_ns: u64,
}

impl Watchdog {
    /// `None` if the service manager does not expect pings.
    pub(super) fn from_environment(manager: ServiceManager) -> Option<Watchdog> {
        // Half of the time that the manager waits, as its documentation recommends.
        sd_notify::watchdog_enabled().map(|timeout| Watchdog::every(timeout / 2, manager))
    }

    fn every(interval: Duration, manager: ServiceManager) -> Watchdog {
        let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        Watchdog { manager, interval_ns, next_ns: 0 }
    }

    /// Sends a watchdog ping if one is due.
    pub(super) fn tick(&mut self, now_ns: u64) {
        if self.is_due(now_ns) {
            self.manager.report(&[NotifyState::Watchdog]);
        }
    }

    fn is_due(&mut self, now_ns: u64) -> bool {
        let is_due = now_ns >= self.next_ns;
        if is_due {
            self.next_ns = now_ns.saturating_add(self.interval_ns);
        }
        is_due
    }

    /// Shortens a poll so that the next ping is sent in time.
    pub(super) fn shorten(&self, timeout: Option<Duration>, now_ns: u64) -> Option<Duration> {
        let until_next = Duration::from_nanos(self.next_ns.saturating_sub(now_ns));
        Some(timeout.map_or(until_next, |timeout| timeout.min(until_next)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_due_once_in_each_interval_and_no_poll_sleeps_longer() {
        let mut watchdog = Watchdog::every(Duration::from_nanos(10), ServiceManager::default());
        assert!(watchdog.is_due(3));
        assert!(!watchdog.is_due(12));
        assert_eq!(watchdog.shorten(None, 5), Some(Duration::from_nanos(8)));
        assert_eq!(watchdog.shorten(Some(Duration::from_nanos(2)), 5), Some(Duration::from_nanos(2)));
        assert_eq!(watchdog.shorten(Some(Duration::from_secs(1)), 20), Some(Duration::ZERO), "one is overdue");
        assert!(watchdog.is_due(20));
    }
}
