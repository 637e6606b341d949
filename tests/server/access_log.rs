//! The access log of the program: what it says about each kind of exchange, and that it never stops the server.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::OFlags;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Client, Server, Start, noise, wait_until};

const MIB: usize = 1024 * 1024;

/// A directory for a log.
struct Scratch {
    directory: TempDir,
}

impl Scratch {
    fn new() -> Scratch {
        Scratch { directory: TempDir::new().expect("a temporary directory") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts a server of a new directory, with the log `name`.
    fn server(&self, name: &str, format: &str) -> Server {
        let path = self.path(name);
        let options = ["--access-log", path.to_str().expect("a path that is text"), "--log-format", format];
        Start::new().directory().options(options).start()
    }
}

fn read(path: &Path) -> String {
    String::from_utf8(fs::read(path).unwrap_or_default()).expect("a log that is text")
}

/// Waits until the log has so many lines, and returns them.
fn json_lines(path: &Path, count: usize) -> Vec<Value> {
    wait_until("lines of the access log", || read(path).lines().count() >= count);
    let lines: Vec<Value> = read(path).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), count, "{lines:?}");
    lines
}

/// The status, the bytes of content that were sent, and the outcome of a line.
fn summary(line: &Value) -> (Option<u64>, u64, &str) {
    (line["status"].as_u64(), line["bytes_sent"].as_u64().unwrap(), line["outcome"].as_str().unwrap())
}

#[test]
fn each_line_has_the_bytes_that_were_really_sent_and_the_outcome() {
    let scratch = Scratch::new();
    let server = scratch.server("log", "json");
    server.write_file("file", &noise(1000, 1));
    server.write_file("large", &noise(64 * MIB, 2));
    let fields = "Host: a\r\nConnection: close\r\n";
    let range = format!("GET /files/file HTTP/1.1\r\n{fields}Range: bytes=10-19\r\n\r\n");
    assert_eq!(server.connect().exchange(&range).status, 206);
    let tag = server.connect().get("/files/file").field("ETag").expect("a tag").to_owned();
    let unchanged = format!("GET /files/file HTTP/1.1\r\n{fields}If-None-Match: {tag}\r\n\r\n");
    assert_eq!(server.connect().exchange(&unchanged).status, 304);
    let mut client = server.connect();
    client.send(format!("HEAD /files/file HTTP/1.1\r\n{fields}\r\n"));
    assert_eq!(client.head().status, 200);
    assert_eq!(client.rest(), b"");
    assert_eq!(server.connect().upload("PUT", "/files/new", &noise(77, 3)).status, 201);
    assert_eq!(server.connect().exchange("GET /\r\n\r\n").status, 400);
    let log = scratch.path("log");
    let lines = json_lines(&log, 6);
    let expected = [
        (Some(206), 10, "complete"),
        (Some(200), 1000, "complete"),
        (Some(304), 0, "complete"),
        (Some(200), 0, "complete"),
        (Some(201), 0, "complete"),
    ];
    assert!(lines.iter().map(summary).take(5).eq(expected), "{lines:?}");
    assert_eq!(lines[4]["bytes_received"], 77);
    assert_eq!((lines[5]["outcome"].as_str(), lines[5]["target"].as_str()), (Some("refused"), None));
    assert_eq!(lines[5]["reason"], "The request line has no protocol version.");

    let mut aborts = server.connect();
    aborts.send(format!("GET /files/large HTTP/1.1\r\n{fields}\r\n"));
    assert_eq!(aborts.head().status, 200);
    aborts.reset();
    let lines = json_lines(&log, 7);
    let (status, sent, outcome) = summary(&lines[6]);
    assert_eq!((status, outcome), (Some(200), "cut off"));
    assert!((1..64 * MIB as u64).contains(&sent), "{sent}");
    let mut breaks_off = server.connect();
    breaks_off.send("PUT /files/broken HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    breaks_off.reset();
    let lines = json_lines(&log, 8);
    assert_eq!((summary(&lines[7]), &lines[7]["bytes_received"]), ((None, 0, "cut off"), &3.into()));
}

#[test]
fn pipelined_requests_have_their_lines_in_order_and_a_chunked_response_counts_its_framing() {
    let scratch = Scratch::new();
    let path = scratch.path("log");
    let options = ["--access-log", path.to_str().unwrap(), "--log-format", "json"];
    let server = Start::new().folder().options(options).start();
    let mut client = server.connect();
    let list = "GET /?format=json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.send(format!("{list}GET /absent HTTP/1.1\r\nHost: localhost\r\n\r\n{list}"));
    let listed = client.response();
    assert_eq!(listed.field("Transfer-Encoding"), Some("chunked"));
    let (absent, _) = (client.response(), client.response());
    assert_eq!(absent.status, 404);
    let lines = json_lines(&path, 3);
    let requests: Vec<(Option<u64>, Option<&str>)> =
        lines.iter().map(|line| (line["request"].as_u64(), line["target"].as_str())).collect();
    assert_eq!(
        requests,
        [(Some(1), Some("/?format=json")), (Some(2), Some("/absent")), (Some(3), Some("/?format=json"))]
    );
    assert!(lines.iter().all(|line| line["connection"] == 0 && line["client"] == "127.0.0.1"), "{lines:?}");
    let framed = lines[0]["bytes_sent"].as_u64().unwrap();
    assert!(framed > listed.content.len() as u64 && framed < listed.content.len() as u64 + 100, "{framed}");
}

#[test]
fn after_a_rotation_sighup_opens_the_file_anew() {
    let scratch = Scratch::new();
    let mut server = scratch.server("log", "combined");
    let (log, rotated) = (scratch.path("log"), scratch.path("log.1"));
    server.get("/echo/before");
    wait_until("a line", || read(&log).contains("/echo/before"));
    fs::rename(&log, &rotated).expect("a file that can be moved");
    server.get("/echo/still-in-the-old-file");
    wait_until("a line in the moved file", || read(&rotated).lines().count() == 2);
    server.signal(Signal::HUP);
    wait_until("a new file", || log.exists());
    server.get("/echo/after");
    wait_until("a line in the new file", || read(&log).lines().count() == 1);
    assert!(read(&log).contains("/echo/after") && !read(&rotated).contains("/echo/after"));
    // A file that cannot be opened: the server continues with the old one.
    fs::rename(&log, scratch.path("log.2")).unwrap();
    fs::create_dir(&log).unwrap();
    server.signal(Signal::HUP);
    wait_until("a warning", || server.stderr().contains("cannot be opened anew"));
    server.get("/echo/again");
    wait_until("a line in the old file", || read(&scratch.path("log.2")).contains("/echo/again"));
    assert!(server.is_running());
}

#[test]
fn without_an_access_log_sighup_does_nothing() {
    let mut server = Start::new().options(["-v"]).start();
    for _ in 0..3 {
        server.signal(Signal::HUP);
        assert_eq!(server.get("/echo/abc").text(), "abc");
    }
    assert!(server.is_running());
}

#[test]
fn a_pipe_that_nobody_empties_loses_whole_lines_that_are_counted() {
    let scratch = Scratch::new();
    let pipe = scratch.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let mut server = scratch.server("pipe", "combined");
    let mut client = server.connect();
    let long = "x".repeat(8000);
    let requests = 100;
    for number in 0..requests {
        let response = client.exchange(&format!("GET /{number} HTTP/1.1\r\nHost: a\r\nUser-Agent: {long}\r\n\r\n"));
        assert_eq!(response.status, 404, "the server continues");
    }
    // A read that waits could wait for ever: the server may report the loss after the last byte.
    let nonblocking = OFlags::NONBLOCK.bits() as i32;
    let mut reader = OpenOptions::new().read(true).custom_flags(nonblocking).open(&pipe).expect("a pipe");
    let mut received = Vec::new();
    let mut empty_pipe = || {
        let error = reader.read_to_end(&mut received).expect_err("the server has the pipe open");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        received.iter().filter(|byte| **byte == b'\n').count()
    };
    wait_until("the number of lost lines", || {
        empty_pipe();
        server.stderr().contains("has lost")
    });
    let last = empty_pipe();
    let message = server.stderr();
    let lost: usize = message.trim_end().rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a count");
    assert_eq!(last + lost, requests, "{message}");
    let text = String::from_utf8(received).expect("text");
    assert!(text.lines().all(|line| line.starts_with("127.0.0.1 - - [") && line.ends_with("x\"")), "whole lines");
    drop(client);
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn sighup_tears_no_line_of_a_pipe() {
    let scratch = Scratch::new();
    let pipe = scratch.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let options = ["--access-log", pipe.to_str().unwrap(), "--log-format", "combined"];
    let server = Start::new().options(options).start();
    let mut client = server.connect();
    // More lines than the pipe has room for. Each is longer than what it takes whole or not at all, and no page of its
    // room ends with one, so that the last one is written in part.
    let long = "x".repeat(9000);
    for number in 0..12 {
        client.exchange(&format!("GET /{number} HTTP/1.1\r\nHost: a\r\nUser-Agent: {long}\r\n\r\n"));
    }
    server.signal(Signal::HUP);
    wait_until("the signal", || server.stderr().contains("SIGHUP: the access log was opened anew\n"));
    client.exchange("GET /last HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\n\r\n");
    let mut reader = File::open(&pipe).expect("a pipe");
    let (mut received, mut space) = (String::new(), vec![0; 65_536]);
    // Ends: the server keeps what the pipe has no room for.
    while !(received.contains("GET /last") && received.ends_with('\n')) {
        let bytes = reader.read(&mut space).expect("a pipe that can be read");
        received += std::str::from_utf8(&space[..bytes]).expect("text");
    }
    assert!(received.lines().all(|line| line.starts_with("127.0.0.1 - - [") && line.ends_with("x\"")), "whole lines");
    assert_eq!(received.lines().count(), 13);
}

#[test]
fn a_full_disk_does_not_affect_responses() {
    let mut server = Start::new().options(["--access-log", "/dev/full"]).start();
    let mut client = server.connect();
    for round in 0..100 {
        assert_eq!(client.get(&format!("/echo/{round}")).text(), round.to_string());
    }
    drop(client);
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    let log = server.stderr();
    assert!(log.contains("the access log cannot be written: No space left on device"), "{log}");
    assert!(log.contains("could not be written: 100"), "{log}");
}

#[test]
fn a_log_that_cannot_be_opened_is_an_error_at_start() {
    let ended = Start::new().options(["--access-log", "/no/such/directory/log"]).run_to_exit();
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("cannot open the access log \"/no/such/directory/log\""), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

#[test]
fn on_standard_output_there_is_nothing_but_the_log() {
    let scratch = Scratch::new();
    let files = [scratch.path("out"), scratch.path("err")];
    let [out, err] = files.clone().map(|path| File::create(path).expect("a file"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_spindle"));
    command.args(["--port", "0", "--access-log", "-", "--log-format", "json"]).stdout(out).stderr(err);
    let mut child = command.spawn().expect("the server as a process");
    wait_until("the addresses on standard error", || read(&files[1]).contains("Listening on http://127.0.0.1:"));
    let banner = read(&files[1]);
    let (_, address) = banner.split_once("http://127.0.0.1:").unwrap();
    let port: u16 = address.split(['\n', '/']).next().unwrap().parse().expect("a port");
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    assert_eq!(client.get("/echo/abc").text(), "abc");
    assert_eq!(json_lines(&files[0], 1)[0]["target"], "/echo/abc");
    // The process may have exited already.
    let _ = child.kill();
    let _ = child.wait();
}

#[test]
fn the_messages_of_the_server_can_be_json() {
    let mut server = Start::new().options(["--access-log", "/dev/full", "--log-format", "json"]).start();
    server.get("/echo/abc");
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    let log = server.stderr();
    assert!(log.lines().count() >= 2, "{log}");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(line["level"], "WARN");
        assert!(line["message"].is_string() && line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
    }
}

#[test]
fn at_the_limit_on_the_size_of_files_lines_are_lost_and_the_server_goes_on() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let options = ["--access-log", log.to_str().unwrap()];
    // 4 or 8 KiB, as the shell counts.
    let limited = ["sh", "-c", r#"ulimit -f 8 && exec "$@""#, "sh"];
    let server = Start::new().directory().options(options).wrapped_by(limited).start();
    let mut client = server.connect();
    for _ in 0..200 {
        assert_eq!(client.get("/").status, 200);
    }
    let length = || fs::metadata(&log).expect("the log").len();
    wait_until("a log that is as long as it may be", || length() >= 4096);
    // The next line cannot be written.
    for _ in 0..200 {
        assert_eq!(client.get("/").status, 200);
    }
    assert!(length() <= 8192, "{}", length());
    server.stop();
}
