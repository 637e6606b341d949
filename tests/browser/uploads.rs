//! The page takes files: chosen or dropped, in pieces, with progress, and continued after everything that interrupts them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::folder::Shared;
use crate::harness::{noise, wait_until};
use crate::queue::{Local, has_reached, open, read, state_text, wait_for_states, wait_for_summary};
use crate::tab::Tab;

#[test]
fn chosen_files_are_stored_and_listed() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "create"]) else { return };
    let large = noise(3_000_000, 1);
    let files = [
        local.file("small.txt", "small"),
        local.file("empty", ""),
        local.file("large \u{e4}?#%.bin", &large),
        local.file("<b>.txt", "tag"),
    ];
    tab.choose("#upload-files", &files.each_ref().map(PathBuf::as_path));
    wait_for_states(&mut tab, &["stored"; 4]);
    tab.wait_until("document.querySelectorAll('#list tbody tr').length === 4");
    assert_eq!(tab.names(), ["<b>.txt", "empty", "large \u{e4}?#%.bin", "small.txt"]);
    assert_eq!(read(&shared.path().join("large \u{e4}?#%.bin")), large);
    assert_eq!(read(&shared.path().join("small.txt")), b"small");
    assert_eq!(tab.text("document.getElementById('upload-summary').textContent"), "4 files stored");
    tab.assert_quiet(&shared.origin());
}

#[test]
fn dropped_files_are_stored() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "create"]) else { return };
    let files = [local.file("one.txt", "one"), local.file("two.bin", noise(2_000_000, 2))];
    tab.drop_files(&files.each_ref().map(PathBuf::as_path));
    wait_for_states(&mut tab, &["stored"; 2]);
    wait_until("the end of the upload resource", || shared.names() == ["one.txt", "two.bin"]);
    assert_eq!(read(&shared.path().join("two.bin")), noise(2_000_000, 2));
    assert_eq!(tab.evaluate("document.body.classList.contains('dropping')"), false);
    tab.assert_quiet(&shared.origin());
}

#[test]
fn a_page_without_uploads_takes_none() {
    let Some((mut tab, shared, _)) = open(&[]) else { return };
    assert_eq!(tab.evaluate("document.querySelectorAll('#uploads, [type=file]').length"), 0);
    tab.assert_quiet(&shared.origin());
}

#[test]
fn a_dropped_folder_is_stored_with_the_folders_in_it() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "create"]) else { return };
    local.file("trip/day one/a.txt", "a");
    local.file("trip/b.txt", "b");
    tab.drop_files(&[&local.0.path().join("trip")]);
    wait_for_states(&mut tab, &["stored"; 2]);
    assert_eq!(read(&shared.path().join("trip/day one/a.txt")), b"a");
    assert_eq!(read(&shared.path().join("trip/b.txt")), b"b");
    tab.assert_quiet(&shared.origin());
}

#[test]
fn a_folder_of_five_hundred_files_is_stored_whether_it_is_chosen_or_dropped() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "create"]) else { return };
    for name in ["chosen", "dropped"] {
        for number in 0..500 {
            // Some folders have more entries than a browser returns at a time.
            local.file(&format!("{name}/{}/{number}.txt", number % 2), format!("file {number}"));
        }
        local.file(&format!("{name}/.hidden"), "");
        tab.open(&format!("{}/", shared.origin()));
        let folder = local.0.path().join(name);
        if name == "chosen" {
            tab.choose("#upload-folder", &[&folder]);
        } else {
            // Together with another folder and a file.
            local.file("other/one.txt", "");
            tab.drop_files(&[&folder, &local.0.path().join("other"), &local.file("two.txt", "")]);
        }
        let stored = if name == "chosen" { 500 } else { 502 };
        wait_for_summary(&mut tab, &format!("{stored} files stored"));
        for number in 0..500 {
            let path = shared.path().join(format!("{name}/{}/{number}.txt", number % 2));
            assert_eq!(read(&path), format!("file {number}").into_bytes());
        }
        assert!(tab.text("document.getElementById('upload-notes').textContent").starts_with("1 file left out"));
        assert_eq!(tab.evaluate("document.querySelectorAll('#upload-items li').length <= 100"), true);
    }
    assert_eq!(shared.names(), ["chosen", "dropped", "other", "two.txt"]);
    tab.assert_quiet(&shared.origin());
}

#[test]
fn a_cancelled_upload_leaves_nothing_on_the_server() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "create"]) else { return };
    let file = local.file("film.mkv", noise(30_000_000, 8));
    tab.limit_upload_rate(10_000_000);
    tab.choose("#upload-files", &[&file]);
    tab.wait_until(&has_reached(0.1));
    tab.click(".cancel");
    wait_until("an empty folder", || shared.names().is_empty());
    assert_eq!(tab.evaluate("localStorage.length"), 0);
    tab.assert_no_script_errors();
}

#[test]
fn the_queue_can_be_used_with_the_keyboard() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "replace"]) else { return };
    shared.put("a.txt", "old");
    let files = [local.file("a.txt", "new"), local.file("film.mkv", noise(20_000_000, 15))];
    tab.limit_upload_rate(2_000_000);
    tab.choose("#upload-files", &files.each_ref().map(PathBuf::as_path));
    // The safe choice has the focus, and Escape skips the file.
    tab.wait_until("document.activeElement.id === 'upload-keep'");
    tab.press("Backspace");
    tab.press("Escape");
    tab.wait_until("!document.getElementById('upload-clash').open");
    wait_for_states(&mut tab, &["sending", "skipped"]);
    tab.evaluate("document.getElementById('upload-choose').focus()");
    let focused = "document.activeElement.ariaLabel ?? document.activeElement.textContent";
    let mut reached = Vec::new();
    for _ in 0..6 {
        tab.press("Tab");
        assert!(tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", "{reached:?}");
        reached.push(tab.text(focused));
    }
    let expected = ["Choose a folder", "Pause all", "Cancel all", "Uploads", "Pause: film.mkv", "Cancel: film.mkv"];
    assert_eq!(reached, expected);
    tab.evaluate("document.querySelector('.pause').focus()");
    tab.press("Enter");
    wait_for_states(&mut tab, &["paused", "skipped"]);
    tab.wait_until("document.activeElement.ariaLabel === 'Resume: film.mkv'");
    tab.limit_upload_rate(-1);
    tab.press("Enter");
    wait_for_states(&mut tab, &["skipped", "stored"]);
    tab.wait_until("document.getElementById('upload-status').textContent === '1 file stored, 1 skipped'");
    tab.assert_no_script_errors();
}

/// Chooses a file of 20 MB, applies `change` to it while it is sent, and expects that this is noticed.
fn change_during_upload(tab: &mut Tab, shared: &Shared, local: &Local, change: impl FnOnce(&mut Tab, &Path)) {
    let file = local.file("film.mkv", noise(20_000_000, 10));
    let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(&file).expect("the file").set_modified(an_hour_ago).expect("its time");
    tab.limit_upload_rate(10_000_000);
    tab.choose("#upload-files", &[&file]);
    tab.wait_until(&has_reached(0.2));
    change(tab, &file);
    tab.limit_upload_rate(-1);
    wait_for_states(tab, &["failed"]);
    assert!(state_text(tab).starts_with("The file was changed or removed"));
    wait_until("an empty folder", || shared.names().is_empty());
    assert_eq!(tab.evaluate("document.querySelectorAll('.retry').length"), 0);
    tab.click(".remove");
    tab.wait_until("document.querySelectorAll('#upload-items li').length === 0");
}

#[test]
fn a_file_that_changes_is_not_stored() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "create"]) else { return };
    let overwrite = |file: &Path, bytes: usize| fs::write(file, noise(bytes, 11)).expect("the file");
    change_during_upload(&mut tab, &shared, &local, |_, file| overwrite(file, 21_000_000));
    change_during_upload(&mut tab, &shared, &local, |_, file| overwrite(file, 20_000_000));
    change_during_upload(&mut tab, &shared, &local, |_, file| fs::remove_file(file).expect("the file"));
    change_during_upload(&mut tab, &shared, &local, |tab, file| {
        tab.click(".pause");
        wait_for_states(tab, &["paused"]);
        overwrite(file, 20_000_000);
        tab.click(".resume");
    });
    tab.assert_no_script_errors();
}

#[test]
fn a_small_file_that_changes_before_its_turn_is_not_stored() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "create"]) else { return };
    let files = ["a.mkv", "b.mkv", "c.mkv"].map(|name| local.file(name, noise(20_000_000, 10)));
    let small = local.file("small.txt", "old");
    let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(&small).expect("the file").set_modified(an_hour_ago).expect("its time");
    tab.limit_upload_rate(1_000_000);
    let all: Vec<&Path> = files.iter().map(PathBuf::as_path).chain([small.as_path()]).collect();
    tab.choose("#upload-files", &all);
    wait_for_states(&mut tab, &["queued", "sending", "sending", "sending"]);
    fs::write(&small, "new").expect("the file");
    tab.click(".sending .cancel");
    wait_for_states(&mut tab, &["failed", "sending", "sending"]);
    tab.click("#upload-cancel");
    wait_until("an empty folder", || shared.names().is_empty());
    assert!(state_text(&mut tab).starts_with("The file was changed or removed"));
    tab.assert_no_script_errors();
}

#[test]
fn leaving_the_page_during_an_upload_has_to_be_confirmed() {
    let Some((mut tab, _shared, local)) = open(&["--uploads", "create"]) else { return };
    tab.limit_upload_rate(2_000_000);
    tab.choose("#upload-files", &[&local.file("film.mkv", noise(20_000_000, 15))]);
    tab.wait_until(&has_reached(0.01));
    let may_leave = "dispatchEvent(new Event('beforeunload', { cancelable: true }))";
    assert_eq!(tab.evaluate(may_leave), false);
    tab.click(".cancel");
    tab.wait_until(may_leave);
    tab.assert_no_script_errors();
}

#[test]
fn failures_are_said_in_words() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "create", "--max-upload", "1M"]) else { return };
    tab.choose("#upload-files", &[&local.file("large.bin", noise(2_000_000, 13))]);
    wait_for_states(&mut tab, &["failed"]);
    assert_eq!(state_text(&mut tab), "The file is too large: the server takes at most 1.0 MB.");
    for (status, words) in [
        (403, "The server has no permission to write there."),
        (404, "There is no folder for this file on the server, and none could be made."),
        (405, "The server takes no uploads here."),
        (413, "The file is too large: the server takes at most 5.0 MB."),
        (503, "The server is busy."),
        (507, "The server\u{2019}s disk is full."),
        (500, "The server refused the file with status 500. Because."),
    ] {
        let text = if status == 500 { "Because.\n" } else { "" };
        let response = format!(
            "{{ status: {status}, responseType: 'text', responseText: {}, \
             getResponseHeader: (name) => ({{ 'Upload-Limit': 'max-size=5000000, max-age=60', \
             'Content-Type': 'text/plain' }})[name] ?? null }}",
            json!(text)
        );
        assert_eq!(tab.text(&format!("errorOf({response}).message")), words);
        // The page of a proxy is not shown.
        let page = response.replace("text/plain", "text/html").replace("Because.", "<!doctype html>");
        assert_eq!(tab.text(&format!("errorOf({page}).message")), words.replace(" Because.", ""));
    }
    tab.assert_quiet(&shared.origin());
}
