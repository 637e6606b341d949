//! Few descriptors: whoever does not fit waits in the backlog, and the server waits with them instead of spinning.

use std::time::{Duration, Instant};

use crate::harness::{Client, Server, Start};

/// With so few the server takes sixteen connections.
const DESCRIPTORS: u32 = 64;

/// Many more than fit.
const CLIENTS: usize = 500;

fn server() -> Server {
    Start::new().directory().descriptors_max(DESCRIPTORS).start()
}

/// Connects, and sends the one request of a connection.
fn ask(server: &Server, place: usize) -> Client {
    let mut client = server.connect();
    client.send(format!("GET /echo/{place} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    client
}

/// Reads the answers, one client after the other. Each closes its connection as soon as it has its answer.
fn assert_are_answered(clients: Vec<Client>) {
    for (place, mut client) in clients.into_iter().enumerate() {
        assert_eq!(client.response().text(), place.to_string());
        assert_eq!(client.rest(), b"");
    }
}

#[test]
fn clients_beyond_the_connection_limit_are_all_served() {
    let server = server();
    assert_are_answered((0..CLIENTS).map(|place| ask(&server, place)).collect());
    assert_eq!(server.stderr(), "");
}

#[test]
fn at_capacity_the_server_uses_no_processor_time_and_later_serves_all() {
    let server = server();
    let idle: Vec<Client> = (0..DESCRIPTORS).map(|_| server.connect()).collect();
    let clients: Vec<Client> = (0..CLIENTS).map(|place| ask(&server, place)).collect();
    server.wait_until_idle();
    assert!(server.descriptors() <= DESCRIPTORS as usize);
    drop(idle);
    assert_are_answered(clients);
    // And afterwards as well: no listener is left that claims to have somebody waiting.
    server.wait_until_idle();
    assert_eq!(server.stderr(), "");
}

/// They have been told all, and yet stay. While there is room they may do so for five seconds.
#[test]
fn at_capacity_draining_connections_are_closed_early() {
    let server = server();
    let mut staying: Vec<Client> = (0..15).map(|_| server.connect()).collect();
    for client in &mut staying {
        client.send("BAD\r\n\r\n");
        assert_eq!((client.response().status, client.rest().len()), (400, 0));
    }
    let told = Instant::now();
    // They have parked, each with five seconds to go.
    server.wait_until_idle();
    let _idle = server.connect();
    server.wait_until_idle();
    let mut newcomer = ask(&server, 17);
    assert_eq!(newcomer.response().text(), "17");
    assert!(told.elapsed() < Duration::from_secs(4), "waited {:?} for a place", told.elapsed());
}

#[test]
fn a_descriptor_limit_too_low_for_one_connection_is_an_error_at_start() {
    let ended = Start::new().descriptors_max(18).run_to_exit();
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("ulimit -n") && ended.stderr.lines().count() == 1, "{}", ended.stderr);
}

#[test]
fn at_capacity_both_addresses_accept_in_turn() {
    let server = server();
    let [v4, v6] = server.addresses[..] else {
        println!("not tried: this machine has no [::1]");
        return;
    };
    // One address always has somebody waiting, who stays until the other one's client is served.
    let crowd: Vec<Client> = (0..10 * DESCRIPTORS).map(|_| Client::connect(v4)).collect();
    let mut clients: Vec<Client> = (0..4).map(|_| Client::connect(v6)).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    }
    // One of the crowd after the other makes room. All of them together would make it for anybody.
    let mut leaving = crowd.into_iter();
    let mut served = 0;
    for _ in 0..2 * DESCRIPTORS {
        drop(leaving.next());
        served = clients.iter().filter(|client| client.is_readable_within(Duration::from_millis(10))).count();
        if served == clients.len() {
            break;
        }
    }
    assert_eq!(served, clients.len(), "whoever came by {v6} was passed over");
}

#[test]
fn every_accepted_connection_can_upload() {
    let server = server();
    let content = b"firstsecond";
    let mut clients: Vec<Client> = (0..40)
        .map(|place| {
            let mut client = server.connect();
            let length = content.len();
            client.send(format!(
                "PUT /files/{place} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\nfirst"
            ));
            client
        })
        .collect();
    // All that fit have their files open by now.
    server.wait_until_idle();
    for client in &mut clients {
        client.send("second");
    }
    for mut client in clients {
        assert_eq!(client.response().status, 201);
        assert_eq!(client.rest(), b"");
    }
    for place in 0..40 {
        assert_eq!(server.content_of(&place.to_string()).as_deref(), Some(&content[..]));
    }
    assert_eq!(server.stderr(), "");
}
