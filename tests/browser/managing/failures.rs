//! Changes that fail, or end after their dialog has been closed.

use std::fs;

use super::{choose, confirm_deletion, enter, hold_next, open, wait_for_no_dialog, wait_for_problem, wait_for_status};

#[test]
fn an_entry_that_is_not_there_any_more_is_said_to_be_gone() {
    let Some((mut tab, shared)) = open(&["a.txt", "b.txt", "folder/c.txt"]) else { return };
    let gone = "It is not there any more. Somebody has deleted, renamed or moved it.";
    for (href, action, name) in [
        ("a.txt", "#entry-delete", "a.txt"),
        ("b.txt", "#entry-rename", "b.txt"),
        ("folder/", "#entry-delete", "folder"),
    ] {
        let path = shared.path().join(name);
        let other = shared.path().join(".gone");
        fs::rename(&path, &other).expect("a hidden entry");
        choose(&mut tab, href, action);
        match action {
            "#entry-rename" => enter(&mut tab, "new"),
            _ => confirm_deletion(&mut tab),
        }
        wait_for_problem(&mut tab, gone);
        assert_eq!(tab.text("document.activeElement.textContent"), "Close");
        tab.wait_until(&format!("document.querySelector(\"a[href='{href}']\") === null"));
        tab.press("Enter");
        wait_for_no_dialog(&mut tab);
        fs::rename(&other, &path).expect("the entry is back");
        tab.open(&format!("{}/", shared.origin()));
    }
    tab.assert_no_script_errors();
}

#[test]
fn each_status_of_a_failure_is_said_in_words() {
    let Some((mut tab, _shared)) = open(&["b.txt"]) else { return };
    for (status, problem) in [
        (400, "The server does not accept this name."),
        (403, "The server does not allow this. Because."),
        (405, "The server does not allow changes any more."),
        (409, "The folder that this page shows is not there any more."),
        (421, "The server does not share the folder under this host name."),
        (500, "The server refused this with status 500. Because."),
        (501, "On this file system the server cannot rename it without the risk"),
        (502, "It is on another file system than this folder"),
        (503, "The server is busy. Because."),
        (507, "The server’s disk is full."),
    ] {
        tab.evaluate(&format!(
            "globalThis.send = async (method, url) => ({{ status: {status}, responseURL: new URL(url, location).href, \
             responseType: 'text', responseText: 'Because.\\n', \
             getResponseHeader: (name) => name === 'Content-Type' ? 'text/plain' : null }})"
        ));
        choose(&mut tab, "b.txt", "#entry-rename");
        enter(&mut tab, "new");
        wait_for_problem(&mut tab, problem);
        tab.press("Escape");
        wait_for_no_dialog(&mut tab);
    }
    tab.assert_no_script_errors();
}

#[test]
fn a_change_without_a_connection_is_tried_again_by_the_user() {
    let Some((mut tab, mut shared)) = open(&["a.txt", "b.txt"]) else { return };
    shared.kill();
    choose(&mut tab, "b.txt", "#entry-delete");
    confirm_deletion(&mut tab);
    wait_for_problem(&mut tab, "No connection to the server.");
    shared.restart();
    tab.press("Enter");
    wait_for_status(&mut tab, "Deleted “b.txt”.");
    assert_eq!(shared.names(), ["a.txt"]);
    tab.assert_no_script_errors();
}

#[test]
fn a_change_whose_dialog_was_closed_early_is_announced_all_the_same() {
    let Some((mut tab, shared)) = open(&["a.txt", "b.txt", "c.txt"]) else { return };
    hold_next(&mut tab, "MOVE");
    choose(&mut tab, "a.txt", "#entry-rename");
    enter(&mut tab, "b.txt");
    wait_for_problem(&mut tab, "Waiting for the server…");
    tab.press("Escape");
    choose(&mut tab, "c.txt", "#entry-delete");
    tab.evaluate("release()");
    wait_for_status(&mut tab, "“a.txt”: A file or folder of this name exists already. Choose another name.");
    assert_eq!(tab.text("document.querySelector('dialog[open]').id"), "delete-dialog", "another dialog stays open");
    assert_eq!(shared.names(), ["a.txt", "b.txt", "c.txt"]);
    tab.assert_no_script_errors();
}

#[test]
fn a_redirected_change_is_not_taken_for_one_that_was_made() {
    let Some((mut tab, shared)) = open(&["a.txt"]) else { return };
    // As a proxy does that wants a password.
    tab.evaluate("(() => { const sendNow = send; globalThis.send = (method) => sendNow('GET', '/.spindle/put'); })()");
    choose(&mut tab, "a.txt", "#entry-rename");
    enter(&mut tab, "b.txt");
    wait_for_problem(&mut tab, "Something in front of the server has redirected the request.");
    assert_eq!(shared.names(), ["a.txt"]);
    tab.assert_no_script_errors();
}
