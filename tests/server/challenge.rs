//! The fourteen stages of the challenge.

use std::io::Read;
use std::thread;
use std::time::Instant;

use crate::harness::{Client, PROMPTLY, Server, Start};

/// A server started with the options of `your_program.sh`.
fn server() -> Server {
    Start::new().directory().options(["--no-date"]).start()
}

#[test]
fn stage_01_accepts_connections_on_every_address_in_its_banner() {
    let server = server();
    for address in &server.addresses {
        Client::connect(*address);
    }
}

#[test]
fn stage_02_responds_200_with_nothing_else() {
    assert_eq!(server().get("/").head, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
}

#[test]
fn stage_03_responds_404_for_any_other_path() {
    let server = server();
    for target in ["/abcdefg", "/echo", "/index.html", "/files", "/user-agent/"] {
        let response = server.get(target);
        assert_eq!(response.head, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n", "{target}");
    }
}

#[test]
fn stage_04_echoes_what_follows_echo() {
    let response = server().get("/echo/abc");
    assert_eq!(
        response.head,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nVary: Accept-Encoding\r\n"
    );
    assert_eq!(response.text(), "abc");
}

#[test]
fn stage_05_returns_the_user_agent_whatever_the_case_of_the_field_name() {
    let server = server();
    for name in ["User-Agent", "user-agent", "USER-AGENT", "uSer-aGent"] {
        let request = format!("GET /user-agent HTTP/1.1\r\nHost: a\r\n{name}: foobar/1.2.3\r\n\r\n");
        let response = server.connect().exchange(&request);
        assert_eq!((response.status, response.text()), (200, "foobar/1.2.3"), "{name}");
        assert_eq!(response.field("Content-Type"), Some("text/plain"));
    }
}

#[test]
fn stage_06_serves_many_open_connections_without_host_and_half_closed() {
    let server = server();
    let mut clients = [server.connect(), server.connect(), server.connect()];
    assert_eq!(server.get("/").status, 200, "beside three silent connections");
    for client in clients.iter_mut().rev() {
        client.send("GET / HTTP/1.1\r\n\r\n");
        client.half_close();
        assert_eq!(client.rest(), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
}

#[test]
fn stage_07_sends_files_with_exactly_their_bytes() {
    let server = server();
    server.write_file("foo", b"Hello, World!");
    let response = server.get("/files/foo");
    assert_eq!(response.status, 200);
    assert_eq!(response.field("Content-Type"), Some("application/octet-stream"));
    assert_eq!(response.field("Content-Length"), Some("13"));
    assert_eq!(response.text(), "Hello, World!");
    assert_eq!(server.get("/files/bar").head, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n");
}

#[test]
fn stage_08_stores_a_file_before_it_responds_201() {
    let server = server();
    for name in ["one", "two"] {
        let response = server.connect().upload("POST", &format!("/files/{name}"), name.as_bytes());
        assert_eq!(response.status, 201);
        assert!(response.head.starts_with("HTTP/1.1 201 Created\r\n"));
        assert_eq!(server.content_of(name).as_deref(), Some(name.as_bytes()));
    }
}

fn echo_with(server: &Server, accept_encoding: &str) -> crate::harness::Response {
    let request = format!("GET /echo/abc HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accept_encoding}\r\n\r\n");
    server.connect().exchange(&request)
}

#[test]
fn stage_09_uses_gzip_and_ignores_unknown_codings() {
    let server = server();
    assert_eq!(echo_with(&server, "gzip").field("Content-Encoding"), Some("gzip"));
    let response = echo_with(&server, "invalid-encoding");
    assert_eq!((response.status, response.field("Content-Encoding"), response.text()), (200, None, "abc"));
}

#[test]
fn stage_10_finds_gzip_in_a_list_of_codings() {
    let server = server();
    let list = "invalid-encoding-1, gzip, invalid-encoding-2";
    assert_eq!(echo_with(&server, list).field("Content-Encoding"), Some("gzip"));
    assert_eq!(echo_with(&server, "invalid-encoding-1, invalid-encoding-2").field("Content-Encoding"), None);
}

#[test]
fn stage_11_compresses_the_content_and_sends_the_compressed_length() {
    let response = echo_with(&server(), "gzip");
    let expected =
        [0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 4, 0x03, 0x4b, 0x4c, 0x4a, 0x06, 0, 0xc2, 0x41, 0x24, 0x35, 0x03, 0, 0, 0];
    assert_eq!(response.content, expected);
    assert_eq!(response.field("Content-Length"), Some("23"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&response.content[..]).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, "abc");
}

#[test]
fn stage_12_serves_many_requests_on_one_connection() {
    let server = server();
    let mut client = server.connect();
    for fruit in ["banana", "pear", "plum"] {
        let response = client.get(&format!("/echo/{fruit}"));
        assert_eq!((response.text(), response.field("Connection")), (fruit, None));
    }
    let request = "GET /user-agent HTTP/1.1\r\nHost: a\r\nUser-Agent: blueberry/apple-blueberry\r\n\r\n";
    assert_eq!(client.exchange(request).text(), "blueberry/apple-blueberry");
}

#[test]
fn stage_13_keeps_interleaved_connections_apart() {
    let server = server();
    let mut clients: Vec<Client> = (0..5).map(|_| server.connect()).collect();
    for round in 0..4 {
        // Each client sends half of its request before any request is complete.
        for (index, client) in clients.iter_mut().enumerate() {
            client.send(format!("GET /echo/{round}-{index} HTT"));
        }
        for client in clients.iter_mut().rev() {
            client.send("P/1.1\r\nHost: a\r\n\r\n");
        }
        for (index, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.response().text(), format!("{round}-{index}"));
        }
    }
}

#[test]
fn stage_14_repeats_connection_close_and_closes_at_once() {
    let server = server();
    let mut client = server.connect();
    assert_eq!(client.get("/echo/orange").field("Connection"), None);
    let response = client.exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(response.head, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n");
    // The client does not close its side. The server must not wait for that, nor for a timeout, before it closes its own.
    let responded = Instant::now();
    assert_eq!(client.rest(), b"");
    assert!(responded.elapsed() < PROMPTLY, "closing took {:?}", responded.elapsed());
}

#[test]
fn stage_14_closes_each_of_many_connections_after_its_response() {
    let server = server();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = server.connect();
                client.send("GET /echo/x HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n");
                assert!(client.rest().ends_with(b"Connection: close\r\n\r\nx"));
            });
        }
    });
}
