//! `scripts/put.sh`, through a network that cuts connections, with the real curl and each shell that is installed.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::SystemTime;

use spindle::semantics::link::{Link, LinkKeys, LinkRight, SECRET_BYTES, key_line};

use crate::harness::{Server, Start, noise};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/put.sh");

/// What a proxy does with a connection.
#[derive(Clone, Copy)]
enum Cut {
    /// It passes everything on.
    Never,
    /// It closes the connection after so many bytes from the client.
    AfterSent(usize),
    /// It closes the connection before the first byte from the server.
    BeforeResponse,
}

/// Passes bytes on to `server`. It cuts each connection as `cuts` says, the last element again and again.
struct Proxy {
    address: SocketAddr,
    server: Arc<Mutex<SocketAddr>>,
    cuts: Arc<Mutex<Vec<Cut>>>,
    accepted: Arc<AtomicUsize>,
}

impl Proxy {
    fn start(server: SocketAddr, cuts: &[Cut]) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(Mutex::new(server));
        let cuts = Arc::new(Mutex::new(cuts.to_vec()));
        let accepted = Arc::new(AtomicUsize::new(0));
        let proxy = Proxy { address, server: server.clone(), cuts: cuts.clone(), accepted: accepted.clone() };
        // The thread ends with the process: a proxy does not know when its clients are done.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                accepted.fetch_add(1, Ordering::Relaxed);
                let cut = {
                    let mut cuts = cuts.lock().unwrap();
                    if cuts.len() > 1 { cuts.remove(0) } else { cuts[0] }
                };
                let address = *server.lock().unwrap();
                let Ok(server) = TcpStream::connect(address) else { continue };
                let (from_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || pass_responses_on(from_server, to_client, cut));
                thread::spawn(move || pass_requests_on(client, server, cut));
            }
        });
        proxy
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Changes what happens to the connections that follow.
    fn cut(&self, cuts: &[Cut]) {
        *self.cuts.lock().unwrap() = cuts.to_vec();
    }
}

fn pass_responses_on(mut server: TcpStream, mut client: TcpStream, cut: Cut) {
    if let Cut::BeforeResponse = cut {
        // The server has responded. A peer that ends the connection reads nothing.
        let _ = server.read(&mut [0]);
        let _ = client.shutdown(Shutdown::Both);
    } else {
        let _ = std::io::copy(&mut server, &mut client);
        let _ = client.shutdown(Shutdown::Write);
    }
}

fn pass_requests_on(mut client: TcpStream, mut server: TcpStream, cut: Cut) {
    let mut left = if let Cut::AfterSent(bytes) = cut { bytes } else { usize::MAX };
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

/// Responds to the first request of each connection with `responses`, in this order, and then closes it. The URL of it.
fn fake_server(responses: Vec<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (response, mut client) in responses.into_iter().zip(listener.incoming().flatten()) {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && matches!(client.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            // If it were left unread, closing the connection could discard the response.
            let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let _ = client.read_exact(&mut vec![0; length.unwrap_or(0)]);
            let _ = client.write_all(response.as_bytes());
        }
    });
    format!("http://{address}/")
}

fn put_with(shell: &[&str], home: &Path, file: &Path, url: &str) -> Output {
    let mut command = Command::new(shell[0]);
    command
        .args(&shell[1..])
        .arg(SCRIPT)
        .arg(file.file_name().unwrap())
        .arg(url)
        .current_dir(file.parent().unwrap())
        .env("XDG_STATE_HOME", home)
        .env("PUT_PAUSE", "0.05")
        .env("PUT_ATTEMPTS", "8");
    command.output().expect("sh and curl")
}

fn put(home: &Path, file: &Path, url: &str) -> Output {
    put_with(&["sh"], home, file, url)
}

/// The shell of the system (dash on Debian), that of small systems, and that of macOS, if they are installed.
fn shells() -> impl Iterator<Item = &'static [&'static str]> {
    let all: [&[&str]; 3] = [&["sh"], &["busybox", "sh"], &["bash", "--posix"]];
    all.into_iter().filter(|shell| Command::new(shell[0]).args(&shell[1..]).args(["-c", "true"]).output().is_ok())
}

fn file_with(directory: &tempfile::TempDir, content: &[u8]) -> std::path::PathBuf {
    let path = directory.path().join("some file");
    std::fs::write(&path, content).unwrap();
    path
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stored(output: &Output) -> bool {
    output.status.success() && said(output).contains("Stored")
}

#[test]
fn the_script_continues_after_each_cut() {
    let server = Server::with_directory();
    let directory = tempfile::tempdir().unwrap();
    let content = noise(3_000_000, 5);
    let file = file_with(&directory, &content);
    for shell in shells() {
        let cuts = [10, usize::MAX, usize::MAX, 900_000, usize::MAX, 500_000, usize::MAX, 1_000_000, usize::MAX, 300]
            .map(Cut::AfterSent);
        let proxy = Proxy::start(server.addresses[0], &[&cuts[..], &[Cut::Never]].concat());
        let output = put_with(shell, directory.path(), &file, &proxy.url("/files/"));
        assert!(stored(&output), "{shell:?}: {output:?}");
        assert!(proxy.accepted.load(Ordering::Relaxed) > cuts.len(), "every cut happened");
        assert!(server.content_of("some file").unwrap() == content);
        std::fs::remove_file(server.directory().join("some file")).unwrap();
    }
}

#[test]
fn the_script_continues_when_it_is_started_again() {
    let server = Server::with_directory();
    let directory = tempfile::tempdir().unwrap();
    let content = noise(2_000_000, 6);
    let file = file_with(&directory, &content);
    // After two requests nothing passes any more, but for a part of the third.
    let proxy =
        Proxy::start(server.addresses[0], &[Cut::Never, Cut::Never, Cut::AfterSent(1_000_000), Cut::AfterSent(0)]);
    let output = put(directory.path(), &file, &proxy.url("/files/name"));
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    proxy.cut(&[Cut::Never]);
    let output = put(directory.path(), &file, &proxy.url("/files/name"));
    assert!(stored(&output), "{output:?}");
    assert!(said(&output).contains("from byte ") && !said(&output).contains("from byte 0 of"), "{output:?}");
    assert!(server.content_of("name").unwrap() == content);
    assert_eq!(std::fs::read_dir(directory.path().join("spindle-put")).unwrap().count(), 0, "it remembers nothing");
}

/// Starts a server that shares a new folder with a file `in/there`. Returns it with the path of a link that lets others
/// create files in `in`.
fn with_link(directory: &Path, lifetime_s: u64) -> (Server, String) {
    let key = directory.join("key");
    let line = key_line(&[7; SECRET_BYTES]);
    std::fs::write(&key, &line).unwrap();
    let server = Start::new().folder().options(["--link-key", key.to_str().unwrap()]).start();
    std::fs::create_dir(server.directory().join("in")).unwrap();
    server.write_file("in/there", b"there");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let right = LinkRight::Create { bytes_max: Some(5_000_000) };
    let link = Link { right, segments: 1, expires_unix_s: now + lifetime_s, id: 7 };
    let signed = LinkKeys::parse(line.as_bytes()).unwrap().sign(link, b"/in/");
    (server, format!("/.spindle/link/{signed}/in/"))
}

#[test]
fn the_script_continues_under_a_link_also_when_it_is_started_again() {
    let directory = tempfile::tempdir().unwrap();
    let (server, link) = with_link(directory.path(), 600);
    let content = noise(2_000_000, 8);
    let file = file_with(&directory, &content);
    let proxy = Proxy::start(
        server.addresses[0],
        &[Cut::Never, Cut::Never, Cut::AfterSent(900_000), Cut::Never, Cut::AfterSent(300_000), Cut::AfterSent(0)],
    );
    let output = put(directory.path(), &file, &proxy.url(&link));
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    proxy.cut(&[Cut::Never]);
    let output = put(directory.path(), &file, &proxy.url(&link));
    assert!(stored(&output), "{output:?}");
    assert!(said(&output).contains("from byte ") && !said(&output).contains("from byte 0 of"), "{output:?}");
    assert!(server.content_of("in/some file").unwrap() == content);
    // Whoever reads the output of the script over somebody's shoulder does not get the link.
    let signature = &link[link.len() - 64 - "/in/".len()..link.len() - "/in/".len()];
    assert!(!said(&output).contains(signature), "{output:?}");
}

#[test]
fn the_script_says_what_a_link_refuses() {
    let directory = tempfile::tempdir().unwrap();
    let (server, link) = with_link(directory.path(), 600);
    let file = file_with(&directory, &noise(1000, 9));
    let url = |path: &str| format!("http://{}{path}", server.addresses[0]);
    let long = directory.path().join("long");
    std::fs::write(&long, vec![0; 5_000_001]).unwrap();
    let (expired_server, expired) = with_link(directory.path(), 0);
    for (file, url, reason) in [
        (&file, url(&format!("{link}there")), "status 409: "),
        (&long, url(&link), "status 413: "),
        (&file, url(&link.replace("create.1.", "create.0.")), "status 403: This link is not valid"),
        (&file, format!("http://{}{expired}", expired_server.addresses[0]), "status 403: This link has expired."),
    ] {
        let output = put(directory.path(), file, &url);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said(&output).contains(reason), "{reason} {output:?}");
    }
    assert_eq!(server.content_of("in/there").unwrap(), b"there");
}

#[test]
fn the_script_begins_again_if_the_file_has_changed_since_the_last_run() {
    let server = Server::with_directory();
    let directory = tempfile::tempdir().unwrap();
    let file = file_with(&directory, &noise(2_000_000, 6));
    let proxy =
        Proxy::start(server.addresses[0], &[Cut::Never, Cut::Never, Cut::AfterSent(1_000_000), Cut::AfterSent(0)]);
    assert_eq!(put(directory.path(), &file, &proxy.url("/files/name")).status.code(), Some(3));
    // Of the same length, in the same minute.
    let content = noise(2_000_000, 7);
    std::fs::write(&file, &content).unwrap();
    proxy.cut(&[Cut::Never]);
    let output = put(directory.path(), &file, &proxy.url("/files/name"));
    assert!(stored(&output) && said(&output).contains("from byte 0 of"), "{output:?}");
    assert!(server.content_of("name").unwrap() == content);
}

#[test]
fn the_script_finds_out_what_the_lost_last_response_was() {
    let server = Server::with_directory();
    let directory = tempfile::tempdir().unwrap();
    let content = noise(300_000, 8);
    let file = file_with(&directory, &content);
    let proxy = Proxy::start(server.addresses[0], &[Cut::Never, Cut::Never, Cut::BeforeResponse, Cut::Never]);
    let output = put(directory.path(), &file, &proxy.url("/files/name"));
    assert!(stored(&output) && said(&output).contains("Interrupted"), "{output:?}");
    assert!(server.content_of("name").unwrap() == content);
    // OPTIONS, PUT, PATCH, HEAD and PATCH: nothing was sent twice.
    assert_eq!(proxy.accepted.load(Ordering::Relaxed), 5);
    // If the last response says that the file was refused, so does the script.
    let file = file_with(&directory, b"another");
    let create = Start::new().directory().options(["--uploads", "create"]).start();
    let proxy = Proxy::start(create.addresses[0], &[Cut::Never, Cut::Never, Cut::AfterSent(0)]);
    assert_eq!(put(directory.path(), &file, &proxy.url("/files/name")).status.code(), Some(3));
    std::fs::write(create.directory().join("name"), "taken").unwrap();
    proxy.cut(&[Cut::Never, Cut::BeforeResponse, Cut::Never]);
    let output = put(directory.path(), &file, &proxy.url("/files/name"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains("409: There is a file of this name"), "{output:?}");
}

#[test]
fn the_script_sends_pieces_if_a_proxy_passes_only_whole_requests_on() {
    let server = Server::with_directory();
    let directory = tempfile::tempdir().unwrap();
    let content = noise(6_000_000, 9);
    let file = file_with(&directory, &content);
    // Nothing arrives of a request with content, except that the pieces are short enough.
    let proxy = Proxy::start(
        server.addresses[0],
        &[
            Cut::Never,
            Cut::Never,
            Cut::AfterSent(0),
            Cut::Never,
            Cut::AfterSent(0),
            Cut::Never,
            Cut::AfterSent(0),
            Cut::Never,
        ],
    );
    let output = put(directory.path(), &file, &proxy.url("/files/name"));
    assert!(stored(&output), "{output:?}");
    assert!(said(&output).contains("from byte 4194304 of 6000000"), "{output:?}");
    assert!(server.content_of("name").unwrap() == content);
}

#[test]
fn the_script_stores_an_empty_file() {
    let server = Server::with_directory();
    let directory = tempfile::tempdir().unwrap();
    let file = file_with(&directory, b"");
    for shell in shells() {
        let output = put_with(shell, directory.path(), &file, &format!("http://{}/files/", server.addresses[0]));
        assert!(stored(&output), "{shell:?}: {output:?}");
        assert_eq!(server.content_of("some file").unwrap(), b"");
        std::fs::remove_file(server.directory().join("some file")).unwrap();
    }
}

#[test]
fn the_script_says_the_name_in_the_url_and_not_that_it_can_be_read_there() {
    let server = Server::with_directory();
    let directory = tempfile::tempdir().unwrap();
    let file = file_with(&directory, b"content");
    let url = format!("http://{}/files/other%20name", server.addresses[0]);
    let output = put(directory.path(), &file, &url);
    assert!(said(&output).ends_with("Stored as other%20name\n"), "{output:?}");
    assert!(!said(&output).contains("http://"), "{output:?}");
    assert_eq!(server.content_of("other name").unwrap(), b"content");
}

#[test]
fn the_script_takes_any_name_of_a_file() {
    let server = Server::with_directory();
    let directory = tempfile::tempdir().unwrap();
    let names: [&[u8]; 14] = [
        b"-rf",
        b"--help",
        b"-",
        b"100% a%20b",
        b"number #1?",
        "\u{fc}ml\u{e4}ut \u{2260} \u{6f22}".as_bytes(),
        b"{a,b}[1-3]",
        b"back\\slash",
        b"$(touch x)`touch y`",
        b"it's \"quoted\"",
        b"a;b&c=d+e",
        b"\xff\xfe",
        b" begins and ends ",
        b"*",
    ];
    // Each name with one of the shells, since a run takes a while.
    let shells: Vec<_> = shells().collect();
    for (name, shell) in names.into_iter().zip(shells.into_iter().cycle()) {
        let name = std::ffi::OsStr::from_bytes(name);
        let content = noise(1000, 10);
        std::fs::write(directory.path().join(name), &content).unwrap();
        let url = format!("http://{}/files/", server.addresses[0]);
        let output = put_with(shell, directory.path(), &directory.path().join(name), &url);
        assert!(stored(&output), "{shell:?} {name:?}: {output:?}");
        let last_line = [b"Stored as ", name.as_bytes(), b"\n"].concat();
        assert!(output.stderr.ends_with(&last_line), "{shell:?} {name:?}: {output:?}");
        assert!(std::fs::read(server.directory().join(name)).unwrap() == content, "{shell:?} {name:?}");
    }
}

#[test]
fn the_script_does_not_believe_what_no_server_of_uploads_would_say() {
    let directory = tempfile::tempdir().unwrap();
    let file = file_with(&directory, b"content");
    let options = "HTTP/1.1 204 No Content\r\nUpload-Limit: max-age=60\r\nConnection: close\r\n\r\n";
    let created = "HTTP/1.1 201 Created\r\nLocation: /here\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    // Between this machine and the server, something claims to have taken the content.
    let portal = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let output = put(directory.path(), &file, &fake_server(vec![options, created, portal, portal]));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains("does not say how far"), "{output:?}");
    // The digest of what was stored is another one.
    let other = "HTTP/1.1 201 Created\r\nUpload-Complete: ?1\r\nRepr-Digest: \
        sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let output = put(directory.path(), &file, &fake_server(vec![options, created, other]));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains("stored something else"), "{output:?}");
    // curl would write to a local file, or take the location as an option.
    let target = directory.path().join("target");
    for location in [format!("file://{}", target.display()), format!("-o{}", target.display()), String::new()] {
        let created =
            format!("HTTP/1.1 201 Created\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let output = put(directory.path(), &file, &fake_server(vec![options, created.leak()]));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said(&output).contains("does not say where"), "{output:?}");
        assert!(!target.exists());
    }
}

#[test]
fn the_script_tries_again_if_the_server_is_too_slow_or_busy() {
    let directory = tempfile::tempdir().unwrap();
    let file = file_with(&directory, b"content");
    let created = "HTTP/1.1 201 Created\r\nLocation: /here\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let responses = vec![
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nUpload-Limit: max-age=60\r\nConnection: close\r\n\r\n",
        created,
        "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        // The names of fields as HAProxy writes them.
        "HTTP/1.1 204 No Content\r\nupload-offset: 3\r\nupload-complete: ?0\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 201 Created\r\nupload-complete: ?1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    ];
    let output = put(directory.path(), &file, &fake_server(responses));
    assert!(stored(&output) && said(&output).contains("from byte 3 of 7"), "{output:?}");
}

/// Another attempt would fail in the same way, and there would be thirty of them.
#[test]
fn the_script_refuses_a_url_without_a_server_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = file_with(&directory, b"content");
    for url in ["/", "", "http://", "http:///name"] {
        let output = put(directory.path(), &file, url);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(said(&output).contains("names no server"), "{output:?}");
    }
}

#[test]
fn the_script_uploads_plainly_to_a_server_without_resumable_uploads() {
    let directory = tempfile::tempdir().unwrap();
    let file = file_with(&directory, b"content");
    let options = "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let created = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let output = put(directory.path(), &file, &fake_server(vec![options, created]));
    assert!(stored(&output), "{output:?}");
    let full = "HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 8\r\nConnection: close\r\n\r\nno room\n";
    let output = put(directory.path(), &file, &fake_server(vec![options, full]));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains("507: no room"), "{output:?}");
}

#[test]
fn the_script_continues_after_the_server_restarts() {
    let (root, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let start = || Start::new().directory_at(root.path()).start();
    let content = noise(2_000_000, 11);
    let file = file_with(&directory, &content);
    // Dropping a server kills it.
    let server = start();
    let proxy =
        Proxy::start(server.addresses[0], &[Cut::Never, Cut::Never, Cut::AfterSent(1_000_000), Cut::AfterSent(0)]);
    let url = proxy.url("/files/name");
    assert_eq!(put(directory.path(), &file, &url).status.code(), Some(3));
    drop(server);
    let server = start();
    *proxy.server.lock().unwrap() = server.addresses[0];
    proxy.cut(&[Cut::Never]);
    let output = put(directory.path(), &file, &url);
    assert!(stored(&output) && !said(&output).contains("from byte 0 of"), "{output:?}");
    assert!(std::fs::read(root.path().join("name")).unwrap() == content);
    // An upload of which the server knows nothing begins again.
    proxy.cut(&[Cut::Never, Cut::Never, Cut::AfterSent(1_000_000), Cut::AfterSent(0)]);
    assert_eq!(put(directory.path(), &file, &url).status.code(), Some(3));
    let other = Server::with_directory();
    *proxy.server.lock().unwrap() = other.addresses[0];
    proxy.cut(&[Cut::Never]);
    let output = put(directory.path(), &file, &url);
    assert!(stored(&output) && said(&output).contains("begins again"), "{output:?}");
    assert!(other.content_of("name").unwrap() == content);
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
