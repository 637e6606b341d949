//! The page takes files: chosen or dropped, in pieces, with progress, and continued after everything that interrupts them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::folder::Shared;
use crate::harness::{noise, wait_until};
use crate::queue::{Local, has_reached, open, read, state_text, wait_for_states};
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
fn a_folder_of_five_hundred_files_is_stored() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "create"]) else { return };
    for number in 0..500 {
        local.file(&format!("many/{}/{number}.txt", number % 5), format!("file {number}"));
    }
    local.file("many/.hidden", "");
    tab.choose("#upload-folder", &[&local.0.path().join("many")]);
    tab.wait_until("document.getElementById('upload-summary').textContent === '500 files stored'");
    for number in 0..500 {
        let path = shared.path().join(format!("many/{}/{number}.txt", number % 5));
        assert_eq!(read(&path), format!("file {number}").into_bytes());
    }
    assert!(tab.text("document.getElementById('upload-notes').textContent").starts_with("1 file left out"));
    assert_eq!(tab.evaluate("document.querySelectorAll('#upload-items li').length <= 100"), true);
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
fn a_file_that_changes_is_not_stored() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "create"]) else { return };
    let file = local.file("film.mkv", noise(20_000_000, 10));
    tab.limit_upload_rate(10_000_000);
    tab.choose("#upload-files", &[&file]);
    tab.wait_until(&has_reached(0.2));
    local.file("film.mkv", noise(21_000_000, 11));
    tab.limit_upload_rate(-1);
    wait_for_states(&mut tab, &["failed"]);
    assert!(state_text(&mut tab).starts_with("The file was changed or removed"));
    wait_until("an empty folder", || shared.names().is_empty());
    tab.assert_no_script_errors();
}

#[test]
fn what_to_do_with_taken_names_is_asked_once_for_all() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "create"]) else { return };
    let names = ["a.txt", "b.txt", "c.tar.gz", "large.bin"];
    let content = |name: &str| match name {
        // The server does not read the whole content of a request that it refuses.
        "b.txt" => noise(1_000_000, 14),
        "large.bin" => noise(2_000_000, 12),
        _ => b"new".to_vec(),
    };
    let files = names.map(|name| local.file(name, content(name)));
    let files = files.each_ref().map(PathBuf::as_path);
    names.iter().for_each(|name| shared.put(name, "old"));
    shared.put("a (2).txt", "old");
    let choose = |tab: &mut Tab, choice: &str| {
        tab.choose("#upload-files", &files);
        tab.wait_until("document.getElementById('upload-clash').open");
        tab.click("#upload-clash-all:not(:checked)");
        tab.click(choice);
    };
    assert_eq!(tab.evaluate("document.getElementById('upload-replace').hidden"), true);
    choose(&mut tab, "#upload-skip");
    wait_for_states(&mut tab, &["skipped"; 4]);
    assert_eq!(shared.names(), ["a (2).txt", "a.txt", "b.txt", "c.tar.gz", "large.bin"]);
    tab.open(&format!("{}/", shared.origin()));
    choose(&mut tab, "#upload-keep");
    wait_for_states(&mut tab, &["stored"; 4]);
    for (name, of) in [("a (3).txt", 0), ("b (2).txt", 1), ("c.tar (2).gz", 2), ("large (2).bin", 3)] {
        assert_eq!(read(&shared.path().join(name)), content(names[of]), "{name}");
    }
    names.iter().for_each(|name| assert_eq!(read(&shared.path().join(name)), b"old"));
    tab.assert_no_script_errors();
}

#[test]
fn files_are_replaced_only_after_the_user_has_said_so() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "replace"]) else { return };
    let files = [local.file("a.txt", "new"), local.file("b.txt", "new"), local.file("folder", "new")];
    shared.put("a.txt", "old");
    shared.put("b.txt", "old");
    shared.put("folder/inner.txt", "old");
    tab.choose("#upload-files", &files.each_ref().map(PathBuf::as_path));
    for (name, choice) in [("a.txt", "#upload-replace"), ("b.txt", "#upload-skip"), ("folder", "#upload-replace")] {
        let name = json!(name);
        let names = format!("document.getElementById('upload-clash-name').textContent === {name}");
        tab.wait_until(&format!("document.getElementById('upload-clash').open && {names}"));
        tab.click(choice);
    }
    wait_for_states(&mut tab, &["failed", "skipped", "stored"]);
    assert_eq!(read(&shared.path().join("a.txt")), b"new");
    assert_eq!(read(&shared.path().join("b.txt")), b"old");
    assert_eq!(state_text(&mut tab), "Something that is not a file has this name.");
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
             getResponseHeader: (name) => name === 'Upload-Limit' ? 'max-size=5000000, max-age=60' : null }}",
            json!(text)
        );
        assert_eq!(tab.text(&format!("errorOf({response}).message")), words);
    }
    tab.assert_quiet(&shared.origin());
}

/// The path of a screenshot, which is not compared with anything.
fn screenshot(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots").join(name)
}

#[test]
fn the_queue_is_shown_in_light_and_dark_and_on_a_phone() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start_with(&["--uploads", "replace", "--max-upload", "300M"]);
    shared.fill();
    let local = Local::new();
    let files = [
        local.file("holiday in the mountains.mp4", noise(200_000_000, 3)),
        local.file("report.pdf", noise(900_000, 4)),
        local.file("slides.odp", noise(40_000_000, 5)),
        local.file("notes.md", "new notes"),
        local.file("photo.jpg", noise(2_900_000, 6)),
    ];
    let too_large = local.file("backup.tar", "");
    fs::File::options().write(true).open(&too_large).expect("a file").set_len(400_000_000).expect("its size");
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).chain([too_large.as_path()]).collect();
    for (width, height, colours) in [(1000, 900, "light"), (1000, 900, "dark"), (360, 760, "light"), (360, 760, "dark")]
    {
        let show = |tab: &mut Tab, what: &str| {
            let overflow = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert_eq!(overflow, 0, "{what} scrolls sideways at {width} px");
            tab.take_screenshot(&screenshot(&format!("uploads-{what}-{width}-{colours}.png")));
        };
        tab.show_as(width, height, colours);
        tab.limit_upload_rate(-1);
        tab.open(&format!("{}/", shared.origin()));
        show(&mut tab, "empty");
        tab.limit_upload_rate(12_000_000);
        tab.choose("#upload-files", &files);
        tab.wait_until("document.getElementById('upload-clash').open");
        show(&mut tab, "clash");
        tab.click("#upload-skip");
        tab.wait_until("document.getElementById('upload-rate').textContent.includes('left')");
        tab.wait_until("document.querySelector('.sending .state').textContent.includes('left')");
        show(&mut tab, "progress");
        tab.click("#upload-items .sending .cancel");
        tab.limit_upload_rate(-1);
        tab.wait_until("document.getElementById('upload-clear').checkVisibility()");
        show(&mut tab, "done");
        tab.click("#upload-clear");
        tab.wait_until("!document.getElementById('upload-queue').checkVisibility()");
        for name in ["report.pdf", "slides.odp", "photo.jpg"] {
            let _ = fs::remove_file(shared.path().join(name));
        }
    }
    tab.assert_no_script_errors();
}
