//! Graceful shutdown: idle connections are closed soon, requests in progress complete, and nothing takes longer than ten
//! seconds.

use std::fs::File;
use std::io::Read as _;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Client, PROMPTLY, Server, Start, noise, wait_until};

const MIB: usize = 1024 * 1024;

/// How long responses and uploads in progress may take.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
const SHUTDOWN_TIMEOUT_ON_A_BUSY_MACHINE: Duration = Duration::from_secs(18);

/// Sends a signal, and waits until the server has closed its listeners.
fn request_shutdown(server: &Server, signal: Signal) {
    server.signal(signal);
    for address in &server.addresses {
        wait_until("closed listeners", || TcpStream::connect(address).is_err());
    }
}

#[test]
fn an_idle_server_exits_soon_on_either_signal() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut server = Server::plain();
        let mut idle = [server.connect(), server.connect()];
        assert_eq!(idle[0].get("/").status, 200);
        let signalled = Instant::now();
        request_shutdown(&server, signal);
        for client in &mut idle {
            assert_eq!(client.rest(), b"");
        }
        assert_eq!(server.wait(), Some(0));
        assert!(signalled.elapsed() < PROMPTLY, "it took {:?}", signalled.elapsed());
        assert_eq!(server.stderr(), "");
    }
}

#[test]
fn a_request_received_before_the_signal_is_served() {
    let mut server = Server::plain();
    let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    // Stopped, so that the server finds the requests and the signal at the same time.
    server.signal(Signal::STOP);
    for client in &mut clients {
        client.send("GET /echo/in-time HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    for client in &mut clients {
        assert_eq!(client.response().text(), "in-time");
        assert_eq!(client.rest(), b"");
    }
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn an_upload_in_progress_completes_and_its_response_says_close() {
    let mut server = Start::new().directory().options(["-vv"]).start();
    let mut idle = server.connect();
    assert_eq!(idle.get("/").status, 200);
    let mut client = server.connect();
    client.send("PUT /files/late HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nfour");
    wait_until("an upload in progress", || server.stderr().contains("reading the content"));
    request_shutdown(&server, Signal::TERM);
    assert_eq!(idle.rest(), b"", "an idle connection must not stay open because of another");
    assert!(server.is_running());
    client.send("more");
    let response = client.response();
    assert_eq!((response.status, response.field("Connection")), (201, Some("close")));
    assert_eq!(client.rest(), b"");
    drop(client);
    let responded = Instant::now();
    assert_eq!(server.wait(), Some(0));
    assert!(responded.elapsed() < PROMPTLY, "it took {:?}", responded.elapsed());
    assert_eq!(server.content_of("late").as_deref(), Some(&b"fourmore"[..]));
}

#[test]
fn a_head_in_progress_is_completed_and_its_response_says_close() {
    let mut server = Start::new().options(["-vv"]).start();
    let mut client = server.connect();
    client.send("GET /echo/late HT");
    wait_until("a head in progress", || server.stderr().contains("reading the head"));
    server.signal(Signal::INT);
    // Not until the listeners are closed: that takes longer than the rest of a head may.
    wait_until("the shutdown", || server.stderr().contains("shutting down"));
    client.send("TP/1.1\r\nHost: a\r\n\r\n");
    let response = client.response();
    assert_eq!((response.text(), response.field("Connection")), ("late", Some("close")));
    assert_eq!(client.rest(), b"");
    drop(client);
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_download_in_progress_completes_and_no_later_request_is_started() {
    let mut server = Server::with_directory();
    let content = noise(32 * MIB, 21);
    server.write_file("large", &content);
    let mut client = server.connect();
    client.send("GET /files/large HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send("GET /echo/last HTTP/1.1\r\nHost: a\r\n\r\nGET /echo/never HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.head();
    request_shutdown(&server, Signal::TERM);
    assert_eq!(response.field("Content-Length"), Some(content.len().to_string().as_str()));
    assert!(client.content(content.len() as u64) == content, "the bytes differ");
    // Of the pipelined requests, the next one gets the response that says close, and the one after it gets none.
    let last = client.response();
    assert_eq!((last.text(), last.field("Connection")), ("last", Some("close")));
    assert_eq!(client.rest(), b"");
    drop(client);
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn exchanges_in_progress_are_cut_off_after_ten_seconds() {
    let mut server = Server::with_directory();
    server.write_file("large", &noise(32 * MIB, 22));
    let mut never_reads = server.connect();
    never_reads.send("GET /files/large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(never_reads.head().status, 200);
    let mut never_completes = server.connect();
    never_completes.send("PUT /files/never HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nfour");
    let signalled = Instant::now();
    request_shutdown(&server, Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    let took = signalled.elapsed();
    assert!((SHUTDOWN_TIMEOUT..SHUTDOWN_TIMEOUT_ON_A_BUSY_MACHINE).contains(&took), "it took {took:?}");
    assert_eq!(server.file_names(), ["large"]);
}

#[test]
fn a_second_signal_exits_at_once() {
    for signals in [[Signal::TERM, Signal::TERM], [Signal::INT, Signal::TERM], [Signal::TERM, Signal::INT]] {
        let mut server = Start::new().directory().options(["-vv"]).start();
        let mut client = server.connect();
        client.send("PUT /files/never HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nfour");
        wait_until("an upload in progress", || server.stderr().contains("reading the content"));
        request_shutdown(&server, signals[0]);
        assert!(server.is_running());
        let signalled = Instant::now();
        server.signal(signals[1]);
        assert_eq!(server.wait(), Some(1), "the exit code after a second signal");
        assert!(signalled.elapsed() < PROMPTLY, "it took {:?}", signalled.elapsed());
        assert_eq!(server.file_names(), [""; 0]);
    }
}

/// A terminal: the side that a window has, and the side that programs have.
fn terminal() -> (OwnedFd, OwnedFd) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let window = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&window).and_then(|()| unlockpt(&window)).expect("a terminal that can be opened");
    let name = ptsname(&window, Vec::new()).expect("a name");
    let path = std::path::Path::new(std::str::from_utf8(name.to_bytes()).expect("text"));
    let programs = std::fs::File::options().read(true).write(true).open(path).expect("the terminal");
    (window, programs.into())
}

/// A server whose messages go to the terminal that it was started in.
fn start_in(programs: OwnedFd) -> Start {
    Start::new().wrapped_by(["sh", "-c", r#"exec "$0" "$@" 2>&0"#]).in_terminal(programs)
}

/// What is shown in the window until all programs have ended.
fn shown_in(window: OwnedFd) -> String {
    let mut shown = Vec::new();
    // When no program has the terminal any more, reading its last bytes is followed by an error.
    let _ = File::from(window).read_to_end(&mut shown);
    String::from_utf8(shown).expect("text")
}

#[test]
fn whoever_presses_ctrl_c_is_told_what_the_server_waits_for() {
    for (idle, expected) in [
        (1, "s for requests on their way; 1 connection is open; a second Ctrl-C exits at once\r\n"),
        (2, "s for requests on their way; 2 connections are open; a second Ctrl-C exits at once\r\n"),
    ] {
        let (window, programs) = terminal();
        let mut server = start_in(programs).start();
        let mut clients: Vec<Client> = (0..idle).map(|_| server.connect()).collect();
        clients.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
        server.signal(Signal::INT);
        assert_eq!(server.wait(), Some(0));
        let shown = shown_in(window);
        let (before, after) = shown.split_once("shutting down: waiting 1.").expect("a line");
        assert!(before.ends_with(" [INFO] ") && after[1..] == format!(" {expected}"), "{shown}");
    }
}

#[test]
fn a_shutdown_that_waits_for_nothing_and_a_quiet_one_say_nothing() {
    // Nothing is held back at a Unix socket, and none of its clients is connected.
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let unix = format!("unix:{}", scratch.path().join("socket").display());
    for options in [&["--listen", &unix][..], &["--quiet", "--listen", "127.0.0.1:0"]] {
        let (window, programs) = terminal();
        let mut server = start_in(programs).without_port().options(options.iter().copied()).start();
        server.signal(Signal::INT);
        assert_eq!(server.wait(), Some(0));
        let shown = shown_in(window);
        assert!(!shown.contains("shutting down"), "{options:?}: {shown}");
    }
}

#[test]
fn a_server_ends_when_the_window_of_its_terminal_is_closed() {
    let (window, programs) = terminal();
    let mut server = Start::new().in_terminal(programs).start();
    server.signal(Signal::HUP);
    assert_eq!(server.get("/echo/here").text(), "here", "the terminal is still there");
    assert!(server.is_running());
    drop(window);
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_server_that_is_to_outlive_its_terminal_goes_on_without_it() {
    let (window, programs) = terminal();
    // As nohup does.
    let start = Start::new().wrapped_by(["sh", "-c", r#"trap "" HUP; exec "$0" "$@""#]);
    let mut server = start.in_terminal(programs).start();
    drop(window);
    server.signal(Signal::HUP);
    assert_eq!(server.get("/echo/here").text(), "here");
    assert!(server.is_running());
}
