//! Checks `conformance.md`: every test that it names exists, and every protocol error has a row.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use spindle::http1::protocol_error::ProtocolError;

const MATRIX: &str = include_str!("conformance.md");

/// The rows of requirements: the rows of the tables with five columns, without their headings.
fn rows() -> Vec<&'static str> {
    let is_row = |line: &&str| line.starts_with("| ") && line.matches(" | ").count() == 4 && !line.starts_with("| § |");
    MATRIX.lines().filter(is_row).collect()
}

/// The texts between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn tests_of(row: &'static str) -> Vec<&'static str> {
    let (_, column) = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
    quoted(column).collect()
}

/// The file and name of the test at `path`: `http1::chunked::a` is in `tests/http1/chunked.rs`, and
/// `spindle::semantics::date::tests::a` in `src/semantics/date.rs` or below it.
fn file_and_name(path: &str) -> Option<(PathBuf, &str)> {
    let mut parts: Vec<&str> = path.split("::").collect();
    let name = parts.pop()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folder = match parts.first().copied()? {
        "spindle" => root.join("src"),
        test_crate => root.join("tests").join(test_crate),
    };
    folder.extend(&parts[1..]);
    let inside = if folder.ends_with("tests") { folder.parent()?.to_path_buf() } else { folder.clone() };
    let candidates =
        [folder.with_extension("rs"), folder.join("mod.rs"), inside.with_extension("rs"), inside.join("mod.rs")];
    candidates.into_iter().find(|file| file.is_file()).map(|file| (file, name))
}

fn exists(path: &str) -> bool {
    let Some((file, name)) = file_and_name(path) else { return false };
    let source = fs::read_to_string(file).unwrap();
    let mut lines = source.lines().map(str::trim);
    let head = format!("fn {name}(");
    // Other attributes may be between `#[test]` and the function.
    while lines.by_ref().any(|line| line == "#[test]") {
        if lines.by_ref().find(|line| !line.starts_with("#[")).is_some_and(|line| line.starts_with(&head)) {
            return true;
        }
    }
    false
}

#[test]
fn every_row_names_tests_and_every_test_exists() {
    for row in rows() {
        let tests = tests_of(row);
        assert!(!tests.is_empty(), "no test: {row}");
        for test in tests {
            assert!(exists(test), "there is no test {test}: {row}");
        }
    }
}

#[test]
fn a_test_that_does_not_exist_is_noticed() {
    assert!(exists("http1::chunked::chunks_are_put_together"));
    assert!(exists("spindle::semantics::date::tests::a_malformed_date_is_none"));
    assert!(exists("spindle::storage::tests::commits::an_update_is_not_lost"));
    assert!(!exists("http1::chunked::no_such_test"));
    assert!(!exists("http1::chunked::assert_content_rejected"), "a function that is not a test");
    assert!(!exists("http1::no_such_module::chunks_are_put_together"));
    assert!(!exists("nowhere::chunks_are_put_together"));
}

#[test]
fn every_protocol_error_has_a_row() {
    let named: BTreeSet<&str> = rows().into_iter().flat_map(quoted).collect();
    for error in ProtocolError::ALL {
        assert!(named.contains(format!("{error:?}").as_str()), "{error:?} has no row");
    }
}

/// Calls that run a case of `tests/http1/script.rs`, directly or through a helper.
const CASES: [&str; 12] = [
    "assert_stays_open(",
    "assert_closes(",
    "assert_rejected(",
    "assert_incomplete(",
    "assert_content_rejected(",
    "assert_accepted(",
    "assert_read_and_write(",
    "assert_gzip(",
    "assert_identity(",
    "assert_not_acceptable(",
    "assert_status(",
    "assert_times_out_after(",
];

#[test]
fn the_requirements_are_counted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http1");
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let is_case = |line: &&str| {
        let line = line.trim_start();
        CASES.iter().any(|case| line.starts_with(case))
            || line.contains(".assert_stays_open(")
            || line.contains(".assert_closes(")
    };
    let cases: usize = files.map(|source| source.lines().filter(is_case).count()).sum();
    let named: BTreeSet<&str> = rows().into_iter().flat_map(tests_of).collect();
    assert!(rows().len() > 100 && cases > 300, "{} rows, {cases} cases", rows().len());
    // `eprintln!` would be captured by the test harness.
    writeln!(
        std::io::stderr(),
        "conformance: {} requirements, proved by {} tests; {cases} byte scripts",
        rows().len(),
        named.len()
    )
    .unwrap();
}
