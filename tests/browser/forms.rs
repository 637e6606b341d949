//! Uploads in a browser without JavaScript: a plain form, and the page that reports what has become of its files.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::folder::Shared;
use crate::tab::Tab;

/// A tab without JavaScript. The test can still evaluate expressions in it.
fn tab_without_scripts() -> Option<Tab> {
    let mut tab = Tab::start()?;
    tab.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    Some(tab)
}

/// Files with these names outside of the shared folder. Each contains its name.
fn files(directory: &TempDir, names: &[&str]) -> Vec<PathBuf> {
    let files = names.iter().map(|name| {
        let path = directory.path().join(name);
        fs::write(&path, name).expect("a file");
        path
    });
    files.collect()
}

fn screenshot(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots").join(name)
}

fn assert_no_sideways_scrolling(tab: &mut Tab, name: &str) {
    let overflow = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    assert_eq!(overflow, 0, "{name} scrolls sideways");
}

#[test]
fn without_javascript_a_form_uploads_files_and_its_result_is_a_page() {
    let Some(mut tab) = tab_without_scripts() else { return };
    let shared = Shared::start_with(&["--uploads", "create"]);
    let local = TempDir::new().expect("a temporary directory");
    let sizes =
        [("light", 1000, "light"), ("dark", 1000, "dark"), ("phone", 360, "light"), ("phone-dark", 360, "dark")];
    shared.put("trip/taken.txt", "old");
    for (name, width, colours) in sizes {
        tab.show_as(width, 700, colours);
        tab.open(&format!("{}/trip/?sort=size", shared.origin()));
        assert_eq!(tab.evaluate("document.querySelector('#uploads').checkVisibility()"), false);
        assert_no_sideways_scrolling(&mut tab, name);
        let own = format!("{name} <b>\u{e4} & \"quoted\".txt");
        let files = files(&local, &[&own, "taken.txt"]);
        tab.choose("#form input", &files.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        tab.take_screenshot(&screenshot(&format!("form-{name}.png")));
        tab.click("#form button");
        tab.wait_until("document.querySelector('.report') !== null && document.readyState === 'complete'");
        assert_eq!(tab.text("document.querySelector('main p').innerText"), "1 of 2 files was stored.");
        assert_eq!(tab.text("document.querySelector('.report a').textContent"), own);
        let refused = tab.text("document.querySelector('.report .refused').innerText");
        assert_eq!(refused, "Not stored: taken.txt. There is a file of this name, and it may not be replaced.");
        assert_no_sideways_scrolling(&mut tab, name);
        tab.take_screenshot(&screenshot(&format!("report-{name}.png")));
        assert_eq!(fs::read(shared.path().join("trip").join(&own)).expect("a file"), own.as_bytes());
    }
    assert_eq!(fs::read(shared.path().join("trip/taken.txt")).expect("a file"), b"old");
    tab.click("main > p:last-child a");
    tab.wait_for_path("/trip/");
    assert_eq!(tab.names().len(), 5);
}

#[test]
fn the_form_has_a_label_and_cannot_be_sent_without_a_file() {
    let Some(mut tab) = tab_without_scripts() else { return };
    let shared = Shared::start_with(&["--uploads", "replace"]);
    tab.open(&format!("{}/", shared.origin()));
    assert_eq!(tab.text("document.querySelector('#form input').labels[0].innerText"), "Upload files");
    tab.click("#form button");
    assert_eq!(tab.evaluate("document.querySelector('#form input').matches(':invalid')"), true);
    tab.assert_quiet(&shared.origin());
    assert_eq!(shared.names(), Vec::<String>::new());
}

#[test]
fn with_javascript_there_is_no_form() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start_with(&["--uploads", "create"]);
    tab.open(&format!("{}/", shared.origin()));
    assert_eq!(tab.evaluate("document.querySelector('#form') === null"), true);
    tab.assert_quiet(&shared.origin());
}
