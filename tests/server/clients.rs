//! Peers as they come: in crumbs, slow, half gone, gone, greedy, deaf.

use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{SendFlags, sockopt};
use rustix::process::Signal;

use crate::harness::{Client, Server, noise, wait_until};

/// So many connections are open at once where it is their number that counts.
const MANY: usize = 1000;

#[test]
fn a_request_sent_byte_by_byte_gets_its_response() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let request = "POST /files/crumbs HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for byte in request.as_bytes() {
        client.send([*byte]);
    }
    assert_eq!(client.response().status, 201);
    assert_eq!(server.content_of("crumbs").as_deref(), Some(&b"abc"[..]));
    for byte in b"GET /files/crumbs HTTP/1.1\r\nHost: a\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.response().text(), "abc");
}

/// A read stops short at urgent data, although more is there: no further event tells of it.
#[test]
fn bytes_after_urgent_data_are_read() {
    let server = Server::plain();
    let mut client = server.connect();
    assert_eq!(client.get("/").status, 200);
    // Stopped, so that it finds both parts at once.
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
    let mut sip = [0; 1500];
    loop {
        match client.stream.read(&mut sip).expect("bytes") {
            0 => break,
            bytes => received.extend_from_slice(&sip[..bytes]),
        }
    }
    let head = received.len() - content.len();
    assert!(received[..head].ends_with(b"\r\n\r\n"));
    assert!(received[head..] == content, "the bytes differ");
}

#[test]
fn a_half_closed_client_gets_all_ten_responses() {
    let server = Server::with_directory();
    // Together far more than the buffers between the two hold, so that the end is long known while answers are owed.
    let content = noise(2 * 1024 * 1024, 2);
    server.write_file("large", &content);
    let mut client = server.connect();
    for place in 0..5 {
        client
            .send(format!("GET /echo/{place} HTTP/1.1\r\nHost: a\r\n\r\nGET /files/large HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    client.half_close();
    for place in 0..5 {
        assert_eq!(client.response().text(), place.to_string());
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
    wait_until("the end of all sockets and files", || server.descriptors() == descriptors);
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
        // All of it is sent before anything is read: a reset would make the sending fail, or take the answer away.
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
        for (place, client) in clients.iter_mut().enumerate() {
            client.send(format!("GET /echo/{round}-{place} HTTP/1.1\r\nHost: a\r\n\r\n"));
        }
        for (place, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.response().text(), format!("{round}-{place}"));
        }
    }
    let descriptors = server.descriptors();
    assert!(descriptors > MANY, "{descriptors}");
    drop(clients);
    wait_until("the end of all connections", || server.descriptors() < descriptors - MANY + 1);
}

/// What README promises of the buffers of a connection, in KiB. This test proves it for floods: there are 64 to receive
/// into, 64 of answers, at which no further request is begun, as much again that has been sent, one more answer, and what
/// it takes to copy a buffer that grows.
const BUFFERS_KIB_MAX: u64 = 400;

/// More than the system takes by itself from a peer whose requests nobody reads, with buffers as small as these; and
/// more than the server may hold of one. Who has sent so much has been answered until that was too much.
const FLOOD_BYTES_MIN: usize = 1024 * 1024;

#[test]
fn endless_pipelining_without_reading_costs_a_fixed_amount_of_memory() {
    let readme = include_str!("../../README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(readme.contains(&format!("at most {BUFFERS_KIB_MAX} KiB of buffers")), "README promises something else");
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
    assert!(cost_kib <= BUFFERS_KIB_MAX * floods.len() as u64, "{cost_kib} KiB for {} floods", floods.len());
    // Stuck, and not broken: what was asked is answered to whoever reads after all.
    for flood in &mut floods {
        (0..100).for_each(|_| assert_eq!(flood.response().status, 200));
    }
}

/// Sends requests until nothing more is taken, which must be long after the first ones were answered.
fn flood_until_stuck(server: &Server, request: &str) -> Client {
    // More than all buffers of the system between two sockets hold.
    const BYTES_MAX: usize = 128 * 1024 * 1024;
    let mut client = server.connect();
    // What the system keeps for a peer that does not read is not the server's, and here it only takes time to fill.
    sockopt::set_socket_recv_buffer_size(&client.stream, 64 * 1024).expect("a small buffer");
    sockopt::set_socket_send_buffer_size(&client.stream, 64 * 1024).expect("a small buffer");
    client.stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a time-out");
    let requests = request.repeat(100);
    let mut sent = 0;
    let mut worked = server.processor_time();
    while sent < BYTES_MAX {
        match client.stream.write(&requests.as_bytes()[sent % requests.len()..]) {
            Ok(bytes) => sent += bytes,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                // A server that is still at work may yet take more.
                let worked_before = std::mem::replace(&mut worked, server.processor_time());
                if worked == worked_before {
                    assert!(sent >= FLOOD_BYTES_MIN, "stuck after {sent} bytes");
                    return client;
                }
            }
            Err(error) => panic!("the server ended the connection: {error}"),
        }
    }
    panic!("the server takes requests without end");
}

#[test]
fn a_light_client_is_served_while_others_keep_the_server_busy() {
    let server = Server::with_directory();
    server.write_file("large", &noise(16 * 1024 * 1024, 5));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let hogs: Vec<_> = (0..4)
            .map(|place| {
                scope.spawn({
                    let (server, is_over) = (&server, &is_over);
                    move || hog(server, place, is_over)
                })
            })
            .collect();
        wait_until("hogs at work", || server.processor_time() > Duration::from_millis(100));
        let mut honest = server.connect();
        let started = Instant::now();
        for round in 0..50 {
            assert_eq!(honest.get(&format!("/echo/{round}")).text(), round.to_string());
        }
        // A server that serves one to its end before the next would take minutes, and one that starves never ends.
        let took = started.elapsed();
        is_over.store(true, Ordering::Relaxed);
        let rounds: Vec<u64> = hogs.into_iter().map(|hog| hog.join().expect("a hog")).collect();
        assert!(rounds.iter().all(|rounds| *rounds > 0), "a hog was starved: {rounds:?}");
        assert!(took < Duration::from_secs(10), "50 answers took {took:?}");
    });
}

/// Downloads over and over, or pipelines without a pause; each by its place. Returns how many answers it had.
fn hog(server: &Server, place: usize, is_over: &AtomicBool) -> u64 {
    let mut client = server.connect();
    let mut answers = 0;
    while !is_over.load(Ordering::Relaxed) {
        if place.is_multiple_of(2) {
            client.send("GET /files/large HTTP/1.1\r\nHost: a\r\n\r\n");
            let bytes = client.head().field("Content-Length").and_then(|value| value.parse().ok()).expect("a length");
            client.skip(bytes);
            answers += 1;
        } else {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(500));
            answers += (0..500).map(|_| client.response()).filter(|response| response.status == 200).count() as u64;
        }
    }
    answers
}

#[test]
fn clients_that_never_read_delay_nobody() {
    let server = Server::with_directory();
    server.write_file("large", &noise(16 * 1024 * 1024, 6));
    let deaf: Vec<Client> = (0..100)
        .map(|_| {
            let mut client = server.connect();
            client.send("GET /files/large HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        })
        .collect();
    let mut honest = server.connect();
    for _ in 0..20 {
        assert_eq!(honest.get("/").status, 200);
    }
    // Once all buffers are full the server has nothing to do.
    server.wait_until_idle();
    drop(deaf);
}
