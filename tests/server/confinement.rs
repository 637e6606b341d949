//! How the server confines itself: what the kernel reports of its process. What that refuses is in `tests/confinement/`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use rustix::process::{Signal, geteuid};

use crate::harness::{ROOT_WARNING, Server, Start, wait_until};

/// A user that every system has, with its number and group.
const NOBODY: (&str, u32) = ("nobody", 65534);

impl Server {
    /// The value of a field in the status of the process.
    fn status(&self, field: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid().as_raw_nonzero())).expect("a process");
        let value = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field of the status");
        value.trim_start_matches(':').split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// What seccomp reports of a process with a filter.
const FILTERED: &str = "2";

/// The line was made after seccomp, which does not allow the calls that look for a directory: with `kill` they ended the
/// process.
#[test]
fn the_line_at_the_start_names_the_directory_of_the_log_with_kill_too() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().canonicalize().unwrap().join("access.log");
    for sandbox in ["on", "kill"] {
        let server = Start::new().options(["--sandbox", sandbox, "--access-log", log.to_str().unwrap()]).start();
        assert_eq!(server.get("/").status, 200);
        let expected = format!("Files below {:?} can be written.\n", log.parent().unwrap());
        let has_landlock = server.confinement.starts_with("Confined by Landlock");
        assert_eq!(server.confinement.ends_with(&expected), has_landlock, "{}", server.confinement);
    }
}

#[test]
fn by_default_and_with_kill_the_process_is_confined_and_serves() {
    for options in [&[][..], &["--sandbox", "on"], &["--sandbox", "kill"]] {
        let server = Start::new().directory().options(options.iter().copied()).start();
        assert!(server.confinement.starts_with("Confined by ") && server.confinement.ends_with(".\n"));
        assert!(server.confinement.contains("seccomp"), "{}", server.confinement);
        assert_eq!((server.status("Seccomp"), server.status("NoNewPrivs")), (FILTERED.to_owned(), "1".to_owned()));
        assert_eq!(server.connect().upload("PUT", "/files/name", b"content").status, 201);
        assert_eq!(server.get("/files/name").text(), "content");
    }
}

#[test]
fn without_the_sandbox_the_process_is_not_confined() {
    let server = Start::new().directory().options(["--sandbox", "off"]).start();
    assert_eq!(server.confinement, "Not confined.\n");
    assert_eq!((server.status("Seccomp"), server.status("NoNewPrivs")), ("0".to_owned(), "0".to_owned()));
}

/// A server on a kernel in which these system calls fail: `strace` lets them. With `-D` the harness ends the server itself.
fn on_a_kernel_without(calls: &[&str], options: &[&str]) -> Start {
    let inject = |call: &&str| ["-e".to_owned(), format!("inject={call}:error=ENOSYS")];
    let mut wrapper = ["strace", "-D", "-f", "-qq", "-o", "/dev/null"].map(str::to_owned).to_vec();
    wrapper.extend(calls.iter().flat_map(inject));
    Start::new().directory().options(options.iter().copied()).wrapped_by(wrapper.iter().map(String::as_str))
}

#[test]
fn what_the_kernel_lacks_is_said_and_the_server_runs() {
    let (landlock, seccomp) = ("landlock_create_ruleset", "seccomp");
    for (missing, expected) in [
        (&[landlock][..], "Confined by seccomp, and not by Landlock: this kernel lacks it, or a container hides it.\n"),
        (&[seccomp], "Confined by Landlock, and not by seccomp: "),
        (&[landlock, seccomp], "Not confined. Landlock: this kernel lacks it, or a container hides it; seccomp: "),
    ] {
        let server = on_a_kernel_without(missing, &[]).start();
        assert!(server.confinement.starts_with(expected), "{}", server.confinement);
        assert_eq!(server.get("/files/absent").status, 404);
    }
}

#[test]
fn refused_calls_cannot_end_the_process_without_seccomp() {
    let server = on_a_kernel_without(&["landlock_create_ruleset"], &["--sandbox", "kill"]).start();
    assert!(server.confinement.starts_with("Confined by seccomp, "), "{}", server.confinement);
    let ended = on_a_kernel_without(&["seccomp"], &["--sandbox", "kill"]).run_to_exit();
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(1), 1), "{ended:?}");
    assert!(ended.stderr.contains("refused system calls cannot end the process"), "{ended:?}");
}

/// The threads that flush uploads wait for each other, and each end of a connection closes files.
#[test]
fn with_kill_many_durable_uploads_at_once_end_nothing() {
    let server = Start::new().directory().options(["--sandbox", "kill", "--fsync"]).start();
    let mut clients: Vec<_> = (0..64).map(|_| server.connect()).collect();
    for round in 0..4 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(format!("PUT /files/{round}-{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"));
        }
        for client in &mut clients {
            assert_eq!(client.response().status, 201);
        }
    }
}

#[test]
fn with_kill_a_thread_closes_long_files_that_are_removed_and_replaced() {
    let server = Start::new().folder().options(["--uploads", "manage", "--sandbox", "kill"]).start();
    assert_eq!(server.status("Threads"), "2");
    let mut client = server.connect();
    client.send("GET /name HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.response().status, 404);
    let descriptors = server.descriptors();
    for request in ["DELETE /name HTTP/1.1", "PUT /name HTTP/1.1\r\nContent-Length: 1", "DELETE /name HTTP/1.1"] {
        server.write_file("name", &[1; 8 * 1024 * 1024]);
        let content = if request.starts_with("PUT") { "x" } else { "" };
        client.send(format!("{request}\r\nHost: localhost\r\n\r\n{content}"));
        assert_eq!(client.response().status, 204);
        wait_until("the file to be closed", || server.descriptors() == descriptors);
    }
}

#[test]
fn the_process_never_dumps_core() {
    for mode in ["on", "off"] {
        let server = Start::new().options(["--sandbox", mode]).start();
        let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid().as_raw_nonzero())).expect("a process");
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
        let words: Vec<&str> = line.split_whitespace().collect();
        // A limit of 1 also applies to a program that takes the dump.
        assert_eq!(words[4..6], ["1", "1"], "{line}");
    }
}

/// The server of a folder that belongs to the user, who may log to a directory.
fn server_of(folder: &Path, log: &Path, user: &str) -> Start {
    let options = ["--uploads", "create", "--user", user, "--access-log"].map(str::to_owned);
    let rest = [log, folder].map(|path| path.to_str().expect("text").to_owned());
    Start::new().options(options.iter().chain(&rest).map(String::as_str))
}

/// A directory that everybody can enter.
fn scratch() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().expect("a directory");
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
    for name in ["folder", "log"] {
        fs::create_dir(scratch.path().join(name)).expect("a directory");
        chown(scratch.path().join(name), Some(NOBODY.1), None).expect("an owner");
    }
    scratch
}

#[test]
fn as_root_the_server_becomes_the_user_and_keeps_no_capability() {
    if !geteuid().is_root() {
        return println!("skipped: only root can become another user");
    }
    let scratch = scratch();
    let log = scratch.path().join("log/access.log");
    let server = server_of(&scratch.path().join("folder"), &log, NOBODY.0).start();
    let number = NOBODY.1.to_string();
    assert_eq!(server.status("Uid"), [number.as_str(); 4].join(" "));
    assert_ne!(server.status("Gid").split(' ').next(), Some("0"));
    assert!(!server.status("Groups").split(' ').any(|group| group == "0"), "{}", server.status("Groups"));
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(server.status(set), "0".repeat(16), "{set}");
    }
    // Uploads, and the log after a rotation, belong to the user.
    let mut client = server.connect();
    client.send("PUT /new/name HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(client.response().status, 201);
    fs::rename(&log, scratch.path().join("log/old")).expect("a log");
    server.signal(Signal::HUP);
    wait_until("the log", || log.exists());
    for path in [scratch.path().join("folder/new/name"), log] {
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(&path).expect("a file")), NOBODY.1, "{path:?}");
    }
}

#[test]
fn a_server_whose_user_cannot_use_its_files_does_not_start() {
    if !geteuid().is_root() {
        return println!("skipped: only root can become another user");
    }
    let scratch = scratch();
    let [folder, log] = ["folder", "log/access.log"].map(|name| scratch.path().join(name));
    let refused = |user: &str, expected: &str| {
        let ended = server_of(&folder, &log, user).run_to_exit();
        assert_eq!((ended.code, ended.stderr.lines().count()), (Some(1), 1), "{ended:?}");
        assert!(ended.stderr.contains(expected), "{ended:?}");
    };
    refused("no-such-user", "there is no user no-such-user");
    refused("root", "the user root is root");
    fs::write(&log, "").expect("a log");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o600)).expect("permissions");
    refused(NOBODY.0, "cannot open the access log");
    fs::remove_file(&log).expect("a log");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("permissions");
    chown(&folder, Some(0), Some(0)).expect("an owner");
    refused(NOBODY.0, "folder");
    // The right to read it is not enough for uploads.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("permissions");
    refused(NOBODY.0, "--user: the user nobody cannot write to the directory");
    let path = folder.to_str().expect("text");
    Start::new().options(["--user", NOBODY.0, path]).start();
    // The accounts may allow no uploads.
    let accounts = scratch.path().join("accounts");
    fs::write(&accounts, "* read\n").expect("accounts");
    Start::new().options(["--user", NOBODY.0, "--accounts", accounts.to_str().expect("text"), path]).start();
}

#[test]
fn only_a_server_that_stays_root_warns() {
    let has_warned = |options: &[&str]| {
        let mut server = Start::new().options(options.iter().copied()).start();
        server.signal(Signal::TERM);
        assert_eq!(server.wait(), Some(0));
        server.raw_stderr().contains(ROOT_WARNING)
    };
    assert_eq!(has_warned(&[]), geteuid().is_root());
    if geteuid().is_root() {
        assert!(!has_warned(&["--user", NOBODY.0]));
    }
}
