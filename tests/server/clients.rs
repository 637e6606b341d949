//! Difficult clients: they send byte by byte, read slowly or not at all, half-close, reset, or keep the server busy.

use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{SendFlags, sockopt};
use rustix::process::Signal;

use crate::harness::{Client, Server, Start, noise, wait_until};

/// How many connections `a_thousand_connections_at_once_are_served_in_every_round` opens.
const MANY: usize = 1000;

#[test]
fn a_request_sent_byte_by_byte_gets_its_response() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let request = "POST /files/file HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for byte in request.as_bytes() {
        client.send([*byte]);
    }
    assert_eq!(client.response().status, 201);
    assert_eq!(server.content_of("file").as_deref(), Some(&b"abc"[..]));
    for byte in b"GET /files/file HTTP/1.1\r\nHost: a\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.response().text(), "abc");
}

/// A read stops at urgent data although more bytes are available, and no event announces those.
#[test]
fn bytes_after_urgent_data_are_read() {
    let server = Server::plain();
    let mut client = server.connect();
    assert_eq!(client.get("/").status, 200);
    // Stopped, so that the server finds both parts at once.
    server.signal(Signal::STOP);
    rustix::net::send(&client.stream, b"GET / HTTP/1.1\r\nHost: a\r\nX: a!", SendFlags::OOB).expect("urgent data");
    client.send("b\r\n\r\n");
    server.signal(Signal::CONT);
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_client_that_reads_slowly_gets_the_whole_file() {
    let server = Server::with_directory();
    let content = noise(3 * 1024 * 1024, 1);
    server.write_file("large", &content);
    let mut client = server.connect();
    sockopt::set_socket_recv_buffer_size(&client.stream, 64 * 1024).expect("a small buffer");
    client.send("GET /files/large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut received = Vec::new();
    let mut space = [0; 1500];
    loop {
        match client.stream.read(&mut space).expect("bytes") {
            0 => break,
            bytes => received.extend_from_slice(&space[..bytes]),
        }
    }
    let head = received.len() - content.len();
    assert!(received[..head].ends_with(b"\r\n\r\n"));
    assert!(received[head..] == content, "the bytes differ");
}

/// The system lets the server read what these clients have sent, which would take a minute.
#[test]
fn uploads_that_are_reset_while_the_rate_pauses_them_give_up_their_places() {
    let server = Start::new().directory().options(["--rate", "1K", "--connections-per-address", "3"]).start();
    let mut uploads: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for upload in &mut uploads {
        upload.send("PUT /files/up HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
        upload.send([b'x'; 60_000]);
    }
    assert_eq!(server.get("/").status, 503);
    let reset = Instant::now();
    uploads.into_iter().for_each(Client::reset);
    wait_until("a place", || server.get("/").status == 200);
    assert!(reset.elapsed() < Duration::from_secs(5), "{:?}", reset.elapsed());
    assert_eq!(server.file_names(), [""; 0]);
}

/// The server closes its socket before the client has read anything, so the system must deliver the response without it.
#[test]
fn a_client_that_reads_after_the_server_has_closed_gets_its_whole_short_response() {
    let server = Server::plain();
    let text = "long".repeat(2800);
    let descriptors_before = server.descriptors();
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(format!("GET /echo/{text} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    }
    // It is accepted after those before it.
    assert_eq!(server.get("/").status, 200);
    wait_until("the server to close", || server.descriptors() <= descriptors_before);
    for client in &mut clients {
        assert_eq!(client.response().text(), text);
        assert!(client.closes_cleanly());
    }
}

#[test]
fn a_half_closed_client_gets_all_ten_responses() {
    let server = Server::with_directory();
    // Far more than all buffers on the way, so that the server knows of the half-close long before its last response.
    let content = noise(2 * 1024 * 1024, 2);
    server.write_file("large", &content);
    let mut client = server.connect();
    for number in 0..5 {
        client.send(format!(
            "GET /echo/{number} HTTP/1.1\r\nHost: a\r\n\r\nGET /files/large HTTP/1.1\r\nHost: a\r\n\r\n"
        ));
    }
    client.half_close();
    for number in 0..5 {
        assert_eq!(client.response().text(), number.to_string());
        assert!(client.response().content == content, "the bytes differ");
    }
    assert_eq!(client.rest(), b"");
}

#[test]
fn an_end_within_a_request_gets_400() {
    let server = Server::with_directory();
    for cut_short in ["GET / HT", "POST /files/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc"] {
        let mut client = server.connect();
        client.send(cut_short);
        client.half_close();
        let response = client.response();
        assert_eq!((response.status, response.field("Connection")), (400, Some("close")), "{cut_short}");
        assert_eq!(client.rest(), b"");
    }
    assert_eq!(server.file_names(), [""; 0]);
}

#[test]
fn a_connection_closed_without_a_request_gets_no_response() {
    let server = Server::plain();
    let mut client = server.connect();
    client.half_close();
    assert_eq!(client.rest(), b"");
}

#[test]
fn resets_during_responses_affect_no_other_client_and_leak_nothing() {
    let server = Server::with_directory();
    server.write_file("large", &noise(8 * 1024 * 1024, 3));
    let mut bystander = server.connect();
    assert_eq!(bystander.get("/").status, 200);
    let descriptors = server.descriptors();
    for _ in 0..20 {
        let mut client = server.connect();
        client.send("GET /files/large HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.head().status, 200);
        client.reset();
    }
    for _ in 0..20 {
        let mut client = server.connect();
        client.send("POST /files/never HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\npart");
        client.reset();
    }
    assert_eq!(bystander.get("/echo/unharmed").text(), "unharmed");
    wait_until("the close of all sockets and files", || server.descriptors() == descriptors);
    assert_eq!(server.file_names(), ["large"]);
    assert_eq!(server.stderr(), "");
}

#[test]
fn a_refusal_can_be_read_by_a_client_that_has_sent_ten_megabytes() {
    let server = Server::with_directory();
    let content = noise(10 * 1024 * 1024, 4);
    let length = content.len();
    for (head, status) in [
        (format!("POST /files/x HTTP/1.1\r\nHost : a\r\nContent-Length: {length}\r\n\r\n"), 400),
        (format!("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"), 404),
        (format!("POST /files/a/b HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"), 404),
    ] {
        let mut client = server.connect();
        client.send(&head);
        // Everything is sent before anything is read. A reset would make sending fail, or discard the response.
        client.send(&content);
        let response = client.response();
        assert_eq!((response.status, response.field("Connection")), (status, Some("close")), "{head}");
        assert_eq!(client.rest(), b"");
    }
}

#[test]
fn a_thousand_connections_at_once_are_served_in_every_round() {
    let server = Server::plain();
    let mut clients: Vec<Client> = (0..MANY).map(|_| server.connect()).collect();
    for round in 0..3 {
        for (index, client) in clients.iter_mut().enumerate() {
            client.send(format!("GET /echo/{round}-{index} HTTP/1.1\r\nHost: a\r\n\r\n"));
        }
        for (index, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.response().text(), format!("{round}-{index}"));
        }
    }
    let descriptors = server.descriptors();
    assert!(descriptors > MANY, "{descriptors}");
    drop(clients);
    wait_until("the close of all connections", || server.descriptors() < descriptors - MANY + 1);
}

/// README's bound on the buffers of one connection, in KiB, which this test checks with floods. It is the sum of 64 KiB to
/// receive into, 64 KiB of queued responses, at which no further request is processed, as much again that was sent already,
/// one more response, and a second copy of a buffer while it grows.
const BUFFERS_KIB_MAX: u64 = 400;

/// More than the system buffers for a client whose requests are not read, with socket buffers as small as these, and more
/// than the server may buffer. A client that has sent this much must have got responses.
const FLOOD_BYTES_MIN: usize = 1024 * 1024;

#[test]
fn endless_pipelining_without_reading_takes_a_bounded_amount_of_memory() {
    let readme = include_str!("../../README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(readme.contains(&format!("at most {BUFFERS_KIB_MAX} KiB of buffers")), "README states another bound");
    let server = Server::plain();
    assert_eq!(server.get("/echo/warm").status, 200);
    let idle_kib = server.resident_kib();
    let long = format!("GET /echo/{} HTTP/1.1\r\nHost: a\r\n\r\n", "e".repeat(8000));
    let short = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned();
    let mut floods: Vec<Client> = thread::scope(|scope| {
        let floods: Vec<_> = [&long, &short, &long, &short, &long, &short]
            .map(|request| scope.spawn(|| flood_until_stuck(&server, request)))
            .into_iter()
            .collect();
        floods.into_iter().map(|flood| flood.join().expect("a flood")).collect()
    });
    assert_eq!(server.get("/echo/served-beside-them").status, 200);
    let cost_kib = server.resident_peak_kib().saturating_sub(idle_kib);
    assert!(cost_kib <= BUFFERS_KIB_MAX * floods.len() as u64, "{cost_kib} KiB for {} clients", floods.len());
    // The connections still work: a client that starts to read gets its responses.
    for flood in &mut floods {
        (0..100).for_each(|_| assert_eq!(flood.response().status, 200));
    }
}

/// Sends requests until the server reads no more, which must be after many responses.
fn flood_until_stuck(server: &Server, request: &str) -> Client {
    // More than fits into all buffers between two sockets.
    const BYTES_MAX: usize = 128 * 1024 * 1024;
    let mut client = server.connect();
    // The socket buffers are not the server's memory. Small ones fill sooner.
    sockopt::set_socket_recv_buffer_size(&client.stream, 64 * 1024).expect("a small buffer");
    sockopt::set_socket_send_buffer_size(&client.stream, 64 * 1024).expect("a small buffer");
    client.stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    let requests = request.repeat(100);
    let mut sent = 0;
    let mut worked = server.processor_time();
    while sent < BYTES_MAX {
        match client.stream.write(&requests.as_bytes()[sent % requests.len()..]) {
            Ok(bytes) => sent += bytes,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                // A server that is still busy may read more.
                let worked_before = std::mem::replace(&mut worked, server.processor_time());
                if worked == worked_before {
                    assert!(sent >= FLOOD_BYTES_MIN, "stuck after {sent} bytes");
                    return client;
                }
            }
            Err(error) => panic!("the server closed the connection: {error}"),
        }
    }
    panic!("the server never stops reading");
}

#[test]
fn a_light_client_is_served_while_others_keep_the_server_busy() {
    let server = Server::with_directory();
    server.write_file("large", &noise(16 * 1024 * 1024, 5));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let heavy: Vec<_> = (0..4)
            .map(|number| {
                scope.spawn({
                    let (server, is_over) = (&server, &is_over);
                    move || keep_busy(server, number, is_over)
                })
            })
            .collect();
        wait_until("a busy server", || server.processor_time() > Duration::from_millis(100));
        let mut light = server.connect();
        let started = Instant::now();
        for round in 0..50 {
            assert_eq!(light.get(&format!("/echo/{round}")).text(), round.to_string());
        }
        // A server that completed one connection before the next would take minutes. One that starved the light client would
        // never get here.
        let took = started.elapsed();
        is_over.store(true, Ordering::Relaxed);
        let counts: Vec<u64> = heavy.into_iter().map(|client| client.join().expect("a heavy client")).collect();
        assert!(counts.iter().all(|responses| *responses > 0), "a heavy client was starved: {counts:?}");
        assert!(took < Duration::from_secs(10), "50 responses took {took:?}");
    });
}

/// A heavy client: one with an even number downloads again and again, one with an odd number pipelines without a pause.
/// Returns how many responses it got.
fn keep_busy(server: &Server, number: usize, is_over: &AtomicBool) -> u64 {
    let mut client = server.connect();
    let mut responses = 0;
    while !is_over.load(Ordering::Relaxed) {
        if number.is_multiple_of(2) {
            client.send("GET /files/large HTTP/1.1\r\nHost: a\r\n\r\n");
            let bytes = client.head().field("Content-Length").and_then(|value| value.parse().ok()).expect("a length");
            client.skip(bytes);
            responses += 1;
        } else {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(500));
            responses += (0..500).map(|_| client.response()).filter(|response| response.status == 200).count() as u64;
        }
    }
    responses
}

#[test]
fn clients_that_never_read_do_not_delay_others() {
    let server = Server::with_directory();
    server.write_file("large", &noise(16 * 1024 * 1024, 6));
    let stuck: Vec<Client> = (0..100)
        .map(|_| {
            let mut client = server.connect();
            client.send("GET /files/large HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        })
        .collect();
    let mut light = server.connect();
    for _ in 0..20 {
        assert_eq!(light.get("/").status, 200);
    }
    // Once all buffers are full, the server has nothing to do.
    server.wait_until_idle();
    drop(stuck);
}
