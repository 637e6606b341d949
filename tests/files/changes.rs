//! DELETE, MKCOL and MOVE below `/files/`.

use std::fs;

use crate::harness::{Server, Start};
use crate::support::Tracer;

fn managed() -> Server {
    Start::new().directory().options(["--uploads", "manage"]).start()
}

#[test]
fn files_and_directories_are_created_moved_and_deleted() {
    let server = managed();
    for (method, target, destination, expected) in [
        ("MKCOL", "/files/dir", "", 201),
        ("MKCOL", "/files/dir/", "", 405),
        ("MKCOL", "/files/missing/dir", "", 409),
        ("PUT", "/files/dir/a", "", 201),
        ("MOVE", "/files/dir/a", "/files/b", 201),
        ("MOVE", "/files/b", "/%66iles/c%20d", 201),
        ("MOVE", "/files/c%20d", "/c", 403),
        ("MOVE", "/files/c%20d", "/files", 403),
        ("MOVE", "/files/c%20d", "/files/", 403),
        ("MOVE", "/files/c%20d", "/files/../c", 400),
        ("MOVE", "/files/absent", "/files/c", 404),
        ("DELETE", "/files/dir/", "", 204),
        ("DELETE", "/files/dir/", "", 404),
        ("DELETE", "/files/", "", 403),
        ("MKCOL", "/files/", "", 403),
        ("MKCOL", "/files/..", "", 400),
        ("DELETE", "/files/../c", "", 404),
        ("DELETE", "/files", "", 404),
        ("DELETE", "/echo/a", "", 405),
    ] {
        let destination = format!("Destination: {destination}");
        let response = server.ask(method, target, &["Content-Length: 0", &destination]);
        assert_eq!(response.status, expected, "{method} {target} {destination}: {}", response.text());
    }
    assert_eq!(server.file_names(), ["c d"]);
    let options = server.ask("OPTIONS", "/files/a", &[]);
    assert_eq!(options.field("Allow"), Some("GET, HEAD, POST, PUT, DELETE, MKCOL, MOVE, OPTIONS"));
}

/// Unlike in a shared folder, directories are created only by MKCOL: the challenge expects a 404.
#[test]
fn an_upload_creates_no_directory() {
    let server = managed();
    assert_eq!(server.store("PUT", "/files/missing/a", &[], b"").status, 404);
    assert_eq!(server.file_names(), [""; 0]);
}

#[test]
fn content_of_a_delete_or_move_is_ignored() {
    let server = managed();
    let mut client = server.connect();
    server.put("a", b"a");
    assert_eq!(client.store("MOVE", "/files/a", &["Destination: /files/b"], b"content").status, 201);
    assert_eq!(client.store("DELETE", "/files/b", &[], b"content").status, 204);
    assert!(client.is_kept());
}

#[test]
fn with_fsync_the_directories_are_flushed_before_the_response() {
    let Some(tracer) = Tracer::of("mkdirat,renameat2,unlinkat,fsync,sendto") else { return };
    let options = ["--uploads", "manage", "--fsync"];
    let server = Start::new().directory().wrapped_by(tracer.command()).options(options).start();
    fs::create_dir(server.directory().join("other")).unwrap();
    server.put("a", b"a");
    for (method, target, status) in
        [("MKCOL", "/files/dir", 201), ("MOVE", "/files/a", 201), ("DELETE", "/files/other/a", 204)]
    {
        assert_eq!(server.ask(method, target, &["Content-Length: 0", "Destination: /files/other/a"]).status, status);
    }
    drop(server);
    let trace = tracer.whole_trace();
    for (change, flushes) in [("mkdirat(", 2), ("renameat2(", 2), ("unlinkat(", 1)] {
        let made = trace.iter().rposition(|line| line.starts_with(change)).expect(change);
        let calls: Vec<&str> = trace[made + 1..].iter().map(|line| line.split('(').next().unwrap()).collect();
        let flushed = calls.iter().take_while(|call| **call == "fsync").count();
        assert_eq!(flushed, flushes, "{change} {:#?}", &trace[made..]);
    }
}
