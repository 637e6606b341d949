//! The page takes files: chosen or dropped, in pieces, with progress, and continued after everything that interrupts them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::folder::Shared;
use crate::harness::{noise, wait_until};
use crate::tab::Tab;

/// The state of each file in the queue: the class of its row.
const STATES: &str = "Array.from(document.querySelectorAll('#upload-items li'), (row) => row.className)";

/// Files outside of the shared folder.
struct Local(TempDir);

impl Local {
    fn new() -> Local {
        Local(TempDir::new().expect("a temporary directory"))
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, content).expect("a file");
        path
    }
}

fn open(options: &[&str]) -> Option<(Tab, Shared, Local)> {
    let mut tab = Tab::start()?;
    let shared = Shared::start_with(options);
    tab.open(&format!("{}/", shared.origin()));
    Some((tab, shared, Local::new()))
}

/// Waits until the rows of the queue have these states, in any order.
fn wait_for_states(tab: &mut Tab, states: &[&str]) {
    let mut states = states.to_vec();
    states.sort_unstable();
    tab.wait_until(&format!("{STATES}.sort().join() === {}", json!(states.join(","))));
}

fn state_text(tab: &mut Tab) -> String {
    tab.text("document.querySelector('#upload-items .state').textContent")
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("a file")
}

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
