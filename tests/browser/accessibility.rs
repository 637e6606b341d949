//! Accessibility: the rules of axe-core (<https://github.com/dequelabs/axe-core>), and the accessibility tree. The script of
//! axe-core is not part of this repository. The environment variable `SPINDLE_AXE` is its path: after `npm install axe-core`,
//! `node_modules/axe-core/axe.min.js`. `scripts/check.sh` sets it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::folder::Shared;
use crate::harness::WAIT_MAX;
use crate::tab::Tab;

/// The script of axe-core; `None`, after printing that, if the environment does not name it.
fn axe_core() -> Option<String> {
    let Some(script) = std::env::var_os("SPINDLE_AXE") else {
        println!("skipped: SPINDLE_AXE is not set to the path of axe.min.js");
        return None;
    };
    Some(std::fs::read_to_string(script).expect("the script of axe-core"))
}

#[test]
fn axe_core_finds_no_violation() {
    let Some(script) = axe_core() else { return };
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start_with(&["--uploads", "create", "--max-upload", "20M"]);
    shared.fill();
    shared.put("Photos 2026/Iceland/\"><script>alert(1)<.txt", "");
    std::fs::create_dir(shared.path().join("empty")).expect("a folder");
    let local = tempfile::TempDir::new().expect("a temporary directory");
    let files = [("notes.md", 10_000_000), ("film.mkv", 10_000_000), ("too large.tar", 22_000_000)];
    let files = files.map(|(name, bytes)| {
        let file = local.path().join(name);
        std::fs::write(&file, vec![1; bytes]).expect("a file");
        file
    });
    for (width, colours) in [(1000, "light"), (1000, "dark"), (360, "light"), (360, "dark")] {
        tab.show_as(width, 800, colours);
        for page in ["/", "/?sort=size&order=desc", "/Photos%202026/Iceland/", "/empty/"] {
            tab.open(&format!("{}{page}", shared.origin()));
            assert_no_violation(&mut tab, &script, &format!("{page} at {width} px, {colours}"));
        }
        tab.open(&format!("{}/", shared.origin()));
        // So slow that no file is stored before the pause, also on a machine where the rules take long.
        tab.limit_upload_rate(50_000);
        tab.choose("#upload-files", &files.each_ref().map(PathBuf::as_path));
        tab.wait_until("document.getElementById('upload-clash').open");
        assert_no_violation(&mut tab, &script, &format!("the question at {width} px, {colours}"));
        tab.click("#upload-skip");
        tab.click("#upload-pause");
        tab.wait_until("document.querySelectorAll('.paused, .skipped, .failed').length === 3");
        assert_no_violation(&mut tab, &script, &format!("the queue at {width} px, {colours}"));
        tab.limit_upload_rate(-1);
        tab.click("#upload-cancel");
    }
}

#[test]
fn axe_core_finds_no_violation_in_menu_and_dialogs() {
    let Some(script) = axe_core() else { return };
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start_with(&["--uploads", "manage"]);
    shared.fill();
    shared.put("\"><script>alert(1)<.txt", "");
    for (width, colours) in [(1000, "light"), (1000, "dark"), (390, "light"), (390, "dark")] {
        let check = |tab: &mut Tab, what: &str| {
            assert_no_violation(tab, &script, &format!("{what} at {width} px, {colours}"));
        };
        tab.show_as(width, 800, colours);
        tab.open(&format!("{}/", shared.origin()));
        check(&mut tab, "the page");
        tab.click("tr:has(a[href='notes.md']) .more");
        check(&mut tab, "the menu");
        tab.click("#entry-rename");
        tab.evaluate("document.getElementById('name-new').value = ''");
        tab.press("Enter");
        tab.wait_until("document.getElementById('name-problem').textContent !== ''");
        check(&mut tab, "the name");
        tab.press("Escape");
        tab.click("tr:has(a[href='Music/']) .more");
        tab.click("#entry-delete");
        tab.click("#delete-confirm");
        tab.wait_until("document.querySelector('#delete-dialog .problem').textContent !== ''");
        check(&mut tab, "the question");
        tab.press("Escape");
        tab.click("#new-folder");
        tab.evaluate("document.getElementById('name-new').value = 'new'");
        tab.press("Enter");
        tab.wait_until("document.getElementById('manage-status').textContent !== ''");
        check(&mut tab, "the status");
        std::fs::remove_dir(shared.path().join("new")).expect("the new folder");
    }
}

fn assert_no_violation(tab: &mut Tab, script: &str, what: &str) {
    tab.evaluate(&format!("{script}\n;0"));
    let rules = tab.evaluate(
        "axe.run().then((found) => ({ passed: found.passes.length, failed: found.violations.map((rule) => \
         rule.id + ': ' + rule.nodes.map((node) => node.html + ' ' + node.failureSummary).join('; ')) }))",
    );
    assert_eq!(rules["failed"], serde_json::json!([]), "{what}");
    assert!(rules["passed"].as_u64().is_some_and(|passed| passed > 5), "axe-core checked nothing: {rules}");
}

#[test]
fn a_screen_reader_finds_a_table_in_wide_and_narrow_windows() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start();
    shared.put("notes.txt", "hello notes");
    for width in [1000, 360] {
        tab.show_as(width, 800, "light");
        tab.open(&format!("{}/", shared.origin()));
        // Rows are laid out with the first frame, which may come after the end of loading.
        let started = Instant::now();
        while let Err(missing) = find_table(&mut tab) {
            assert!(started.elapsed() < WAIT_MAX, "{missing} at {width} px");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Looks for the table of a folder that contains `notes.txt` in the accessibility tree.
///
/// # Errors
/// What differs.
fn find_table(tab: &mut Tab) -> Result<(), String> {
    let tree = tab.call("Accessibility.getFullAXTree", serde_json::json!({}));
    let nodes = tree["nodes"].as_array().expect("a list of nodes");
    for (role, expected) in [("table", 1), ("row", 2), ("columnheader", 4), ("rowheader", 1), ("status", 1)] {
        let count = nodes.iter().filter(|node| node["role"]["value"] == role).count();
        if count != expected {
            return Err(format!("{count} nodes with the role {role}"));
        }
    }
    for name in ["notes.txt", "Download notes.txt"] {
        if !nodes.iter().any(|node| node["role"]["value"] == "link" && node["name"]["value"] == name) {
            return Err(format!("no link {name}"));
        }
    }
    Ok(())
}
