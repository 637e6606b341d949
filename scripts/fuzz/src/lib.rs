//! The fuzz targets. `scripts/fuzz.sh` runs them; `tests/fuzz_corpus.rs` in the main crate includes the same modules and
//! replays the corpus, without a fuzzer and on any toolchain.

pub mod targets;
