//! Where menu and dialogs are offered, that a keyboard reaches them, and how they look.

use std::path::Path;

use serde_json::json;

use super::{FOCUSED, choose, confirm_deletion, enter, open, wait_for_no_dialog, wait_for_problem, wait_for_status};
use crate::folder::Shared;
use crate::tab::Tab;

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
        assert_eq!(tab.text("document.activeElement.textContent"), "Cancel", "after {key}");
    }
    confirm_deletion(&mut tab);
    wait_for_status(&mut tab, "Deleted “d.txt”.");
    assert_eq!(tab.text(FOCUSED), "c.txt");
    assert_eq!(tab.names(), ["a.txt", "c.txt"]);
    assert_eq!(tab.evaluate("location.pathname"), "/inner/");
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
        choose(&mut tab, "Music/", "#entry-delete");
        confirm_deletion(&mut tab);
        wait_for_problem(&mut tab, "This folder is not empty.");
        show(&mut tab, "not-empty");
        tab.press("Escape");
        wait_for_no_dialog(&mut tab);
    }
    tab.assert_no_script_errors();
}
