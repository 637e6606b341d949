//! Everything on the page can be done with the keyboard.

use crate::folder::Shared;
use crate::tab::Tab;

const FOCUSED: &str = "document.activeElement.querySelector('bdi')?.textContent ?? document.activeElement.id";

#[test]
fn tab_reaches_everything_and_the_focus_is_visible() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start();
    shared.put("inner/a.txt", "");
    shared.put("inner/b.txt", "");
    tab.open(&format!("{}/inner/", shared.origin()));
    let mut reached = Vec::new();
    for _ in 0..11 {
        tab.press("Tab");
        assert!(
            tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none",
            "the focus is not visible on {}",
            tab.text("document.activeElement.outerHTML")
        );
        reached.push(tab.text("document.activeElement.getAttribute('href') ?? document.activeElement.id"));
    }
    assert_eq!(
        reached,
        [
            "../",
            "filter",
            "?archive=tar",
            "?sort=name&order=desc",
            "?sort=size&order=desc",
            "?sort=modified&order=desc",
            "../",
            "a.txt",
            "a.txt?download",
            "b.txt",
            "b.txt?download",
        ]
    );
    tab.assert_quiet(&shared.origin());
}

#[test]
fn arrow_keys_move_along_the_rows() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start();
    for name in ["a.txt", "b.txt", "c.txt"] {
        shared.put(name, "");
    }
    tab.open(&format!("{}/", shared.origin()));
    for (key, focused) in [
        ("ArrowDown", "a.txt"),
        ("ArrowDown", "b.txt"),
        ("End", "c.txt"),
        ("ArrowDown", "c.txt"),
        ("ArrowUp", "b.txt"),
        ("Home", "a.txt"),
        ("ArrowUp", "filter"),
        ("ArrowDown", "a.txt"),
    ] {
        tab.press(key);
        assert_eq!(tab.text(FOCUSED), focused, "after {key}");
    }
    tab.assert_quiet(&shared.origin());
}

#[test]
fn keys_focus_the_filter_open_a_folder_and_go_up() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start();
    shared.put("inner/deep/a.txt", "");
    shared.put("inner/deep/b.txt", "");
    shared.put("other.txt", "");
    tab.open(&format!("{}/", shared.origin()));
    tab.press("/");
    assert_eq!(tab.text(FOCUSED), "filter");
    tab.type_text("nn");
    // In the filter, Backspace deletes a character.
    tab.press("Backspace");
    tab.wait_until("document.getElementById('filter').value === 'n'");
    tab.type_text("n");
    tab.press("Enter");
    tab.wait_for_path("/inner/");
    tab.press("ArrowDown");
    tab.press("ArrowDown");
    assert_eq!(tab.text(FOCUSED), "deep");
    tab.press("Enter");
    tab.wait_for_path("/inner/deep/");
    tab.press("Backspace");
    tab.wait_for_path("/inner/");
    tab.press("Backspace");
    tab.wait_for_path("/");
    tab.assert_quiet(&shared.origin());
}
