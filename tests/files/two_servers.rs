//! Two servers that share a directory.

use std::fs::{self, File};
use std::sync::Barrier;
use std::thread;

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::harness::{Server, Start, noise, wait_until};
use crate::resumable::{append, create, incomplete, offset, request};
use crate::support::head;

fn two_servers() -> (TempDir, [Server; 2]) {
    let scratch = TempDir::new().unwrap();
    let servers = [(); 2].map(|()| Start::new().directory_at(scratch.path()).start());
    (scratch, servers)
}

#[test]
fn a_resumable_upload_that_one_server_began_is_continued_by_each_in_turn() {
    let (_scratch, servers) = two_servers();
    let [one, other] = &servers;
    // Both have cleaned the directory up before: later parts must not look abandoned to either.
    one.put("first", b"bytes");
    other.put("second", b"bytes");
    let content = noise(300_000, 7);
    let mut clients = [one.connect(), other.connect()];
    let location = create(&mut clients[0], "/files/file", &[], &content[..50_000]);
    for part in 1..5 {
        let at = part * 50_000;
        assert_eq!(offset(&mut clients[part % 2], &location), incomplete(at));
        let appended = append(&mut clients[part % 2], &location, at, false, &content[at..at + 50_000]);
        assert_eq!((appended.status, appended.field("Upload-Complete")), (204, Some("?0")), "part {part}");
        // The server that received the part before has an older state in memory.
        assert_eq!(offset(&mut clients[(part + 1) % 2], &location), incomplete(at + 50_000));
    }
    assert_eq!(append(&mut clients[1], &location, 250_000, true, &content[250_000..]).status, 201);
    for (server, client) in servers.iter().zip(&mut clients) {
        assert!(server.content_of("file").unwrap() == content);
        let (status, _, complete) = offset(client, &location);
        assert_eq!((status, complete.as_deref()), (204, Some("?1")));
    }
}

#[test]
fn an_upload_that_breaks_off_on_one_server_is_continued_by_the_other() {
    let (_scratch, [one, other]) = two_servers();
    let content = noise(300_000, 8);
    let location = create(&mut one.connect(), "/files/file", &[], &content[..10]);
    let mut breaks_off = one.connect();
    breaks_off.send(format!(
        "PATCH {location} HTTP/1.1\r\nHost: a\r\nContent-Type: application/partial-upload\r\n\
         Upload-Complete: ?1\r\nUpload-Offset: 10\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        content.len() - 10
    ));
    // From now on the upload is in use. If the other server read the offset just before, the lock that it takes for that
    // could make the first server refuse the part.
    assert_eq!(breaks_off.head().status, 100);
    breaks_off.send(&content[10..200_000]);
    drop(breaks_off);
    let mut client = other.connect();
    let mut at = 0;
    wait_until("the first server to save what has arrived", || {
        let (status, found, _) = offset(&mut client, &location);
        // Until the first server has seen the end of the connection, the upload is in use.
        at = found.filter(|_| status == 204).map_or(0, |found| found.parse().unwrap());
        at > 10
    });
    assert_eq!(append(&mut client, &location, at, true, &content[at..]).status, 201);
    assert!(one.content_of("file").unwrap() == content);
}

/// With three places a client may have two unfinished uploads. The first server begins many, and the other ends them.
#[test]
fn an_upload_that_another_server_has_ended_takes_no_place() {
    let scratch = TempDir::new().unwrap();
    let start = || Start::new().directory_at(scratch.path()).options(["--uploads-pending", "3", "--uploads", "manage"]);
    let [one, other] = [start(), start()].map(Start::start);
    fs::create_dir(scratch.path().join("shelf")).unwrap();
    let (mut begins, mut ends) = (one.connect(), other.connect());
    for number in 0..8 {
        let location = create(&mut begins, &format!("/files/shelf/{number}"), &[], b"some");
        let ended = match number % 2 {
            0 => append(&mut ends, &location, 4, true, b"thing").status,
            _ => request(&mut ends, "DELETE", &location, &[], b"").status,
        };
        assert_eq!(ended, if number % 2 == 0 { 201 } else { 204 });
    }
    // Those that are unfinished still take places, also if their directory is moved.
    let locations = [8, 9].map(|number| create(&mut begins, &format!("/files/shelf/{number}"), &[], b"some"));
    let more = |client: &mut _| request(client, "POST", "/files/more", &["Upload-Complete: ?0"], b"").status;
    assert_eq!(more(&mut begins), 503);
    assert_eq!(request(&mut begins, "MOVE", "/files/shelf/", &["Destination: /files/moved/"], b"").status, 201);
    assert_eq!(more(&mut begins), 503);
    assert_eq!(request(&mut begins, "MKCOL", "/files/shelf/", &[], b"").status, 201);
    assert_eq!(more(&mut begins), 503);
    let moved = locations.map(|location| location.replace("/shelf/", "/moved/"));
    assert_eq!(append(&mut ends, &moved[0], 4, true, b"thing").status, 201);
    assert_eq!(more(&mut begins), 503, "the server does not know where the upload was moved to");
    assert_eq!(offset(&mut begins, &moved[0]).0, 204);
    assert_eq!(more(&mut begins), 201, "it has found the upload there");
}

#[test]
fn the_cleanup_does_not_remove_the_upload_of_another_server() {
    let (_scratch, [one, other]) = two_servers();
    let mut client = one.connect();
    client.send(head("PUT", "/files/slow", &["Content-Length: 8", "Expect: 100-continue"]));
    assert_eq!(client.head().status, 100);
    client.send("four");
    // The first upload of a server to the directory starts a cleanup.
    other.put("quick", b"bytes");
    client.send("more");
    assert_eq!(client.response().status, 201);
    assert_eq!(other.get("/files/slow").text(), "fourmore");
    assert_eq!(one.file_names(), ["quick", "slow"]);
}

#[test]
fn the_cleanup_removes_only_unlocked_temporary_files() {
    let scratch = TempDir::new().unwrap();
    let shelf = scratch.path().join("shelf");
    fs::create_dir(&shelf).unwrap();
    let names = [".spindle-0000000000000001", ".spindle-0000000000000002", ".spindle-other", "spindle-file"];
    for name in names {
        fs::write(shelf.join(name), b"bytes").unwrap();
        fs::write(scratch.path().join(name), b"bytes").unwrap();
    }
    let held = File::options().write(true).open(shelf.join(names[0])).unwrap();
    flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
    let server = Start::new().directory_at(scratch.path()).start();
    assert_eq!(server.store("PUT", "/files/shelf/file", &[], b"bytes").status, 201);
    let mut left: Vec<String> =
        fs::read_dir(&shelf).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, [names[0], names[2], "file", names[3]]);
    assert_eq!(server.file_names().len(), 5, "a directory without uploads is not cleaned up");
    server.put("file", b"bytes");
    assert_eq!(server.file_names(), [names[2], "file", "shelf", names[3]]);
}

#[test]
fn exactly_one_client_of_two_servers_creates_a_file() {
    const CLIENTS: usize = 10;
    let (_scratch, servers) = two_servers();
    for round in 0..20 {
        let target = format!("/files/file-{round}");
        let barrier = Barrier::new(CLIENTS);
        let statuses: Vec<u16> = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let (server, barrier, target) = (&servers[number % 2], &barrier, &target);
                    scope.spawn(move || {
                        let mut client = server.connect();
                        barrier.wait();
                        client.store("PUT", target, &["If-None-Match: *"], &[number as u8; 100]).status
                    })
                })
                .collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 412).count(), CLIENTS - 1, "{statuses:?}");
    }
}
