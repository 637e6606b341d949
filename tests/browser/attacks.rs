//! Attacks by pages of other origins, and by uploaded pages, on a shared folder that accepts uploads. All of them must fail.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::json;

use crate::folder::Shared;
use crate::tab::Tab;

/// JavaScript that tries to read the listing at `target`, and to write to its folder, in every way a script has. It returns the
/// outcome of each attempt. A write whose response the script cannot see is reported as refused; only the folder shows whether
/// it was.
fn attempts(target: &str) -> String {
    format!(
        "(async () => {{
            const target = {target};
            const attempt = async (name, what) => {{
                try {{ return [name, await what()]; }} catch (error) {{ return [name, 'refused: ' + error.message]; }}
            }};
            const send = async (method, name, body) =>
                'status ' + (await fetch(target + name, {{ method, body }})).status;
            const sendUnseen = async (name, body) =>
                'refused: ' + (await fetch(target + name, {{ method: 'POST', body, mode: 'no-cors' }})).type;
            const form = new FormData();
            form.append('file', new Blob(['owned']), 'form.txt');
            return Object.fromEntries([
                await attempt('read', async () => (await fetch(target)).text()),
                await attempt('read unseen', async () => 'type ' + (await fetch(target, {{ mode: 'no-cors' }})).type),
                await attempt('put', () => send('PUT', 'put.txt', 'owned')),
                await attempt('delete', () => send('DELETE', 'secret.txt')),
                await attempt('post', () => send('POST', 'post.txt', 'owned')),
                await attempt('post unseen', () => sendUnseen('unseen.txt', 'owned')),
                await attempt('post a form', () => sendUnseen('', form)),
                await attempt('post to replace', () => sendUnseen('secret.txt', 'owned')),
            ]);
        }})()",
        target = json!(target)
    )
}

/// Asserts that all of them were refused.
fn assert_refused(tab: &mut Tab, target: &str) {
    let outcome = tab.evaluate(&attempts(target));
    let outcome = outcome.as_object().expect("the outcomes");
    assert_eq!(outcome.len(), 8);
    for (attempt, what) in outcome {
        assert!(what.as_str().is_some_and(|what| what.starts_with("refused")), "{attempt}: {what}");
    }
}

/// Whether an element of the page with `address` as its `src` loads it.
fn loads(tab: &mut Tab, tag: &str, address: &str) -> bool {
    let (tag, address) = (json!(tag), json!(address));
    let loaded = tab.evaluate(&format!(
        "new Promise((done) => {{ const element = document.createElement({tag}); element.src = {address}; \
         element.onload = () => done(true); element.onerror = () => done(false); document.documentElement.append(element); }})"
    ));
    loaded == json!(true)
}

/// A folder with some files that anybody may replace.
fn writable_folder() -> Shared {
    let shared = Shared::start_with(&["--uploads", "replace"]);
    shared.put("secret.txt", "secret");
    shared.put("secret.js", "window.stolen = 'secret';");
    shared.put("secret.svg", "<svg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/>");
    shared
}

fn assert_untouched(shared: &Shared, also: &[&str]) {
    let mut names = [&["secret.js", "secret.svg", "secret.txt"], also].concat();
    names.sort_unstable();
    assert_eq!(shared.names(), names);
    assert_eq!(std::fs::read(shared.path().join("secret.txt")).expect("the file"), b"secret");
}

/// A server of another origin, which responds to each request with the same page.
struct OtherSite(u16);

impl OtherSite {
    fn start(page: &'static str) -> OtherSite {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        // The thread ends with the test process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A browser opens connections before it uses them, so each has a thread of its own.
                thread::spawn(move || respond(&stream, page));
            }
        });
        OtherSite(port)
    }
}

fn respond(mut stream: &TcpStream, page: &str) {
    let ends_head = |line: &std::io::Result<String>| line.as_ref().map_or(true, |line| line.is_empty());
    if BufReader::new(stream).lines().take(100).any(|line| ends_head(&line)) {
        let length = page.len();
        // The browser may have closed the connection.
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
        );
    }
}

/// The address of a page of another site.
pub(crate) fn other_site() -> String {
    format!("http://127.0.0.1:{}/", OtherSite::start(PAGE).0)
}

const PAGE: &str = "<!doctype html><title>A page of another site</title><link rel=icon href=data:,><p>Hello";

#[test]
fn a_page_of_another_origin_reads_nothing_and_writes_nothing() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = writable_folder();
    let other_site = OtherSite::start(PAGE);
    // Same-site, cross-site, and with an opaque origin.
    for page in [
        format!("http://127.0.0.1:{}/", other_site.0),
        format!("http://localhost:{}/", other_site.0),
        format!("data:text/html,{}", PAGE.replace(' ', "%20")),
    ] {
        tab.open(&page);
        assert_refused(&mut tab, &format!("{}/", shared.origin()));
        for (tag, name) in [("script", "secret.js"), ("img", "secret.svg")] {
            assert!(!loads(&mut tab, tag, &format!("{}/{name}", shared.origin())), "{page}: {name}");
        }
        assert_eq!(tab.text("typeof window.stolen"), "undefined");
        assert_untouched(&shared, &[]);
    }
}

#[test]
fn the_same_attempts_succeed_from_the_servers_own_origin() {
    // The control of these tests: the attempts are able to succeed.
    let Some(mut tab) = Tab::start() else { return };
    let shared = writable_folder();
    tab.call("Page.setBypassCSP", json!({ "enabled": true }));
    tab.open(&format!("{}/", shared.origin()));
    let outcome = tab.evaluate(&attempts(&format!("{}/", shared.origin())));
    assert!(outcome["read"].as_str().is_some_and(|text| text.contains("secret.txt")), "{outcome}");
    assert_eq!((&outcome["put"], &outcome["post"]), (&json!("status 201"), &json!("status 201")));
    let stored = ["form.txt", "post.txt", "put.txt", "secret.js", "secret.svg", "secret.txt", "unseen.txt"];
    assert_eq!(shared.names(), stored);
    assert!(loads(&mut tab, "img", &format!("{}/secret.svg", shared.origin())));
}

#[test]
fn a_form_of_another_origin_stores_nothing() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = writable_folder();
    let other_site = OtherSite::start(PAGE);
    for host in ["127.0.0.1", "localhost"] {
        tab.open(&format!("http://{host}:{}/", other_site.0));
        let target = json!(format!("{}/", shared.origin()));
        tab.evaluate(&format!(
            "(() => {{ const form = Object.assign(document.createElement('form'), \
             {{ method: 'post', enctype: 'multipart/form-data', action: {target} }}); \
             const files = new DataTransfer(); files.items.add(new File(['owned'], 'form.txt')); \
             const input = Object.assign(document.createElement('input'), {{ type: 'file', name: 'file', files: files.files }}); \
             form.append(input); document.body.append(form); form.submit(); }})()"
        ));
        tab.wait_until(&format!(
            "location.origin === {} && document.readyState === 'complete'",
            json!(shared.origin())
        ));
        assert_untouched(&shared, &[]);
    }
}

#[test]
fn no_other_page_can_frame_the_listing() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = writable_folder();
    let other_site = OtherSite::start(PAGE);
    tab.open(&format!("http://127.0.0.1:{}/", other_site.0));
    tab.evaluate(&format!(
        "new Promise((done) => {{ const frame = document.createElement('iframe'); frame.src = {}; frame.onload = done; \
         document.body.append(frame); }}).then(() => 0)",
        json!(format!("{}/", shared.origin()))
    ));
    let problems = tab.problems();
    assert!(problems.iter().any(|text| text.contains("frame-ancestors")), "{problems:?}");
}

#[test]
fn an_uploaded_page_runs_no_script() {
    let Some(mut tab) = Tab::start() else { return };
    let shared = writable_folder();
    let script = "document.title = 'ran'; fetch('/put.txt', { method: 'PUT', body: 'owned' });";
    shared.put("page.html", format!("<!doctype html><title>quiet</title><script>{script}</script><p>Hello"));
    shared.put(
        "image.svg",
        format!("<svg xmlns='http://www.w3.org/2000/svg'><title>quiet</title><script>{script}</script></svg>"),
    );
    for name in ["page.html", "image.svg"] {
        tab.open(&format!("{}/{name}", shared.origin()));
        assert_eq!(tab.text("document.title"), "quiet", "{name}");
        // The browser still runs what the test evaluates in the page: a script of the page could do no more than that.
        assert_refused(&mut tab, &format!("{}/", shared.origin()));
    }
    assert_untouched(&shared, &["image.svg", "page.html"]);
}

#[test]
fn a_host_name_rebound_to_this_machine_is_rejected() {
    let rules = "--host-resolver-rules=MAP rebind.example 127.0.0.1";
    let Some(mut tab) = Tab::start_with(&[rules]) else { return };
    let shared = writable_folder();
    tab.open(&format!("{}/", shared.origin()));
    assert_eq!(tab.names().len(), 3);
    let origin = shared.origin_as("rebind.example");
    tab.open(&format!("{origin}/"));
    assert!(!tab.text("document.documentElement.textContent").contains("secret.txt"));
    // The page has the origin of that host name, so for the browser these are same-origin requests.
    let read = tab.evaluate("fetch('/secret.txt').then((response) => response.status)");
    let written =
        tab.evaluate("fetch('/put.txt', { method: 'PUT', body: 'owned' }).then((response) => response.status)");
    assert_eq!((read, written), (json!(421), json!(421)));
    assert_untouched(&shared, &[]);
}
