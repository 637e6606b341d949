//! Deferred accepting (`TCP_DEFER_ACCEPT`, tcp(7)): the system holds back a connection until its client has sent something.
//!
//! Without it, a connection is accepted before its request is there: the server is woken up, receives in vain, registers the
//! socket, and is woken up again. With it, nearly every connection comes with its request. What the system does with the
//! others follows from its source (`net/ipv4/tcp_minisocks.c` and `inet_connection_sock.c`) and is what the tests measure:
//!
//! - It ignores the ACK that ends the handshake. After a second it repeats its SYN-ACK, and the client's next ACK makes the
//!   connection one like any other. A client that is silent for longer is therefore handed over after a second and a round
//!   trip.
//! - A client's end is handed over at once. A reset ends a connection of which the server never learns.
//! - What is held back counts as an open handshake. If there are as many of those as the backlog is long, SYN cookies take
//!   over, with which nothing is held back. Where SYN cookies are off, the system drops further connection attempts instead, and
//!   each client tries again after a second or more. Then some thousand silent clients would keep all others waiting, so there
//!   connections are not held back.
//! - What is held back when its listener closes is lost: the client gets a reset once it sends. So a shutdown first ends the
//!   holding back, and closes the listener when all have been handed over.

use std::fmt;
use std::os::fd::AsFd;

/// The longest that a connection is still held back after [`end`], in nanoseconds: the second after which the system repeats
/// its SYN-ACK, a round trip, and the inaccuracy of the system's timers (80 ms).
///
/// A client with a longer round trip gets a reset instead of an end if it sends nothing. If it sends within that time it is
/// served, and a shutdown keeps a silent connection for one second anyway.
pub(in crate::system) const HELD_BACK_NS: u64 = 1_250_000_000;

/// Why connections are not held back. The server works all the same, and needs more time for each new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotDeferred {
    /// SYN cookies are off, or it is not known whether they are on.
    SynCookiesOff,
    /// The system does not know the option, or refuses it.
    Refused,
}

impl fmt::Display for NotDeferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotDeferred::SynCookiesOff => "net.ipv4.tcp_syncookies is off or cannot be read",
            NotDeferred::Refused => "the system refuses TCP_DEFER_ACCEPT",
        })
    }
}

/// Begins to hold back connections.
///
/// # Errors
/// If the system cannot do that, or not without harm.
pub(super) fn begin(listener: impl AsFd) -> Result<(), NotDeferred> {
    let setting = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_syncookies").unwrap_or_default();
    if !are_syn_cookies_on(&setting) {
        return Err(NotDeferred::SynCookiesOff);
    }
    option::set(listener, 1).map_err(|_| NotDeferred::Refused)
}

/// Whether the system sends SYN cookies when there are too many open handshakes, according to the setting's file.
fn are_syn_cookies_on(setting: &str) -> bool {
    matches!(setting.trim_end(), "1" | "2")
}

/// Ends the holding back. New connections are handed over at once, and earlier ones within [`HELD_BACK_NS`]. Returns whether
/// there may be such.
pub(in crate::system) fn end(listener: impl AsFd) -> bool {
    let was_on = is_on(&listener);
    if was_on {
        // Should it fail, connections are held back until the listener closes, as if they had come just before that.
        let _ = option::set(&listener, 0);
    }
    was_on
}

/// Begins again to hold back connections, where [`end`] has ended it.
pub(in crate::system) fn resume(listener: impl AsFd) {
    // Should it fail, connections are accepted before their requests arrive.
    let _ = option::set(listener, 1);
}

/// Whether the system holds back connections.
pub(super) fn is_on(listener: impl AsFd) -> bool {
    option::get(listener).is_some_and(|seconds| seconds > 0)
}

/// The option of the socket. `TcpStreamExt::set_deferaccept` of the standard library replaces this when it is stable.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod option {
    use std::os::fd::AsFd;

    use nix::libc;
    use nix::sys::socket::sockopt::{GetStruct, SetStruct};
    use nix::sys::socket::{GetSockOpt, SetSockOpt};

    #[derive(Clone, Copy)]
    struct TcpDeferAccept;

    nix::setsockopt_impl!(TcpDeferAccept, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, u32, SetStruct<u32>);
    nix::getsockopt_impl!(TcpDeferAccept, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, u32, GetStruct<u32>);

    pub(super) fn set(listener: impl AsFd, seconds: u32) -> nix::Result<()> {
        TcpDeferAccept.set(&listener, &seconds)
    }

    /// For how many seconds connections are held back; 0 for not at all.
    pub(super) fn get(listener: impl AsFd) -> Option<u32> {
        TcpDeferAccept.get(&listener).ok()
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod option {
    use std::os::fd::AsFd;

    pub(super) fn set(_: impl AsFd, _: u32) -> Result<(), ()> {
        Err(())
    }

    pub(super) fn get(_: impl AsFd) -> Option<u32> {
        None
    }
}

#[cfg(test)]
#[cfg(any(target_os = "linux", target_os = "android"))]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::{ErrorKind, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::*;

    /// How long it takes until a connection can be accepted, if it takes at most ten seconds.
    fn accepts_within(listener: &TcpListener) -> Option<Duration> {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(10) {
            match listener.accept() {
                Ok(_) => return Some(started.elapsed()),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }

    fn deferring_listener() -> TcpListener {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        // Not by `begin`, which does nothing where SYN cookies are off.
        option::set(&listener, 1).unwrap();
        listener
    }

    /// What a shutdown relies on.
    #[test]
    fn once_it_has_ended_new_connections_are_handed_over_at_once_and_earlier_ones_in_time() {
        let listener = deferring_listener();
        let address = listener.local_addr().unwrap();
        let silent = TcpStream::connect(address).unwrap();
        let mut speaks = TcpStream::connect(address).unwrap();
        assert!(listener.accept().is_err(), "both are held back");
        let ended = Instant::now();
        assert!(end(&listener) && !end(&listener));
        let later = TcpStream::connect(address).unwrap();
        assert!(accepts_within(&listener).unwrap() < Duration::from_millis(900), "the later one");
        speaks.write_all(b"G").unwrap();
        assert!(accepts_within(&listener).unwrap() < Duration::from_millis(900), "the one that speaks");
        assert!(accepts_within(&listener).is_some(), "the silent one");
        let took = ended.elapsed();
        // Longer only if the machine is busy.
        assert!(took < Duration::from_nanos(HELD_BACK_NS) + Duration::from_millis(500), "{took:?}");
        drop((silent, speaks, later));
    }

    #[test]
    fn a_client_that_ends_without_having_sent_anything_is_handed_over() {
        let listener = deferring_listener();
        drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        assert!(accepts_within(&listener).unwrap() < Duration::from_millis(900));
    }

    #[test]
    fn connections_are_held_back_only_where_syn_cookies_are_on() {
        assert!(are_syn_cookies_on("1\n") && are_syn_cookies_on("2\n"));
        assert!(!are_syn_cookies_on("0\n") && !are_syn_cookies_on(""));
    }
}
