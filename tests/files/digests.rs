//! Digests of uploads (RFC 9530): verified before the file is published, stored, and sent to clients that request them.

use crate::harness::{Client, Response, Server, noise};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest, Sha256, Sha512};

fn sha256(content: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(Sha256::digest(content)))
}

fn sha512(content: &[u8]) -> String {
    format!("sha-512=:{}:", BASE64_STANDARD.encode(Sha512::digest(content)))
}

fn store(client: &mut Client, field: &str, content: &[u8]) -> Response {
    client.store("PUT", "/files/file", &[field], content)
}

#[test]
fn content_that_matches_its_digests_is_stored() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let content = noise(300_000, 1);
    for name in ["Content-Digest", "Repr-Digest"] {
        for digest in [sha256(&content), sha512(&content), format!("{}, {}", sha256(&content), sha512(&content))] {
            let response = store(&mut client, &format!("{name}: {digest}"), &content);
            assert!(matches!(response.status, 201 | 204), "{name}: {digest}");
            assert!(server.content_of("file").unwrap() == content);
        }
    }
    assert!(client.is_kept());
}

#[test]
fn content_that_does_not_match_its_digests_is_not_stored() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let other = b"other".as_slice();
    for field in [
        format!("Content-Digest: {}", sha256(other)),
        format!("Repr-Digest: {}", sha512(other)),
        // One of the two is wrong.
        format!("Repr-Digest: {}, {}", sha256(b"content"), sha512(other)),
    ] {
        let response = store(&mut client, &field, b"content");
        let name = field.split(':').next().unwrap();
        assert_eq!(response.status, 400, "{field}");
        assert!(response.text().contains(name), "{}", response.text());
        assert!(server.file_names().is_empty(), "{field}");
    }
    assert!(client.is_kept());
}

#[test]
fn a_malformed_digest_is_refused_and_an_unknown_algorithm_ignored() {
    let server = Server::with_directory();
    let mut client = server.connect();
    for value in ["sha-256=abc", "sha-256=:AAAA:", "sha-256", ":", "sha-512=(1 2)"] {
        for name in ["Content-Digest", "Repr-Digest"] {
            assert_eq!(store(&mut client, &format!("{name}: {value}"), b"content").status, 400, "{name}: {value}");
        }
    }
    assert!(server.file_names().is_empty());
    assert_eq!(store(&mut client, "Content-Digest: md5=:AAAA:, unixsum=1", b"content").status, 201);
}

#[test]
fn an_upload_response_contains_a_digest_that_the_client_wants() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let response = store(&mut client, "Want-Repr-Digest: sha-256=1, sha-512=9", b"content");
    assert_eq!((response.status, response.field("Repr-Digest")), (201, Some(sha512(b"content").as_str())));
    // A malformed preference is ignored.
    let response = store(&mut client, "Want-Repr-Digest: sha-256=?", b"content");
    assert_eq!((response.status, response.field("Repr-Digest")), (204, None));
    // Without the field there is no digest.
    let response = store(&mut client, &format!("Repr-Digest: {}", sha256(b"content")), b"content");
    assert_eq!((response.status, response.field("Repr-Digest")), (204, None));
}

#[test]
fn the_digest_of_an_upload_is_kept_until_the_file_changes() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let content = noise(100_000, 1);
    store(&mut client, &format!("Repr-Digest: {}", sha256(&content)), &content);
    let want = |client: &mut Client, fields: &[&str]| client.ask("GET", "/files/file", fields);
    let response = want(&mut client, &["Want-Repr-Digest: sha-256=1"]);
    if response.field("Repr-Digest").is_none() {
        return eprintln!("skipped: the file system keeps no extended attributes");
    }
    assert_eq!(response.field("Repr-Digest"), Some(sha256(&content).as_str()));
    assert!(response.content == content);
    let part = want(&mut client, &["Want-Repr-Digest: sha-256=1", "Range: bytes=0-9"]);
    assert_eq!(
        (part.status, part.field("Repr-Digest")),
        (206, Some(sha256(&content).as_str())),
        "the digest is that of the whole file"
    );
    assert_eq!(
        want(&mut client, &["Want-Repr-Digest: sha-512=1"]).field("Repr-Digest"),
        None,
        "this digest was not computed"
    );
    assert_eq!(want(&mut client, &[]).field("Repr-Digest"), None, "the client did not request a digest");
    // Another program changes the file in place, and the attribute with the digest stays.
    let file = std::fs::File::options().write(true).open(server.directory().join("file")).unwrap();
    std::io::Write::write_all(&mut &file, b"other").unwrap();
    assert_eq!(want(&mut client, &["Want-Repr-Digest: sha-256=1"]).field("Repr-Digest"), None);
}

#[test]
fn a_digest_in_an_announced_trailer_is_verified() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let mut upload = |announced: &str, trailer: &str| {
        client.send(format!(
            "PUT /files/file HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{announced}\r\n7\r\ncontent\r\n0\r\n{trailer}\r\n"
        ));
        client.response().status
    };
    for (name, digest) in [("Content-Digest", sha256(b"content")), ("repr-digest", sha512(b"content"))] {
        let announced = format!("Trailer: x, {name}\r\n");
        assert_eq!(upload(&announced, &format!("{name}: {}\r\n", sha256(b"other"))), 400);
        assert_eq!(upload(&announced, &format!("{name}: sha-256=?\r\n")), 400);
        assert!(server.file_names().is_empty());
        assert_eq!(upload(&announced, &format!("X: y\r\n{name}: {digest}\r\n")), 201);
        assert_eq!(upload(&announced, ""), 204, "the digest was announced, but not sent");
        std::fs::remove_file(server.directory().join("file")).unwrap();
    }
    // A digest that was not announced is ignored, because nothing was hashed.
    assert_eq!(upload("", &format!("Content-Digest: {}\r\n", sha256(b"other"))), 201);
}
