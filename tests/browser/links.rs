//! The page under a signed link: it works as without one, and says when the link has expired.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::json;
use spindle::semantics::link::{Link, LinkKeys, LinkRight, SECRET_BYTES, key_line};

use crate::folder::Shared;
use crate::harness::{noise, wait_until};
use crate::network::Network;
use crate::queue::{state_text, wait_for_states};
use crate::tab::Tab;

const STATES: &str = "Array.from(document.querySelectorAll('#upload-items li'), (row) => row.className)";

/// The address of a link for this path, under the path `key` of a file with keys. It is valid for so many seconds.
fn link(shared: &Shared, key: &Path, right: LinkRight, path: &str, lifetime_s: u64) -> String {
    let keys = LinkKeys::parse(&fs::read(key).unwrap()).unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let segments = path.split('/').filter(|segment| !segment.is_empty()).count();
    let signed = keys.sign(Link { right, segments, expires_unix_s: now + lifetime_s, id: 7 }, path.as_bytes());
    format!("{}/.spindle/link/{signed}{path}", shared.origin())
}

fn key_in(scratch: &tempfile::TempDir) -> PathBuf {
    let key = scratch.path().join("key");
    fs::write(&key, key_line(&[7; SECRET_BYTES])).unwrap();
    key
}

fn take_screenshot(tab: &mut Tab, name: &str) {
    let file = format!("screenshots/link-{name}.png");
    tab.take_screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(file));
}

#[test]
fn files_are_sent_under_a_link_until_it_expires() {
    let Some(mut tab) = Tab::start() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let key = key_in(&scratch);
    let shared = Shared::start_with(&["--link-key", key.to_str().unwrap()]);
    fs::create_dir(shared.path().join("inbox")).unwrap();
    let right = LinkRight::Create { bytes_max: Some(4_000_000) };
    let files = ["small.txt", "large.bin", "huge.bin"].map(|name| scratch.path().join(name));
    let large = noise(3_000_000, 3);
    for (file, content) in files.iter().zip([&b"small"[..], &large, &[0; 4_000_001]]) {
        fs::write(file, content).unwrap();
    }
    tab.call("Emulation.setTimezoneOverride", json!({ "timezoneId": "Asia/Kathmandu" }));
    tab.open(&link(&shared, &key, right, "/inbox/", 600));
    let local = "new Date(document.querySelector('#expiry time').dateTime)\
                 .toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', timeZone: 'Asia/Kathmandu' })";
    let local = tab.text(local);
    let shown = tab.text("document.getElementById('expiry').innerText");
    assert!(shown.starts_with("This link works until ") && shown.ends_with(&format!("{local}.")), "{shown}: {local}");
    tab.drop_files(&files.each_ref().map(PathBuf::as_path));
    tab.wait_until(&format!("{STATES}.toSorted().join() === {}", json!("failed,stored,stored")));
    take_screenshot(&mut tab, "create");
    wait_until("the large file", || {
        fs::read(shared.path().join("inbox/large.bin")).is_ok_and(|content| content == large)
    });
    assert_eq!(fs::read(shared.path().join("inbox/small.txt")).unwrap(), b"small");
    let reason = "document.querySelector('#upload-items li.failed .state').textContent";
    assert_eq!(tab.text(reason), "The file is too large: the server takes at most 4.0 MB.");
    let expires = SystemTime::now() + Duration::from_secs(5);
    tab.open(&link(&shared, &key, right, "/inbox/", 5));
    wait_until("the end of the link", || SystemTime::now() > expires + Duration::from_secs(1));
    let late = scratch.path().join("late.txt");
    fs::write(&late, "late").unwrap();
    tab.drop_files(&[late.as_path()]);
    tab.wait_until(&format!("{STATES}.filter((state) => state === 'failed').length === 1"));
    assert_eq!(tab.text(reason), "This link has expired.");
    take_screenshot(&mut tab, "expired");
}

#[test]
fn a_large_file_arrives_under_a_link_although_the_server_is_killed_and_the_network_is_cut() {
    let Some(mut tab) = Tab::start() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let key = key_in(&scratch);
    let mut shared = Shared::start_with(&["--link-key", key.to_str().unwrap()]);
    fs::create_dir(shared.path().join("inbox")).unwrap();
    let network = Network::start(shared.port());
    let address = link(&shared, &key, LinkRight::Create { bytes_max: None }, "/inbox/", 600);
    tab.open(&address.replace(&shared.origin(), &network.origin()));
    let (file, content) = (scratch.path().join("film.mkv"), noise(40_000_000, 5));
    fs::write(&file, &content).unwrap();
    network.hold_after(10_000_000);
    tab.choose("#upload-files", &[&file]);
    network.wait_until_held();
    shared.kill();
    network.hold_after(10_000_000);
    shared.restart();
    network.wait_until_held();
    network.cut();
    wait_until("a wait", || state_text(&mut tab).starts_with("No connection to the server. Trying again"));
    network.restore();
    wait_for_states(&mut tab, &["stored"]);
    assert!(fs::read(shared.path().join("inbox/film.mkv")).unwrap() == content);
    let offsets = tab.upload_offsets();
    assert_eq!(offsets.iter().filter(|offset| **offset == 0).count(), 1, "the upload began again: {offsets:?}");
    tab.assert_no_script_errors();
}

#[test]
fn a_folder_is_read_under_a_link_and_no_page_leads_out_of_it() {
    let Some(mut tab) = Tab::start() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let key = key_in(&scratch);
    let shared = Shared::start_with(&["--link-key", key.to_str().unwrap()]);
    fs::create_dir_all(shared.path().join("a/b/c")).unwrap();
    fs::write(shared.path().join("a/b/c/file.txt"), "content").unwrap();
    let address = link(&shared, &key, LinkRight::Read, "/a/b/", 600);
    tab.call("Emulation.setTimezoneOverride", json!({ "timezoneId": "Asia/Kathmandu" }));
    tab.open(&address);
    take_screenshot(&mut tab, "read");
    let shown = tab.text("document.getElementById('expiry').innerText");
    assert!(shown.starts_with("This link works until ") && shown.ends_with(" GMT+5:45."), "{shown}");
    assert_eq!(tab.evaluate("document.querySelectorAll('nav a, #up').length"), 0);
    tab.open(&format!("{address}c/"));
    assert_eq!(tab.text("document.querySelector('nav a').href"), address);
    assert_eq!(tab.text("document.querySelector('#up a').href"), address);
    assert_eq!(tab.text("document.querySelector('a[href=\"file.txt\"]').href"), format!("{address}c/file.txt"));
}
