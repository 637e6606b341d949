//! Deleting files and folders: after one question, and never a version that the user has not been told about.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{
    FOCUSED, choose, confirm_deletion, enter, exists, hold_next, open, read, wait_for_no_dialog, wait_for_problem,
    wait_for_status,
};

#[test]
fn a_file_is_deleted_after_one_question() {
    let Some((mut tab, shared)) = open(&["a.txt", "b.txt", "c.txt"]) else { return };
    choose(&mut tab, "b.txt", "#entry-delete");
    assert_eq!(tab.text("document.getElementById('delete-title').textContent"), "Delete “b.txt”?");
    tab.press("Escape");
    wait_for_no_dialog(&mut tab);
    assert_eq!(tab.evaluate("document.activeElement.matches(\"tr:has(a[href='b.txt']) .more\")"), true);
    choose(&mut tab, "b.txt", "#entry-delete");
    tab.click("#delete-dialog .cancel");
    wait_for_no_dialog(&mut tab);
    assert_eq!(shared.names(), ["a.txt", "b.txt", "c.txt"]);
    for (href, rest, focused) in [("b.txt", &["a.txt", "c.txt"][..], "c.txt"), ("c.txt", &["a.txt"], "a.txt")] {
        choose(&mut tab, href, "#entry-delete");
        tab.click("#delete-confirm");
        wait_for_status(&mut tab, &format!("Deleted “{href}”."));
        assert_eq!(tab.names(), rest);
        assert_eq!(tab.text(FOCUSED), focused);
        assert_eq!(shared.names(), rest);
    }
    choose(&mut tab, "a.txt", "#entry-delete");
    tab.click("#delete-confirm");
    tab.wait_until("document.getElementById('empty')?.innerText === 'This folder is empty.'");
    assert_eq!(tab.text(FOCUSED), "new-folder");
    assert_eq!(tab.text("document.querySelector('footer p').textContent"), "0 entries");
    tab.assert_quiet(&shared.origin());
}

#[test]
fn only_an_empty_folder_is_deleted() {
    let Some((mut tab, shared)) = open(&["full/a.txt", "secret/.hidden", "z.txt"]) else { return };
    fs::create_dir(shared.path().join("empty")).expect("a folder");
    tab.open(&format!("{}/", shared.origin()));
    for href in ["full/", "secret/"] {
        choose(&mut tab, href, "#entry-delete");
        confirm_deletion(&mut tab);
        wait_for_problem(&mut tab, "This folder is not empty.");
        // It cannot succeed, so it is not offered again.
        assert_eq!(tab.evaluate("document.getElementById('delete-confirm').checkVisibility()"), false);
        assert_eq!(tab.text("document.activeElement.textContent"), "Close");
        tab.press("Enter");
        wait_for_no_dialog(&mut tab);
    }
    choose(&mut tab, "empty/", "#entry-delete");
    confirm_deletion(&mut tab);
    wait_for_status(&mut tab, "Deleted “empty”.");
    assert_eq!(tab.names(), ["full", "secret", "z.txt"]);
    assert_eq!(shared.names(), ["full", "secret", "z.txt"]);
    assert_eq!(read(&shared, "full/a.txt"), b"full/a.txt");
    tab.assert_no_script_errors();
}

#[test]
fn a_held_enter_key_confirms_nothing() {
    let Some((mut tab, shared)) = open(&["z.txt"]) else { return };
    fs::create_dir(shared.path().join("folder")).expect("a folder");
    tab.open(&format!("{}/", shared.origin()));
    tab.evaluate("document.querySelector(\"a[href='folder/']\").focus()");
    tab.press("Delete");
    tab.press("Tab");
    let sent = tab.requests().len();
    for _ in 0..3 {
        tab.call(
            "Input.dispatchKeyEvent",
            json!({ "type": "keyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r",
                    "autoRepeat": true }),
        );
    }
    assert_eq!(tab.requests().len(), sent, "a request to delete the folder");
    tab.press("Enter");
    wait_for_status(&mut tab, "Deleted “folder”.");
    assert_eq!(shared.names(), ["z.txt"]);
}

#[test]
fn a_file_that_was_replaced_after_it_was_listed_is_not_deleted_unseen() {
    let Some((mut tab, shared)) = open(&["a.txt"]) else { return };
    shared.put("a.txt", "another content");
    choose(&mut tab, "a.txt", "#entry-delete");
    wait_for_problem(&mut tab, "Somebody else has changed this file meanwhile. It now has 15 B, modified ");
    tab.wait_until("document.querySelector('td.s data').value === '15'");
    assert_eq!(tab.text("document.getElementById('delete-confirm').textContent"), "Delete anyway");
    assert_eq!(tab.text("document.activeElement.textContent"), "Cancel");
    assert_eq!(read(&shared, "a.txt"), b"another content");
    confirm_deletion(&mut tab);
    wait_for_status(&mut tab, "Deleted “a.txt”.");
    assert_eq!(shared.names(), Vec::<String>::new());
    tab.assert_no_script_errors();
}

#[test]
fn the_focus_goes_to_the_next_entry_after_a_changed_file_was_deleted() {
    let Some((mut tab, shared)) = open(&["a.txt", "b.txt", "c.txt"]) else { return };
    shared.put("b.txt", "another content");
    tab.evaluate("document.querySelector(\"a[href='b.txt']\").focus()");
    tab.press("Delete");
    wait_for_problem(&mut tab, "Somebody else has changed this file meanwhile.");
    // The row, and with it the element that the dialog would return the focus to, is replaced.
    tab.wait_until("document.querySelector(\"tr:has(a[href='b.txt']) data\").value === '15'");
    confirm_deletion(&mut tab);
    wait_for_status(&mut tab, "Deleted “b.txt”.");
    assert_eq!(tab.text(FOCUSED), "c.txt");
    tab.assert_no_script_errors();
}

#[test]
fn the_delete_key_and_enter_delete_nothing() {
    let Some((mut tab, shared)) = open(&["a.txt", "folder/b.txt"]) else { return };
    for href in ["a.txt", "folder/"] {
        tab.evaluate(&format!("document.querySelector(\"a[href='{href}']\").focus()"));
        tab.press("Delete");
        assert_eq!(tab.text("document.activeElement.textContent"), "Cancel");
        tab.press("Enter");
        wait_for_no_dialog(&mut tab);
        assert_eq!(tab.text(FOCUSED), href);
    }
    assert_eq!(tab.request_times("DELETE"), [0.0; 0]);
    assert_eq!(shared.names(), ["a.txt", "folder"]);
    tab.assert_quiet(&shared.origin());
}

#[test]
fn a_version_that_the_browser_has_stored_is_not_taken_for_the_present_one() {
    let Some((mut tab, shared)) = open(&["a.txt"]) else { return };
    // Old enough that a browser uses what it has stored without asking the server.
    shared.age("a.txt", Duration::from_secs(86_400 * 300));
    tab.open(&format!("{}/", shared.origin()));
    tab.evaluate("send('GET', 'a.txt').then(() => 0)");
    shared.put("a.txt", "another content");
    choose(&mut tab, "a.txt", "#entry-delete");
    wait_for_problem(&mut tab, "Somebody else has changed this file meanwhile. It now has 15 B, modified ");
    confirm_deletion(&mut tab);
    wait_for_status(&mut tab, "Deleted “a.txt”.");
    assert_eq!(shared.names(), [""; 0]);
    tab.assert_no_script_errors();
}

#[test]
fn a_file_that_is_replaced_after_the_question_is_not_deleted_unseen() {
    let Some((mut tab, shared)) = open(&["a.txt", "b.txt"]) else { return };
    // The size and, in seconds, the time of the listed version. Only the tag tells.
    let replace = |name: &str| {
        let modified = fs::metadata(shared.path().join(name)).and_then(|file| file.modified()).expect("a time");
        fs::write(shared.path().join("new"), "other").expect("a file");
        let new = fs::File::open(shared.path().join("new")).expect("a file");
        new.set_modified(modified).expect("its time");
        fs::rename(shared.path().join("new"), shared.path().join(name)).expect("a replaced file");
    };
    // Between the question and the confirmation.
    hold_next(&mut tab, "never");
    choose(&mut tab, "a.txt", "#entry-delete");
    let heads = "performance.getEntriesByType('resource').filter((entry) => entry.name.endsWith('/a.txt')).length";
    tab.wait_until(&format!("{heads} > 0"));
    replace("a.txt");
    confirm_deletion(&mut tab);
    wait_for_problem(&mut tab, "Somebody else has changed this file meanwhile.");
    tab.press("Escape");
    wait_for_no_dialog(&mut tab);
    // Between the comparison and the deletion.
    hold_next(&mut tab, "DELETE");
    choose(&mut tab, "b.txt", "#entry-delete");
    confirm_deletion(&mut tab);
    tab.wait_until("isHeld");
    replace("b.txt");
    tab.evaluate("release()");
    wait_for_problem(&mut tab, "Somebody else has changed this file meanwhile.");
    assert_eq!((read(&shared, "a.txt"), read(&shared, "b.txt")), (b"other".to_vec(), b"other".to_vec()));
    tab.press("Enter");
    wait_for_status(&mut tab, "Deleted “b.txt”.");
    assert_eq!(shared.names(), ["a.txt"]);
    tab.assert_no_script_errors();
}

#[test]
fn a_file_that_changes_all_the_time_can_be_deleted() {
    let Some((mut tab, shared)) = open(&["log.txt"]) else { return };
    choose(&mut tab, "log.txt", "#entry-delete");
    let path = shared.path().join("log.txt");
    thread::scope(|scope| {
        scope.spawn(|| {
            // Until it is deleted; it is not created again. Bounded, because a failure would wait for this thread.
            for _ in 0..400 {
                let Ok(mut file) = OpenOptions::new().append(true).open(&path) else { return };
                file.write_all(b"x").expect("a longer file");
                thread::sleep(Duration::from_millis(50));
            }
        });
        confirm_deletion(&mut tab);
        wait_for_problem(&mut tab, "Somebody else has changed this file meanwhile.");
        tab.press("Enter");
        wait_for_status(&mut tab, "Deleted “log.txt”.");
    });
    assert_eq!(shared.names(), Vec::<String>::new());
    tab.assert_no_script_errors();
}

#[test]
fn a_file_whose_name_is_not_utf_8_is_deleted_and_its_lookalike_is_not() {
    let Some((mut tab, shared)) = open(&[]) else { return };
    let (raw, lookalike) = (&b"caf\xe9"[..], "caf\u{fffd}".as_bytes());
    shared.put(raw, "raw");
    shared.put(lookalike, "lookalike");
    tab.open(&format!("{}/", shared.origin()));
    // Unchanged, it is no new name.
    choose(&mut tab, "caf%E9", "#entry-rename");
    tab.press("Enter");
    wait_for_no_dialog(&mut tab);
    choose(&mut tab, "caf%E9", "#entry-delete");
    confirm_deletion(&mut tab);
    wait_for_status(&mut tab, "Deleted “caf\u{fffd}”.");
    assert!(!exists(&shared, raw));
    assert_eq!(read(&shared, lookalike), b"lookalike");
    tab.assert_quiet(&shared.origin());
}

#[test]
fn filter_and_scroll_position_stay_after_a_change() {
    let Some((mut tab, shared)) = open(&[]) else { return };
    for number in 100..300 {
        shared.put(format!("{number}.txt"), "");
    }
    tab.open(&format!("{}/", shared.origin()));
    tab.click("tr:has(a[href='200.txt']) .more");
    tab.press("Escape");
    let top = "document.querySelector(\"a[href='199.txt']\").getBoundingClientRect().top";
    let before = tab.evaluate(top).as_f64().unwrap();
    tab.press("Delete");
    confirm_deletion(&mut tab);
    wait_for_status(&mut tab, "Deleted “200.txt”.");
    // The browser scrolls by whole or half pixels, and a row is higher than a few.
    let moved = tab.evaluate(top).as_f64().unwrap() - before;
    assert!(moved.abs() <= 1.0, "it moved by {moved} pixels");
    assert_eq!(tab.text(FOCUSED), "201.txt");
    tab.press("/");
    tab.type_text("29");
    tab.wait_until("document.getElementById('count').textContent === '12 of 199 shown'");
    choose(&mut tab, "129.txt", "#entry-rename");
    enter(&mut tab, "hello.txt");
    wait_for_status(&mut tab, "Renamed “129.txt” to “hello.txt”. The filter hides it.");
    assert_eq!(tab.text("document.getElementById('count').textContent"), "11 of 199 shown");
    assert_eq!(tab.text(FOCUSED), "filter");
    choose(&mut tab, "229.txt", "#entry-delete");
    confirm_deletion(&mut tab);
    wait_for_status(&mut tab, "Deleted “229.txt”.");
    assert_eq!(tab.text(FOCUSED), "290.txt", "the next entry that is shown");
    tab.assert_quiet(&shared.origin());
}
