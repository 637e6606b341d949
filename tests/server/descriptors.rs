//! A low limit on descriptors: clients above the connection limit wait in the backlog, and the server does not spin.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use crate::harness::{Client, Server, Start, noise};

/// With this limit the server's connection limit is 12.
const DESCRIPTORS: u32 = 64;

/// Many more clients than the connection limit.
const CLIENTS: usize = 500;

fn server() -> Server {
    Start::new().directory().descriptors_max(DESCRIPTORS).start()
}

/// Connects from an address of its own: at the connection limit, an address that holds connections is refused more.
fn connect(server: &Server, number: usize) -> Client {
    let [.., high, low] = (number as u32).to_be_bytes();
    Client::connect_from([127, 1, high, low], server.port())
}

/// Connects and sends one request, which asks the server to close the connection.
fn request(server: &Server, number: usize) -> Client {
    let mut client = connect(server, number);
    client.send(format!("GET /echo/{number} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    client
}

/// Reads the responses, one client after the other, and closes each connection after its response.
fn assert_all_are_served(clients: Vec<Client>) {
    for (number, mut client) in clients.into_iter().enumerate() {
        assert_eq!(client.response().text(), number.to_string());
        assert_eq!(client.rest(), b"");
    }
}

#[test]
fn clients_beyond_the_connection_limit_are_all_served() {
    let server = server();
    assert_all_are_served((0..CLIENTS).map(|number| request(&server, number)).collect());
    assert_eq!(server.stderr(), "");
}

#[test]
fn at_capacity_the_server_uses_no_processor_time_and_later_serves_all() {
    let server = server();
    let idle: Vec<Client> = (0..DESCRIPTORS as usize).map(|number| connect(&server, CLIENTS + number)).collect();
    let clients: Vec<Client> = (0..CLIENTS).map(|number| request(&server, number)).collect();
    server.wait_until_idle();
    assert!(server.descriptors() <= DESCRIPTORS as usize);
    drop(idle);
    assert_all_are_served(clients);
    // Afterwards, too: no listener may still be marked as ready although its backlog is empty.
    server.wait_until_idle();
    assert_eq!(server.stderr(), "");
}

/// Below the connection limit, a client may take five seconds to close after its last response.
#[test]
fn at_capacity_draining_connections_are_closed_early() {
    let server = server();
    let mut draining: Vec<Client> = (0..11).map(|_| server.connect()).collect();
    for client in &mut draining {
        client.send("BAD\r\n\r\n");
        assert_eq!((client.response().status, client.rest().len()), (400, 0));
    }
    let responded = Instant::now();
    // All are draining now, each with up to five seconds left.
    server.wait_until_idle();
    let _idle = server.connect();
    server.wait_until_idle();
    let mut newcomer = request(&server, 17);
    assert_eq!(newcomer.response().text(), "17");
    assert!(responded.elapsed() < Duration::from_secs(4), "not accepted for {:?}", responded.elapsed());
}

#[test]
fn a_descriptor_limit_too_low_for_one_connection_is_an_error_at_start() {
    let ended = Start::new().descriptors_max(17).run_to_exit();
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("ulimit -n") && ended.stderr.lines().count() == 1, "{}", ended.stderr);
}

#[test]
fn at_capacity_both_addresses_accept_in_turn() {
    let server = server();
    let [v4, v6] = server.addresses[..] else {
        println!("skipped: this machine has no [::1]");
        return;
    };
    // The backlog of one address is never empty until the clients of the other one are served.
    let waiting: Vec<Client> = (0..10 * DESCRIPTORS).map(|_| Client::connect(v4)).collect();
    let mut clients: Vec<Client> = (0..4).map(|_| Client::connect(v6)).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    }
    // The connections close one at a time. If all closed at once, there would be room for every client.
    let mut leaving = waiting.into_iter();
    let mut served = 0;
    for _ in 0..2 * DESCRIPTORS {
        drop(leaving.next());
        served = clients.iter().filter(|client| client.is_readable_within(Duration::from_millis(10))).count();
        if served == clients.len() {
            break;
        }
    }
    assert_eq!(served, clients.len(), "clients of {v6} were not accepted");
}

#[test]
fn every_accepted_connection_can_upload() {
    let server = server();
    let content = b"firstsecond";
    let mut clients: Vec<Client> = (0..40)
        .map(|number| {
            let mut client = connect(&server, number);
            let length = content.len();
            client.send(format!(
                "PUT /files/{number} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\nfirst"
            ));
            client
        })
        .collect();
    // Every accepted connection has its file open now.
    server.wait_until_idle();
    for client in &mut clients {
        client.send("second");
    }
    for mut client in clients {
        assert_eq!(client.response().status, 201);
        assert_eq!(client.rest(), b"");
    }
    for number in 0..40 {
        assert_eq!(server.content_of(&number.to_string()).as_deref(), Some(&content[..]));
    }
    assert_eq!(server.stderr(), "");
}

/// An archive has a directory open for each level, and a resumable upload has two files and a directory.
#[test]
fn clients_at_one_address_cannot_take_the_descriptors_that_others_need() {
    let server = Start::new().folder().options(["--uploads", "create"]).descriptors_max(1024).start();
    let deepest = server.directory().join(["d"; 62].join("/"));
    fs::create_dir_all(&deepest).unwrap();
    File::create(deepest.join("large")).unwrap().set_len(1 << 30).unwrap();
    for name in 0..20 {
        // Too long to be kept in memory, so that each has to be opened.
        server.write_file(&name.to_string(), &noise(20_000, name));
    }
    let fields = "Host: localhost\r\nUpload-Complete: ?0\r\nContent-Length: 1000";
    let archives = (0..16).map(|_| "GET /d/?archive=tar HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned());
    let uploads = (0..400).map(|name| format!("POST /d/d/{name} HTTP/1.1\r\n{fields}\r\n\r\nx"));
    let hostile: Vec<Client> = archives
        .chain(uploads)
        .map(|request| {
            let mut client = Client::connect_from([127, 9, 9, 9], server.port());
            // It may have been refused.
            let _ = client.try_send(request);
            client
        })
        .collect();
    server.wait_until_idle();
    for name in 0..20 {
        let mut client = Client::connect_from([127, 9, 9, 10], server.port());
        let request = format!("GET /{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert_eq!(client.exchange(&request).status, 200, "{name}");
    }
    drop(hostile);
    assert_eq!(server.stderr(), "");
}
