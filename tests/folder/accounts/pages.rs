//! The page of a folder, as whoever looks at it may use it.

use super::Guarded;

fn page(guarded: &Guarded, name: &str, target: &str) -> String {
    let response = guarded.ask_with(name, "GET", target, &["Accept: text/html"]);
    assert_eq!(response.status, 200, "{}", response.head);
    response.text().to_owned()
}

const TAKES_FILES: &str = "<section id=\"uploads\"";
const REPLACES: &str = " data-may-replace";
const MANAGES: &str = "<div id=\"manage\"";

#[test]
fn the_page_offers_what_its_reader_may_do_and_says_who_is_signed_in() {
    let guarded = Guarded::new(&["* read", "adder create", "writer replace", "manager manage", "reader read"]);
    for (name, offers) in [
        ("", [false, false, false]),
        ("reader", [false, false, false]),
        ("adder", [true, false, false]),
        ("writer", [true, true, false]),
        ("manager", [true, true, true]),
    ] {
        for target in ["/", "/sub/"] {
            let page = page(&guarded, name, target);
            assert_eq!([TAKES_FILES, REPLACES, MANAGES].map(|part| page.contains(part)), offers, "{name} {target}");
            assert_eq!(page.contains("Sign in</a>"), name.is_empty(), "{name} {target}");
            assert!(name.is_empty() || page.contains(&format!("Signed in as <bdi>{name}</bdi>")), "{name}");
        }
    }
    assert!(page(&guarded, "", "/sub/").contains("href=\"./../?sign-in=sub/\""));
    assert!(page(&guarded, "adder", "/").contains("curl -u adder -T FILE"));
}

#[test]
fn nobody_is_asked_to_sign_in_where_that_would_not_help() {
    let guarded = Guarded::with(&["--uploads", "off"], &["* read", "alice manage"]);
    assert!(!page(&guarded, "", "/").contains("Sign in"));
    assert!(!page(&guarded, "alice", "/").contains(TAKES_FILES));
}

#[test]
fn whoever_may_only_add_files_gets_a_page_for_that_without_any_name() {
    let guarded = Guarded::new(&["* create", "alice read,replace", "bob replace"]);
    let anonymous = page(&guarded, "", "/");
    assert!(anonymous.contains("<h1>Send files</h1>") && anonymous.contains("?sign-in=\">Sign in</a>"), "{anonymous}");
    assert!(!anonymous.contains("href=\"a\"") && !anonymous.contains(REPLACES));
    let bob = page(&guarded, "bob", "/");
    assert!(
        bob.contains("<h1>Send files</h1>") && bob.contains(REPLACES) && bob.contains("Signed in as <bdi>bob</bdi>")
    );
    let alice = page(&guarded, "alice", "/");
    assert!(alice.contains("<h1>Shared folder</h1>") && alice.contains("href=\"a\""));
    assert_eq!(page(&guarded, "", "/"), anonymous, "each gets a page of their own");
    guarded.replace_accounts(&["* replace", "alice read"]);
    assert!(page(&guarded, "", "/").contains(REPLACES), "after a change of the accounts, too");
}

#[test]
fn signing_in_leads_back_to_the_folder_and_to_no_other_place() {
    let guarded = Guarded::new(&["* read", "alice create"]);
    for (query, location) in [
        ("sign-in", "./"),
        ("sign-in=", "./"),
        ("sign-in=sub/", "./sub/"),
        ("sign-in=a%20b/%22%26/", "./a%20b/%22%26/"),
        ("sign-in=%2Fsub", "./sub/"),
        ("sign-in=//evil.example/", "./evil.example/"),
        ("sign-in=http://evil.example/", "./http%3A/evil.example/"),
        ("sign-in=../", "./"),
        ("sign-in=%2E%2E/sub/", "./"),
        ("sign-in=.hidden/", "./"),
        ("sign-in=.spindle/uploads/", "./"),
        ("sign-in=a%0D%0ASet-Cookie:x", "./a%0D%0ASet-Cookie%3Ax/"),
        ("sign-in=a%00", "./"),
    ] {
        let target = format!("/?{query}");
        assert_eq!(guarded.status("", "GET", &target), 401, "{query}");
        let response = guarded.ask("alice", "GET", &target);
        assert_eq!((response.status, response.field("Location")), (303, Some(location)), "{query}");
        assert_eq!(response.field("Cache-Control"), Some("private, no-cache"));
    }
    // Elsewhere, and without accounts, it is a parameter that means nothing.
    assert_eq!(guarded.status("", "GET", "/sub/?sign-in="), 200);
    let server = crate::support::share(&["a"]);
    assert_eq!(crate::support::get(&server, "/?sign-in=").status, 200);
}
