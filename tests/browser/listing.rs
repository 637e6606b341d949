//! The page of a folder: what it shows, its links, sorting, filtering and downloads.

use std::path::Path;

use serde_json::json;

use crate::folder::Shared;
use crate::tab::Tab;

/// The path of a screenshot, which is not compared with anything. README shows copies of `page.png` and `page-dark.png` in this
/// folder, which are updated by hand when the page changes.
fn screenshot(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots").join(name)
}

#[test]
fn a_folder_is_shown_in_light_and_dark_and_on_a_phone() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start();
    shared.fill();
    for (name, width, height, colours) in [
        ("page.png", 1000, 600, "light"),
        ("page-dark.png", 1000, 600, "dark"),
        ("phone.png", 360, 760, "light"),
        ("phone-dark.png", 360, 760, "dark"),
    ] {
        tab.show_as(width, height, colours);
        tab.open(&format!("{}/", shared.origin()));
        assert_eq!(tab.names().len(), 8);
        let overflow = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(overflow, 0, "{name} scrolls sideways");
        let is_dark = tab.evaluate("matchMedia('(prefers-color-scheme: dark)').matches");
        let background = tab.text("getComputedStyle(document.documentElement).backgroundColor");
        assert_eq!(background == "rgb(255, 255, 255)", is_dark == json!(false), "{name}: {background}");
        tab.take_screenshot(&screenshot(name));
    }
    tab.assert_quiet(&shared.origin());
}

#[test]
fn links_lead_into_folders_and_back_up() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start();
    shared.fill();
    tab.open(&format!("{}/", shared.origin()));
    assert_eq!(tab.text("document.querySelector('h1').textContent"), "Shared folder");
    tab.click("a[href='Photos%202026/']");
    tab.wait_for_path("/Photos%202026/");
    assert_eq!(tab.text("document.title"), "Photos 2026 \u{2013} Shared folder");
    tab.click("a[href='Iceland/']");
    tab.wait_for_path("/Photos%202026/Iceland/");
    assert_eq!(tab.names(), ["glacier.jpg"]);
    tab.click("nav li:last-child a");
    tab.wait_for_path("/Photos%202026/");
    tab.click("#up a");
    tab.wait_for_path("/");
    tab.assert_quiet(&shared.origin());
}

#[test]
fn an_empty_folder_says_so() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start();
    tab.open(&format!("{}/", shared.origin()));
    // The text is there once the row has been laid out.
    tab.wait_until("document.querySelector('#empty').innerText === 'This folder is empty.'");
    assert_eq!(tab.evaluate("document.getElementById('filter').checkVisibility()"), false);
    tab.assert_quiet(&shared.origin());
}

#[test]
fn a_folder_of_very_many_entries_is_complete_and_can_be_filtered() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start();
    for number in 0..10_500 {
        shared.put(format!("{number}.txt"), "");
    }
    tab.open(&format!("{}/", shared.origin()));
    assert!(tab.text("document.querySelector('.note').textContent").contains("more than 10,000"));
    assert_eq!(tab.evaluate("document.querySelectorAll('thead a').length"), 0);
    assert_eq!(tab.evaluate("document.getElementById('list').tBodies[0].rows.length"), 10_500);
    tab.click("#filter");
    tab.type_text("1234.");
    tab.wait_until("document.getElementById('count').textContent === '1 of 10500 shown'");
    tab.assert_quiet(&shared.origin());
}

#[test]
fn the_columns_sort_in_both_directions() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start();
    for (name, bytes, age_s) in [("b.txt", 30, 20), ("c.txt", 10, 30), ("a.txt", 20, 10)] {
        shared.put(name, vec![b'x'; bytes]);
        shared.age(name, std::time::Duration::from_secs(age_s));
    }
    tab.open(&format!("{}/", shared.origin()));
    assert_eq!(tab.names(), ["a.txt", "b.txt", "c.txt"]);
    for (column, query, direction, names) in [
        ("s", "?sort=size&order=desc", "descending", ["b.txt", "a.txt", "c.txt"]),
        ("s", "?sort=size&order=asc", "ascending", ["c.txt", "a.txt", "b.txt"]),
        ("t", "?sort=modified&order=desc", "descending", ["a.txt", "b.txt", "c.txt"]),
        ("t", "?sort=modified&order=asc", "ascending", ["c.txt", "b.txt", "a.txt"]),
        ("n", "?sort=name&order=asc", "ascending", ["a.txt", "b.txt", "c.txt"]),
        ("n", "?sort=name&order=desc", "descending", ["c.txt", "b.txt", "a.txt"]),
    ] {
        tab.click(&format!("thead .{column} a"));
        tab.wait_for_path(&format!("/{query}"));
        assert_eq!(tab.names(), names, "{query}");
        assert_eq!(tab.text(&format!("document.querySelector('thead .{column}').ariaSort")), direction);
        assert_eq!(tab.evaluate("document.querySelectorAll('[aria-sort]').length"), 1);
    }
    tab.assert_quiet(&shared.origin());
}

#[test]
fn the_filter_matches_all_words_and_counts_the_shown_entries() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start();
    for name in ["Café menu.pdf", "cafe.txt", "menu.txt", "MENU for the cafeteria.odt"] {
        shared.put(name, "x");
    }
    tab.open(&format!("{}/", shared.origin()));
    tab.click("#filter");
    tab.type_text("menu cafe");
    tab.wait_until("document.getElementById('count').textContent === '2 of 4 shown'");
    let mut names = tab.names();
    names.sort();
    assert_eq!(names, ["Café menu.pdf", "MENU for the cafeteria.odt"]);
    tab.type_text("x");
    tab.wait_until("document.getElementById('count').textContent === '0 of 4 shown'");
    tab.press("Escape");
    tab.wait_until("document.getElementById('count').textContent === ''");
    assert_eq!(tab.names().len(), 4);
    tab.assert_quiet(&shared.origin());
}

#[test]
fn sizes_and_times_are_readable_and_exact_in_the_markup() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start();
    shared.put("a.bin", vec![0; 1_400_000]);
    tab.call("Emulation.setTimezoneOverride", json!({ "timezoneId": "Asia/Kathmandu" }));
    tab.open(&format!("{}/", shared.origin()));
    assert_eq!(tab.text("document.querySelector('td.s').textContent"), "1.4 MB");
    assert_eq!(tab.text("document.querySelector('td.s data').value"), "1400000");
    assert_eq!(
        tab.evaluate("Math.abs(new Date(document.querySelector('time').dateTime) - Date.now()) < 60e3"),
        true,
        "the time of the element is the file's"
    );
    let shown = tab.text("document.querySelector('time').textContent");
    assert!(shown.starts_with("today ") || shown.starts_with("yesterday "), "{shown}");
    assert!(tab.text("document.querySelector('time').title").contains("GMT+5:45"));
    assert_eq!(tab.evaluate("document.getElementById('zone').checkVisibility()"), false);
    tab.assert_quiet(&shared.origin());
}

#[test]
fn without_javascript_everything_works_but_the_filter() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start();
    shared.fill();
    tab.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    tab.open(&format!("{}/", shared.origin()));
    assert_eq!(tab.names().len(), 8);
    assert_eq!(tab.evaluate("document.getElementById('filter').checkVisibility()"), false);
    assert_eq!(tab.text("document.querySelector('thead .t').innerText"), "Modified (UTC)");
    let shown = tab.text("document.querySelector('time').textContent");
    assert!(shown.starts_with("20") && shown.as_bytes()[4] == b'-', "{shown}");
    tab.click("thead .s a");
    tab.wait_for_path("/?sort=size&order=desc");
    tab.click("a[href='Music/']");
    tab.wait_for_path("/Music/");
    tab.assert_quiet(&shared.origin());
}

#[test]
fn a_name_opens_the_file_and_its_button_downloads_it() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start();
    shared.put("notes.txt", "hello notes");
    tab.open(&format!("{}/", shared.origin()));
    let (content, name) = tab.download(|tab| tab.click("a[href='notes.txt?download']"));
    assert_eq!((content.as_slice(), name.as_str()), (&b"hello notes"[..], "notes.txt"));
    tab.click("a[href='notes.txt']");
    tab.wait_for_path("/notes.txt");
    assert_eq!(tab.text("document.body.innerText"), "hello notes");
}

#[test]
fn the_whole_folder_downloads_as_an_archive() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start();
    shared.put("inner/notes.txt", "hello notes");
    for (page, link) in [("/", "a.button"), ("/", "a[href='inner/?archive=tar']"), ("/inner/", "a.button")] {
        tab.open(&format!("{}{page}", shared.origin()));
        let (content, name) = tab.download(|tab| tab.click(link));
        assert!(name.ends_with(".tar"), "{name}");
        assert_eq!(content.get(257..262), Some(&b"ustar"[..]), "{name} is a tar archive");
        assert!(content.windows(11).any(|window| window == b"hello notes"), "{name} contains the file");
    }
}
