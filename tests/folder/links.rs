//! Signed links (`--link-key`): each lets others do one thing until it expires.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::SystemTime;

use rustix::process::Signal;
use spindle::semantics::link::{KeySource as _, Link, LinkKeys, LinkRight};
use spindle::system::key_file::KeyFile;
use tempfile::TempDir;

use crate::harness::{Response, Server, Start, wait_until};
use crate::support::ask;

const READ: LinkRight = LinkRight::Read;
const CREATE: LinkRight = LinkRight::Create { bytes_max: None };

/// A server with a key file, and a directory for the files of a test.
struct Linked {
    server: Server,
    scratch: TempDir,
}

fn spindle(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spindle")).args(arguments).output().unwrap()
}

impl Linked {
    fn start(options: &[&str], names: &[&str]) -> Linked {
        let scratch = tempfile::tempdir().unwrap();
        let key = scratch.path().join("key");
        let key = key.to_str().unwrap();
        let made = spindle(&["link", "--new-key", key]);
        assert!(made.status.success(), "{made:?}");
        let log = scratch.path().join("log");
        let options = [&["--link-key", key, "--access-log", log.to_str().unwrap()], options].concat();
        let server = Start::new().folder().options(options).start();
        for name in names {
            let path = server.directory().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name.as_bytes()).unwrap();
        }
        Linked { server, scratch }
    }

    fn key(&self) -> PathBuf {
        self.scratch.path().join("key")
    }

    fn keys(&self) -> LinkKeys {
        KeyFile::new(&self.key()).read().unwrap()
    }

    /// The target that a link for this decoded path makes, without the path: it is valid for so many seconds.
    fn sign(&self, right: LinkRight, path: &str, lifetime_s: i64) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let segments = path.split('/').filter(|segment| !segment.is_empty()).count();
        let link = Link { right, segments, expires_unix_s: now.saturating_add_signed(lifetime_s), id: 7 };
        format!("/.spindle/link/{}", self.keys().sign(link, path.as_bytes()))
    }

    /// The target of a link, for which nothing has to be encoded.
    fn link(&self, right: LinkRight, path: &str) -> String {
        self.sign(right, path, 600) + path
    }

    fn get(&self, target: &str) -> Response {
        ask(&self.server, "GET", target, &[])
    }

    fn store(&self, method: &str, target: &str, fields: &[&str], content: &[u8]) -> Response {
        let port = self.server.port();
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost:{port}\r\n");
        fields.iter().for_each(|field| head += &format!("{field}\r\n"));
        let mut client = self.server.connect();
        client.send(format!("{head}Content-Length: {}\r\n\r\n", content.len()));
        client.try_send(content).ok();
        client.response()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.scratch.path().join("log")).unwrap()
    }
}

/// The fields of a request that adds three bytes to three, and is not the last.
const APPEND: &str = "Content-Type: application/partial-upload\r\nUpload-Complete: ?0\r\nUpload-Offset: 3\r\n";

const INVALID: &str = "This link is not valid: it is incomplete or was changed, or its key was replaced.\n";
const EXPIRED: &str = "This link has expired.\n";

#[test]
fn the_command_makes_a_link_that_the_server_accepts() {
    let linked = Linked::start(&[], &["in box/a.txt"]);
    let key = linked.key();
    let url = format!("http://localhost:{}/in box/", linked.server.port());
    let made = spindle(&["link", "--key", key.to_str().unwrap(), "--create", "--expires", "2d", "--max", "1K", &url]);
    let made = String::from_utf8(made.stdout).unwrap();
    let target = made.trim_end().strip_prefix(&format!("http://localhost:{}", linked.server.port())).unwrap();
    assert!(target.starts_with("/.spindle/link/create.1.") && target.ends_with("/in%20box/"), "{target}");
    assert_eq!(linked.get(target).status, 200);
    assert_eq!(linked.store("PUT", &format!("{target}b.txt"), &[], b"content").status, 201);
    assert_eq!(linked.server.content_of("in box/b.txt").unwrap(), b"content");
    // Another link for the same folder differs, so that the log tells them apart.
    let other = spindle(&["link", "--key", key.to_str().unwrap(), "--create", "--expires", "2d", &url]);
    assert_ne!(String::from_utf8(other.stdout).unwrap(), made);
}

#[test]
fn errors_of_the_command_have_their_exit_codes() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("key");
    let key = path.to_str().unwrap();
    let exists = format!("spindle: the key file {key:?} exists already, and is never replaced\n");
    for (arguments, code, named) in [
        (&["link", "--new-key", key][..], 0, ""),
        (&["link", "--new-key", key], 1, &exists),
        (&["link", "--new-key", "/nowhere/key"], 1, "cannot write the key file \"/nowhere/key\": No such file"),
        (&["link", "--key", "/nowhere/key", "--read", "--expires", "1h", "http://h/"], 1, "cannot read the key file"),
        (&["link", "--key", key, "--read", "http://h/"], 2, "link needs --expires TIME"),
        (&["link"], 2, "or --new-key FILE\nspindle: link --help lists the options\n"),
        (&["link", "--help"], 0, ""),
    ] {
        let output = spindle(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(named), "{arguments:?}: {stderr}");
        let secret = fs::read_to_string(&path).unwrap();
        assert!(!stderr.contains(secret.trim_end()));
    }
}

#[test]
fn the_banner_says_that_links_are_accepted() {
    for (options, rights) in [
        (&[][..], "others may read; links are accepted."),
        (&["--uploads", "create"], "others may read, and add files; links are accepted."),
        (&["--no-list"], "others may do nothing; links are accepted."),
    ] {
        let linked = Linked::start(options, &[]);
        let first = linked.server.banner.lines().next().unwrap();
        assert!(first.ends_with(&format!("/served: {rights}")), "{first}");
    }
}

#[test]
fn a_link_to_a_file_reads_this_file_alone() {
    let linked = Linked::start(&[], &["a/b.txt", "a/c.txt"]);
    let link = linked.link(READ, "/a/b.txt");
    let whole = linked.get(&link);
    assert_eq!((whole.status, whole.text()), (200, "a/b.txt"));
    assert_eq!(whole.field("Referrer-Policy"), Some("no-referrer"));
    assert_eq!(whole.field("Cache-Control"), Some("no-cache"));
    let head = ask(&linked.server, "HEAD", &link, &[]);
    assert_eq!((head.status, head.field("Content-Length")), (200, Some("7")));
    let part = ask(&linked.server, "GET", &link, &["Range: bytes=2-"]);
    assert_eq!((part.status, part.text()), (206, "b.txt"));
    let tag = format!("If-None-Match: {}", whole.field("ETag").unwrap());
    assert_eq!(ask(&linked.server, "GET", &link, &[&tag]).status, 304);
    assert_eq!(
        linked.get(&format!("{link}?download")).field("Content-Disposition").unwrap(),
        "attachment; filename=\"b.txt\""
    );
    let signed = linked.sign(READ, "/a/b.txt", 600);
    for path in ["/a/c.txt", "/a/", "/", "/a/b.txt/", "/a/b.txt/../c.txt", "/b.txt", ""] {
        let refused = linked.get(&format!("{signed}{path}"));
        assert_eq!((refused.status, refused.text()), (403, INVALID), "{path}");
    }
    // Each encoding of the path is the same path.
    for path in ["/a/%62.txt", "/./a/./b.txt", "/%61/b%2Etxt"] {
        assert_eq!(linked.get(&format!("{signed}{path}")).status, 200, "{path}");
    }
}

#[test]
fn a_link_for_a_file_that_leads_to_a_folder_says_that_a_slash_is_missing() {
    let linked = Linked::start(&[], &["a/b.txt"]);
    let refused = linked.get(&linked.link(READ, "/a"));
    assert_eq!(refused.status, 404);
    assert!(refused.text().contains("a link for a folder ends in a slash"), "{}", refused.text());
}

#[test]
fn a_link_to_a_folder_reads_everything_beneath_and_links_stay_under_it() {
    let linked = Linked::start(&[], &["a/b/c.txt", "a/b/d/e.txt", "a/f.txt"]);
    let signed = linked.sign(READ, "/a/b/", 600);
    let page = linked.get(&format!("{signed}/a/b/?sort=size&order=desc"));
    assert_eq!(page.status, 200);
    let text = page.text();
    // All links are relative, and none leads out of the folder.
    assert!(text.contains("href=\"c.txt\"") && text.contains("href=\"d/\"") && text.contains("href=\"?archive=tar\""));
    assert!(!text.contains("../") && !text.contains(&signed[60..]), "{text}");
    assert_eq!(linked.get(&format!("{signed}/a/b/d/")).text().matches("href=\"../\"").count(), 2);
    assert!(linked.get(&format!("{signed}/a/b/?format=json")).text().contains("\"href\":\"d/\""));
    assert_eq!(linked.get(&format!("{signed}/a/b/d/e.txt")).text(), "a/b/d/e.txt");
    let archive = linked.get(&format!("{signed}/a/b/?archive=tar"));
    assert!(archive.status == 200 && archive.content.windows(7).any(|window| window == b"d/e.txt"));
    let redirect = linked.get(&format!("{signed}/a/b/d"));
    assert_eq!((redirect.status, redirect.field("Location")), (301, Some("./d/")));
    for path in ["/a/", "/a/f.txt", "/", "/a/b", "/a/bb/", "/a/b/../f.txt", "/a/b/%2e%2e/f.txt", "/.spindle/put"] {
        assert_eq!(linked.get(&format!("{signed}{path}")).status, 403, "{path}");
    }
    for (method, status) in
        [("PUT", 403), ("POST", 403), ("PATCH", 403), ("DELETE", 405), ("MKCOL", 405), ("MOVE", 405)]
    {
        let fields = ["Destination: /a/b/x"];
        assert_eq!(linked.store(method, &format!("{signed}/a/b/c.txt"), &fields, b"").status, status, "{method}");
    }
    assert_eq!(linked.server.file_names(), ["a"]);
}

#[test]
fn a_link_to_create_adds_files_and_shows_and_replaces_none() {
    let linked = Linked::start(&["--max-upload", "2K"], &["in/secret.txt", "in/sub/secret.txt", "other.txt"]);
    let signed = linked.sign(LinkRight::Create { bytes_max: Some(1000) }, "/in/", 600);
    let page = ask(&linked.server, "GET", &format!("{signed}/in/"), &["Accept: text/html"]);
    let text = page.text();
    assert!(page.status == 200 && text.contains("data-bytes-max=\"1000\"") && text.contains("This link works until "));
    assert!(!text.contains("secret") && !text.contains("data-may-replace") && !text.contains(&signed[60..]));
    for path in ["/in/secret.txt", "/in/absent.txt", "/in/sub/", "/in/absent/", "/in/?archive=tar", "/in/?format=json"]
    {
        assert_eq!(linked.get(&format!("{signed}{path}")).status, 403, "{path}");
    }
    for path in ["/", "/other.txt", "/in", "/.spindle/uploads/00000000000000000000000000000000/in/a"] {
        let refused = linked.get(&format!("{signed}{path}"));
        assert_eq!((refused.status, refused.text()), (403, INVALID), "{path}");
    }
    let put = |path: &str, content: &[u8]| linked.store("PUT", &format!("{signed}{path}"), &[], content).status;
    assert_eq!(put("/in/new.txt", b"new"), 201);
    assert_eq!(put("/in/folder/new.txt", b"new"), 201);
    assert_eq!(put("/in/new.txt", b"newer"), 409);
    assert_eq!(put("/in/secret.txt", b""), 409);
    assert_eq!(put("/other", b""), 403);
    assert_eq!(put("/in/long", &[0; 1001]), 413);
    assert_eq!(put("/in/just", &[0; 1000]), 201);
    let form = b"--b\r\nContent-Disposition: form-data; name=f; filename=\"form.txt\"\r\n\r\nx\r\n--b--\r\n";
    let fields = ["Content-Type: multipart/form-data; boundary=b", "Accept: text/html"];
    let report = linked.store("POST", &format!("{signed}/in/"), &fields, form);
    assert!(report.status == 201 && report.text().contains("<a href=\"./\">Add more files"), "{}", report.text());
    let report = linked.store("POST", &format!("{signed}/in/folder/"), &fields, form);
    assert!(report.status == 201 && report.text().contains("<a href=\"./../\">Add more files"), "{}", report.text());
    assert_eq!(linked.store("POST", &format!("{signed}/"), &fields, form).status, 403);
    for method in ["DELETE", "MKCOL", "MOVE"] {
        let fields = ["Destination: /in/moved"];
        assert_eq!(linked.store(method, &format!("{signed}/in/new.txt"), &fields, b"").status, 405, "{method}");
    }
    let options = ask(&linked.server, "OPTIONS", &format!("{signed}/in/a"), &[]);
    assert!(options.field("Upload-Limit").unwrap().starts_with("max-size=1000,"), "{}", options.head);
    assert_eq!(options.field("Allow"), Some("POST, PUT, OPTIONS"));
    assert_eq!(linked.server.content_of("in/new.txt").unwrap(), b"new");
    // Nobody can add files without the link.
    assert_eq!(linked.store("PUT", "/in/other", &[], b"").status, 403);
}

#[test]
fn an_upload_under_a_link_is_resumed_at_an_address_of_its_own() {
    let linked = Linked::start(&[], &["in/secret.txt"]);
    let signed = linked.sign(LinkRight::Create { bytes_max: Some(10) }, "/in/", 600);
    let signature = signed.rsplit('.').next().unwrap().to_owned();
    let create = ["Upload-Complete: ?0", "Upload-Length: 6", "Upload-Draft-Interop-Version: 8"];
    let mut client = linked.server.connect();
    client.send(format!(
        "PUT {signed}/in/a%20b HTTP/1.1\r\nHost: localhost\r\n{}\r\nContent-Length: 3\r\n\r\nabc",
        create.join("\r\n")
    ));
    let (interim, created) = (client.head(), client.response());
    assert_eq!((interim.status, created.status), (104, 201), "{}", created.head);
    let location = created.field("Location").unwrap();
    assert_eq!(interim.field("Location"), Some(location));
    assert!(location.starts_with("/.spindle/link/continue.") && location.ends_with("/in/a%20b"), "{location}");
    assert!(!location.contains(&signature));
    assert!(created.field("Upload-Limit").unwrap().starts_with("max-size=10,"));
    // The address works alone. Without its link, or with another one, it does not.
    let (link, resource) = location.split_at(location.find("/.spindle/uploads/").unwrap());
    assert_eq!(ask(&linked.server, "HEAD", location, &[]).field("Upload-Offset"), Some("3"));
    let append = ["Content-Type: application/partial-upload", "Upload-Complete: ?1", "Upload-Offset: 3"];
    for other in [resource.to_owned(), format!("{signed}{resource}"), location.replacen("/in/", "/im/", 1)] {
        assert_eq!(ask(&linked.server, "HEAD", &other, &[]).status, 403, "{other}");
        assert_eq!(linked.store("PATCH", &other, &append, b"def").status, 403, "{other}");
    }
    // It allows nothing else.
    for path in ["/in/a%20b", "/in/", "/in/secret.txt"] {
        assert_eq!(linked.get(&format!("{link}{path}")).status, 403, "{path}");
    }
    assert_eq!(linked.store("PUT", &format!("{link}/in/c"), &[], b"").status, 403);
    assert_eq!(linked.store("PATCH", location, &append, b"def").status, 201);
    assert_eq!(linked.server.content_of("in/a b").unwrap(), b"abcdef");
    let large = linked.store("PUT", &format!("{signed}/in/long"), &["Upload-Complete: ?0", "Upload-Length: 11"], b"");
    assert_eq!((large.status, large.field("Upload-Limit").map(|limit| &limit[..11])), (413, Some("max-size=10")));
}

#[test]
fn a_link_that_expires_ends_its_uploads_but_not_the_request_in_progress() {
    let linked = Linked::start(&[], &["in/secret.txt"]);
    let signed = linked.sign(CREATE, "/in/", 4);
    let create = ["Upload-Complete: ?0", "Upload-Length: 9"];
    let created = linked.store("PUT", &format!("{signed}/in/parts"), &create, b"abc");
    let location = created.field("Location").unwrap().to_owned();
    let mut requests = [("PUT", format!("{signed}/in/whole"), ""), ("PATCH", location.clone(), APPEND)].map(
        |(method, target, fields)| {
            let mut client = linked.server.connect();
            client.send(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}"));
            client.send("Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
            // The server has judged the link when it asks for the content.
            assert_eq!(client.head().status, 100);
            client.send("d");
            client
        },
    );
    wait_until("the end of the link", || ask(&linked.server, "OPTIONS", &format!("{signed}/in/x"), &[]).status == 403);
    let late = linked.store("PUT", &format!("{signed}/in/late"), &[], b"late");
    assert_eq!((late.status, late.text()), (403, EXPIRED));
    let statuses = requests.each_mut().map(|client| {
        client.send("ef");
        client.response().status
    });
    assert_eq!(statuses, [201, 204]);
    assert_eq!(linked.server.content_of("in/whole").unwrap(), b"def");
    // The content has arrived, and the upload is never published.
    assert_eq!(ask(&linked.server, "HEAD", &location, &[]).status, 403);
    let append = ["Content-Type: application/partial-upload", "Upload-Complete: ?1", "Upload-Offset: 6"];
    let refused = linked.store("PATCH", &location, &append, b"ghi");
    assert_eq!((refused.status, refused.text()), (403, EXPIRED));
    assert_eq!(linked.server.content_of("in/parts"), None);
}

#[test]
fn an_expired_link_says_so_and_only_to_whoever_has_it() {
    let linked = Linked::start(&[], &["a/b.txt"]);
    let expired = linked.sign(READ, "/a/", -1);
    let refused = linked.get(&format!("{expired}/a/b.txt"));
    assert_eq!((refused.status, refused.text()), (403, EXPIRED));
    assert_eq!(refused.field("Referrer-Policy"), Some("no-referrer"));
    // A changed one, and one for another path, tell nothing.
    let widened = expired.replacen("read.1.", "read.0.", 1);
    for target in [format!("{expired}0/a/"), format!("{expired}/"), format!("{widened}/a/")] {
        let refused = linked.get(&target);
        assert_eq!((refused.status, refused.text()), (403, INVALID), "{target}");
    }
}

#[test]
fn a_changed_or_widened_link_is_refused() {
    let linked = Linked::start(&[], &["a/b.txt"]);
    let read = linked.sign(READ, "/a/", 600);
    let create = linked.sign(LinkRight::Create { bytes_max: Some(10) }, "/a/", 600);
    let expires: u64 = read.split('.').nth(3).unwrap().parse().unwrap();
    let later = |link: &str| link.replacen(&expires.to_string(), &(expires + 1).to_string(), 1);
    for (target, method) in [
        (later(&read) + "/a/", "GET"),
        (read.replacen("read", "create", 1) + "/a/new", "PUT"),
        (read.replacen("read.1.", "read.0.", 1) + "/", "GET"),
        (read.replacen("read.1.", "read.2.", 1) + "/a/b.txt", "GET"),
        (create.replacen(".10.", ".11.", 1) + "/a/new", "PUT"),
        (create.replacen(".10.", ".", 1) + "/a/new", "PUT"),
        (create.replacen("create", "read", 1) + "/a/", "GET"),
        (create.replacen("create.1.", "continue.", 1) + "/a/new", "PUT"),
        (read.clone() + "/A/", "GET"),
        (read[..read.len() - 1].to_owned() + "/a/", "GET"),
        (read.to_uppercase().replacen("/.SPINDLE/LINK/", "/.spindle/link/", 1) + "/a/", "GET"),
        ("/.spindle/link/".to_owned(), "GET"),
        ("/.spindle/link/a/".to_owned(), "GET"),
    ] {
        let refused = linked.store(method, &target, &[], b"");
        assert_eq!((refused.status, refused.text()), (403, INVALID), "{target}");
    }
    // The prefix has one spelling.
    for target in [read.replacen("/.spindle", "/%2espindle", 1), read.replacen("/.spindle", "//.spindle", 1)] {
        assert_eq!(linked.get(&format!("{target}/a/")).status, 404, "{target}");
    }
}

#[test]
fn a_key_is_read_again_on_a_hangup_and_a_broken_file_leaves_the_old_one() {
    let linked = Linked::start(&[], &["a.txt"]);
    let old = linked.link(READ, "/a.txt");
    let reload = |message: &str| {
        linked.server.signal(Signal::HUP);
        wait_until(message, || linked.server.stderr().contains(message));
    };
    let old_text = fs::read_to_string(linked.key()).unwrap();
    fs::write(linked.key(), "no key\n").unwrap();
    reload("line 1 is no key: expected 64 hexadecimal digits; the old keys stay in use");
    assert_eq!(linked.get(&old).status, 200);
    // While both are in the file, both are valid.
    let new_text = "ab".repeat(32) + "\n";
    fs::write(linked.key(), format!("# new\n{new_text}# old\n{old_text}")).unwrap();
    reload("keys of links read again: 2");
    let new = linked.link(READ, "/a.txt");
    assert_eq!((linked.get(&old).status, linked.get(&new).status), (200, 200));
    fs::write(linked.key(), &new_text).unwrap();
    linked.server.signal(Signal::HUP);
    wait_until("the end of the old key", || linked.get(&old).status == 403);
    assert_eq!(linked.get(&new).status, 200);
    let stderr = linked.server.stderr();
    assert!(!stderr.contains(new_text.trim_end()) && !stderr.contains(old_text.trim_end()), "{stderr}");
}

#[test]
fn a_server_without_keys_has_no_links_and_one_with_a_bad_file_does_not_start() {
    let linked = Linked::start(&[], &["a.txt"]);
    let link = linked.link(READ, "/a.txt");
    let other = Start::new().folder().start();
    other.write_file("a.txt", b"");
    assert_eq!(ask(&other, "GET", &link, &[]).status, 404);
    let exited = Start::new().folder().options(["--link-key", "/nowhere/key"]).run_to_exit();
    assert_eq!(exited.code, Some(1));
    assert!(exited.stderr.starts_with("spindle: cannot read the key file \"/nowhere/key\": "), "{}", exited.stderr);
}

#[test]
fn no_output_of_the_server_contains_a_signature() {
    for format in ["combined", "json"] {
        let linked = Linked::start(&["-vv", "--log-format", format, "--hidden"], &["a/b.txt"]);
        let signed = linked.sign(CREATE, "/a/", 600);
        let expired = linked.sign(READ, "/a/", -600);
        let read = linked.sign(READ, "/a/", 600);
        let create = ["Upload-Complete: ?0", "Upload-Length: 3"];
        let created = linked.store("PUT", &format!("{signed}/a/new"), &create, b"");
        let location = created.field("Location").unwrap().to_owned();
        let resource = location.split("/.spindle/uploads/").next().unwrap().to_owned();
        let mut responses = vec![created];
        for link in [&signed, &expired, &read, &resource] {
            let referer = format!("Referer: http://localhost{link}/a/");
            for target in [
                format!("{link}/a/"),
                format!("{link}/a"),
                format!("{link}/a/b.txt"),
                format!("{link}/a/?format=json"),
                format!("{link}/a/?format=bad"),
                format!("{link}0/a/"),
                format!("{}/a/", link.to_uppercase()),
                format!("/%2espindle/link/{}/a/", &link[15..]),
                format!("/x?to={link}"),
                format!("/x?to={}", link.replace('/', "%252F")),
                format!("http://localhost{link}/a/"),
                link.clone(),
            ] {
                for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
                    responses.push(ask(&linked.server, method, &target, &[&referer]));
                }
            }
        }
        wait_until("the last line of the log", || {
            linked.log().matches("HTTP/1.1").count() + linked.log().matches("\"1.1\"").count() >= responses.len()
        });
        let shown: Vec<String> =
            responses.iter().map(|response| format!("{}{:?}", response.head, response.content)).collect();
        for link in [&signed, &expired, &read, &resource] {
            let signature = &link[link.len() - 64..];
            for (what, text) in [("log", linked.log()), ("standard error", linked.server.stderr())] {
                assert!(!text.to_lowercase().contains(signature), "the {what} contains a signature: {text}");
            }
            let may_be_shown = *link == resource;
            let is_shown = |response: &String| response.to_lowercase().contains(signature);
            assert!(may_be_shown || !shown.iter().any(is_shown), "a response contains a signature");
        }
        assert!(linked.log().contains(&format!("{}-/a/b.txt", &read[..read.len() - 64])), "{}", linked.log());
    }
}
