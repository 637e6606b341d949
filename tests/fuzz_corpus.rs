//! Replays the corpus of the fuzz targets, so that `cargo test` notices a regression without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(unreachable_pub)]
#[path = "../scripts/fuzz/src/targets/mod.rs"]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

/// The limit for the sum of all inputs, so that a clone stays small.
const CORPUS_BYTES_MAX: u64 = 500 * 1024;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/fuzz/corpus")
}

#[test]
fn every_input_of_the_corpus_keeps_the_invariants() {
    let mut bytes = 0;
    for target in &targets::ALL {
        let folder = corpus().join(target.name);
        let mut inputs: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{} contains no inputs", folder.display());
        for path in &inputs {
            let input = fs::read(path).unwrap();
            bytes += input.len() as u64;
            if let Err(panic) = std::panic::catch_unwind(|| (target.run)(&input)) {
                eprintln!("this input breaks an invariant of {}: {}", target.name, path.display());
                std::panic::resume_unwind(panic);
            }
        }
        println!("fuzz corpus, {}: {} inputs replayed", target.name, inputs.len());
    }
    assert!(bytes <= CORPUS_BYTES_MAX, "the corpus has grown to {bytes} bytes");
}

/// Bugs that the fuzzer found. Each input broke an invariant before the bug was fixed.
mod findings {
    use super::*;

    fn assert_invariants(target: &str, input: &str) {
        let target = targets::ALL.iter().find(|known| known.name == target).unwrap();
        (target.run)(&fs::read(corpus().join(target.name).join(input)).unwrap());
    }

    #[test]
    fn a_protocol_error_in_a_head_request_is_reported_without_content() {
        assert_invariants("connection", "protocol-error-in-a-head-request");
        assert_invariants("connection", "protocol-error-in-the-content-of-a-head-request");
    }

    #[test]
    fn a_response_about_an_upload_of_an_account_has_one_cache_control_field() {
        assert_invariants("folder", "accounts-resumable");
    }

    #[test]
    fn credentials_with_half_of_their_padding_are_malformed() {
        assert_invariants("credentials", "half-of-the-padding");
    }

    #[test]
    fn a_response_released_before_the_end_of_slow_content_gets_the_write_stall_timeout() {
        assert_invariants("connection", "slow-upload-too-long-to-discard");
    }
}

#[test]
fn every_folder_of_the_corpus_belongs_to_a_target() {
    for entry in fs::read_dir(corpus()).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(
            targets::ALL.iter().any(|target| target.name == name),
            "{name:?} is not a target, and would never be replayed"
        );
    }
}
