//! Starting with accounts, and making one.

use std::fs;
use std::process::Command;

use super::{Guarded, accounts_text};
use crate::harness::{Start, wait_until};

fn spindle(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_spindle")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_line_of_a_new_account_goes_to_the_file_and_its_secret_to_the_person() {
    let (code, line, shown) = spindle(&["account", "alice", "create,read"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(line.starts_with("alice read,create sha256:") && line.lines().count() == 1, "{line}");
    let secret = shown.trim_end().rsplit(' ').next().unwrap();
    assert_eq!(shown, format!("The secret of alice, which is shown only here: {secret}\n"));
    assert!(secret.len() == 26 && !line.contains(secret));
    let (_, other, _) = spindle(&["account", "alice", "create,read"]);
    assert_ne!(line, other, "each secret is random");
    let guarded = Guarded::new(&["bob read"]);
    fs::write(guarded.file(), line).unwrap();
    guarded.server.signal(rustix::process::Signal::HUP);
    let own = super::basic("alice", secret);
    wait_until("the new account", || guarded.ask_with("", "GET", "/a", &[&own]).status == 200);
}

#[test]
fn a_wrong_command_exits_with_2_and_help_is_printed() {
    for arguments in [&["account"][..], &["account", "a"], &["account", "a:b", "read"], &["-p", "0", "account"]] {
        let (code, stdout, stderr) = spindle(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.starts_with("spindle: "), "{stderr}");
    }
    let (code, stdout, _) = spindle(&["account", "--help"]);
    assert!(code == Some(0) && stdout.contains("Usage: spindle account NAME RIGHTS"), "{stdout}");
}

#[test]
fn a_file_that_cannot_be_used_is_an_error_at_the_start() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("accounts");
    let start = |options: &[&str]| {
        let accounts = file.to_str().unwrap();
        Start::new().folder().options(["--accounts", accounts].into_iter().chain(options.iter().copied())).run_to_exit()
    };
    let ended = start(&[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.starts_with("spindle: cannot read the accounts file \"/"), "{}", ended.stderr);
    fs::write(&file, "* read\n\nalice write\n").unwrap();
    let ended = start(&[]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("/accounts\" cannot be used: line 3: after the name: expected a list"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_file_in_the_shared_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts");
    fs::write(&file, accounts_text(&["* read,manage"])).unwrap();
    let link = tempfile::tempdir().unwrap();
    let link = link.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for path in [&file, &link] {
        let options = ["--accounts", path.to_str().unwrap(), folder.path().to_str().unwrap()];
        let ended = Start::new().options(options).run_to_exit();
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("is in the folder that is shared"), "{}", ended.stderr);
    }
}

#[test]
fn accounts_without_encryption_are_warned_of_where_others_can_listen() {
    const WARNING: &str = "accounts without encryption";
    for (options, is_warned) in [
        (&[][..], false),
        (&["--bind", "127.0.0.1"], false),
        (&["--bind", "0.0.0.0"], true),
        (&["--bind", "::"], true),
        (&["--bind", "0.0.0.0", "--trusted-proxy", "10.0.0.1"], false),
        (&["--bind", "0.0.0.0", "--proxy-protocol", "10.0.0.1"], false),
    ] {
        let guarded = Guarded::with(options, &["alice read"]);
        assert_eq!(guarded.server.stderr().contains(WARNING), is_warned, "{options:?}");
        assert!(guarded.server.banner.contains(": the accounts file says who may do what.\n"));
    }
    let exposed = Start::new().folder().options(["--bind", "0.0.0.0"]).start();
    assert!(!exposed.stderr().contains(WARNING));
}

#[test]
fn the_access_log_has_the_account_and_never_a_secret() {
    let scratch = tempfile::tempdir().unwrap();
    for format in ["combined", "json"] {
        let log = scratch.path().join(format);
        let options = ["--access-log", log.to_str().unwrap(), "--log-format", format, "-vv"];
        let guarded = Guarded::with(&options, &["* create", "alice read"]);
        assert_eq!(guarded.status("alice", "GET", "/a"), 200);
        assert_eq!(guarded.status("alice", "GET", "/missing"), 404);
        assert_eq!(guarded.status("", "GET", "/a"), 401);
        // Not who the client claims to be.
        let secret = super::secret("alice");
        let wrong = super::basic("bob", secret.expose());
        assert_eq!(guarded.ask_with("", "GET", "/a", &[&wrong]).status, 401);
        assert_eq!(guarded.put("alice", "/new"), 201);
        let read = || fs::read_to_string(&log).unwrap_or_default();
        wait_until("lines of the log", || read().lines().count() == 5);
        let (alice, nobody) = match format {
            "json" => ("\"account\":\"alice\"", "\"account\":null"),
            _ => (" - alice [", " - - ["),
        };
        let accounts: Vec<bool> = read().lines().map(|line| line.contains(alice)).collect();
        assert_eq!(accounts, [true, true, false, false, true], "{}", read());
        assert_eq!(read().matches(nobody).count(), 2, "{}", read());
        for text in [read(), guarded.server.stderr(), guarded.server.banner.clone()] {
            let encoded = super::credentials("alice").concat();
            let encoded = encoded.rsplit(' ').next().unwrap();
            assert!(!text.contains(secret.expose()) && !text.contains(encoded), "{text}");
            assert!(!text.contains(&secret.hash().to_text()[7..]), "{text}");
        }
    }
}
