//! Another process swaps a directory and a file of the folder against links that lead out of it, thousands of times, while
//! clients read and change what is there.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "socketless/mod.rs"]
mod socketless;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::RenameFlags;
use spindle::routes::Routes;
use spindle::storage::{Directory, FileSystem, Native, Portable};

use socketless::{Client, shared_folder, status};

const SWAPS_MIN: usize = 10_000;

/// Each of the requests is sent at least so often.
const ROUNDS_MIN: usize = 200;

/// So many requests of each method succeed at least.
const SUCCESSES_MIN: usize = 6;

const SECONDS_MAX: u64 = 120;

/// Only files outside the folder contain this.
const SECRET: &str = "outside the folder";

/// Creates a directory of the same content inside and outside.
fn fill(directory: &Path, content: &str) {
    fs::create_dir_all(directory.join("sub")).unwrap();
    fs::create_dir_all(directory.join("empty")).unwrap();
    for name in ["name", "sub/deep", "kept"] {
        fs::write(directory.join(name), content).unwrap();
    }
}

/// The folder `root`, with a directory, and one within a directory, and a file; a link out beside each; and `outside`.
fn make_tree() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    fill(&root.join("d"), "inside");
    fill(&root.join("p/q"), "inside");
    fs::write(root.join("f"), "inside").unwrap();
    fill(&place.path().join("outside"), SECRET);
    symlink("../outside", root.join("to-d")).unwrap();
    symlink(place.path().join("outside"), root.join("p/to-q")).unwrap();
    symlink("../outside/name", root.join("to-f")).unwrap();
    place
}

/// All that is below a directory: paths, contents, inode numbers and times.
fn describe(directory: &Path, found: &mut Vec<String>) {
    let metadata = fs::symlink_metadata(directory).unwrap();
    let times = (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec());
    found.push(format!("{directory:?} {} {times:?} {}", metadata.ino(), metadata.nlink()));
    if metadata.is_file() {
        found.push(fs::read_to_string(directory).unwrap());
    } else {
        let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries.iter().for_each(|path| describe(path, found));
    }
}

fn describe_all(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    describe(directory, &mut found);
    found
}

/// Swaps until it is told to stop.
fn swap(root: &Path, swaps: &AtomicUsize, is_done: &AtomicBool) {
    let root = File::open(root).unwrap();
    while !is_done.load(Ordering::Relaxed) {
        for (one, other) in [("d", "to-d"), ("p/q", "p/to-q"), ("f", "to-f")] {
            // A request may just have moved one of them.
            if rustix::fs::renameat_with(&root, one, &root, other, RenameFlags::EXCHANGE).is_ok() {
                swaps.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn routes<F: FileSystem>(file_system: F, root: &Path) -> Routes<F> {
    shared_folder(Directory::open_in(file_system, root, 1).unwrap(), 8)
}

fn request(method: &str, target: &str, fields: &str, content: &str) -> String {
    let length = content.len();
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\n\r\n{content}")
}

/// The requests of a round to what is in a directory, and to the file beside it.
fn requests(directory: &str) -> Vec<String> {
    let at = |name: &str| format!("/{directory}/{name}");
    let form = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"formed\"\r\n\r\nform\r\n--b--\r\n";
    let is_form = "Content-Type: multipart/form-data; boundary=b\r\n";
    let moved_to = |path: &str| format!("Destination: {path}\r\n");
    let get = |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    vec![
        get(&at("name"), ""),
        get(&at("sub/deep"), "Range: bytes=1-3\r\n"),
        get("/f", ""),
        get(&at("?format=json"), ""),
        get(&at("sub/?format=text"), ""),
        get(&at("?archive=tar"), ""),
        get("/?archive=tar", ""),
        request("PUT", &at("name"), "", "put"),
        request("PUT", &at("kept"), "If-None-Match: *\r\n", "put"),
        request("PUT", &at("new/er"), "", "put"),
        request("PUT", "/f", "", "put"),
        request("POST", &at(""), is_form, form),
        request("POST", &at("resumed"), "Upload-Complete: ?0\r\n", "resum"),
        request("MKCOL", &at("made/"), "", ""),
        request("DELETE", &at("made/"), "", ""),
        request("DELETE", &at("empty/"), "", ""),
        request("MKCOL", &at("empty/"), "", ""),
        request("MOVE", &at("name"), &moved_to("/moved"), ""),
        request("MOVE", "/moved", &moved_to(&at("name")), ""),
        request("MOVE", &at("sub/"), &moved_to("/moved-directory/"), ""),
        request("MOVE", "/moved-directory/", &moved_to(&at("sub/")), ""),
        request("DELETE", &at("new/er"), "", ""),
        request("DELETE", &at("kept"), "", ""),
        request("DELETE", "/f", "", ""),
    ]
}

/// Continues the upload that a response names, and completes it or cancels it.
fn continue_upload(response: &str, round: usize) -> Option<String> {
    let location = response.lines().find_map(|line| line.strip_prefix("Location: /.spindle/uploads/"))?.trim();
    let fields = "Content-Type: application/partial-upload\r\nUpload-Complete: ?1\r\nUpload-Offset: 5\r\n";
    let (method, fields, content) = if round.is_multiple_of(3) { ("DELETE", "", "") } else { ("PATCH", fields, "ed") };
    Some(request(method, &format!("/.spindle/uploads/{location}"), fields, content))
}

/// How many requests of each method succeeded, and how many did not.
type Counts = BTreeMap<String, [usize; 2]>;

fn exchange<F: FileSystem>(client: &mut Client<F>, request: &str, counts: &mut Counts) -> Option<String> {
    let response = String::from_utf8_lossy(&client.exchange(request.as_bytes())?).into_owned();
    assert!(!response.contains(SECRET), "a file outside was read by {request}");

    let is_success = (200..300).contains(&status(&response));
    assert!(status(&response) != 500, "{request} {response}");
    let method = request.split(' ').next().expect("a method").to_owned();
    counts.entry(method).or_default()[usize::from(!is_success)] += 1;
    Some(response)
}

/// Sends requests until there were enough of them, of successes and of swaps. Puts back what has been removed, as the
/// other process that swaps would.
fn send_requests<F: FileSystem>(file_system: F, place: &Path, swaps: &AtomicUsize) -> Counts {
    let (root, outside) = (place.join("root"), place.join("outside"));
    let before = describe_all(&outside);
    let mut client = Client::new(routes(file_system, &root));
    // Otherwise each resumable upload would have expired.
    client.now.unix_ns = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    let mut counts = Counts::default();
    let (begun, mut round) = (Instant::now(), 0);
    // How often a request meets what is inside depends on when it is swapped, and on how busy the machine is.
    let have_succeeded = |counts: &Counts| counts.values().all(|[successes, _]| *successes >= SUCCESSES_MIN);
    while round < ROUNDS_MIN || swaps.load(Ordering::Relaxed) < SWAPS_MIN || !have_succeeded(&counts) {
        assert!(begun.elapsed() < Duration::from_secs(SECONDS_MAX), "{round} rounds, {swaps:?} swaps, {counts:?}");
        for request in ["d", "p/q"].iter().flat_map(|directory| requests(directory)) {
            let Some(response) = exchange(&mut client, &request, &mut counts) else { continue };
            if let Some(next) = continue_upload(&response, round) {
                exchange(&mut client, &next, &mut counts);
            }
        }
        assert_eq!(describe_all(&outside), before, "what is outside has changed");
        round += 1;
    }
    counts
}

fn nothing_outside_is_touched<F: FileSystem>(file_system: F) {
    let place = make_tree();
    let (swaps, is_done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let root = place.path().join("root");
    let counts = thread::scope(|scope| {
        scope.spawn(|| swap(&root, &swaps, &is_done));
        let ended =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| send_requests(file_system, place.path(), &swaps)));
        is_done.store(true, Ordering::Relaxed);
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    println!("{swaps:?} swaps, {counts:?}");
    assert_eq!(counts.len(), 7, "{counts:?}");
    assert!(counts.values().map(|[_, others]| others).sum::<usize>() > 1000, "requests met links: {counts:?}");
}

#[test]
fn nothing_outside_is_touched_while_directories_are_swapped_against_links_with_native_calls() {
    nothing_outside_is_touched(Native);
}

#[test]
fn nothing_outside_is_touched_while_directories_are_swapped_against_links_with_portable_calls() {
    nothing_outside_is_touched(Portable);
}
