//! Uploads to a disk that is full. The disk is a small file system in memory, which only root can mount.

use std::fs;
use std::path::PathBuf;

use crate::folder::Shared;
use crate::harness::{SmallDisk, noise, wait_until};
use crate::queue::{Local, has_reached, read, texts, wait_for_states};
use crate::tab::Tab;

const DISK_BYTES: usize = 32 << 20;
const DISK_IS_FULL: &str = "The server\u{2019}s disk is full.";

fn open_on_small_disk() -> Option<(Tab, Shared, Local, SmallDisk)> {
    let mut tab = Tab::start()?;
    let disk = SmallDisk::mount(DISK_BYTES)?;
    let shared = Shared::start_at(disk.path(), &["--uploads", "create"]);
    tab.open(&format!("{}/", shared.origin()));
    Some((tab, shared, Local::new(), disk))
}

#[test]
fn a_file_larger_than_the_free_space_is_refused_and_the_others_are_stored() {
    let Some((mut tab, shared, local, _disk)) = open_on_small_disk() else { return };
    shared.put("filler", vec![1; 20 << 20]);
    let content = noise(16 << 20, 20);
    let files =
        [local.file("film.mkv", &content), local.file("notes.txt", "notes"), local.file("b.bin", noise(3 << 20, 21))];
    tab.choose("#upload-files", &files.each_ref().map(PathBuf::as_path));
    wait_for_states(&mut tab, &["failed", "stored", "stored"]);
    assert_eq!(texts(&mut tab, ".failed .state"), [DISK_IS_FULL]);
    wait_until("nothing to be left behind", || shared.names() == ["b.bin", "filler", "notes.txt"]);
    // The page offers to try again.
    fs::remove_file(shared.path().join("filler")).expect("the file");
    tab.click("#upload-retry");
    wait_for_states(&mut tab, &["stored"; 3]);
    assert!(read(&shared.path().join("film.mkv")) == content, "the file differs");
    wait_until("nothing to be left behind", || shared.names() == ["b.bin", "film.mkv", "notes.txt"]);
    tab.assert_no_script_errors();
}

/// Sends a file, and fills the disk meanwhile. Returns the content of the file, and that which fills the disk.
fn fill_disk_during_an_upload(tab: &mut Tab, shared: &Shared, local: &Local) -> (Vec<u8>, PathBuf) {
    let content = noise(20 << 20, 22);
    tab.limit_upload_rate(4_000_000);
    tab.choose("#upload-files", &[&local.file("film.mkv", &content)]);
    tab.wait_until(&has_reached(0.1));
    let filler = shared.path().join("filler");
    assert!(fs::write(&filler, vec![1; DISK_BYTES]).is_err(), "the disk is not full");
    tab.limit_upload_rate(-1);
    wait_for_states(tab, &["failed"]);
    assert_eq!(texts(tab, ".failed .state"), [DISK_IS_FULL]);
    (content, filler)
}

#[test]
fn an_upload_that_filled_the_disk_is_continued_when_there_is_space_again() {
    let Some((mut tab, shared, local, _disk)) = open_on_small_disk() else { return };
    let (content, filler) = fill_disk_during_an_upload(&mut tab, &shared, &local);
    tab.choose("#upload-files", &[&local.file("notes.txt", "notes")]);
    wait_for_states(&mut tab, &["failed"; 2]);
    assert_eq!(texts(&mut tab, ".failed .state"), [DISK_IS_FULL; 2]);
    fs::remove_file(filler).expect("the file");
    tab.click("#upload-retry");
    wait_for_states(&mut tab, &["stored"; 2]);
    assert!(read(&shared.path().join("film.mkv")) == content, "the file differs");
    wait_until("nothing to be left behind", || shared.names() == ["film.mkv", "notes.txt"]);
    let offsets = tab.upload_offsets();
    assert_eq!(offsets.iter().filter(|offset| **offset == 0).count(), 1, "the upload began again: {offsets:?}");
    tab.assert_no_script_errors();
}

#[test]
fn an_upload_that_filled_the_disk_leaves_nothing_after_it_was_removed() {
    let Some((mut tab, shared, local, _disk)) = open_on_small_disk() else { return };
    let _ = fill_disk_during_an_upload(&mut tab, &shared, &local);
    tab.click(".remove");
    wait_until("nothing to be left behind", || shared.names() == ["filler"]);
    tab.assert_no_script_errors();
}
