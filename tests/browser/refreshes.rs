//! The list is brought up to date after a change, without reloading the page.

use crate::folder::Shared;
use crate::tab::Tab;

/// Makes the response to the next request for the listing wait until `release()` is called.
const HOLD_NEXT: &str = "(() => {
    const request = send;
    const held = new Promise((resolve) => { globalThis.release = resolve; });
    globalThis.isHeld = false;
    globalThis.send = async (...parameters) => {
        globalThis.send = request;
        const response = await request(...parameters);
        globalThis.isHeld = true;
        await held;
        return response;
    };
})()";

fn open() -> Option<(Tab, Shared)> {
    let mut tab = Tab::start()?;
    let shared = Shared::start_with(&["--uploads", "create"]);
    shared.put("a.txt", "a");
    tab.open(&format!("{}/", shared.origin()));
    tab.evaluate(HOLD_NEXT);
    Some((tab, shared))
}

#[test]
fn a_listing_that_arrives_late_does_not_replace_a_later_one() {
    let Some((mut tab, shared)) = open() else { return };
    tab.evaluate("void (globalThis.early = listing.refresh())");
    tab.wait_until("isHeld");
    shared.put("b.txt", "b");
    tab.evaluate("listing.refresh()");
    assert_eq!(tab.names(), ["a.txt", "b.txt"]);
    tab.evaluate("(release(), early)");
    assert_eq!(tab.names(), ["a.txt", "b.txt"]);
    tab.assert_quiet(&shared.origin());
}

#[test]
fn a_change_while_the_listing_is_requested_is_listed_as_well() {
    let Some((mut tab, shared)) = open() else { return };
    tab.evaluate("listing.schedule()");
    tab.wait_until("isHeld");
    shared.put("b.txt", "b");
    tab.evaluate("listing.schedule()");
    tab.evaluate("release()");
    tab.wait_until("document.querySelector(\"a[href='b.txt']\") !== null");
    tab.assert_quiet(&shared.origin());
}

#[test]
fn rows_that_have_not_changed_stay_and_keep_the_focus() {
    let Some((mut tab, shared)) = open() else { return };
    tab.evaluate("release()");
    shared.put("c.txt", "c");
    tab.evaluate("listing.refresh()");
    tab.evaluate(
        "(document.querySelector(\"a[href='c.txt']\").focus(), globalThis.row = document.activeElement.closest('tr'))",
    );
    shared.put("a.txt", "longer");
    shared.put("b.txt", "b");
    tab.evaluate("listing.refresh()");
    assert_eq!(tab.names(), ["a.txt", "b.txt", "c.txt"]);
    assert_eq!(tab.evaluate("document.activeElement.closest('tr') === row"), true);
    assert_eq!(tab.text("document.querySelector('td.s').textContent"), "6 B");
    // A row that is replaced passes the focus on.
    shared.put("c.txt", "longer");
    tab.evaluate("listing.refresh()");
    assert_eq!(tab.evaluate("document.activeElement.closest('tr') === row"), false);
    assert_eq!(tab.text("document.activeElement.getAttribute('href')"), "c.txt");
    assert_eq!(tab.text("document.querySelector('footer p').textContent"), "3 entries");
    tab.assert_quiet(&shared.origin());
}
