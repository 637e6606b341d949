//! With `--uploads manage` the page renames and deletes entries, and creates folders.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

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

fn read(shared: &Shared, name: impl AsRef<[u8]>) -> Vec<u8> {
    fs::read(shared.path().join(OsStr::from_bytes(name.as_ref()))).expect("a file")
}

fn exists(shared: &Shared, name: &[u8]) -> bool {
    shared.path().join(OsStr::from_bytes(name)).exists()
}

#[test]
fn a_file_is_renamed() {
    let Some((mut tab, shared)) = open(&["a.txt", "notes.tar.gz", "z.txt"]) else { return };
    choose(&mut tab, "notes.tar.gz", "#entry-rename");
    assert_eq!(tab.text("document.getElementById('name-title').textContent"), "Rename “notes.tar.gz”");
    assert_eq!(tab.text("getSelection().toString()"), "notes.tar", "the extension is not selected");
    tab.type_text("b");
    tab.press("Enter");
    wait_for_status(&mut tab, "Renamed “notes.tar.gz” to “b.gz”.");
    assert_eq!(tab.names(), ["a.txt", "b.gz", "z.txt"]);
    assert_eq!(tab.text(FOCUSED), "b.gz");
    assert_eq!(read(&shared, "b.gz"), b"notes.tar.gz");
    assert_eq!(shared.names(), ["a.txt", "b.gz", "z.txt"]);
    tab.assert_quiet(&shared.origin());
}

#[test]
fn a_name_that_is_taken_is_refused_and_the_dialog_stays_open() {
    let Some((mut tab, shared)) = open(&["a.txt", "b.txt", "folder/c.txt"]) else { return };
    choose(&mut tab, "a.txt", "#entry-rename");
    for taken in ["b.txt", "folder"] {
        enter(&mut tab, taken);
        wait_for_problem(&mut tab, "A file or folder of this name exists already.");
        assert_eq!(tab.text("document.activeElement.id"), "name-new");
    }
    enter(&mut tab, "c.txt");
    wait_for_status(&mut tab, "Renamed “a.txt” to “c.txt”.");
    choose(&mut tab, "folder/", "#entry-rename");
    enter(&mut tab, "b.txt");
    wait_for_problem(&mut tab, "A file or folder of this name exists already.");
    tab.press("Escape");
    wait_for_no_dialog(&mut tab);
    tab.click("#new-folder");
    enter(&mut tab, "folder");
    wait_for_problem(&mut tab, "A file or folder of this name exists already.");
    assert_eq!((read(&shared, "b.txt"), read(&shared, "c.txt")), (b"b.txt".to_vec(), b"a.txt".to_vec()));
    assert_eq!(shared.names(), ["b.txt", "c.txt", "folder"]);
    tab.assert_no_script_errors();
}

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
        tab.press("Enter");
        wait_for_problem(&mut tab, "This folder is not empty.");
        tab.press("Escape");
        wait_for_no_dialog(&mut tab);
    }
    choose(&mut tab, "empty/", "#entry-delete");
    tab.press("Enter");
    wait_for_status(&mut tab, "Deleted “empty”.");
    assert_eq!(tab.names(), ["full", "secret", "z.txt"]);
    assert_eq!(shared.names(), ["full", "secret", "z.txt"]);
    assert_eq!(read(&shared, "full/a.txt"), b"full/a.txt");
    tab.assert_no_script_errors();
}

#[test]
fn a_folder_is_created_and_spaces_at_its_ends_are_left_out() {
    let Some((mut tab, shared)) = open(&[]) else { return };
    for (entered, name, href) in
        [("2026 %#?:ä", "2026 %#?:ä", "2026%20%25%23%3F%3A%C3%A4/"), ("  in (it)  ", "in (it)", "in%20%28it%29/")]
    {
        tab.click("#new-folder");
        assert_eq!(tab.text("document.activeElement.id"), "name-new");
        enter(&mut tab, entered);
        wait_for_status(&mut tab, &format!("Created the folder “{name}”."));
        assert_eq!(tab.text(FOCUSED), href);
        assert_eq!(tab.evaluate("document.activeElement.classList.contains('d')"), true);
        // In the new folder, whose path has to be a part of each Destination.
        tab.open(&format!("{}/{href}", shared.origin()));
    }
    assert!(shared.path().join("2026 %#?:ä/in (it)").is_dir());
    fs::write(shared.path().join("2026 %#?:ä/in (it)/x"), "x").expect("a file");
    tab.open(&format!("{}/2026%20%25%23%3F%3A%C3%A4/in%20%28it%29/", shared.origin()));
    choose(&mut tab, "x", "#entry-rename");
    enter(&mut tab, "y");
    wait_for_status(&mut tab, "Renamed “x” to “y”.");
    assert_eq!(read(&shared, "2026 %#?:ä/in (it)/y"), b"x");
    tab.assert_no_script_errors();
}

#[test]
fn everything_can_be_done_with_the_keyboard() {
    let Some((mut tab, shared)) = open(&["inner/a.txt", "inner/b.txt", "inner/c.txt"]) else { return };
    tab.open(&format!("{}/inner/", shared.origin()));
    let is_open = "document.getElementById('entry-menu').matches(':popover-open')";
    tab.evaluate("document.querySelector(\"a[href='a.txt']\").focus()");
    // Name, download, menu.
    tab.press("Tab");
    tab.press("Tab");
    assert_eq!(tab.text("document.activeElement.ariaLabel"), "Rename or delete a.txt");
    assert!(tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none");
    tab.press("ArrowDown");
    assert_eq!(tab.text(FOCUSED), "b.txt", "arrow keys still move along the rows");
    tab.press("ArrowUp");
    tab.press("Tab");
    tab.press("Tab");
    tab.press("Enter");
    for (key, focused) in [
        ("", "entry-rename"),
        ("ArrowDown", "entry-delete"),
        ("ArrowDown", "entry-rename"),
        ("ArrowUp", "entry-delete"),
        ("Home", "entry-rename"),
        ("End", "entry-delete"),
        ("Backspace", "entry-delete"),
        ("/", "entry-delete"),
    ] {
        if !key.is_empty() {
            tab.press(key);
        }
        assert_eq!(tab.text("document.activeElement.id"), focused, "after {key}");
    }
    assert_eq!(tab.text("document.querySelector('.more[aria-expanded]').ariaLabel"), "Rename or delete a.txt");
    tab.press("Escape");
    assert_eq!(tab.evaluate(is_open), false);
    assert_eq!(tab.text("document.activeElement.ariaLabel"), "Rename or delete a.txt");
    tab.press("Enter");
    tab.press("Tab");
    assert_eq!(tab.evaluate(is_open), false, "Tab leaves the menu");
    assert_eq!(tab.text(FOCUSED), "b.txt");
    tab.press("F2");
    assert_eq!(tab.text("document.getElementById('name-title').textContent"), "Rename “b.txt”");
    // Neither filters the page nor leaves it.
    tab.press("/");
    tab.press("Backspace");
    tab.type_text("d");
    tab.press("Enter");
    wait_for_status(&mut tab, "Renamed “b.txt” to “d.txt”.");
    assert_eq!(tab.text(FOCUSED), "d.txt");
    tab.press("Delete");
    for key in ["/", "Backspace", "ArrowUp"] {
        tab.press(key);
        assert_eq!(tab.text("document.activeElement.id"), "delete-confirm", "after {key}");
    }
    tab.press("Enter");
    wait_for_status(&mut tab, "Deleted “d.txt”.");
    assert_eq!(tab.text(FOCUSED), "c.txt");
    assert_eq!(tab.names(), ["a.txt", "c.txt"]);
    assert_eq!(tab.evaluate("location.pathname"), "/inner/");
    tab.assert_quiet(&shared.origin());
}

#[test]
fn a_held_enter_key_confirms_nothing() {
    let Some((mut tab, shared)) = open(&["z.txt"]) else { return };
    fs::create_dir(shared.path().join("folder")).expect("a folder");
    tab.open(&format!("{}/", shared.origin()));
    tab.evaluate("document.querySelector(\"a[href='folder/']\").focus()");
    tab.press("Delete");
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
    assert_eq!(tab.text("document.activeElement.id"), "delete-confirm");
    assert_eq!(read(&shared, "a.txt"), b"another content");
    tab.press("Enter");
    wait_for_status(&mut tab, "Deleted “a.txt”.");
    assert_eq!(shared.names(), Vec::<String>::new());
    tab.assert_no_script_errors();
}

/// Makes the next request with this method wait until `release()` is called.
fn hold_next(tab: &mut Tab, method: &str) {
    tab.evaluate(&format!(
        "(() => {{
            const send = fetch;
            const held = new Promise((resolve) => {{ globalThis.release = resolve; }});
            globalThis.isHeld = false;
            globalThis.fetch = async (url, options) => {{
                if (options.method === {method}) {{ globalThis.isHeld = true; await held; }}
                return send(url, options);
            }};
        }})()",
        method = json!(method)
    ));
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
    tab.press("Enter");
    wait_for_problem(&mut tab, "Somebody else has changed this file meanwhile.");
    tab.press("Escape");
    wait_for_no_dialog(&mut tab);
    // Between the comparison and the deletion.
    hold_next(&mut tab, "DELETE");
    choose(&mut tab, "b.txt", "#entry-delete");
    tab.press("Enter");
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
        tab.press("Enter");
        wait_for_problem(&mut tab, "Somebody else has changed this file meanwhile.");
        tab.press("Enter");
        wait_for_status(&mut tab, "Deleted “log.txt”.");
    });
    assert_eq!(shared.names(), Vec::<String>::new());
    tab.assert_no_script_errors();
}

#[test]
fn strange_names_are_renamed_and_deleted() {
    let names: [&[u8]; 14] = [
        b"\"><script>alert(1)<",
        b"javascript:alert(1)",
        b"&lt;b&gt;",
        b"a\nb",
        b"caf\xe9",
        "photo\u{202e}gpj.exe".as_bytes(),
        "\u{5e9}\u{5dc}\u{5d5}\u{5dd}.txt".as_bytes(),
        b"%2e%2e",
        b"a?download",
        b"#top",
        b"back\\slash",
        b"  two  spaces  ",
        &[b'x'; 255],
        b"'quoted' (it)*!.txt",
    ];
    let new_names: [&str; 14] = [
        "<img src=x onerror=alert(1)>",
        "data:text,x",
        "&amp;",
        "%",
        "café",
        "100%41 #1?",
        "\u{5e2}\u{5d5}\u{5dc}\u{5dd}.txt",
        "%2e",
        "?",
        "#",
        "\\",
        "two  spaces",
        &"ä".repeat(127),
        "!'()*~;,/".trim_end_matches('/'),
    ];
    let Some((mut tab, shared)) = open(&[]) else { return };
    names.iter().for_each(|name| shared.put(name, name));
    tab.open(&format!("{}/", shared.origin()));
    for (old, new) in names.iter().zip(new_names) {
        let encoded = percent_encoding::percent_encode(old, percent_encoding::NON_ALPHANUMERIC).to_string();
        let find = format!(
            "Array.from(document.querySelectorAll('#list th a')).find((link) => link.href.toLowerCase() === \
             new URL({}, location).href.toLowerCase() || unescape(link.getAttribute('href')) === unescape({}))",
            json!(encoded),
            json!(encoded)
        );
        tab.evaluate(&format!("{find}.focus()"));
        tab.press("F2");
        enter(&mut tab, new);
        tab.wait_until(&format!(
            "document.querySelector('dialog[open]') === null && \
             document.querySelector('#manage-status bdi:last-of-type')?.textContent === {}",
            json!(new)
        ));
        assert!(!exists(&shared, old), "{}", old.escape_ascii());
        assert_eq!(read(&shared, new), *old, "{new}");
        assert_eq!(tab.text("decodeURIComponent(document.activeElement.getAttribute('href'))"), new);
    }
    assert_eq!(shared.names().len(), names.len());
    for new in new_names {
        let quoted = json!(new);
        tab.evaluate(&format!(
            "Array.from(document.querySelectorAll('#list th a')).find((link) => \
             decodeURIComponent(link.getAttribute('href')) === {quoted}).focus()"
        ));
        tab.press("Delete");
        tab.press("Enter");
        tab.wait_until(&format!(
            "document.getElementById('manage-status').textContent === 'Deleted “' + {quoted} + '”.'"
        ));
        assert!(!exists(&shared, new.as_bytes()), "{new}");
    }
    assert_eq!(shared.names(), Vec::<String>::new());
    assert_eq!(tab.evaluate("document.querySelectorAll('img, b').length"), 0);
    tab.assert_quiet(&shared.origin());
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
    tab.press("Enter");
    wait_for_status(&mut tab, "Deleted “caf\u{fffd}”.");
    assert!(!exists(&shared, raw));
    assert_eq!(read(&shared, lookalike), b"lookalike");
    tab.assert_quiet(&shared.origin());
}

#[test]
fn a_name_that_no_file_can_have_is_refused_before_it_is_sent() {
    let Some((mut tab, shared)) = open(&["a.txt"]) else { return };
    let sent = tab.requests().len();
    for button in ["#new-folder", "F2"] {
        match button {
            "F2" => {
                tab.evaluate("document.querySelector(\"a[href='a.txt']\").focus()");
                tab.press("F2");
            }
            button => tab.click(button),
        }
        for (name, problem) in [
            ("", "Enter a name."),
            ("   ", "Enter a name."),
            (".", "A folder has these names"),
            ("..", "A folder has these names"),
            ("../b", "A name cannot contain a slash."),
            ("/", "A name cannot contain a slash."),
            (".hidden", "The server takes no names that begin with a dot."),
            (&"ä".repeat(128), "The name is too long: it has 256 bytes, and 255 are possible."),
        ] {
            enter(&mut tab, name);
            wait_for_problem(&mut tab, problem);
        }
        tab.press("Escape");
        wait_for_no_dialog(&mut tab);
    }
    assert_eq!(tab.requests().len(), sent);
    assert_eq!(shared.names(), ["a.txt"]);
    tab.assert_quiet(&shared.origin());
}

#[test]
fn names_that_begin_with_a_dot_are_taken_with_hidden() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start_with(&["--uploads", "manage", "--hidden"]);
    shared.put("a.txt", "a");
    tab.open(&format!("{}/", shared.origin()));
    choose(&mut tab, "a.txt", "#entry-rename");
    // Reserved, so the server refuses it.
    enter(&mut tab, ".spindle");
    wait_for_problem(&mut tab, "The server does not allow this.");
    enter(&mut tab, ".a");
    wait_for_status(&mut tab, "Renamed “a.txt” to “.a”.");
    assert_eq!(shared.names(), [".a"]);
}

#[test]
fn each_failure_is_said_in_words() {
    let Some((mut tab, mut shared)) = open(&["a.txt", "b.txt", "folder/c.txt"]) else { return };
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
            _ => tab.press("Enter"),
        }
        wait_for_problem(&mut tab, gone);
        assert_eq!(tab.text("document.activeElement.textContent"), "Close");
        tab.wait_until(&format!("document.querySelector(\"a[href='{href}']\") === null"));
        tab.press("Enter");
        wait_for_no_dialog(&mut tab);
        fs::rename(&other, &path).expect("the entry is back");
        tab.open(&format!("{}/", shared.origin()));
    }
    for (status, problem) in [
        (400, "The server can give this name to nothing."),
        (403, "The server does not allow this. Because."),
        (405, "The server does not allow changes any more."),
        (409, "The folder that this page shows is not there any more."),
        (421, "The server does not share the folder under this host name."),
        (500, "The server refused this with status 500. Because."),
        (501, "On the file system of this folder the server cannot rename it"),
        (502, "It is on another file system than this folder"),
        (503, "The server is busy. Because."),
        (507, "The server’s disk is full."),
    ] {
        tab.evaluate(&format!(
            "globalThis.fetch = async () => new Response('Because.\\n', {{ status: {status}, headers: {{ 'Content-Type': 'text/plain' }} }})"
        ));
        choose(&mut tab, "b.txt", "#entry-rename");
        enter(&mut tab, "new");
        wait_for_problem(&mut tab, problem);
        tab.press("Escape");
        wait_for_no_dialog(&mut tab);
    }
    tab.open(&format!("{}/", shared.origin()));
    shared.kill();
    choose(&mut tab, "b.txt", "#entry-delete");
    tab.press("Enter");
    wait_for_problem(&mut tab, "No connection to the server.");
    shared.restart();
    tab.press("Enter");
    wait_for_status(&mut tab, "Deleted “b.txt”.");
    assert_eq!(shared.names(), ["a.txt", "folder"]);
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
fn filter_and_scroll_position_stay_after_a_change() {
    let Some((mut tab, shared)) = open(&[]) else { return };
    for number in 100..300 {
        shared.put(format!("{number}.txt"), "");
    }
    tab.open(&format!("{}/", shared.origin()));
    tab.click("tr:has(a[href='200.txt']) .more");
    tab.press("Escape");
    let top = "document.querySelector(\"a[href='199.txt']\").getBoundingClientRect().top";
    let before = tab.evaluate(top);
    tab.press("Delete");
    tab.press("Enter");
    wait_for_status(&mut tab, "Deleted “200.txt”.");
    assert_eq!(tab.evaluate(top), before);
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
    tab.press("Enter");
    wait_for_status(&mut tab, "Deleted “229.txt”.");
    assert_eq!(tab.text(FOCUSED), "290.txt", "the next entry that is shown");
    tab.assert_quiet(&shared.origin());
}

/// Whether anything on the page offers a change of the folder.
fn offers_changes(tab: &mut Tab) -> bool {
    let offered = "Array.from(document.querySelectorAll('.more, #new-folder, #manage button')).some((element) => \
                   element.checkVisibility()) || document.querySelector('dialog[open]') !== null";
    tab.evaluate(offered) == json!(true)
}

#[test]
fn nothing_is_offered_without_manage_or_without_javascript() {
    let Some(mut tab) = Tab::start() else { return };
    for options in [&[][..], &["--uploads", "create"], &["--uploads", "replace"]] {
        let shared = Shared::start_with(options);
        shared.put("a.txt", "a");
        tab.open(&format!("{}/", shared.origin()));
        tab.evaluate("document.querySelector(\"a[href='a.txt']\").focus()");
        tab.press("F2");
        tab.press("Delete");
        assert!(!offers_changes(&mut tab), "{options:?}");
        assert_eq!(tab.evaluate("document.querySelectorAll('.more, #new-folder, #manage').length"), 0);
    }
    let shared = Shared::start_with(&["--uploads", "manage"]);
    shared.put("a.txt", "a");
    tab.open(&format!("{}/", shared.origin()));
    assert!(offers_changes(&mut tab));
    tab.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    tab.open(&format!("{}/", shared.origin()));
    assert!(!offers_changes(&mut tab));
}

#[test]
fn the_menu_closes_when_its_button_is_pressed_again() {
    let Some((mut tab, _shared)) = open(&["a.txt", "b.txt"]) else { return };
    let is_open = "document.getElementById('entry-menu').matches(':popover-open')";
    for (href, expected) in [("b.txt", true), ("b.txt", false), ("b.txt", true), ("a.txt", true), ("a.txt", false)] {
        tab.click(&format!("tr:has(a[href='{href}']) .more"));
        assert_eq!(tab.evaluate(is_open), expected, "{href}");
    }
    assert_eq!(tab.evaluate("document.querySelectorAll('[aria-expanded]').length"), 0);
}

#[test]
fn menu_and_dialogs_are_shown_in_light_and_dark_and_on_a_phone() {
    let Some((mut tab, shared)) = open(&[]) else { return };
    shared.fill();
    let long = format!("{}.txt", "a long name ".repeat(20));
    shared.put(&long, "");
    for (width, height, colours) in [(1000, 800, "light"), (1000, 800, "dark"), (390, 844, "light"), (390, 844, "dark")]
    {
        let show = |tab: &mut Tab, what: &str| {
            let overflow = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert_eq!(overflow, 0, "{what} scrolls sideways at {width} px");
            let outside = tab.evaluate(
                "Array.from(document.querySelectorAll('dialog[open], :popover-open')).some((element) => { \
                 const box = element.getBoundingClientRect(); return box.left < 0 || box.top < 0 || \
                 box.right > innerWidth || box.bottom > innerHeight; })",
            );
            assert_eq!(outside, false, "{what} is not all in the window at {width} px");
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
            tab.take_screenshot(&folder.join(format!("manage-{what}-{width}-{colours}.png")));
        };
        tab.show_as(width, height, colours);
        tab.open(&format!("{}/", shared.origin()));
        show(&mut tab, "page");
        tab.click("tr:has(a[href='todo.txt']) .more");
        show(&mut tab, "menu");
        tab.click("#entry-rename");
        enter(&mut tab, "notes.md");
        wait_for_problem(&mut tab, "A file or folder of this name exists already.");
        show(&mut tab, "clash");
        tab.press("Escape");
        wait_for_no_dialog(&mut tab);
        tab.evaluate("document.querySelector(\"a[href^='a%20long']\").focus()");
        tab.press("F2");
        show(&mut tab, "rename");
        tab.press("Escape");
        wait_for_no_dialog(&mut tab);
        tab.press("Delete");
        show(&mut tab, "delete");
        tab.press("Escape");
        wait_for_no_dialog(&mut tab);
    }
    tab.assert_no_script_errors();
}
