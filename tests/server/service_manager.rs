//! What the server tells a service manager, over a socket as systemd's.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Start, WAIT_MAX};

struct Manager {
    socket: UnixDatagram,
    scratch: tempfile::TempDir,
}

impl Manager {
    fn new() -> Manager {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let socket = UnixDatagram::bind(scratch.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(WAIT_MAX)).expect("a timeout");
        Manager { socket, scratch }
    }

    /// Variables for `env`.
    fn environment(&self) -> String {
        format!("NOTIFY_SOCKET={}", self.scratch.path().join("notify").display())
    }

    fn message(&self) -> String {
        let mut space = [0; 4096];
        let bytes = self.socket.recv(&mut space).expect("a message");
        String::from_utf8_lossy(&space[..bytes]).into_owned()
    }
}

#[test]
fn it_is_told_when_the_server_is_ready_and_when_it_stops() {
    let manager = Manager::new();
    let mut server = Start::new().wrapped_by(["env", &manager.environment()]).start();
    assert_eq!(manager.message(), "READY=1\nSTATUS=Serving no files: no directory is given.\n");
    assert_eq!(server.get("/").status, 200);
    server.signal(Signal::TERM);
    let stopping = manager.message();
    assert!(stopping.starts_with("STOPPING=1\nSTATUS=shutting down"), "{stopping}");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn it_gets_signs_of_life_in_time_although_nothing_happens() {
    let manager = Manager::new();
    let variables = ["env", &manager.environment(), "WATCHDOG_USEC=400000"];
    let _server = Start::new().wrapped_by(variables).start();
    assert!(manager.message().starts_with("READY=1\n"));
    let mut last = Instant::now();
    for _ in 0..4 {
        assert_eq!(manager.message(), "WATCHDOG=1\n");
        assert!(last.elapsed() < Duration::from_secs(5), "a server that is not shut down is heard of");
        last = Instant::now();
    }
}

#[test]
fn a_missing_service_manager_does_not_stop_the_server() {
    let server = Start::new().wrapped_by(["env", "NOTIFY_SOCKET=/nowhere/notify"]).start();
    assert_eq!(server.get("/").status, 200);
    assert!(server.stderr().contains("cannot notify the service manager"), "{}", server.stderr());
}
