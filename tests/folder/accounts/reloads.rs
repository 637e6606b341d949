//! SIGHUP reads the accounts again.

use std::fs;

use rustix::process::Signal;

use super::{Guarded, accounts_text};
use crate::harness::wait_until;

impl Guarded {
    /// Replaces the accounts, and waits until they are in force.
    pub(super) fn replace_accounts(&self, accounts: &[&str]) {
        // An account that exists in this version alone shows that it is in force.
        static VERSIONS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let marker = format!("marker{}", VERSIONS.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let line = format!("{marker} read");
        let accounts: Vec<&str> = accounts.iter().copied().chain([line.as_str()]).collect();
        fs::write(self.file(), accounts_text(&accounts)).unwrap();
        self.server.signal(Signal::HUP);
        wait_until("new accounts", || self.status(&marker, "GET", "/a") == 200);
    }
}

#[test]
fn the_accounts_change_without_a_restart() {
    let guarded = Guarded::new(&["alice read"]);
    assert_eq!((guarded.status("alice", "GET", "/a"), guarded.status("bob", "GET", "/a")), (200, 401));
    guarded.replace_accounts(&["bob read,create"]);
    assert_eq!((guarded.status("alice", "GET", "/a"), guarded.status("bob", "GET", "/a")), (401, 200));
    assert_eq!(guarded.put("bob", "/new"), 201);
}

#[test]
fn a_file_that_an_editor_has_put_in_the_place_of_the_old_one_is_read() {
    let guarded = Guarded::new(&["alice read"]);
    let new = guarded.file().with_extension("new");
    fs::write(&new, accounts_text(&["bob read"])).unwrap();
    fs::rename(&new, guarded.file()).unwrap();
    guarded.server.signal(Signal::HUP);
    wait_until("new accounts", || guarded.status("bob", "GET", "/a") == 200);
    assert_eq!(guarded.status("alice", "GET", "/a"), 401);
}

#[test]
fn a_broken_file_leaves_the_old_accounts_in_force_and_is_reported_with_its_line() {
    let guarded = Guarded::new(&["alice read"]);
    let secret = super::secret("bob");
    for (text, reported) in [
        (
            format!("* read,manage\nbob {} read\n", secret.expose()),
            "line 2: after the name: expected a list of read, create",
        ),
        (String::new(), "it contains no account"),
        (
            accounts_text(&["* read"]) + "bob read sha256:0\n",
            "line 2: after the rights: expected sha256: and 64 hexadecimal digits",
        ),
    ] {
        fs::write(guarded.file(), text).unwrap();
        guarded.server.signal(Signal::HUP);
        wait_until("a report", || guarded.server.stderr().contains(reported));
        assert_eq!((guarded.status("alice", "GET", "/a"), guarded.status("", "GET", "/a")), (200, 401));
    }
    fs::remove_file(guarded.file()).unwrap();
    guarded.server.signal(Signal::HUP);
    wait_until("a report", || guarded.server.stderr().contains("cannot read the accounts file"));
    assert_eq!((guarded.status("alice", "GET", "/a"), guarded.status("", "GET", "/a")), (200, 401));
    let log = guarded.server.stderr();
    assert_eq!(log.matches("the old accounts stay in force").count(), 4, "{log}");
    assert!(!log.contains(secret.expose()), "{log}");
}

#[test]
fn one_line_says_what_was_read_again_and_only_a_quiet_server_leaves_it_out() {
    let guarded = Guarded::new(&["alice read"]);
    fs::write(guarded.file(), accounts_text(&["* read", "alice read", "bob read"])).unwrap();
    guarded.server.signal(Signal::HUP);
    let said = || guarded.server.stderr().contains(" [INFO] SIGHUP: accounts read again: 2\n");
    wait_until("a line", said);
    fs::write(guarded.file(), "").unwrap();
    guarded.server.signal(Signal::HUP);
    wait_until("a line", || guarded.server.stderr().contains("SIGHUP: nothing was read again\n"));
    let log = guarded.server.stderr();
    let messages: Vec<&str> = log.lines().map(|line| line.split_once("] ").unwrap().1).collect();
    assert_eq!(
        (messages.len(), messages[0], messages[2]),
        (3, "SIGHUP: accounts read again: 2", "SIGHUP: nothing was read again")
    );
    assert!(messages[1].ends_with("the old accounts stay in force"), "{log}");

    let quiet = Guarded::with(&["--quiet"], &["alice read"]);
    quiet.replace_accounts(&["bob read"]);
    assert_eq!(quiet.server.stderr(), "");
}
