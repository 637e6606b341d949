//! The controlling terminal: tells its end from an administrator's SIGHUP. Both arrive as the same signal.

use std::fs::File;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The terminal from which the server was started in the foreground.
#[derive(Debug)]
pub(super) struct Terminal(File);

impl Terminal {
    /// `None` if there is none, or if the server is to outlive it, as with nohup(1): SIGHUP was ignored at the start.
    /// Must be called before a handler of SIGHUP is registered.
    pub(super) fn of_process() -> Option<Terminal> {
        if ignores_sighup() {
            return None;
        }
        File::open("/dev/tty").ok().map(Terminal)
    }

    /// Whether the terminal is gone: its window was closed, or its connection was lost.
    pub(super) fn has_hung_up(&self) -> bool {
        let mut terminals = [PollFd::new(&self.0, PollFlags::empty())];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let is_ready = poll(&mut terminals, Some(&at_once)).is_ok_and(|ready| ready > 0);
        is_ready && terminals[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }
}

/// Whether SIGHUP is ignored, as far as the system can tell: Linux lists the ignored signals as a bit set in
/// hexadecimal digits, the first signal in the lowest bit.
fn ignores_sighup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    ignored.is_some_and(|signals| signals & (1 << (signal_hook::consts::SIGHUP - 1)) != 0)
}
