//! The log: silent by default, one line per response with `-v`, and never under the control of a client.

use crate::harness::{Server, Start, noise, wait_until};

/// Requests with every kind of outcome. Each gets one response, and is the last on its connection.
const REQUESTS: [(&str, u16); 12] = [
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
    ("GET /echo/abc HTTP/1.0\r\n\r\n", 200),
    ("GET /nowhere HTTP/1.0\r\n\r\n", 404),
    ("GET /files/../x HTTP/1.0\r\n\r\n", 404),
    ("BREW / HTTP/1.0\r\n\r\n", 501),
    ("DELETE / HTTP/1.0\r\n\r\n", 405),
    ("GET / HTTP/2.0\r\n\r\n", 505),
    ("GET /\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("POST /files/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 201),
    ("POST /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 404),
    ("POST /files/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n", 400),
];

/// Sends each request on a new connection.
fn send_requests(server: &Server) {
    for (request, status) in REQUESTS {
        let mut client = server.connect();
        assert_eq!(client.exchange(request).status, status, "{request}");
        assert_eq!(client.rest(), b"", "{request}");
    }
}

/// Shuts the server down and returns its complete log, without the lines about the shutdown.
fn complete_log(mut server: Server) -> String {
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    let log = server.stderr();
    let is_about_shutdown = |line: &&str| line.contains("shutting down: ") || line.contains("stopped: ");
    log.lines().filter(|line| !is_about_shutdown(line)).map(|line| format!("{line}\n")).collect()
}

#[test]
fn by_default_no_request_is_logged() {
    let server = Server::with_directory();
    send_requests(&server);
    let mut client = server.connect();
    client.send("GET / HT");
    client.reset();
    assert_eq!(complete_log(server), "");
}

#[test]
fn verbose_logs_one_line_per_response() {
    let server = Start::new().directory().options(["-v"]).start();
    send_requests(&server);
    let log = complete_log(server);
    let statuses: Vec<&str> = log.lines().filter_map(|line| line.split_once("→ ")?.1.get(..3)).collect();
    let expected: Vec<String> = REQUESTS.iter().map(|(_, status)| status.to_string()).collect();
    assert_eq!(statuses, expected, "{log}");
    assert_eq!(log.lines().count(), REQUESTS.len(), "{log}");
    for word in ["GET /echo/abc → 200, 3 bytes", "POST /files/x → 201", "GET /nowhere → 404", "Host"] {
        assert!(log.contains(word), "{word} is missing in {log}");
    }
}

#[test]
fn a_response_that_is_never_sent_is_not_logged() {
    let server = Start::new().options(["-v"]).start();
    let mut client = server.connect();
    // The response is held back until the content has been read, and the content is malformed.
    let request = "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nno size\r\n";
    assert_eq!(client.exchange(request).status, 400);
    drop(client);
    let log = complete_log(server);
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("→ 400"), "{log}");
}

#[test]
fn a_response_held_back_until_its_content_was_read_is_logged_once() {
    let server = Start::new().options(["-v"]).start();
    let mut client = server.connect();
    assert_eq!(client.upload("POST", "/nowhere", &noise(1000, 31)).status, 404);
    assert_eq!(client.upload("GET", "/echo/abc", &noise(1000, 31)).status, 200);
    drop(client);
    let log = complete_log(server);
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].contains("POST /nowhere → 404, 0 bytes"), "{log}");
    assert!(lines[1].contains("GET /echo/abc → 200, 3 bytes"), "{log}");
}

#[test]
fn very_verbose_logs_each_state_in_order() {
    let server = Start::new().directory().options(["-vv"]).start();
    let mut client = server.connect();
    client.send("PUT /files/f HT");
    wait_until("a head in progress", || server.stderr().contains("reading the head"));
    client.send("TP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
    wait_until("content in progress", || server.stderr().contains("reading the content"));
    client.send("y");
    assert_eq!(client.response().status, 201);
    assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").status, 200);
    assert_eq!(client.rest(), b"");
    drop(client);
    wait_until("the end of the connection", || server.stderr().contains("closed"));
    let log = complete_log(server);
    let expected = [
        "accepted",
        "reading the head",
        "reading the content",
        "writing the response",
        "waiting for a request",
        "writing the response",
        "draining",
        "closed",
    ];
    assert_eq!(states_of_first_connection(&log), expected, "{log}");
}

#[test]
fn a_client_that_closes_an_idle_connection_is_not_logged_as_getting_a_response() {
    let server = Start::new().options(["-vv"]).start();
    let mut client = server.connect();
    assert_eq!(client.get("/").status, 200);
    drop(client);
    wait_until("the end of the connection", || server.stderr().contains("closed"));
    let log = complete_log(server);
    let expected = ["accepted", "writing the response", "waiting for a request", "draining", "closed"];
    assert_eq!(states_of_first_connection(&log), expected, "{log}");
}

fn states_of_first_connection(log: &str) -> Vec<&str> {
    log.lines()
        .filter_map(|line| line.split_once("connection 0: ").map(|(_, state)| state))
        .map(|state| state.split_once(" from ").map_or(state, |(accepted, _)| accepted))
        .collect()
}

#[test]
fn a_client_cannot_put_escape_sequences_or_lines_into_the_log() {
    let server = Start::new().directory().options(["-vv"]).start();
    let escapes = "\u{1b}[31m\u{1b}]0;title\u{7}\r12:00:00 [INFO] forged\u{9b}31m";
    let encoded = "%1b%5b31m%0d%0a12:00:00%20%5bINFO%5d%20forged%c2%9b31m";
    let requests = [
        format!("GET /{escapes} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET /\n{escapes} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("{escapes} / HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET / {escapes}\r\nHost: a\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{escapes}: a\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {escapes}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: a\r\nExpect: {escapes}\r\n\r\n"),
        format!("GET /echo/{encoded} HTTP/1.0\r\n\r\n"),
        format!("GET /files/{encoded} HTTP/1.0\r\n\r\n"),
        format!("PUT /files/{encoded} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"),
        format!("PUT /files/a%2f{encoded} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"),
        "GET /user-agent HTTP/1.0\r\nUser-Agent: \u{9b}31m\r\n\r\n".to_owned(),
    ];
    for request in &requests {
        let mut client = server.connect();
        client.send(request);
        client.read_until_closed();
    }
    let log = complete_log(server);
    assert_eq!(log.matches('→').count(), requests.len(), "{log}");
    assert!(!log.chars().any(|character| character.is_control() && character != '\n'), "{log:?}");
    assert!(!log.lines().any(|line| line.starts_with("12:00:00 [INFO] forged")), "{log}");
}

#[test]
fn a_log_that_cannot_be_written_does_not_affect_responses() {
    let server = Start::new().options(["-vv"]).stderr_to("/dev/full").start();
    let mut client = server.connect();
    for round in 0..100 {
        assert_eq!(client.get(&format!("/echo/{round}")).text(), round.to_string());
    }
}
