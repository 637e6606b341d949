//! Keeps `README.md` true: its options, limits and sessions are those of the code, and the tests and paths it names exist.

#![allow(clippy::expect_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use spindle::banner::{self, Url};
use spindle::config::USAGE;
use spindle::http1::limits::*;
use spindle::http1::protocol_error::ProtocolError;
use spindle::routes::FORM_NAMES_BYTES_MAX;
use spindle::semantics::form_data::{FIELD_BYTES_MAX, PART_HEAD_BYTES_MAX, PARTS_MAX};
use spindle::storage::{DIRECTORIES_MAX, PATH_BYTES_MAX, SEGMENT_BYTES_MAX};

const README: &str = include_str!("../README.md");

/// The text between `start` and the next `end` after it.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("README has no {start:?}"));
    rest.split_once(end).expect("an end").0
}

/// A number of bytes as README writes it.
fn bytes(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    assert!(bytes >= KIB && bytes.is_multiple_of(KIB), "{bytes} bytes are not a whole number of KiB");
    if bytes.is_multiple_of(MIB) { format!("{} MiB", bytes / MIB) } else { format!("{} KiB", bytes / KIB) }
}

/// A time as README writes it.
fn seconds(time_ns: u64) -> String {
    match time_ns {
        _ if time_ns.is_multiple_of(SECOND_NS) => format!("{} s", time_ns / SECOND_NS),
        _ if time_ns * 4 == SECOND_NS => "¼ s".to_owned(),
        _ => panic!("{time_ns} ns are not a round number"),
    }
}

#[test]
fn the_options_are_those_of_the_usage() {
    assert_eq!(between(README, "## Options\n\n```text\n", "```"), USAGE);
}

#[test]
fn the_timeouts_of_the_usage_are_the_defaults() {
    for (option, default_ns) in [("--head-timeout", HEAD_TIMEOUT_NS), ("--idle-timeout", IDLE_TIMEOUT_NS)] {
        let line = USAGE.lines().find(|line| line.contains(option)).expect("a line of the usage");
        let default = format!("[default: {}]", default_ns / SECOND_NS);
        assert!(default_ns.is_multiple_of(SECOND_NS) && line.ends_with(&default), "{line}: not {default}");
    }
}

/// How each row of the table of limits begins, and its second column. The number of connections depends on the system.
fn limits() -> Vec<(String, String)> {
    vec![
        ("request line".into(), bytes(REQUEST_LINE_BYTES_MAX as u64)),
        ("field section".into(), format!("{}, {FIELD_LINES_MAX} lines", bytes(FIELD_SECTION_BYTES_MAX as u64))),
        (
            "a file's name".into(),
            format!("{DIRECTORIES_MAX} directories, {SEGMENT_BYTES_MAX} bytes each, {PATH_BYTES_MAX} in all"),
        ),
        (
            "chunk extensions".into(),
            format!("{}, or as many bytes as the content so far if that is more", bytes(CHUNK_OVERHEAD_BYTES_FREE)),
        ),
        ("ignored content".into(), bytes(DISCARDED_CONTENT_BYTES_MAX)),
        ("parts of a form".into(), PARTS_MAX.to_string()),
        (
            "names of the files of a form".into(),
            format!("{} in all, each counted up to {SEGMENT_BYTES_MAX} bytes", bytes(FORM_NAMES_BYTES_MAX as u64)),
        ),
        ("header of a part of a form".into(), bytes(PART_HEAD_BYTES_MAX as u64)),
        ("field of a form".into(), bytes(FIELD_BYTES_MAX as u64)),
        ("queued responses".into(), bytes(OUTPUT_BYTES_FULL as u64)),
        ("head of a request, from its first byte (`--head-timeout`)".into(), seconds(HEAD_TIMEOUT_NS)),
        (
            format!("content, after {}", seconds(CONTENT_GRACE_NS)),
            format!("{}/s over the last {}", bytes(CONTENT_BYTES_PER_SECOND_MIN), seconds(CONTENT_CREDIT_NS)),
        ),
        (
            "client that does not read".into(),
            format!(
                "{} without progress, and a second for each {} of the socket's send buffer",
                seconds(WRITE_STALL_NS),
                bytes(READER_BYTES_PER_SECOND_MIN)
            ),
        ),
        ("idle connection (`--idle-timeout`)".into(), seconds(IDLE_TIMEOUT_NS)),
        (
            "content of a file that the disk reads ahead".into(),
            format!("{}, and less after waits in vain", seconds(DISK_WAIT_NS)),
        ),
        (
            "draining".into(),
            format!(
                "{} since the last byte, {} and {} in all (at the connection limit, or during shutdown: {}, {})",
                seconds(DRAIN_SILENCE_NS),
                seconds(DRAIN_NS),
                bytes(DRAIN_BYTES_MAX),
                seconds(DRAIN_SILENCE_SHORT_NS),
                seconds(DRAIN_SHORT_NS)
            ),
        ),
        (
            "connections".into(),
            "a third of the file descriptors that the system allows; with uploads and few of them, a quarter".into(),
        ),
        ("connections of an address (`--connections-per-address`)".into(), "no limit".into()),
        ("bytes a second of a connection, each way (`--rate`)".into(), "no limit".into()),
        ("unfinished resumable uploads (`--uploads-pending`)".into(), "1,000 in all".into()),
    ]
}

#[test]
fn the_limits_are_those_of_the_code() {
    let table = between(README, "| limit | value | what happens there |\n|---|---|---|\n", "\n\n");
    let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split('|').map(str::trim).collect()).collect();
    let limits = limits();
    assert_eq!(rows.len(), limits.len(), "{rows:?}");
    for (row, (name, limit)) in rows.iter().zip(&limits) {
        assert!(row[1].starts_with(name.as_str()), "{row:?} is not about {name}");
        assert_eq!(row[2], limit, "{}", row[1]);
    }
}

/// The parts of `text` in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn has_test(source: &str, name: &str) -> bool {
    source.contains(&format!("#[test]\nfn {name}()"))
}

/// Checks that each test exists that a table names after its file, in the second column. Returns how many those are.
fn tests_named_in(table: &str) -> usize {
    let mut named = 0;
    for row in table.lines() {
        let proofs = row.split('|').nth(2).expect("two columns");
        let mut source = String::new();
        for name in quoted(proofs) {
            if name.contains('/') {
                source = read(name);
            } else if name.contains('_') && !is_fuzz_target(name) {
                assert!(has_test(&source, name), "no test {name} for {row}");
                named += 1;
            } else {
                assert!(is_fuzz_target(name), "no fuzz target {name} for {row}");
            }
        }
    }
    named
}

fn is_fuzz_target(name: &str) -> bool {
    repository().join(format!("scripts/fuzz/fuzz_targets/{name}.rs")).exists()
}

#[test]
fn the_tests_that_prove_the_promises_exist() {
    let table = between(README, "| promise | proved by |\n|---|---|\n", "\n\n");
    assert!(table.lines().all(|row| quoted(row).any(|name| name.ends_with(".rs"))), "something is not proved");
    let named = tests_named_in(table);
    assert!(named > 15, "{named}");
}

#[test]
fn the_tests_that_check_the_promises_about_security_exist() {
    let security = read("SECURITY.md");
    let tables = security.split("| promise | checked by |\n|---|---|\n").skip(1);
    let named: usize = tables.map(|rest| tests_named_in(rest.split("\n\n").next().expect("a table"))).sum();
    assert!(named > 20, "{named}");
}

#[test]
fn each_stage_of_the_challenge_has_a_script_and_a_test() {
    let stages = between(README, "| | stage | the code | the test, in `tests/server/challenge.rs` |\n", "\n\n");
    let tests = read("tests/server/challenge.rs");
    let scripts = fs::read_dir(repository().join("scripts/challenge")).expect("a folder");
    let scripts: Vec<String> =
        scripts.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    for number in 1..=14 {
        let row = stages.lines().find(|row| row.starts_with(&format!("| {number} |"))).expect("a row");
        let name = quoted(row).last().expect("a test");
        assert!(name.starts_with(&format!("stage_{number:02}_")) && has_test(&tests, name), "{row}");
        assert!(scripts.iter().any(|script| script.starts_with(&format!("{number:02}-"))), "no script for {row}");
    }
}

#[test]
fn each_path_exists() {
    let is_path = |text: &&str| {
        let is_in_repository =
            ["src/", "tests/", "scripts/", "benches/", "contrib/"].iter().any(|folder| text.starts_with(folder));
        is_in_repository && !text.contains(' ')
    };
    // A block of code is left out: its three backticks would shift what is between two of them.
    let prose: String = README.split("\n```").step_by(2).collect();
    let paths: Vec<&str> = quoted(&prose).filter(is_path).collect();
    assert!(paths.len() > 40, "{paths:?}");
    for path in paths {
        assert!(repository().join(path).exists(), "README names {path}");
    }
}

/// The name that GitHub gives to a heading, to which links can lead.
fn anchor(heading: &str) -> String {
    let is_kept = |char: &char| char.is_alphanumeric() || "- ".contains(*char);
    heading.to_lowercase().chars().filter(is_kept).map(|char| if char == ' ' { '-' } else { char }).collect()
}

#[test]
fn each_link_within_the_page_leads_to_a_heading() {
    let prose: String = README.split("\n```").step_by(2).collect();
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchors: Vec<String> = headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect();
    let links: Vec<&str> = prose.split("](#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() > 40, "{links:?}");
    for link in links {
        assert_eq!(anchors.iter().filter(|anchor| *anchor == link).count(), 1, "headings for {link}");
    }
}

#[test]
fn the_sessions_show_what_the_server_prints() {
    let error = ProtocolError::VersionInvalid;
    let reason = error.reason();
    let session = between(README, "HTTP/1.1 400 Bad Request\n", "```");
    assert!(session.ends_with(&format!("\n\n{reason}\n")), "{session}");
    assert!(session.contains(&format!("\nContent-Length: {}\n", reason.len() + 1)), "{session}");

    let url = |url: &str, is_local| Url { url: url.to_owned(), is_local };
    let urls = [
        url("http://192.168.1.5:4221", false),
        url("http://box:4221", false),
        url("http://127.0.0.1:4221", true),
        url("http://[::1]:4221", true),
    ];
    let banner = banner::of_folder(Path::new("/home/me/photos"), "others may read", &urls, true);
    let shown = between(README, "$ spindle --bind :: --qr ~/photos\n", "…\n```");
    assert!(banner.starts_with(shown), "{banner}");
}
