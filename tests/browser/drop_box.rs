//! The page of a drop box: it takes files, and shows none but those that this tab has sent.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::folder::Shared;
use crate::harness::{noise, wait_until};
use crate::tab::Tab;

/// The state of each file in the queue: the class of its row.
const STATES: &str = "Array.from(document.querySelectorAll('#upload-items li'), (row) => row.className)";

const DROP_BOX: &[&str] = &["--no-list", "--uploads", "create", "--max-upload", "1G"];

/// A file outside of the drop box.
fn local_file(directory: &tempfile::TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, content).expect("a file");
    path
}

fn wait_for_states(tab: &mut Tab, states: &[&str]) {
    tab.wait_until(&format!("{STATES}.toSorted().join() === {}", json!(states.join(","))));
}

fn take_screenshots(tab: &mut Tab, name: &str) {
    for (suffix, width, height, colours) in [
        ("light", 1000, 700, "light"),
        ("dark", 1000, 700, "dark"),
        ("phone", 390, 844, "light"),
        ("phone-dark", 390, 844, "dark"),
    ] {
        tab.show_as(width, height, colours);
        let file = format!("screenshots/drop-box-{name}-{suffix}.png");
        tab.take_screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(file));
        let overflow = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(overflow, 0, "{name} {suffix} scrolls sideways");
    }
    tab.show_as(1000, 700, "light");
}

#[test]
fn files_that_are_dropped_into_a_drop_box_are_stored_and_not_shown_to_others() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start_with(DROP_BOX);
    let local = tempfile::tempdir().expect("a temporary directory");
    let large = noise(3_000_000, 3);
    let files = [local_file(&local, "report.pdf", "report"), local_file(&local, "film.mkv", &large)];
    tab.open(&format!("{}/", shared.origin()));
    take_screenshots(&mut tab, "empty");
    tab.drop_files(&files.each_ref().map(PathBuf::as_path));
    wait_for_states(&mut tab, &["stored"; 2]);
    take_screenshots(&mut tab, "stored");
    wait_until("the end of the upload resources", || shared.names() == ["film.mkv", "report.pdf"]);
    assert_eq!(fs::read(shared.path().join("film.mkv")).expect("a file"), large);
    assert_eq!(tab.text("document.getElementById('upload-summary').textContent"), "2 files stored");
    assert_eq!(tab.evaluate("document.querySelectorAll('a, table, #filter').length"), 0);
    // Nothing has been read but the page.
    let requests = tab.requests();
    assert_eq!(requests.iter().filter(|url| **url == format!("{}/", shared.origin())).count(), 1, "{requests:?}");
    tab.assert_quiet(&shared.origin());
    tab.open(&format!("{}/", shared.origin()));
    assert_eq!(tab.evaluate("document.body.innerText.includes('report.pdf')"), false);
}

#[test]
fn a_drop_box_says_what_it_takes_with_a_pointer_and_with_a_finger() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start_with(DROP_BOX);
    tab.open(&format!("{}/", shared.origin()));
    let words = "document.querySelector('#drop-box .drop').innerText.trim().split(/\\s*\\n\\s*/)[0]";
    assert_eq!(tab.text(words), "Drop files or folders anywhere on this page, or");
    let hint = tab.text("document.getElementById('upload-hint').innerText");
    assert!(hint.starts_with("Files of at most 1.0 GB. To upload from a terminal:"), "{hint}");
    for colours in ["light", "dark"] {
        tab.show_on_phone(colours);
        tab.open(&format!("{}/", shared.origin()));
        assert_eq!(tab.text(words), "Choose files to send.");
        let file = format!("screenshots/drop-box-touch-{colours}.png");
        tab.take_screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(file));
    }
    tab.assert_quiet(&shared.origin());
}

#[test]
fn a_name_that_is_taken_in_a_drop_box_is_skipped_or_kept_twice() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start_with(DROP_BOX);
    let local = tempfile::tempdir().expect("a temporary directory");
    shared.put("skip.txt", "old");
    shared.put("keep.txt", "old");
    tab.open(&format!("{}/", shared.origin()));
    for (name, button, state) in [("skip.txt", "#upload-skip", "skipped"), ("keep.txt", "#upload-keep", "stored")] {
        tab.choose("#upload-files", &[&local_file(&local, name, "new")]);
        tab.wait_until("document.getElementById('upload-clash').open");
        assert_eq!(tab.evaluate("document.getElementById('upload-replace').checkVisibility()"), false);
        take_screenshots(&mut tab, "taken");
        tab.click(button);
        tab.wait_until(&format!("{STATES}.includes('{state}')"));
    }
    wait_until("the end of the upload resources", || shared.names() == ["keep (2).txt", "keep.txt", "skip.txt"]);
    take_screenshots(&mut tab, "kept");
    assert_eq!(fs::read(shared.path().join("keep.txt")).expect("a file"), b"old");
    assert_eq!(fs::read(shared.path().join("keep (2).txt")).expect("a file"), b"new");
    tab.assert_no_script_errors();
}

#[test]
fn files_are_stored_once_in_a_drop_box_although_every_third_response_is_lost() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start_with(DROP_BOX);
    let local = tempfile::tempdir().expect("a temporary directory");
    tab.open(&format!("{}/", shared.origin()));
    tab.evaluate(
        "(() => {
            const send = XMLHttpRequest.prototype.send;
            let requests = 0;
            XMLHttpRequest.prototype.send = function (body) {
                if (requests++ % 3 === 2) Object.defineProperty(this, 'status', { value: 0 });
                return send.call(this, body);
            };
        })()",
    );
    for name in ["one.txt", "two.txt"] {
        tab.choose("#upload-files", &[&local_file(&local, name, name)]);
    }
    wait_for_states(&mut tab, &["stored"; 2]);
    let is_whole = |name: &&String| !name.starts_with(".spindle=");
    assert_eq!(shared.names().iter().filter(is_whole).collect::<Vec<_>>(), ["one.txt", "two.txt"]);
    tab.assert_no_script_errors();
}

#[test]
fn without_javascript_a_form_puts_files_into_a_drop_box() {
    let Some(mut tab) = Tab::start() else { return };
    tab.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    let shared = Shared::start_with(DROP_BOX);
    let local = tempfile::tempdir().expect("a temporary directory");
    tab.open(&format!("{}/", shared.origin()));
    take_screenshots(&mut tab, "form");
    tab.choose("#form input", &[&local_file(&local, "report.pdf", "report")]);
    tab.click("#form button");
    tab.wait_until("document.querySelector('.report') !== null && document.readyState === 'complete'");
    take_screenshots(&mut tab, "report");
    assert_eq!(tab.text("document.querySelector('.report').innerText"), "Stored: report.pdf");
    assert_eq!(tab.evaluate("document.querySelectorAll('.report a').length"), 0);
    tab.click("main > p:last-child a");
    tab.wait_for_path("/");
    assert_eq!(fs::read(shared.path().join("report.pdf")).expect("a file"), b"report");
    tab.assert_quiet(&shared.origin());
}
