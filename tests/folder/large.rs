//! Directories with many entries.

use std::fs::File;
use std::time::{Duration, Instant};

use crate::harness::Server;
use crate::support::{get, lines, share};

fn fill(server: &Server, entries: usize) {
    for number in 0..entries {
        File::create(server.directory().join(format!("file{number}"))).unwrap();
    }
}

#[test]
fn ten_thousand_entries_are_sorted() {
    let server = share(&["sub/"]);
    fill(&server, 9_999);
    let names = lines(&server, "/");
    let expected = ["sub/".to_owned()].into_iter().chain((0..9_999).map(|number| format!("file{number}")));
    assert!(names.into_iter().eq(expected));
    assert!(get(&server, "/?format=json").text().contains("\"sorted\":true"));
}

#[test]
fn more_entries_are_listed_once_each_and_unsorted() {
    let server = share(&[]);
    fill(&server, 10_001);
    let mut names = lines(&server, "/");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 10_001);
    assert!(get(&server, "/?format=json").text().contains("\"sorted\":false"));
}

#[test]
fn other_clients_are_served_while_a_large_directory_is_read() {
    let server = share(&[]);
    fill(&server, 12_345);
    server.write_file("small", b"small");
    let mut listing = server.connect();
    // Several listings, one after the other.
    let request = "GET /?format=json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    listing.send(request.repeat(4));
    let mut other = server.connect();
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let started = Instant::now();
        let response = other.exchange("GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(response.text(), "small");
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    for _ in 0..4 {
        assert!(listing.response().text().ends_with("\n]}\n"));
    }
}

#[test]
fn a_listing_is_complete_after_clients_have_disconnected_during_theirs() {
    let server = share(&[]);
    fill(&server, 3_000);
    for _ in 0..50 {
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.reset();
    }
    assert_eq!(lines(&server, "/").len(), 3_000);
}
