//! Listeners other than one TCP port: several of them, Unix sockets, and sockets that the server inherits.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::process::Signal;

use crate::harness::{Client, Start, WAIT_MAX};

/// Sends a request over a Unix socket, and returns everything that is received.
fn exchange(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).expect("a connection");
    stream.set_read_timeout(Some(WAIT_MAX)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("a server that receives");
    let mut received = String::new();
    stream.read_to_string(&mut received).expect("a response");
    received
}

const ECHO: &str = "GET /echo/here HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[test]
fn every_listener_is_served_and_in_the_banner() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = scratch.path().join("socket");
    let unix = format!("unix:{}", path.display());
    let options = ["--listen", "127.0.0.1:0", "--listen", &unix, "--listen", "127.0.0.1:0"];
    let server = Start::new().without_port().options(options).start();
    assert_eq!(server.addresses.len(), 2, "{}", server.banner);
    assert!(server.banner.contains(&format!("Listening on {unix}\n")), "{}", server.banner);
    for address in &server.addresses {
        assert_eq!(Client::connect(*address).get("/echo/here").text(), "here");
    }
    assert!(exchange(&path, ECHO).ends_with("\r\n\r\nhere"));
}

#[test]
fn files_go_both_ways_over_a_unix_socket() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = scratch.path().join("socket");
    let unix = format!("unix:{}", path.display());
    let server = Start::new().without_port().directory().options(["--listen", &unix]).start();
    let content = "0123456789".repeat(100_000);
    let length = content.len();
    let upload = format!("PUT /files/f HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    assert!(exchange(&path, &(upload + &content)).starts_with("HTTP/1.1 201 "));
    assert_eq!(server.content_of("f").as_deref(), Some(content.as_bytes()));
    let received = exchange(&path, "GET /files/f HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(received.split_once("\r\n\r\n").is_some_and(|(_, received)| received == content));
}

#[test]
fn a_unix_socket_has_its_mode_and_is_removed_at_the_end() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = scratch.path().join("socket");
    let unix = format!("unix:{}", path.display());
    let mut server = Start::new().without_port().options(["--listen", &unix, "--unix-mode", "600"]).start();
    assert_eq!(path.metadata().expect("a socket").permissions().mode() & 0o777, 0o600);
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    assert!(!path.exists());
}

#[test]
fn a_socket_that_a_killed_server_left_behind_is_replaced_and_a_live_one_is_not() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = scratch.path().join("socket");
    let unix = format!("unix:{}", path.display());
    let start = || Start::new().without_port().options(["--listen", &unix]);
    let mut killed = start().start();
    let refused = start().run_to_exit();
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("another program listens there"), "{refused:?}");
    assert!(exchange(&path, ECHO).ends_with("here"), "the first server is undisturbed");
    killed.signal(Signal::KILL);
    killed.wait();
    let _second = start().start();
    assert!(exchange(&path, ECHO).ends_with("here"));
}

#[test]
fn inherited_sockets_are_served_by_number_and_by_name() {
    for option in ["fd:3", "fd:web"] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let server = Start::new().without_port().inheriting(listener, "web").options(["--listen", option]).start();
        assert_eq!(server.addresses, [address]);
        assert_eq!(server.get("/echo/here").text(), "here");
    }
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = scratch.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a listener");
    let mut server = Start::new().without_port().inheriting(listener, "web").options(["--listen", "fd:web"]).start();
    assert!(exchange(&path, ECHO).ends_with("here"));
    server.signal(Signal::TERM);
    server.wait();
    assert!(path.exists(), "the path belongs to the service manager");
}

#[test]
fn connections_in_the_backlog_of_an_inherited_socket_wait_for_the_next_server() {
    let manager = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let start = || {
        let listener = manager.try_clone().expect("a descriptor");
        Start::new().without_port().inheriting(listener, "web").options(["--listen", "fd:web"]).start()
    };
    let mut first = start();
    // Stopped, so that the server finds the connections and the signal at the same time.
    first.stop();
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(first.addresses[0])).collect();
    first.signal(Signal::TERM);
    first.signal(Signal::CONT);
    assert_eq!(first.wait(), Some(0));
    // No server runs now.
    clients.push(Client::connect(first.addresses[0]));
    let _second = start();
    for mut client in clients {
        assert_eq!(client.get("/echo/here").text(), "here");
    }
}

#[test]
fn a_missing_inherited_socket_is_named() {
    for option in ["fd:3", "fd:web"] {
        let ended = Start::new().without_port().options(["--listen", option]).run_to_exit();
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains(&format!("cannot listen on {option}: ")), "{ended:?}");
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let start = Start::new().without_port().inheriting(listener, "web");
    let ended = start.options(["--listen", "fd:3", "--listen", "fd:web"]).run_to_exit();
    assert!(ended.stderr.contains("given twice"), "{ended:?}");
}

#[test]
fn two_servers_share_a_port_if_both_reuse_it() {
    // Bound but not listening: keeps others from the port until both servers have it.
    let reserved = reserve_port();
    let port = reserved.local_addr().expect("an address").port();
    let options = ["--listen".to_owned(), format!("127.0.0.1:{port}"), "--reuse-port".to_owned()];
    let start = || Start::new().without_port().options(options.iter().map(String::as_str));
    let mut servers = [start().start(), start().start()];
    drop(reserved);
    let alone = Start::new().without_port().options(options[..2].iter().map(String::as_str)).run_to_exit();
    assert!(alone.stderr.contains("in use"), "{alone:?}");
    servers[0].signal(Signal::TERM);
    assert_eq!(servers[0].wait(), Some(0));
    for _ in 0..20 {
        assert_eq!(servers[1].get("/echo/here").text(), "here");
    }
}

/// A free port that only sockets with SO_REUSEPORT can use.
fn reserve_port() -> TcpListener {
    use rustix::net::{AddressFamily, SocketType, bind, ipproto, socket, sockopt};
    let reserved = socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::TCP)).expect("a socket");
    sockopt::set_socket_reuseport(&reserved, true).expect("an option");
    bind(&reserved, &std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
    TcpListener::from(reserved)
}

#[test]
fn one_inherited_socket_is_for_clients_and_another_for_the_administrator() {
    let listener = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let (public, admin) = (listener(), listener());
    let admin_address = admin.local_addr().expect("an address");
    let start = Start::new().without_port().inheriting_two(public, admin.into(), "web:adm");
    let server = start.options(["--listen", "fd:web", "--admin", "fd:adm", "--host", "a"]).start();
    assert_eq!(server.get("/echo/here").text(), "here");
    assert_eq!(crate::harness::Client::connect(admin_address).get("/healthz").status, 200);
}

#[test]
fn an_inherited_socket_that_does_not_listen_is_refused() {
    let start = Start::new().without_port().inheriting(reserve_port(), "web");
    let ended = start.options(["--listen", "fd:web"]).run_to_exit();
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("not a listening TCP or Unix socket"), "{ended:?}");
}

#[test]
fn the_administrators_port_is_never_shared() {
    let reserved = reserve_port();
    let port = reserved.local_addr().expect("an address").port();
    let admin = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let admin_address = admin.local_addr().expect("an address").to_string();
    drop(admin);
    let options = ["--listen".to_owned(), format!("127.0.0.1:{port}"), "--reuse-port".to_owned()];
    let start = || Start::new().without_port().options(options.iter().map(String::as_str));
    let _first = start().options(["--admin", &admin_address]).start();
    let second = start().options(["--admin", &admin_address]).run_to_exit();
    assert!(second.stderr.contains(&format!("cannot listen on {admin_address}: the port is in use")), "{second:?}");
}

#[test]
fn the_administrators_socket_has_its_mode_and_the_banner_says_what_to_request() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = scratch.path().join("socket");
    let unix = format!("unix:{}", path.display());
    let server = Start::new().options(["--admin", &unix, "--unix-mode", "600"]).start();
    assert_eq!(path.metadata().expect("a socket").permissions().mode() & 0o777, 0o600);
    assert!(server.banner.ends_with(&format!("Metrics on {unix}, target /metrics\n")), "{}", server.banner);
}
