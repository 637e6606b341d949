//! Hostile names of files are shown as text, and link to their own files.

use crate::folder::Shared;
use crate::tab::Tab;

/// Names that could break or fool the page, and the text that is shown for each.
const NAMES: [(&[u8], &str); 14] = [
    (b"\"><script>alert(1)<", "\"><script>alert(1)<"),
    (b"<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
    (b"javascript:alert(1)", "javascript:alert(1)"),
    (b"data:text,x", "data:text,x"),
    (b"&lt;b&gt;", "&lt;b&gt;"),
    (b"a\nb", "a\u{240a}b"),
    (b"caf\xe9", "caf\u{fffd}"),
    ("photo\u{202e}gpj.exe".as_bytes(), "photo\u{fffd}gpj.exe"),
    (b"%2e%2e", "%2e%2e"),
    (b"a?download", "a?download"),
    (b"#top", "#top"),
    (b"back\\slash", "back\\slash"),
    (b"  two  spaces  ", "  two  spaces  "),
    (b"?sort=up", "?sort=up"),
];

#[test]
fn a_hostile_name_is_shown_as_text_and_opens_its_own_file() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = Shared::start();
    for (name, shown) in NAMES {
        // In a folder of the same name, so that the breadcrumbs contain it as well.
        shared.put([name, b"/", name].concat(), shown);
    }
    tab.open(&format!("{}/", shared.origin()));
    assert_eq!(tab.evaluate("document.querySelectorAll('script, img, b').length"), 1, "the page's own script");
    for (name, shown) in NAMES {
        let quoted = serde_json::json!(shown);
        let find = format!(
            "Array.from(document.querySelectorAll('#list tbody bdi')).find((name) => name.textContent === {quoted}).closest('a')"
        );
        tab.evaluate(&format!("{find}.click()"));
        tab.wait_until("location.pathname !== '/' && document.readyState === 'complete'");
        tab.wait_until(&format!("document.querySelector('h1').textContent === {quoted}"));
        // The URL as the browser resolves it. The test requests it, since the page's policy forbids fetches.
        let target = tab.text(&format!("{find}.href.slice(location.origin.length)"));
        assert_eq!(shared.get(&target).text(), shown, "{}", name.escape_ascii());
        tab.press("Backspace");
        tab.wait_for_path("/");
    }
}
