//! Names that are taken: the page asks whether to skip the file, to keep both, or to replace the old one.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::harness::noise;
use crate::network::Network;
use crate::queue::{open, read, state_text, wait_for_states};
use crate::tab::Tab;

/// Waits for the question, and gives the same reply for all files.
fn reply_for_all(tab: &mut Tab, choice: &str) {
    tab.wait_until("document.getElementById('upload-clash').open");
    tab.click("#upload-clash-all:not(:checked)");
    tab.click(choice);
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
        reply_for_all(tab, choice);
    };
    assert_eq!(tab.evaluate("document.getElementById('upload-replace').hidden"), true);
    choose(&mut tab, "#upload-skip");
    let title = tab.text("document.getElementById('upload-clash-title').textContent");
    assert!(names.iter().any(|name| title == format!("A file named “{name}” exists already")), "{title}");
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
fn files_of_any_size_are_skipped_kept_or_replaced() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "replace"]) else { return };
    let names = ["large.bin", "small.txt"];
    let files = [local.file(names[0], noise(3_000_000, 40)), local.file(names[1], "new")];
    let files = files.each_ref().map(PathBuf::as_path);
    let stored = |name: &str| read(&shared.path().join(name));
    for (choice, state) in [("#upload-skip", "skipped"), ("#upload-keep", "stored"), ("#upload-replace", "stored")] {
        names.iter().for_each(|name| shared.put(name, "old"));
        tab.open(&format!("{}/", shared.origin()));
        tab.choose("#upload-files", &files);
        reply_for_all(&mut tab, choice);
        wait_for_states(&mut tab, &[state; 2]);
        let copies = ["large (2).bin", "small (2).txt"];
        for ((name, copy), file) in names.into_iter().zip(copies).zip(files) {
            let is_replaced = choice == "#upload-replace";
            assert!(stored(name) == if is_replaced { read(file) } else { b"old".to_vec() }, "{name} after {choice}");
            assert_eq!(shared.path().join(copy).exists(), choice == "#upload-keep", "{copy} after {choice}");
            if choice == "#upload-keep" {
                assert!(stored(copy) == read(file), "{copy} after {choice}");
                fs::remove_file(shared.path().join(copy)).expect("the copy");
            }
        }
    }
    tab.assert_no_script_errors();
}

#[test]
fn a_name_that_is_taken_during_the_upload_is_not_overwritten() {
    for (uploads, choice) in [("create", "#upload-keep"), ("replace", "#upload-skip"), ("replace", "#upload-replace")] {
        let Some((mut tab, shared, local)) = open(&["--uploads", uploads]) else { return };
        let network = Network::start(shared.port());
        tab.open(&format!("{}/", network.origin()));
        let content = noise(4_000_000, 41);
        network.hold_after(1_000_000);
        tab.choose("#upload-files", &[&local.file("film.mkv", &content)]);
        network.wait_until_held();
        shared.put("film.mkv", "of somebody else");
        network.release();
        tab.wait_until("document.getElementById('upload-clash').open");
        assert_eq!(read(&shared.path().join("film.mkv")), b"of somebody else");
        tab.click(choice);
        wait_for_states(&mut tab, &[if choice == "#upload-skip" { "skipped" } else { "stored" }]);
        let theirs = if choice == "#upload-replace" { content.clone() } else { b"of somebody else".to_vec() };
        assert!(read(&shared.path().join("film.mkv")) == theirs, "{choice}");
        if choice == "#upload-keep" {
            assert!(read(&shared.path().join("film (2).mkv")) == content, "{choice}");
        }
        tab.assert_no_script_errors();
    }
}
