//! The banner that the server prints when it starts.

use crate::harness::Start;
use crate::support::share_with;

#[test]
fn the_banner_says_what_is_shared_and_who_may_write() {
    for (options, rights) in [
        (&[][..], "others may read."),
        (&["--uploads", "create"], "others may read, and add files."),
        (&["--uploads", "replace"], "others may read, add and replace files."),
        (&["--uploads", "manage"], "others may read, add, replace, delete and move files."),
        (&["--uploads", "create", "--no-list"], "others may add files, but cannot see any."),
        (&["--uploads", "replace", "--no-list"], "others may add and replace files, but cannot see any."),
        (&["--uploads", "manage", "--no-list"], "others may add, replace, delete and move files, but cannot see any."),
    ] {
        let server = share_with(options, &[]);
        let first = server.banner.lines().next().unwrap();
        assert!(first.starts_with("Sharing /") && first.ends_with(&format!("/served: {rights}")), "{first}");
        assert!(server.banner.contains(&format!("Listening on http://127.0.0.1:{}\n", server.port())));
    }
}

#[test]
fn the_banner_of_a_wildcard_address_lists_only_usable_urls() {
    let server = share_with(&["--bind", "0.0.0.0", "--qr"], &[]);
    assert!(!server.banner.contains("0.0.0.0:"), "{}", server.banner);
    assert!(server.banner.contains(&format!("Listening on http://127.0.0.1:{}\n", server.port())));
    assert!(server.banner.contains('█') || server.banner.contains("No QR code"), "{}", server.banner);
}

#[test]
fn a_folder_that_cannot_be_shared_is_an_error() {
    let ended = Start::new().options(["/absent-folder"]).run_to_exit();
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("/absent-folder"), "{}", ended.stderr);
    let ended = Start::new().options(["--directory", "/a", "/b"]).run_to_exit();
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("--directory /a") && ended.stderr.contains("DIR /b"), "{}", ended.stderr);
}
