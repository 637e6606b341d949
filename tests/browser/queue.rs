//! Helpers for tests of uploads: local files, and the queue as the page shows it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::folder::Shared;
use crate::harness::WAIT_MAX;
use crate::tab::Tab;

/// The state of each file in the queue: the class of its row.
const STATES: &str = "Array.from(document.querySelectorAll('#upload-items li'), (row) => row.className)";

/// Files outside of the shared folder.
pub(crate) struct Local(pub(crate) TempDir);

impl Local {
    pub(crate) fn new() -> Local {
        Local(TempDir::new().expect("a temporary directory"))
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, content).expect("a file");
        path
    }
}

pub(crate) fn open(options: &[&str]) -> Option<(Tab, Shared, Local)> {
    let mut tab = Tab::start()?;
    let shared = Shared::start_with(options);
    tab.open(&format!("{}/", shared.origin()));
    Some((tab, shared, Local::new()))
}

/// Waits until the rows of the queue have these states, in any order.
pub(crate) fn wait_for_states(tab: &mut Tab, states: &[&str]) {
    let mut states = states.to_vec();
    states.sort_unstable();
    wait_for(tab, &format!("{STATES}.sort().join()"), &states.join(","));
}

/// Waits until the summary of the queue has this text.
pub(crate) fn wait_for_summary(tab: &mut Tab, text: &str) {
    wait_for(tab, "document.getElementById('upload-summary').textContent", text);
}

/// Waits until an expression has this value. If it takes too long, the message has the last value, and all rows.
fn wait_for(tab: &mut Tab, expression: &str, expected: &str) {
    let started = Instant::now();
    loop {
        let value = tab.text(expression);
        if value == expected {
            return;
        }
        if started.elapsed() > WAIT_MAX {
            panic!("expected {expected}, but it is {value} of {:?}", texts(tab, "#upload-items li"));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn state_text(tab: &mut Tab) -> String {
    tab.text("document.querySelector('#upload-items .state').textContent")
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("a file")
}

/// Whether the first file of the queue has reached this share of its size.
pub(crate) fn has_reached(share: f64) -> String {
    format!("document.querySelector('#upload-items progress').value >= {share}")
}

/// The share of the first file that the page shows as sent.
pub(crate) fn bar(tab: &mut Tab) -> f64 {
    tab.evaluate("document.querySelector('#upload-items progress').value").as_f64().expect("a number")
}

/// The texts of all elements that match the selector.
pub(crate) fn texts(tab: &mut Tab, selector: &str) -> Vec<String> {
    let selector = json!(selector);
    let texts =
        tab.evaluate(&format!("Array.from(document.querySelectorAll({selector}), (element) => element.textContent)"));
    serde_json::from_value(texts).expect("a list of texts")
}
