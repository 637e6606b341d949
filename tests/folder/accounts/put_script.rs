//! `scripts/put.sh` with an account: the secret reaches curl, and nothing that others can see.

use std::process::{Command, Output, Stdio};

use super::{Guarded, secret};
use crate::harness::noise;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/put.sh");

fn put(guarded: &Guarded, home: &std::path::Path, environment: &[(&str, &str)], path: &str) -> Output {
    let mut command = Command::new("sh");
    command.args([SCRIPT, "file", &format!("http://127.0.0.1:{}{path}", guarded.server.port())]);
    command.current_dir(home).env("XDG_STATE_HOME", home).env("HOME", home).env("PUT_ATTEMPTS", "3");
    command.env("PUT_PAUSE", "0.05").env_remove("PUT_SECRET").envs(environment.iter().copied());
    command.stdin(Stdio::null()).output().expect("sh and curl")
}

#[test]
fn the_script_uploads_with_the_secret_of_its_environment_or_of_netrc() {
    let guarded = Guarded::new(&["alice read,create"]);
    let home = tempfile::tempdir().unwrap();
    let content = noise(3_000_000, 1);
    std::fs::write(home.path().join("file"), &content).unwrap();
    let alice = secret("alice");
    let given = [("PUT_ACCOUNT", "alice"), ("PUT_SECRET", alice.expose())];
    let output = put(&guarded, home.path(), &given, "/one");
    assert!(output.status.success(), "{output:?}");
    assert!(guarded.server.content_of("one").unwrap() == content);
    std::fs::write(home.path().join(".netrc"), format!("machine 127.0.0.1 login alice password {}\n", alice.expose()))
        .unwrap();
    let output = put(&guarded, home.path(), &[], "/two");
    assert!(output.status.success(), "{output:?}");
    assert!(guarded.server.content_of("two").unwrap() == content);
}

#[test]
fn the_script_says_why_it_is_refused_and_asks_nobody_without_a_terminal() {
    let guarded = Guarded::new(&["alice read,create", "bob read"]);
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("file"), "content").unwrap();
    let bob = secret("bob");
    for (environment, code, said) in [
        (&[][..], 1, "status 401: This needs the name and the secret of an account"),
        (
            &[("PUT_ACCOUNT", "alice"), ("PUT_SECRET", "wrong")],
            1,
            "status 401: No account has this name and this secret.",
        ),
        (&[("PUT_ACCOUNT", "bob"), ("PUT_SECRET", bob.expose())], 1, "status 403: You have no right to do this here."),
        (&[("PUT_ACCOUNT", "alice")], 2, "the secret of alice is missing: PUT_SECRET is not set"),
        (&[("PUT_ACCOUNT", "a\" b"), ("PUT_SECRET", "x")], 2, "contains a character that no account has"),
    ] {
        let output = put(&guarded, home.path(), environment, "/one");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{environment:?}: {stderr}");
        assert!(stderr.contains(said), "{environment:?}: {stderr}");
    }
    assert_eq!(guarded.server.content_of("one"), None);
}

/// Everything that a process shows to other users while it runs.
#[cfg(target_os = "linux")]
#[test]
fn the_secret_is_never_an_argument_of_a_program() {
    use std::os::unix::fs::PermissionsExt as _;

    let guarded = Guarded::new(&["alice create"]);
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("file"), "content").unwrap();
    // A curl that writes down its arguments and its environment, and then does what it should.
    let wrapper = home.path().join("curl");
    let real = String::from_utf8(Command::new("sh").args(["-c", "command -v curl"]).output().unwrap().stdout).unwrap();
    let seen = home.path().join("seen");
    let text =
        format!("#!/bin/sh\n{{ printf '%s ' \"$@\"; env; }} >>'{}'\nexec {} \"$@\"\n", seen.display(), real.trim_end());
    std::fs::write(&wrapper, text).unwrap();
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", home.path().display(), std::env::var("PATH").unwrap());
    let alice = secret("alice");
    let given = [("PUT_ACCOUNT", "alice"), ("PUT_SECRET", alice.expose()), ("PATH", &path)];
    let output = put(&guarded, home.path(), &given, "/one");
    assert!(output.status.success(), "{output:?}");
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("Upload-Complete") && !seen.contains(alice.expose()), "{seen}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains(alice.expose()));
}
