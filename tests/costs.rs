//! What a request can make the server do: calls of the file system, memory, and steps, counted and compared with the bytes
//! of the request, or with the bytes of the response where a directory decides how long that is.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "simulation/disk/mod.rs"]
mod disk;
#[path = "socketless/mod.rs"]
mod socketless;

use std::cell::Cell;
use std::rc::Rc;

use disk::{Disk, Loss, Settings};
use socketless::{Client, content, durable_folder, shared_folder, status};
use spindle::server::CONNECTION_BUFFER_BYTES_MAX;
use spindle::storage::{DIRECTORIES_MAX, Directory};

const UNIX_NS: u64 = 4_102_444_800_000_000_000;

/// How many entries the large directory has.
const ENTRIES: usize = 9_000;

/// A folder on a simulated disk, and a client.
struct Folder {
    disk: Disk,
    client: Client<Disk>,
}

/// What a request cost.
#[derive(Debug)]
struct Cost {
    response: String,
    /// Calls of the file system.
    calls: u64,
    /// Steps of the connection.
    steps: usize,
    /// The most bytes of the heap at a time that it has allocated.
    memory_bytes: u64,
    request_bytes: usize,
}

impl Folder {
    fn new(settings: Settings) -> Folder {
        let disk = Disk::new(Settings { loss: Loss::None, ..settings }, Rc::new(Cell::new(UNIX_NS)));
        let directory = Directory::open_in(disk.clone(), Disk::root_path(), 1).unwrap();
        let client = Client::new(shared_folder(directory, 0));
        Folder { disk, client }
    }

    /// With a large directory, and a deep one.
    fn filled() -> Folder {
        let folder = Folder::new(Settings::linux(1));
        folder.disk.add_directory("large");
        for number in 0..ENTRIES {
            folder.disk.add_file(&format!("large/{number}"), b"", 1);
        }
        folder.disk.add_file("file", &b"0123456789".repeat(1000), 1);
        folder
    }

    fn cost(&mut self, request: &[u8]) -> Cost {
        let (calls, steps) = (self.disk.calls(), self.client.steps);
        let mut response = None;
        let counted = allocation_counter::measure(|| response = self.client.exchange(request));
        Cost {
            response: String::from_utf8_lossy(&response.expect("a complete response")).into_owned(),
            calls: self.disk.calls() - calls,
            steps: self.client.steps - steps,
            memory_bytes: counted.bytes_max,
            request_bytes: request.len(),
        }
    }

    fn ask(&mut self, method: &str, target: &str, fields: &str, content: &[u8]) -> Cost {
        let length = if content.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", content.len()) };
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}{length}\r\n");
        self.cost(&[head.as_bytes(), content].concat())
    }
}

/// The path of a file in the deepest directory that a name can lead to.
fn deepest() -> String {
    "/d".repeat(DIRECTORIES_MAX) + "/file"
}

#[test]
fn a_request_for_which_nothing_is_sent_does_not_read_the_directory() {
    let mut folder = Folder::filled();
    for (method, target, fields, expected) in [
        ("HEAD", "/large/", "", 200),
        ("HEAD", "/large/?format=json&sort=size", "", 200),
        ("HEAD", "/large/?archive=tar", "", 200),
        ("GET", "/large/", "If-Match: \"x\"\r\n", 412),
        ("GET", "/large/?archive=tar", "If-None-Match: *\r\n", 304),
        ("GET", "/large", "", 301),
        ("OPTIONS", "/large/", "", 204),
        ("MKCOL", "/large/", "", 405),
        ("MOVE", "/large/", "Destination: /moved/\r\n", 201),
        ("MOVE", "/moved/", "Destination: /large/\r\n", 201),
    ] {
        let cost = folder.ask(method, target, fields, b"");
        assert_eq!(status(&cost.response), expected, "{method} {target}");
        assert!(cost.calls <= 12, "{method} {target}: {} calls", cost.calls);
    }
    let removed = folder.ask("DELETE", "/large/", "", b"");
    assert_eq!(status(&removed.response), 409);
    assert!(removed.calls <= 100, "the first entries show that it is not empty: {} calls", removed.calls);
}

#[test]
fn a_listing_or_an_archive_takes_few_calls_for_an_entry_and_many_steps() {
    let mut folder = Folder::filled();
    for (target, calls_per_entry) in [
        ("/large/?format=text", 1),
        ("/large/?format=json&sort=size", 2),
        ("/large/?sort=modified", 2),
        ("/large/?archive=tar", 3),
    ] {
        let cost = folder.ask("GET", target, "", b"");
        let calls_max = (calls_per_entry * ENTRIES + ENTRIES / 8 + 100) as u64;
        assert!(cost.calls <= calls_max, "{target}: {} calls", cost.calls);
        assert!(cost.steps >= ENTRIES / 256, "{target}: others are served in between: {} steps", cost.steps);
        assert!(content(&cost.response).len() >= ENTRIES * 3, "{target}");
    }
}

#[test]
fn a_name_costs_as_many_calls_as_it_has_segments() {
    for settings in [Settings::linux(1), Settings::portable(1)] {
        let is_portable = !settings.open_beneath;
        let mut folder = Folder::new(settings);
        let target = deepest();
        let absent = folder.ask("GET", &target, "", b"");
        assert!(absent.calls <= 4, "{} calls", absent.calls);
        let created = folder.ask("PUT", &target, "", b"content");
        assert_eq!(status(&created.response), 201);
        // Each directory is created, opened and perhaps looked for from the top.
        let (calls, segments) = (created.calls, DIRECTORIES_MAX as u64);
        assert!(calls <= 10 * segments + 50, "{calls} calls, portable: {is_portable}");
        let found = folder.ask("GET", &target, "", b"");
        assert_eq!(status(&found.response), 200);
        assert!(found.calls <= if is_portable { segments + 10 } else { 10 }, "{} calls", found.calls);
    }
}

fn form(parts: usize, content: &str) -> Vec<u8> {
    let part =
        |number| format!("--b\r\nContent-Disposition: form-data; name=f; filename={number}\r\n\r\n{content}\r\n");
    ((0..parts).map(part).collect::<String>() + "--b--\r\n").into_bytes()
}

#[test]
fn each_file_of_a_form_costs_as_much_as_an_upload_and_others_are_served_after_it() {
    const FORM: &str = "Content-Type: multipart/form-data; boundary=b\r\n";
    let mut folder = Folder::new(Settings::linux(1));
    let single = folder.ask("PUT", "/x", "", b"1");
    let cost = folder.ask("POST", "/", FORM, &form(700, "1"));
    assert_eq!(status(&cost.response), 201);
    assert!(cost.calls <= 700 * (single.calls + 2), "{} calls, a PUT takes {}", cost.calls, single.calls);
    assert!(cost.steps >= 700, "{} steps", cost.steps);
    assert!(cost.memory_bytes <= 8 * cost.request_bytes as u64, "{} bytes", cost.memory_bytes);
    // Parts that are refused at once cost no call.
    let refused = String::from_utf8(form(700, "1")).unwrap().replace("filename=", "filename=.");
    let cost = folder.ask("POST", "/", FORM, refused.as_bytes());
    assert_eq!(status(&cost.response), 400);
    assert!(cost.calls <= 10, "{} calls", cost.calls);
}

/// The longest names that a report can contain are refused ones, which cost the client nothing but their bytes.
#[test]
fn the_report_about_a_form_that_is_not_read_takes_a_bounded_amount_of_memory() {
    let part = "--b\r\nContent-Disposition: form-data; name=f; filename=\".NAME\"\r\n\r\n\r\n";
    for (name, parts) in [("%0A".repeat(254), 1000), ("x".repeat(130), 1000), ("%0A".repeat(254), 514)] {
        let form = part.replace("NAME", &name).repeat(parts) + "--b--\r\n";
        for format in ["text", "json", "html"] {
            let mut folder = Folder::new(Settings::linux(1));
            folder.ask("GET", "/", "", b"");
            let head = format!(
                "POST /?format={format} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\
                 Content-Type: multipart/form-data; boundary=b\r\n\r\n",
                form.len()
            );
            let mut buffer_bytes = 0;
            let request = head + &form;
            let counted = allocation_counter::measure(|| buffer_bytes = folder.client.leave_unread(request.as_bytes()));
            let heap_bytes = counted.bytes_current;
            // The names, what has become of each file, and a piece of the response.
            assert!(heap_bytes <= (128 + 32 + 40) * 1024, "{parts} parts as {format}: {heap_bytes} bytes");
            assert!(buffer_bytes <= CONNECTION_BUFFER_BYTES_MAX, "{parts} parts as {format}: {buffer_bytes} bytes");
        }
    }
}

/// All uploads of a group wait for each other, so a group of them would wait for thousands of directories.
#[test]
fn a_durable_upload_that_needs_new_directories_is_not_published_with_others() {
    let disk = Disk::new(Settings { loss: Loss::None, ..Settings::linux(1) }, Rc::new(Cell::new(UNIX_NS)));
    let directory = Directory::open_in(disk, Disk::root_path(), 1).unwrap();
    let mut client = Client::new(durable_folder(directory));
    for (path, deferred) in [("file", 1), ("new/directory/file", 1), ("new/directory/other", 2)] {
        let put = format!("PUT /{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\ncontent");
        assert_eq!(status(&client.request(&put)), 201, "{path}");
        assert_eq!(client.deferred, deferred, "{path}");
    }
}

#[test]
fn the_thousandth_part_of_an_upload_costs_as_much_as_the_first() {
    let mut folder = Folder::new(Settings::linux(1));
    let begun = folder.ask("POST", "/upload", "Upload-Complete: ?0\r\n", b"x");
    let location = begun.response.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap().trim().to_owned();
    let (mut first_calls, mut rewrites) = (0, 0);
    for offset in 1..=1000 {
        let fields =
            format!("Content-Type: application/partial-upload\r\nUpload-Complete: ?0\r\nUpload-Offset: {offset}\r\n");
        let cost = folder.ask("PATCH", &location, &fields, b"x");
        assert_eq!(status(&cost.response), 204);
        if offset == 1 {
            first_calls = cost.calls;
        }
        // What is remembered of the parts is read by each of them, and is rewritten when it has become long.
        rewrites += u32::from(cost.calls > first_calls);
        assert!(cost.calls <= first_calls + 10, "part {offset}: {} calls, the first took {first_calls}", cost.calls);
        assert!(cost.memory_bytes <= 32 * 1024, "part {offset}: {} bytes", cost.memory_bytes);
    }
    assert!((1..50).contains(&rewrites), "{rewrites}");
    let names = folder.disk.names(".").into_iter().filter(|name| name.starts_with(".spindle="));
    let lengths: Vec<usize> = names.map(|name| folder.disk.read(&name).unwrap().len()).collect();
    assert!(
        lengths.len() == 2 && lengths.iter().all(|bytes| *bytes <= 6 * 1024),
        "what is remembered: {lengths:?} bytes"
    );
    let asked = folder.ask("HEAD", &location, "", b"");
    assert!(asked.calls <= 30, "{} calls", asked.calls);
    for target in ["/.spindle/uploads/00000000000000000000000000000000/upload", "/.spindle/uploads/x"] {
        let cost = folder.ask("HEAD", target, "", b"");
        assert_eq!(status(&cost.response), 404);
        assert!(cost.calls <= 4, "{target}: {} calls", cost.calls);
    }
}

/// Values that are lists, each as long as a field may be.
#[test]
fn a_long_list_needs_memory_in_proportion_and_no_more_calls() {
    let mut folder = Folder::filled();
    let plain = folder.ask("GET", "/file", "", b"");
    for (name, prefix, member) in [
        ("Range", "bytes=", "0-0"),
        ("Range", "bytes=", "-1"),
        ("If-None-Match", "", "\"a\""),
        ("If-Match", "", "W/\"a\""),
        ("Accept", "", "a/b;q=0.1"),
        ("Accept-Encoding", "", "gzip;q=0.1"),
        ("Connection", "", "x"),
        ("Want-Repr-Digest", "", "sha-256=1"),
        ("Repr-Digest", "", "x=:YQ==:"),
        ("Upload-Complete", "", "?0;a"),
        ("Forwarded", "", "for=192.0.2.1"),
        ("X-Forwarded-For", "", "192.0.2.1"),
        ("Content-Type", "", "a/b;c=d"),
        ("Cookie", "", "a=b"),
    ] {
        let list = vec![member; 30_000 / (member.len() + 1)].join(",");
        for target in ["/file", "/"] {
            let cost = folder.ask("GET", target, &format!("{name}: {prefix}{list}\r\n"), b"");
            assert!(cost.calls <= plain.calls + 20, "{name}: {} calls", cost.calls);
            let memory_max = 16 * cost.request_bytes as u64 + 256 * 1024;
            assert!(cost.memory_bytes <= memory_max, "{name}: {} bytes", cost.memory_bytes);
        }
    }
    let ranges = (0..64).map(|number| format!("{0}-{0}", number * 2)).collect::<Vec<_>>().join(",");
    let cost = folder.ask("GET", "/file", &format!("Range: bytes={ranges}\r\n"), b"");
    assert_eq!(status(&cost.response), 206);
    assert!(cost.calls <= plain.calls + 80, "{} calls", cost.calls);
    assert!(content(&cost.response).len() <= 64 * 200, "64 ranges have 64 heads");
}
