//! With `--uploads manage` the page renames and deletes entries, and creates folders.

mod deleting;
mod failures;
mod naming;
mod offers;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::json;

use crate::folder::Shared;
use crate::tab::Tab;

/// The href of the entry that has the focus, or the id of another element.
const FOCUSED: &str = "(document.activeElement.closest('tbody tr')?.querySelector('a').getAttribute('href')) \
                       ?? document.activeElement.id";

fn open(files: &[&str]) -> Option<(Tab, Shared)> {
    let mut tab = Tab::start()?;
    let shared = Shared::start_with(&["--uploads", "manage"]);
    files.iter().for_each(|name| shared.put(name, name));
    tab.open(&format!("{}/", shared.origin()));
    Some((tab, shared))
}

/// Waits until the page has announced this.
fn wait_for_status(tab: &mut Tab, text: &str) {
    tab.wait_until(&format!("document.getElementById('manage-status').textContent === {}", json!(text)));
}

/// Waits until the open dialog says why nothing has been changed yet.
fn wait_for_problem(tab: &mut Tab, beginning: &str) {
    let problem = "document.querySelector('dialog[open] .problem')?.textContent";
    tab.wait_until(&format!("{problem}?.startsWith({}) === true", json!(beginning)));
}

fn wait_for_no_dialog(tab: &mut Tab) {
    tab.wait_until("document.querySelector('dialog[open]') === null");
}

/// Chooses an action in the menu of an entry, with the mouse.
fn choose(tab: &mut Tab, href: &str, action: &str) {
    tab.click(&format!("tr:has(a[href='{href}']) .more"));
    tab.click(action);
    tab.wait_until("document.querySelector('dialog[open]') !== null");
}

/// Enters a name into the open dialog, and confirms.
fn enter(tab: &mut Tab, name: &str) {
    tab.evaluate(&format!("document.getElementById('name-new').value = {}", json!(name)));
    tab.press("Enter");
}

/// Confirms in the dialog that asks whether to delete, with the keyboard. At first the focus is on Cancel.
fn confirm_deletion(tab: &mut Tab) {
    tab.press("Tab");
    assert_eq!(tab.text("document.activeElement.id"), "delete-confirm");
    tab.press("Enter");
}

fn read(shared: &Shared, name: impl AsRef<[u8]>) -> Vec<u8> {
    fs::read(shared.path().join(OsStr::from_bytes(name.as_ref()))).expect("a file")
}

fn exists(shared: &Shared, name: &[u8]) -> bool {
    shared.path().join(OsStr::from_bytes(name)).exists()
}

/// Makes the next request with this method wait until `release()` is called.
fn hold_next(tab: &mut Tab, method: &str) {
    tab.evaluate(&format!(
        "(() => {{
            const sendNow = send;
            const held = new Promise((resolve) => {{ globalThis.release = resolve; }});
            globalThis.isHeld = false;
            globalThis.send = async (method, ...rest) => {{
                if (method === {method}) {{ globalThis.isHeld = true; await held; }}
                return sendNow(method, ...rest);
            }};
        }})()",
        method = json!(method)
    ));
}
