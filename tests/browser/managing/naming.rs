//! Renaming entries, creating folders, and which names are possible.

use std::fs;

use serde_json::json;

use super::{
    FOCUSED, choose, confirm_deletion, enter, exists, open, read, wait_for_no_dialog, wait_for_problem, wait_for_status,
};
use crate::folder::Shared;
use crate::tab::Tab;

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
        confirm_deletion(&mut tab);
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
            (".", "“.” and “..” are reserved."),
            ("..", "“.” and “..” are reserved."),
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
