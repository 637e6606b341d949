//! Keeps `README.md` true: its options are those of `--help`, and its limits those of the code.

#![allow(clippy::expect_used, reason = "a test may stop where it stands")]

use std::fs;
use std::path::Path;

use spindle::config::USAGE;
use spindle::http1::limits::*;

const README: &str = include_str!("../README.md");

/// What stands between `start` and the next `end` behind it.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, behind) = text.split_once(start).unwrap_or_else(|| panic!("README has no {start:?}"));
    behind.split_once(end).expect("an end").0
}

/// A number of bytes as README writes it.
fn bytes(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    assert!(bytes >= KIB && bytes.is_multiple_of(KIB), "{bytes} bytes are no round number");
    if bytes.is_multiple_of(MIB) { format!("{} MiB", bytes / MIB) } else { format!("{} KiB", bytes / KIB) }
}

/// A time as README writes it.
fn seconds(time_ns: u64) -> String {
    match time_ns {
        _ if time_ns.is_multiple_of(SECOND_NS) => format!("{} s", time_ns / SECOND_NS),
        _ if time_ns * 4 == SECOND_NS => "¼ s".to_owned(),
        _ => panic!("{time_ns} ns are no round number"),
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

/// How each row of the table of limits begins, and what its second column says. Of `connections` no number is ours: it
/// is a share of what the system allows.
fn limits() -> Vec<(String, String)> {
    vec![
        ("request-line".into(), bytes(REQUEST_LINE_BYTES_MAX as u64)),
        ("field section".into(), format!("{}, {FIELD_LINES_MAX} lines", bytes(FIELD_SECTION_BYTES_MAX as u64))),
        ("chunk extensions".into(), format!("{}, or as much as there is content", bytes(CHUNK_OVERHEAD_BYTES_FREE))),
        ("unwanted content".into(), bytes(DISCARDED_CONTENT_BYTES_MAX)),
        ("answers that wait".into(), bytes(OUTPUT_BYTES_FULL as u64)),
        ("a head, from its first byte (`--head-timeout`)".into(), seconds(HEAD_TIMEOUT_NS)),
        (
            format!("content, after {}", seconds(CONTENT_GRACE_NS)),
            format!("{}/s over the last {}", bytes(CONTENT_BYTES_PER_SECOND_MIN), seconds(CONTENT_CREDIT_NS)),
        ),
        (
            "a peer that does not read".into(),
            format!(
                "{} without progress, and a second for each {} that the socket may hold",
                seconds(WRITE_STALL_NS),
                bytes(READER_BYTES_PER_SECOND_MIN)
            ),
        ),
        ("a kept connection (`--idle-timeout`)".into(), seconds(IDLE_TIMEOUT_NS)),
        (
            "after the end".into(),
            format!(
                "{} since the last byte, {} and {} in all (where others wait for the place, or the server ends: {}, {})",
                seconds(DRAIN_SILENCE_NS),
                seconds(DRAIN_NS),
                bytes(DRAIN_BYTES_MAX),
                seconds(DRAIN_SILENCE_SHORT_NS),
                seconds(DRAIN_SHORT_NS)
            ),
        ),
        ("connections".into(), "a third of the descriptors that the system allows".into()),
    ]
}

#[test]
fn the_limits_are_those_of_the_code() {
    let table = between(README, "| limit | | then |\n|---|---|---|\n", "\n\n");
    let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split('|').map(str::trim).collect()).collect();
    let limits = limits();
    assert_eq!(rows.len(), limits.len(), "{rows:?}");
    for (row, (name, limit)) in rows.iter().zip(&limits) {
        assert!(row[1].starts_with(name.as_str()), "{row:?} is not about {name}");
        assert_eq!(row[2], limit, "{}", row[1]);
    }
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_tests_that_prove_the_promises_exist() {
    let table = between(README, "| promise | proved by |\n|---|---|\n", "\n\n");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    for row in table.lines() {
        let proofs = row.split('|').nth(2).expect("two columns");
        let mut source = String::new();
        for name in quoted(proofs) {
            if name.contains('/') {
                source = fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            } else {
                assert!(source.contains(&format!("#[test]\nfn {name}()")), "no test {name} for {row}");
                named += 1;
            }
        }
        assert!(!source.is_empty(), "nothing proves {row}");
    }
    assert!(named > 15, "{named}");
}
