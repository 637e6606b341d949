//! The queue of uploads on a desktop and on a phone, and what a screen reader is told about it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::folder::Shared;
use crate::harness::{noise, wait_until};
use crate::network::Network;
use crate::queue::{Local, has_reached, open, texts, wait_for_states};
use crate::tab::Tab;

/// The path of a screenshot, which is not compared with anything.
fn screenshot(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots").join(name)
}

#[test]
fn the_queue_is_shown_in_light_and_dark_and_on_a_phone() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start_with(&["--uploads", "replace", "--max-upload", "300M"]);
    shared.fill();
    let local = Local::new();
    let files = [
        local.file("holiday in the mountains.mp4", noise(200_000_000, 3)),
        local.file("report.pdf", noise(900_000, 4)),
        local.file("slides.odp", noise(40_000_000, 5)),
        local.file("notes.md", "new notes"),
        local.file("photo.jpg", noise(2_900_000, 6)),
    ];
    let too_large = local.file("backup.tar", "");
    fs::File::options().write(true).open(&too_large).expect("a file").set_len(400_000_000).expect("its size");
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).chain([too_large.as_path()]).collect();
    for (width, height, colours) in [(1000, 900, "light"), (1000, 900, "dark"), (360, 760, "light"), (360, 760, "dark")]
    {
        let show = |tab: &mut Tab, what: &str| {
            let overflow = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert_eq!(overflow, 0, "{what} scrolls sideways at {width} px");
            tab.take_screenshot(&screenshot(&format!("uploads-{what}-{width}-{colours}.png")));
        };
        tab.show_as(width, height, colours);
        tab.limit_upload_rate(-1);
        tab.open(&format!("{}/", shared.origin()));
        show(&mut tab, "empty");
        tab.limit_upload_rate(12_000_000);
        tab.choose("#upload-files", &files);
        tab.wait_until("document.getElementById('upload-clash').open");
        show(&mut tab, "clash");
        tab.click("#upload-skip");
        tab.wait_until("document.getElementById('upload-rate').textContent.includes('left')");
        tab.wait_until("document.querySelector('.sending .state').textContent.includes('left')");
        show(&mut tab, "progress");
        tab.click("#upload-items .sending .cancel");
        tab.limit_upload_rate(-1);
        tab.wait_until("document.getElementById('upload-clear').checkVisibility()");
        show(&mut tab, "done");
        tab.click("#upload-clear");
        tab.wait_until("!document.getElementById('upload-queue').checkVisibility()");
        for name in ["report.pdf", "slides.odp", "photo.jpg"] {
            let _ = fs::remove_file(shared.path().join(name));
        }
    }
    tab.assert_no_script_errors();
}

/// The visible controls that are smaller than `most` in one direction, each with its size. The label of a check box is a part of
/// it. Links in running text may be small. Rows that the browser has not laid out, because they are not on the screen, do not
/// count.
fn small_controls(tab: &mut Tab, within: &str, most: u32) -> Vec<String> {
    let within = json!(format!("{within} :is(button, a, input, select)"));
    let small = tab.evaluate(&format!(
        "Array.from(document.querySelectorAll({within})) \
         .filter((each) => each.checkVisibility({{ contentVisibilityAuto: true }})).flatMap((each) => {{ \
         const {{ width, height }} = (each.closest('label') ?? each).getBoundingClientRect(); \
         return Math.min(width, height) < {most} ? [`${{each.outerHTML}} ${{width}} x ${{height}}`] : []; }})"
    ));
    serde_json::from_value(small).expect("a list of texts")
}

#[test]
fn all_buttons_of_the_page_have_one_font_size() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start_with(&["--uploads", "manage", "--max-upload", "300M"]);
    shared.put("a.txt", "a");
    for width in [1000, 390] {
        tab.show_as(width, 844, "light");
        tab.open(&format!("{}/", shared.origin()));
        let sizes = tab.evaluate(
            "Array.from(document.querySelectorAll('.button')).filter((each) => each.checkVisibility())\
             .map((each) => `${each.textContent}: ${getComputedStyle(each).fontSize}`)",
        );
        let expected =
            ["New folder", "Download all", "Choose files", "Choose a folder"].map(|name| format!("{name}: 15px"));
        assert_eq!(sizes, json!(expected), "at {width} px");
    }
    let hint = tab.text("document.getElementById('upload-hint').innerText");
    assert!(hint.starts_with("Files of at most 314 MB. To upload from a terminal:"), "{hint}");
}

#[test]
fn the_queue_is_usable_with_a_finger_on_a_phone() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "replace", "--max-upload", "50M"]) else { return };
    shared.fill();
    let long = "a_very_long_name_without_any_space_".repeat(6);
    let names = [
        format!("{long}.mkv"),
        "Minutes of the meeting of the third of November about the new roof, second version.pdf".to_owned(),
        "notes.md".to_owned(),
        "holiday.mp4".to_owned(),
        "waiting.zip".to_owned(),
    ];
    shared.put(&names[1], "old");
    let mut files: Vec<PathBuf> = names.iter().map(|name| local.file(name, noise(4_000_000, 50))).collect();
    let too_large = local.file(&format!("backup {long}.tar"), "");
    fs::File::options().write(true).open(&too_large).expect("a file").set_len(400_000_000).expect("its size");
    files.push(too_large);
    for colours in ["light", "dark"] {
        tab.show_on_phone(colours);
        let show = |tab: &mut Tab, what: &str| {
            let overflow = tab.evaluate("document.documentElement.scrollWidth - innerWidth");
            assert_eq!(overflow, 0, "{what} scrolls sideways");
            assert_eq!(small_controls(tab, "#uploads", 44), [""; 0], "{what}");
            assert_eq!(small_controls(tab, "main", 24), [""; 0], "{what}");
            tab.take_screenshot(&screenshot(&format!("phone-{what}-{colours}.png")));
        };
        tab.limit_upload_rate(-1);
        tab.open(&format!("{}/", shared.origin()));
        show(&mut tab, "empty");
        tab.limit_upload_rate(200_000);
        tab.choose("#upload-files", &files.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        tab.wait_until("document.getElementById('upload-clash').open");
        show(&mut tab, "clash");
        tab.tap("#upload-skip");
        tab.wait_until("document.getElementById('upload-clash').open");
        tab.tap("#upload-keep");
        tab.wait_until("document.querySelector('.sending .state')?.textContent.includes('left') === true");
        tab.tap(".sending .pause");
        tab.wait_until("document.querySelectorAll('.paused').length === 1");
        show(&mut tab, "progress");
        tab.evaluate("document.getElementById('upload-items').scrollTo(0, 10000)");
        show(&mut tab, "scrolled");
        tab.limit_upload_rate(-1);
        tab.tap(".paused .resume");
        tab.wait_until("document.getElementById('upload-clear').checkVisibility()");
        tab.evaluate("document.getElementById('uploads').scrollIntoView()");
        show(&mut tab, "done");
        tab.tap("#upload-clear");
        tab.wait_until("!document.getElementById('upload-queue').checkVisibility()");
        for name in
            shared.names().iter().filter(|name| names[0] == **name || name.ends_with(".zip") || name.ends_with(".mp4"))
        {
            fs::remove_file(shared.path().join(name)).expect("the file");
        }
    }
    tab.assert_no_script_errors();
}

#[test]
fn a_screen_reader_is_told_what_happens_to_the_uploads() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "create", "--max-upload", "30M"]) else { return };
    let network = Network::start(shared.port());
    tab.open(&format!("{}/", network.origin()));
    tab.evaluate(
        "(() => { window.told = []; const status = document.getElementById('upload-status'); \
         new MutationObserver(() => told.push(status.textContent)).observe(status, { childList: true }); })()",
    );
    assert_eq!(tab.text("document.getElementById('upload-status').role"), "status");
    // More files than are sent at a time.
    let names = ["a.bin", "b.bin", "c.bin", "d.bin"];
    let files = names.map(|name| local.file(name, noise(4_000_000, 60)));
    tab.limit_upload_rate(4_000_000);
    tab.choose("#upload-files", &files.each_ref().map(PathBuf::as_path));
    tab.wait_until(&has_reached(0.1));
    network.cut();
    tab.wait_until("told.at(-1) === 'No connection to the server. Trying again.'");
    // Further attempts that fail are no news.
    let attempts = tab.request_times("HEAD").len();
    wait_until("two more attempts", || tab.request_times("HEAD").len() > attempts + 6);
    network.restore();
    tab.wait_until("told.at(-1).startsWith('The upload continues. Uploading 4 files')");
    // As soon as one connection is back, no file waits any longer.
    tab.wait_until("!document.getElementById('upload-items').textContent.includes('Trying again')");
    assert!(texts(&mut tab, "#upload-items .stored").is_empty(), "a file waited until another one was stored");
    tab.limit_upload_rate(-1);
    wait_for_states(&mut tab, &["stored"; 4]);
    tab.wait_until("told.at(-1) === '4 files stored'");
    tab.choose("#upload-files", &[&local.file("large.bin", noise(32_000_000, 61))]);
    wait_for_states(&mut tab, &["failed", "stored", "stored", "stored", "stored"]);
    let told = [
        "Uploading 4 files",
        "No connection to the server. Trying again.",
        "The upload continues. Uploading 4 files",
        "4 files stored",
        "Uploading 1 file",
        "large.bin: The file is too large: the server takes at most 31 MB. 4 files stored, 1 failed",
    ];
    tab.wait_until("told.at(-1).endsWith('1 failed')");
    assert_eq!(tab.evaluate("told"), json!(told));
    // Each bar and each button says to which file it belongs.
    assert_eq!(texts(&mut tab, "#upload-items .failed bdi"), ["large.bin"]);
    assert_eq!(tab.text("document.querySelector('#upload-items .failed button').ariaLabel"), "Remove: large.bin");
    assert_eq!(tab.text("document.querySelector('#upload-items .failed progress').ariaLabel"), "large.bin");
    tab.assert_no_script_errors();
}

#[test]
fn an_empty_folder_offers_no_archive() {
    let Some(mut tab) = Tab::start() else { return };
    for uploads in ["off", "manage"] {
        let shared = Shared::start_with(&["--uploads", uploads]);
        let mut offers_archive = || {
            tab.open(&format!("{}/", shared.origin()));
            tab.evaluate("document.querySelector('.bar > a').checkVisibility()")
        };
        assert_eq!(offers_archive(), false, "{uploads}");
        shared.put("a.txt", "a");
        assert_eq!(offers_archive(), true, "{uploads}");
    }
}

#[test]
fn without_javascript_the_archive_is_at_the_right_and_headings_do_not_wrap() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start_with(&["--uploads", "manage"]);
    shared.put("a.txt", "a");
    tab.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    for width in [1000, 390] {
        tab.show_as(width, 844, "light");
        tab.open(&format!("{}/", shared.origin()));
        let right = |selector: &str| format!("document.querySelector('{selector}').getBoundingClientRect().right");
        assert_eq!(tab.evaluate(&right(".bar > a")), tab.evaluate(&right("main")), "at {width} px");
        let height = |column: &str| format!("document.querySelector('thead th.{column}').offsetHeight");
        assert_eq!(tab.evaluate(&height("t")), tab.evaluate(&height("n")), "at {width} px");
    }
}
