//! Names: which targets name a file. No target reaches a file outside the directory, and opening a file never blocks.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Server, Start};
use crate::support::{make_fifo, make_sparse, percent_encoded, set_modified, skipped, tree};

/// Other systems do not follow links.
const FOLLOWS_LINKS: bool = cfg!(target_os = "linux");

const SECRET: &[u8] = b"nobody's business";

/// Files next to the served directory, which must neither be read nor changed.
struct Outside {
    scratch: TempDir,
    before: Vec<(String, Option<Vec<u8>>)>,
}

impl Outside {
    fn new() -> Outside {
        let scratch = TempDir::new().unwrap();
        for directory in ["served", "served-too"] {
            fs::create_dir(scratch.path().join(directory)).unwrap();
        }
        for file in ["secret", "served-too/secret"] {
            fs::write(scratch.path().join(file), SECRET).unwrap();
        }
        let before = tree(scratch.path());
        Outside { scratch, before }
    }

    fn served(&self) -> PathBuf {
        self.scratch.path().join("served")
    }

    fn server(&self) -> Server {
        Start::new().directory_at(&self.served()).start()
    }

    #[track_caller]
    fn assert_untouched(&self, what: &str) {
        assert_eq!(tree(self.scratch.path()), self.before, "{what}");
        let neighbour = tree(&self.scratch.path().join("served-too"));
        assert_eq!(neighbour, [("secret".to_owned(), Some(SECRET.to_vec()))], "{what}");
    }
}

/// A target, and the status of GET and of PUT. POST has the status of PUT.
const CORPUS: [(&str, u16, u16); 63] = [
    // `..`, plain, encoded, in part encoded, and at every position.
    ("/files/..", 404, 400),
    ("/files/../secret", 404, 400),
    ("/files/../served-too/secret", 404, 400),
    ("/files/../served/file", 404, 400),
    ("/files/directory/../file", 404, 400),
    ("/files/directory/../../secret", 404, 400),
    ("/files/file/..", 404, 400),
    ("/files/./../secret", 404, 400),
    ("/files/%2e/%2E%2e/secret", 404, 400),
    ("/files/.%2f../secret", 404, 400),
    // A dot at the end names a directory (RFC 3986 §5.2.4), like a slash.
    ("/files/.", 404, 400),
    ("/files/./", 404, 400),
    ("/files/file/.", 404, 400),
    ("/files/%2e%2e/secret", 404, 400),
    ("/files/%2E%2E/secret", 404, 400),
    ("/files/.%2e/secret", 404, 400),
    ("/files/%2e./secret", 404, 400),
    ("/files/%2e", 404, 400),
    ("/files/..%2fsecret", 404, 400),
    ("/files/..%2Fserved-too%2Fsecret", 404, 400),
    ("/files/%2e%2e%2fsecret", 404, 400),
    ("/files/directory%2f..%2f..%2fsecret", 404, 400),
    ("/files/directory%2ffile", 404, 400),
    ("/files/../../../../../../../../etc/passwd", 404, 400),
    // Not below /files/, because paths are not normalised.
    ("/../secret", 404, 404),
    ("/files", 404, 404),
    ("/x/../files/file", 404, 404),
    ("//files/file", 404, 404),
    ("/FILES/file", 404, 404),
    // Absolute paths, empty segments.
    ("/files/", 404, 400),
    ("/files//", 404, 400),
    ("/files//etc/passwd", 404, 400),
    ("/files/%2fetc%2fpasswd", 404, 400),
    ("/files//file", 404, 400),
    ("/files/file/", 404, 400),
    ("/files/directory/", 404, 400),
    ("http://a/files/../secret", 404, 400),
    ("http://a/files//etc/passwd", 404, 400),
    // An encoded NUL. A raw one is not allowed in a target.
    ("/files/%00", 404, 400),
    ("/files/file%00", 404, 400),
    ("/files/file%00.txt", 404, 400),
    ("/files/%00/../secret", 404, 400),
    ("/files/file\0", 400, 400),
    // A name is decoded once, so a name that was encoded twice contains percent signs.
    ("/files/%252e%252e", 404, 201),
    ("/files/%252e%252e%252fsecret", 404, 201),
    ("/files/%252e%252e/secret", 404, 404),
    ("/files/%2500", 404, 201),
    // Separators of other systems, and overlong UTF-8 for a dot.
    ("/files/..%5csecret", 404, 201),
    ("/files/..%5c..%5csecret", 404, 201),
    ("/files/..\\secret", 400, 400),
    ("/files/%c0%ae%c0%ae/secret", 404, 404),
    ("/files/%c0%ae%c0%ae%c0%afsecret", 404, 201),
    ("/files/..;/secret", 404, 404),
    ("/files/.../secret", 404, 404),
    ("/files/....//secret", 404, 400),
    ("/files/file%0a", 404, 201),
    ("/files/%", 400, 400),
    ("/files/%2", 400, 400),
    ("/files/%u002e", 400, 400),
    // Names of uploads in progress.
    ("/files/.spindle-0123456789abcdef", 404, 400),
    ("/files/.SPINDLE-0123456789ABCDEF", 404, 400),
    ("/files/%2espindle-0123456789abcdef", 404, 400),
    ("/files/.spindle-0123456789abcdef/file", 404, 400),
];

#[test]
fn no_target_leads_out_of_the_directory() {
    let outside = Outside::new();
    let server = outside.server();
    fs::create_dir(server.directory().join("directory")).unwrap();
    server.write_file("file", b"bytes");
    for (target, to_read, to_write) in CORPUS {
        for method in ["GET", "HEAD"] {
            let response = server.ask(method, target, &[]);
            assert_eq!(response.status, to_read, "{method} {target}");
            assert!(to_read != 404 || response.content.is_empty(), "{method} {target}: a 404 has no content");
        }
        for method in ["PUT", "POST"] {
            let response = server.store(method, target, &[], b"written");
            assert_eq!(response.status, to_write, "{method} {target}");
            let made: Vec<PathBuf> = fs::read_dir(server.directory())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| !path.ends_with("file") && !path.ends_with("directory"))
                .collect();
            assert_eq!(made.len(), usize::from(to_write == 201), "{method} {target}: {made:?}");
            made.iter().for_each(|path| fs::remove_file(path).unwrap());
            outside.assert_untouched(&format!("{method} {target}"));
            assert_eq!(server.file_names(), ["directory", "file"], "{method} {target}");
        }
    }
    assert_eq!(server.content_of("file").unwrap(), b"bytes");
    assert!(tree(&server.directory().join("directory")).is_empty());
}

#[test]
fn bytes_that_clients_send_raw_name_the_same_file_as_their_encoded_form() {
    let server = Server::with_directory();
    server.write_file("Film [1080p].mkv", b"film");
    for target in ["/files/Film%20[1080p].mkv", "/files/Film%20%5B1080p%5D.mkv", "/files/Film%20[1080p%5d.mkv?a=[\\]"] {
        assert_eq!(server.get(target).text(), "film", "{target}");
    }
    assert_eq!(server.get("/files/Film [1080p].mkv").status, 400);
    assert_eq!(server.store("PUT", "/files/{a}|^`", &[], b"bytes").status, 201);
    assert_eq!(server.content_of("{a}|^`").unwrap(), b"bytes");
    assert_eq!(server.get("/files/%7Ba%7D%7C%5E%60").text(), "bytes");
}

/// apt asks for `./Packages`.
#[test]
fn a_segment_that_is_one_dot_is_left_out() {
    let server = Server::with_directory();
    fs::create_dir(server.directory().join("directory")).unwrap();
    server.write_file("directory/file", b"bytes");
    server.strong_tag("directory/file");
    for target in [
        "/files/./directory/file",
        "/files/directory/./file",
        "/files/directory/%2e/file",
        "/files/%2E/././directory/./file",
        "http://a/files/./directory/file",
    ] {
        // The second response comes from the cache, because the file is old enough to be cached.
        for _ in 0..2 {
            assert_eq!(server.get(target).text(), "bytes", "{target}");
        }
    }
    assert_eq!(server.store("PUT", "/files/./directory/%2e/new", &[], b"new").status, 201);
    assert_eq!(server.store("PUT", "/files/././directory/new", &[], b"newer").status, 204);
    assert_eq!(server.get("/files/directory/new").text(), "newer");
    assert_eq!(server.get("/files/directory/./new").text(), "newer");
    fs::remove_file(server.directory().join("directory/file")).unwrap();
    assert_eq!(server.get("/files/./directory/file").status, 404);
}

#[test]
fn without_a_directory_there_are_no_files() {
    let server = Server::plain();
    for target in ["/files/", "/files/file", "/files/../Cargo.toml"] {
        for method in ["GET", "HEAD"] {
            assert_eq!(server.ask(method, target, &[]).status, 404, "{method} {target}");
        }
        for method in ["PUT", "POST"] {
            assert_eq!(server.store(method, target, &[], b"written").status, 404, "{method} {target}");
        }
    }
}

/// Links: name, destination, what is requested, and the status of GET and of PUT.
const LINKS: [(&str, &str, &str, u16, u16); 13] = [
    // As the last segment a link is not followed: a GET finds nothing, and a PUT replaces the link itself.
    ("last", "../secret", "last", 404, 204),
    ("neighbour", "../served-too/secret", "neighbour", 404, 204),
    ("absolute", "/etc/passwd", "absolute", 404, 204),
    ("dangling", "../absent", "dangling", 404, 204),
    ("dangling", "absent", "dangling", 404, 204),
    ("loop", "loop", "loop", 404, 204),
    ("magic", "/proc/self/root/etc/passwd", "magic", 404, 204),
    ("up", "..", "up", 404, 204),
    // As another segment.
    ("middle", "..", "middle/secret", 404, 404),
    ("middle", "../served-too", "middle/secret", 404, 404),
    ("middle", "/", "middle/etc/passwd", 404, 404),
    ("middle", "../absent", "middle/file", 404, 404),
    ("middle", "middle", "middle/file", 404, 404),
];

#[test]
fn no_link_leads_out_of_the_directory() {
    let outside = Outside::new();
    let server = outside.server();
    for (name, leads_to, requested, to_read, to_write) in LINKS {
        let link = server.directory().join(name);
        let target = format!("/files/{requested}");
        for method in ["PUT", "POST"] {
            symlink(leads_to, &link).unwrap();
            assert_eq!(server.get(&target).status, to_read, "{name} → {leads_to}");
            let response = server.store(method, &target, &[], b"written");
            let expected = if method == "POST" && to_write == 204 { 201 } else { to_write };
            assert_eq!(response.status, expected, "{method} {name} → {leads_to}");
            outside.assert_untouched(&format!("{method} {name} → {leads_to}"));
            let replaced = fs::symlink_metadata(&link).unwrap().is_file();
            assert_eq!(replaced, to_write == 204, "{method} {name} → {leads_to}");
            fs::remove_file(&link).unwrap();
        }
        // With `If-None-Match: *` a link counts as an existing file.
        symlink(leads_to, &link).unwrap();
        let created = server.store("PUT", &target, &["If-None-Match: *"], b"written");
        assert_eq!(created.status, if to_write == 204 { 412 } else { to_write }, "{name} → {leads_to}");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        fs::remove_file(&link).unwrap();
    }
}

#[test]
fn links_inside_the_directory_are_followed_if_the_system_can_confine_them() {
    let server = Server::with_directory();
    fs::create_dir(server.directory().join("directory")).unwrap();
    server.write_file("directory/file", b"bytes");
    symlink("directory/file", server.directory().join("link")).unwrap();
    symlink("directory", server.directory().join("shelf")).unwrap();
    for target in ["/files/link", "/files/shelf/file"] {
        let response = server.get(target);
        let expected = if FOLLOWS_LINKS { (200, &b"bytes"[..]) } else { (404, &b""[..]) };
        assert_eq!((response.status, &response.content[..]), expected, "{target}");
    }
}

#[test]
fn anything_but_a_regular_file_is_not_found_and_never_blocks() {
    let server = Server::with_directory();
    let at = |name: &str| server.directory().join(name);
    fs::create_dir(at("directory")).unwrap();
    make_fifo(&at("fifo"));
    symlink("fifo", at("link")).unwrap();
    let _listener = UnixListener::bind(at("socket")).unwrap();
    let mut names = vec!["directory", "fifo", "socket"];
    // The null device, which would look like an empty file and discard uploads.
    let made = Command::new("mknod").arg(at("device")).args(["c", "1", "3"]).output().unwrap();
    if made.status.success() {
        names.push("device");
    } else {
        skipped("only root may make a device");
    }
    let mut client = server.connect();
    let before = server.file_names();
    for name in names {
        let target = format!("/files/{name}");
        for method in ["GET", "HEAD"] {
            assert_eq!(client.ask(method, &target, &[]).status, 404, "{method} {name}");
        }
        for method in ["PUT", "POST"] {
            assert_eq!(client.store(method, &target, &[], b"written").status, 409, "{method} {name}");
            let below = client.store(method, &format!("{target}/file"), &[], b"written");
            assert_eq!(below.status, if name == "directory" { 201 } else { 404 }, "{method} below {name}");
        }
    }
    assert_eq!(client.get("/files/link").status, 404, "a link to a FIFO");
    assert_eq!(server.file_names(), before);
    assert!(client.is_kept());
}

#[test]
fn names_may_have_several_segments_and_any_bytes() {
    let server = Server::with_directory();
    fs::create_dir_all(server.directory().join("a/b")).unwrap();
    let long = [b'n'; 255];
    for (target, path) in [
        ("/files/a/b/c".to_owned(), &b"a/b/c"[..]),
        ("/files/a/..b".to_owned(), b"a/..b"),
        (format!("/files/{}", percent_encoded(b"\xff\xfe\n\"%")), b"\xff\xfe\n\"%"),
        (format!("/files/{}", percent_encoded("Zoë.txt".as_bytes())), "Zoë.txt".as_bytes()),
        ("/files/name?query=/../x".to_owned(), b"name"),
        ("/files/+%20".to_owned(), b"+ "),
        (format!("/files/{}", "n".repeat(255)), &long),
    ] {
        let mut client = server.connect();
        assert_eq!(client.store("PUT", &target, &[], path).status, 201, "{target}");
        assert_eq!(fs::read(server.directory().join(OsStr::from_bytes(path))).unwrap(), path, "{target}");
        assert_eq!(client.get(&target).content, path, "{target}");
        assert_eq!(client.store("PUT", &target, &[], b"again").status, 204, "{target}");
        assert_eq!(client.get(&target).content, b"again", "{target}");
    }
    assert!(server.file_names().iter().all(|name| !name.starts_with(".spindle-")));
}

#[test]
fn names_and_paths_that_are_too_long_are_refused() {
    let server = Server::with_directory();
    for name in ["n".repeat(256), percent_encoded(&[0xff; 256]), ["d"; 65].join("/"), ["d"; 4000].join("/")] {
        let target = format!("/files/{name}");
        assert_eq!(server.get(&target).status, 404);
        assert_eq!(server.store("PUT", &target, &[], b"written").status, 400);
    }
    // The longest allowed path. Only its directories are missing.
    let target = format!("/files/{}", ["d".repeat(63).as_str(); 64].join("/"));
    assert_eq!((server.get(&target).status, server.store("PUT", &target, &[], b"written").status), (404, 404));
    assert!(server.file_names().is_empty());
}

#[test]
fn in_a_directory_that_has_been_removed_nothing_is_found() {
    let scratch = TempDir::new().unwrap();
    let directory = scratch.path().join("served");
    fs::create_dir(&directory).unwrap();
    let server = Start::new().directory_at(&directory).start();
    server.write_file("file", b"bytes");
    assert_eq!(server.get("/files/file").status, 200);
    fs::remove_dir_all(&directory).unwrap();
    for name in ["file", "other", "sub/file"] {
        let target = format!("/files/{name}");
        assert_eq!(server.get(&target).status, 404, "{name}");
        assert_eq!(server.store("PUT", &target, &[], b"written").status, 404, "{name}");
    }
}

#[test]
fn files_from_before_1970_and_after_9999_are_served_without_a_date() {
    // A file system with 64 bits of seconds. Many have fewer, and clamp the time.
    let memory = Path::new("/dev/shm");
    let scratch = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
    let server = Start::new().directory_at(scratch.path()).start();
    server.write_file("file", b"bytes");
    let path = server.directory().join("file");
    for (unix_s, has_date) in [(-1, false), (-62_135_596_800, false), (0, true), (253_402_300_800, false)] {
        set_modified(&path, unix_s);
        let kept = std::os::unix::fs::MetadataExt::mtime(&fs::metadata(&path).unwrap());
        if kept != unix_s {
            skipped(&format!("the file system keeps {kept} for the modification time {unix_s}"));
            continue;
        }
        let mut client = server.connect();
        let response = client.get("/files/file");
        assert_eq!((response.status, response.text()), (200, "bytes"), "{unix_s}");
        assert_eq!(response.field("Last-Modified").is_some(), has_date, "{unix_s}");
        let tag = response.field("ETag").expect("a tag, whatever the date").to_owned();
        assert_eq!(client.ask("GET", "/files/file", &[&format!("If-None-Match: {tag}")]).status, 304, "{unix_s}");
        let range = client.ask("GET", "/files/file", &["Range: bytes=1-2", "If-Range: Thu, 01 Jan 1970 00:00:00 GMT"]);
        assert_eq!(range.status, 200, "{unix_s}: the file was changed a moment ago");
        let since = "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT";
        assert_eq!(client.ask("GET", "/files/file", &[since]).status, if has_date { 304 } else { 200 }, "{unix_s}");
        // A file of the year 10000 has been modified since, although it has no Last-Modified.
        let unmodified_since = "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT";
        let expected = if unix_s > 0 { 412 } else { 200 };
        assert_eq!(client.ask("GET", "/files/file", &[unmodified_since]).status, expected, "{unix_s}");
    }
}

#[test]
fn a_modification_in_the_future_is_never_later_than_the_date() {
    let server = Server::with_directory();
    server.write_file("file", b"bytes");
    set_modified(&server.directory().join("file"), 4_000_000_000);
    let response = server.get("/files/file");
    assert_eq!(response.field("Last-Modified"), response.field("Date"));
    let tag = response.field("ETag").unwrap();
    assert!(tag.starts_with("W/"), "{tag}");
}

#[test]
fn ranges_at_the_end_of_a_file_of_a_hundred_gigabytes_are_served() {
    const BYTES: u64 = 100_000_000_000;
    let server = Server::with_directory();
    let path = server.directory().join("sparse");
    make_sparse(&path, BYTES);
    std::os::unix::fs::FileExt::write_at(&fs::File::options().write(true).open(&path).unwrap(), b"end", BYTES - 3)
        .unwrap();
    let mut client = server.connect();
    let head = client.ask("HEAD", "/files/sparse", &[]);
    assert_eq!((head.status, head.field("Content-Length")), (200, Some("100000000000")));
    for (range, content_range) in [
        ("bytes=-3", "bytes 99999999997-99999999999/100000000000"),
        ("bytes=99999999997-", "bytes 99999999997-99999999999/100000000000"),
    ] {
        let response = client.ask("GET", "/files/sparse", &[&format!("Range: {range}")]);
        assert_eq!((response.status, response.text()), (206, "end"), "{range}");
        assert_eq!(response.field("Content-Range"), Some(content_range));
    }
    let parts = client.ask("GET", "/files/sparse", &["Range: bytes=0-0,-3"]);
    assert!(parts.content.windows(9).any(|window| window == b"\r\n\r\nend\r\n"));
    assert_eq!(client.ask("GET", "/files/sparse", &["Range: bytes=100000000000-"]).status, 416);
}
