//! `scripts/put.sh`, through a network that cuts connections, with the real curl.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;

use crate::harness::{Server, Start, noise};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/put.sh");

/// Passes bytes on to `server`. Of each connection it cuts after so many bytes from the client, the last number again and
/// again; `None` never cuts. Returns its port.
fn cutting_proxy(server: SocketAddr, budgets: Vec<Option<usize>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The thread ends with the process: a proxy does not know when its clients are done.
    thread::spawn(move || {
        for (number, client) in listener.incoming().flatten().enumerate() {
            let budget = budgets[number.min(budgets.len() - 1)];
            let Ok(server) = TcpStream::connect(server) else { continue };
            let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from_server, &mut to_client));
            thread::spawn(move || pass_on(client, server, budget));
        }
    });
    port
}

fn pass_on(mut client: TcpStream, mut server: TcpStream, budget: Option<usize>) {
    let mut left = budget.unwrap_or(usize::MAX);
    let mut space = vec![0; 64 * 1024];
    while left > 0 {
        let most = left.min(space.len());
        let Ok(bytes @ 1..) = client.read(&mut space[..most]) else { break };
        if server.write_all(&space[..bytes]).is_err() {
            break;
        }
        left -= bytes;
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

fn put(home: &std::path::Path, file: &std::path::Path, url: &str) -> Output {
    let mut command = Command::new("sh");
    command
        .arg(SCRIPT)
        .arg(file)
        .arg(url)
        .env("XDG_STATE_HOME", home)
        .env("PUT_PAUSE", "0.05")
        .env("PUT_ATTEMPTS", "8");
    command.output().expect("sh and curl")
}

fn file_with(directory: &tempfile::TempDir, content: &[u8]) -> std::path::PathBuf {
    let path = directory.path().join("some file");
    std::fs::write(&path, content).unwrap();
    path
}

fn stored(output: &Output) -> bool {
    output.status.success() && String::from_utf8_lossy(&output.stderr).contains("Stored")
}

#[test]
fn the_script_continues_after_each_cut() {
    let server = Server::with_directory();
    let directory = tempfile::tempdir().unwrap();
    let content = noise(3_000_000, 5);
    let file = file_with(&directory, &content);
    let cuts = [Some(10), None, None, Some(900_000), None, Some(500_000), None, Some(1_000_000), None, Some(300), None];
    let port = cutting_proxy(server.addresses[0], cuts.to_vec());
    let output = put(directory.path(), &file, &format!("http://127.0.0.1:{port}/files/"));
    assert!(stored(&output), "{output:?}");
    assert!(server.content_of("some file").unwrap() == content);
}

#[test]
fn the_script_continues_when_it_is_started_again() {
    let server = Server::with_directory();
    let directory = tempfile::tempdir().unwrap();
    let content = noise(2_000_000, 6);
    let file = file_with(&directory, &content);
    // After two requests nothing passes any more, but for the head of the third.
    let port = cutting_proxy(server.addresses[0], vec![None, None, Some(1_000_000), Some(0)]);
    let url = |port| format!("http://127.0.0.1:{port}/files/name");
    assert!(!put(directory.path(), &file, &url(port)).status.success());
    // The state is kept under the URL, so the second run has to use the same one.
    let listener = cutting_proxy(server.addresses[0], vec![None]);
    let state = directory.path().join("spindle-put");
    let [saved] = &std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()[..] else {
        panic!("one unfinished upload is remembered");
    };
    let location = std::fs::read_to_string(saved).unwrap().replace(&format!(":{port}/"), &format!(":{listener}/"));
    std::fs::write(saved, location).unwrap();
    let output = put(directory.path(), &file, &url(port));
    assert!(stored(&output), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("from byte ") && !said.contains("from byte 0 of"), "{said}");
    assert!(server.content_of("name").unwrap() == content);
}

#[test]
fn the_script_says_why_the_server_refuses() {
    let directory = tempfile::tempdir().unwrap();
    let file = file_with(&directory, b"content");
    let server = Start::new().directory().options(["--max-upload", "3"]).start();
    let output = put(directory.path(), &file, &format!("http://{}/files/", server.addresses[0]));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("413") && said.contains("longer than the server accepts"), "{said}");
    assert_eq!(put(directory.path(), directory.path(), "http://127.0.0.1:1/").status.code(), Some(2));
}

#[test]
fn the_script_is_offered_where_uploads_are() {
    let server = Server::with_directory();
    let script = server.connect().get("/.spindle/put");
    assert_eq!((script.status, script.content), (200, std::fs::read(SCRIPT).unwrap()));
    let off = Start::new().directory().options(["--uploads", "off"]).start();
    assert_eq!(off.connect().get("/.spindle/put").status, 404);
}
