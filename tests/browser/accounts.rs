//! Accounts in a real browser: signing in, what the page then offers, and what becomes of an upload if a right is withdrawn.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::json;
use spindle::semantics::accounts::{Secret, account_line, parse_rights};
use tempfile::TempDir;

use crate::folder::Shared;
use crate::harness::{noise, wait_until};
use crate::tab::Tab;

const STATES: &str = "Array.from(document.querySelectorAll('#upload-items li'), (row) => row.className)";

/// A folder with accounts.
struct Guarded {
    shared: Shared,
    scratch: TempDir,
}

fn secret(name: &str) -> Secret {
    Secret::from_random(name.bytes().fold(3, |random, byte| random * 257 + u128::from(byte)))
}

impl Guarded {
    fn start(accounts: &[(&str, &str)]) -> Guarded {
        let scratch = TempDir::new().expect("a temporary directory");
        let file = scratch.path().join("accounts");
        write(&file, accounts);
        let shared = Shared::start_with(&["--accounts", file.to_str().expect("a path in UTF-8")]);
        Guarded { shared, scratch }
    }

    /// Replaces the accounts, and waits until `probe`, which has the right to read in this version alone, can.
    fn replace(&self, accounts: &[(&str, &str)], probe: &str) {
        let all: Vec<(&str, &str)> = accounts.iter().copied().chain([(probe, "read")]).collect();
        write(&self.scratch.path().join("accounts"), &all);
        self.shared.signal(Signal::HUP);
        wait_until("the new accounts", || {
            let field = format!("Authorization: Basic {}\r\n", encoded(probe));
            self.shared.get_with("/", &field).status == 200
        });
    }

    fn local_file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.scratch.path().join(name);
        fs::write(&path, content).expect("a file");
        path
    }
}

fn encoded(name: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    BASE64_STANDARD.encode(format!("{name}:{}", secret(name).expose()))
}

fn write(file: &Path, accounts: &[(&str, &str)]) {
    let line = |(name, rights): &(&str, &str)| match *name {
        "*" => format!("* {rights}\n"),
        name => account_line(name, parse_rights(rights).expect("rights"), secret(name).hash()),
    };
    fs::write(file, accounts.iter().map(line).collect::<String>()).expect("a file");
}

/// Clicks the link to sign in, and gives the browser name and secret when it asks for them.
fn sign_in(tab: &mut Tab, name: &str) {
    assert_eq!(tab.text("document.querySelector('.who').innerText"), "Sign in");
    let secret = secret(name);
    tab.answer_challenge("*sign-in*", Some((name, secret.expose())), |tab| tab.click(".who a"));
    tab.wait_until(&format!("document.querySelector('.who')?.innerText === 'Signed in as {name}'"));
}

fn take_screenshots(tab: &mut Tab, name: &str) {
    for (suffix, width, height, colours) in
        [("light", 1000, 700, "light"), ("dark", 1000, 700, "dark"), ("phone", 390, 844, "light")]
    {
        tab.show_as(width, height, colours);
        let file = format!("screenshots/accounts-{name}-{suffix}.png");
        tab.take_screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(file));
        let overflow = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(overflow, 0, "{name} {suffix} scrolls sideways");
    }
    tab.show_as(1000, 700, "light");
}

#[test]
fn a_reader_signs_in_and_is_led_back_to_the_same_folder_where_more_is_offered() {
    let Some(mut tab) = Tab::start() else { return };
    let guarded = Guarded::start(&[("*", "read"), ("alice", "read,manage"), ("bob", "read,create")]);
    guarded.shared.put("Photos 2026/a & b/glacier.jpg", "ice");
    guarded.shared.put("Photos 2026/a & b/inner/one", "1");
    let target = "/Photos%202026/a%20%26%20b/";
    tab.open(&format!("{}{target}", guarded.shared.origin()));
    assert_eq!(tab.evaluate("document.querySelectorAll('#uploads, #manage, #new-folder').length"), 0);
    take_screenshots(&mut tab, "anonymous");
    sign_in(&mut tab, "alice");
    tab.wait_for_path(target);
    assert_eq!(tab.evaluate("document.querySelectorAll('#uploads, #manage, #new-folder').length"), 3);
    take_screenshots(&mut tab, "signed-in");
    // The browser sends the credentials along with all that the page does.
    tab.drop_files(&[&guarded.local_file("new.txt", "new"), &guarded.local_file("large.bin", noise(3_000_000, 4))]);
    tab.wait_until(&format!("{STATES}.join() === 'stored,stored'"));
    tab.wait_until("document.querySelector('#list a[href=\"new.txt\"]') !== null");
    assert_eq!(fs::read(guarded.shared.path().join("Photos 2026/a & b/new.txt")).expect("a file"), b"new");
    // Everywhere in the folder, too.
    tab.open(&format!("{}/", guarded.shared.origin()));
    assert_eq!(tab.text("document.querySelector('.who').innerText"), "Signed in as alice");
    assert!(tab.text("document.getElementById('upload-hint').innerText").contains("curl -u alice -T FILE"));
}

#[test]
fn a_right_that_is_withdrawn_during_an_upload_is_shown_at_its_file() {
    let Some(mut tab) = Tab::start() else { return };
    let guarded = Guarded::start(&[("*", "read"), ("alice", "create")]);
    tab.open(&format!("{}/", guarded.shared.origin()));
    sign_in(&mut tab, "alice");
    tab.limit_upload_rate(1_000_000);
    tab.choose("#upload-files", &[&guarded.local_file("film.mkv", noise(12_000_000, 5))]);
    tab.wait_until(&format!("{STATES}.join() === 'sending'"));
    guarded.replace(&[("*", "read"), ("alice", "read")], "probe");
    tab.limit_upload_rate(-1);
    tab.wait_until(&format!("{STATES}.join() === 'failed'"));
    let row = "document.querySelector('#upload-items li').innerText";
    assert!(tab.text(row).contains("You may not add files here any more."), "{}", tab.text(row));
    take_screenshots(&mut tab, "withdrawn");
    // With the right again, the same file is continued.
    guarded.replace(&[("*", "read"), ("alice", "create")], "other");
    tab.click("#upload-retry");
    tab.wait_until(&format!("{STATES}.join() === 'stored'"));
    assert_eq!(fs::read(guarded.shared.path().join("film.mkv")).expect("a file").len(), 12_000_000);
    // The browser would ask for an account for the request that updates the list, too.
    tab.wait_until("document.querySelector('#list a[href=\"film.mkv\"]') !== null");
    // An account that no longer exists.
    guarded.replace(&[("*", "read")], "third");
    let more = guarded.local_file("more.txt", "more");
    tab.answer_challenge("*more.txt*", None, |tab| tab.choose("#upload-files", &[&more]));
    tab.wait_until(&format!("{STATES}.includes('failed')"));
    let row = "document.querySelector('#upload-items li.failed').innerText";
    assert!(tab.text(row).contains("You are not signed in, or not any more."), "{}", tab.text(row));
    take_screenshots(&mut tab, "ended");
    assert!(!guarded.shared.path().join("more.txt").exists());
}

#[test]
fn whoever_may_only_add_files_gets_a_drop_box_and_the_owner_signs_in_to_the_list() {
    let Some(mut tab) = Tab::start() else { return };
    let guarded = Guarded::start(&[("*", "create"), ("alice", "read,manage")]);
    guarded.shared.put("secret.txt", "secret");
    tab.open(&format!("{}/", guarded.shared.origin()));
    assert_eq!(tab.text("document.querySelector('h1').innerText"), "Send files");
    take_screenshots(&mut tab, "drop-box");
    tab.drop_files(&[&guarded.local_file("report.pdf", "report")]);
    tab.wait_until(&format!("{STATES}.join() === 'stored'"));
    assert_eq!(tab.evaluate("document.body.innerText.includes('secret.txt')"), false);
    sign_in(&mut tab, "alice");
    assert_eq!(tab.names(), ["report.pdf", "secret.txt"]);
}

#[test]
fn a_page_of_another_site_gains_nothing_from_a_browser_that_is_signed_in() {
    let Some(mut tab) = Tab::start() else { return };
    let guarded = Guarded::start(&[("*", "read"), ("alice", "read,manage")]);
    guarded.shared.put("secret.txt", "secret");
    tab.open(&format!("{}/", guarded.shared.origin()));
    sign_in(&mut tab, "alice");
    tab.open(&crate::attacks::other_site());
    let target = json!(format!("{}/", guarded.shared.origin()));
    let attempt = |request: &str| {
        format!("fetch({target} + {request}).then(async (r) => r.type + await r.text(), () => 'refused')")
    };
    for request in [
        "'', { credentials: 'include' }",
        "'?format=json', { credentials: 'include' }",
        "'secret.txt', { credentials: 'include' }",
        "'new.txt', { credentials: 'include', method: 'PUT', body: 'x' }",
        "'secret.txt', { credentials: 'include', method: 'DELETE' }",
        "'new.txt', { credentials: 'include', mode: 'no-cors', method: 'POST', body: 'x' }",
        "'', { credentials: 'include', mode: 'no-cors' }",
    ] {
        let outcome = tab.text(&attempt(request));
        assert!(outcome == "refused" || outcome == "opaque", "{request}: {outcome}");
    }
    assert_eq!(guarded.shared.names(), ["secret.txt"]);
    assert_eq!(fs::read(guarded.shared.path().join("secret.txt")).expect("the file"), b"secret");
}
