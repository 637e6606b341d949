//! What the fuzz targets do with their input. `scripts/fuzz.sh` runs them; `tests/fuzz_corpus.rs` in the main crate
//! includes the same modules and replays the corpus, with no fuzzer and on any toolchain.

pub mod targets;
